//! Typing notifications.

use std::time::{Duration, Instant};

use complement_tests::{Answer, Client, Server, encoded, room_path, synapse_departs_from};
use serde_json::{Value, json};

async fn kitchen() -> (Client, Client, String) {
    let server = Server::start().await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    let room = ada.create_room().await;
    bo.join(&room).await;
    (ada, bo, room)
}

async fn set(client: &Client, whose: &Client, room: &str, body: &Value) -> Answer {
    let path = room_path(room, &format!("typing/{}", encoded(&whose.user_id)));
    client.put(&path, body).await
}

/// Who is typing by a sync answer; `None` when it does not say.
fn typing(sync: &Value, room: &str) -> Option<Value> {
    let events = sync["rooms"]["join"][room]["ephemeral"]["events"].as_array()?;
    let event = events.iter().find(|event| event["type"] == "m.typing")?;
    Some(event["content"]["user_ids"].clone())
}

#[tokio::test]
async fn typing_is_seen_until_it_stops() {
    let (ada, bo, room) = kitchen().await;
    let before = ada.sync().await;

    set(&bo, &bo, &room, &json!({ "typing": true, "timeout": 30_000 })).await.expect_ok();
    let wanted = Some(json!([bo.user_id]));
    let sync = ada.sync_until(&before, |sync| typing(sync, &room) == wanted).await;

    set(&bo, &bo, &room, &json!({ "typing": false })).await.expect_ok();
    ada.sync_until(&sync, |sync| typing(sync, &room) == Some(json!([]))).await;
}

#[tokio::test]
async fn typing_ends_by_itself() {
    let (ada, bo, room) = kitchen().await;
    let before = ada.sync().await;
    set(&bo, &bo, &room, &json!({ "typing": true, "timeout": 1000 })).await.expect_ok();
    let wanted = Some(json!([bo.user_id]));
    let sync = ada.sync_until(&before, |sync| typing(sync, &room) == wanted).await;
    let start = Instant::now();
    ada.sync_until(&sync, |sync| typing(sync, &room) == Some(json!([]))).await;
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_first_sync_shows_who_types() {
    let (ada, bo, room) = kitchen().await;
    let body = json!({ "typing": true, "timeout": 30_000 });
    set(&bo, &bo, &room, &body).await.expect_ok();
    assert_eq!(typing(&ada.sync().await, &room), Some(json!([bo.user_id])));
}

#[tokio::test]
async fn nobody_types_for_another_or_from_outside() {
    let (ada, bo, room) = kitchen().await;
    let cy = ada.server().register("cy").await;
    let body = json!({ "typing": true, "timeout": 1000 });
    set(&bo, &ada, &room, &body)
        .await
        .expect_error_of(&[(400, "M_FORBIDDEN"), (403, "M_FORBIDDEN")]);
    set(&cy, &cy, &room, &body).await.expect_error(403, "M_FORBIDDEN");
}

#[tokio::test]
async fn typing_without_saying_whether_is_refused() {
    let (_ada, bo, room) = kitchen().await;
    if synapse_departs_from("required: [typing]") {
        return;
    }
    let answer = set(&bo, &bo, &room, &json!({})).await;
    answer.expect_error_of(&[(400, "M_MISSING_PARAM"), (400, "M_BAD_JSON")]);
}

/// Spec: `PUT /rooms/{roomId}/typing/{userId}`: only `typing` is required.
#[tokio::test]
async fn who_does_not_say_for_how_long_types_for_a_while() {
    let (ada, bo, room) = kitchen().await;
    let before = ada.sync().await;
    set(&bo, &bo, &room, &json!({ "typing": true })).await.expect_ok();
    let wanted = Some(json!([bo.user_id]));
    ada.sync_until(&before, |sync| typing(sync, &room) == wanted).await;
    for body in [json!({ "typing": "yes" }), json!({ "typing": true, "timeout": "long" })] {
        if !synapse_departs_from("typing: boolean, timeout: integer") {
            set(&bo, &bo, &room, &body).await.expect_error(400, "M_BAD_JSON");
        }
    }
}

/// Who says something types no more, nor does who leaves.
#[tokio::test]
async fn typing_ends_with_the_message_and_with_leaving() {
    let (ada, bo, room) = kitchen().await;
    let body = json!({ "typing": true, "timeout": 30_000 });
    let nobody = Some(json!([]));
    let mut seen = ada.sync().await;
    for leaves in [false, true] {
        if !leaves && synapse_departs_from("no sentence: of Synapse, who has sent it types on") {
            continue;
        }
        set(&bo, &bo, &room, &body).await.expect_ok();
        let wanted = Some(json!([bo.user_id]));
        seen = ada.sync_until(&seen, |sync| typing(sync, &room) == wanted).await;
        if leaves {
            bo.leave(&room).await;
        } else {
            bo.say(&room, "tea").await;
        }
        seen = ada.sync_until(&seen, |sync| typing(sync, &room) == nobody).await;
    }
}
