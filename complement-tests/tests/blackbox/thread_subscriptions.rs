//! Subscriptions to threads, MSC4306.

use complement_tests::{Client, Server, encoded};
use serde_json::{Value, json};

const MESSAGE: &str = "m.room.message";

/// An event that there is not.
const NOTHING: &str = "$0123456789abcdefghijklmnopqrstuvwxyzABCDEFG";

async fn kitchen() -> (Client, Client, String) {
    let server = Server::start().await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    let room = ada.create_room().await;
    (ada, bo, room)
}

fn path(room: &str, root: &str) -> String {
    let (room, root) = (encoded(room), encoded(root));
    format!("/_matrix/client/unstable/io.element.msc4306/rooms/{room}/thread/{root}/subscription")
}

async fn reply(client: &Client, room: &str, root: &str) -> String {
    let relation = json!({ "rel_type": "m.thread", "event_id": root });
    let content = json!({ "msgtype": "m.text", "body": "yes", "m.relates_to": relation });
    client.send(room, MESSAGE, &content).await
}

fn because_of(event: &str) -> Value {
    json!({ "automatic": event })
}

#[tokio::test]
async fn a_thread_is_subscribed_to_and_unsubscribed_from() {
    let (ada, _, room) = kitchen().await;
    let root = ada.say(&room, "root").await;
    let path = path(&room, &root);
    ada.get(&path).await.expect_error(404, "M_NOT_FOUND");
    ada.put(&path, &json!({})).await.expect_ok();
    assert_eq!(ada.get(&path).await.expect_ok(), json!({ "automatic": false }));
    ada.delete(&path).await.expect_ok();
    ada.get(&path).await.expect_error(404, "M_NOT_FOUND");
    ada.delete(&path).await.expect_ok();
}

#[tokio::test]
async fn what_the_user_said_stands_before_what_their_client_did() {
    let (ada, _, room) = kitchen().await;
    let root = ada.say(&room, "root").await;
    let answer = reply(&ada, &room, &root).await;
    let path = path(&room, &root);
    ada.put(&path, &because_of(&answer)).await.expect_ok();
    assert_eq!(ada.get(&path).await.expect_ok(), json!({ "automatic": true }));
    ada.put(&path, &json!({})).await.expect_ok();
    ada.put(&path, &because_of(&answer)).await.expect_ok();
    assert_eq!(ada.get(&path).await.expect_ok(), json!({ "automatic": false }));
}

#[tokio::test]
async fn the_cause_of_a_subscription_is_an_event_of_the_thread() {
    let (ada, _, room) = kitchen().await;
    let (root, other) = (ada.say(&room, "root").await, ada.say(&room, "other").await);
    let elsewhere = reply(&ada, &room, &other).await;
    for event in [&root, &elsewhere] {
        let answer = ada.put(&path(&room, &root), &because_of(event)).await;
        answer.expect_error(400, "IO.ELEMENT.MSC4306.M_NOT_IN_THREAD");
    }
    let answer = ada.put(&path(&room, &root), &because_of(NOTHING)).await;
    answer.expect_error_of(&[(400, "IO.ELEMENT.MSC4306.M_NOT_IN_THREAD"), (404, "M_NOT_FOUND")]);
}

#[tokio::test]
async fn what_came_before_an_unsubscription_does_not_subscribe_again() {
    let (ada, _, room) = kitchen().await;
    let root = ada.say(&room, "root").await;
    let path = path(&room, &root);
    let before = reply(&ada, &room, &root).await;
    ada.put(&path, &because_of(&before)).await.expect_ok();
    ada.delete(&path).await.expect_ok();
    let after = reply(&ada, &room, &root).await;

    let answer = ada.put(&path, &because_of(&before)).await;
    answer.expect_error(409, "IO.ELEMENT.MSC4306.M_CONFLICTING_UNSUBSCRIPTION");
    ada.put(&path, &because_of(&after)).await.expect_ok();
    ada.delete(&path).await.expect_ok();
    ada.put(&path, &json!({})).await.expect_ok();
}

#[tokio::test]
async fn threads_that_are_not_there_or_not_seen_are_not_found() {
    let (ada, bo, room) = kitchen().await;
    let root = ada.say(&room, "root").await;
    for answer in [
        ada.put(&path(&room, NOTHING), &json!({})).await,
        ada.get(&path(&room, NOTHING)).await,
        ada.delete(&path(&room, NOTHING)).await,
        bo.put(&path(&room, &root), &json!({})).await,
        bo.get(&path(&room, &root)).await,
        bo.delete(&path(&room, &root)).await,
    ] {
        answer.expect_error(404, "M_NOT_FOUND");
    }
}
