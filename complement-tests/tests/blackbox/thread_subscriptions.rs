//! Subscriptions to threads, MSC4306.

use complement_tests::{Client, Homeserver, Server, encoded};
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

const SLIDING: &str = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync";
const CHANGES: &str = "/_matrix/client/unstable/io.element.msc4308/thread_subscriptions";

/// What the extension MSC4308 of simplified sliding sync tells after a position, and the next.
async fn told(client: &Client, pos: Option<&str>, limit: u32) -> (Value, String) {
    let pos = pos.map(|pos| format!("?pos={}", encoded(pos))).unwrap_or_default();
    let extension = json!({ "enabled": true, "limit": limit });
    let body = json!({ "extensions": { "io.element.msc4308.thread_subscriptions": extension } });
    let answer = client.post(&format!("{SLIDING}{pos}"), &body).await.expect_ok();
    let told = answer["extensions"]["io.element.msc4308.thread_subscriptions"].clone();
    (told, answer["pos"].as_str().expect("a position").to_owned())
}

#[tokio::test]
async fn sliding_sync_tells_of_subscriptions_that_changed() {
    let (ada, _, room) = kitchen().await;
    let (tea, cake) = (ada.say(&room, "tea").await, ada.say(&room, "cake").await);
    let (nothing, pos) = told(&ada, None, 10).await;
    assert!(nothing.is_null(), "{nothing}");

    ada.put(&path(&room, &tea), &json!({})).await.expect_ok();
    ada.put(&path(&room, &cake), &json!({})).await.expect_ok();
    ada.delete(&path(&room, &cake)).await.expect_ok();
    let (changed, next) = told(&ada, Some(&pos), 10).await;
    assert_eq!(changed["subscribed"][&room][&tea]["automatic"], false, "{changed}");
    assert!(changed["unsubscribed"][&room][&cake]["bump_stamp"].is_u64(), "{changed}");
    assert!(told(&ada, Some(&next), 10).await.0.is_null());
}

#[tokio::test]
async fn what_is_too_much_for_sliding_sync_is_read_page_by_page() {
    let (ada, _, room) = kitchen().await;
    let (_, pos) = told(&ada, None, 10).await;
    let mut roots = Vec::new();
    for body in ["one", "two", "three", "four"] {
        let root = ada.say(&room, body).await;
        ada.put(&path(&room, &root), &json!({})).await.expect_ok();
        roots.push(root);
    }
    let (changed, _) = told(&ada, Some(&pos), 1).await;
    let has = |page: &Value, root: &str| page["subscribed"][&room][root].is_object();
    assert!(has(&changed, &roots[3]) && !has(&changed, &roots[2]), "{changed}");
    let from = changed["prev_batch"].as_str().unwrap();
    let page = |from: String| format!("{CHANGES}?dir=b&limit=2&from={from}&to={}", encoded(&pos));

    let second = ada.get(&page(encoded(from))).await.expect_ok();
    assert!(has(&second, &roots[2]) && has(&second, &roots[1]), "{second}");
    let third = ada.get(&page(encoded(second["end"].as_str().unwrap()))).await.expect_ok();
    assert!(has(&third, &roots[0]) && third.get("end").is_none(), "{third}");
    let all = ada.get(&format!("{CHANGES}?dir=b")).await.expect_ok();
    assert!(roots.iter().all(|root| has(&all, root)), "{all}");

    for wrong in ["", "?dir=f", "?dir=b&limit=0", "?dir=b&from=tea", "?dir=b&to=tea"] {
        let answer = ada.get(&format!("{CHANGES}{wrong}")).await;
        assert_eq!(answer.status, 400, "{wrong}");
    }
    ada.server().stranger().get(CHANGES).await.expect_error(401, "M_MISSING_TOKEN");
}

#[tokio::test]
async fn subscriptions_are_announced_and_their_push_rules_are_the_servers() {
    let (ada, _, _) = kitchen().await;
    let versions = ada.get("/_matrix/client/versions").await.expect_ok();
    assert_eq!(versions["unstable_features"]["org.matrix.msc4306"], true);
    let rules = "/_matrix/client/v3/pushrules/global";
    let all = ada.get(&format!("{rules}/")).await.expect_ok();
    let ids: Vec<_> =
        all["postcontent"].as_array().unwrap().iter().map(|rule| &rule["rule_id"]).collect();
    let expected = [
        ".io.element.msc4306.rule.unsubscribed_thread",
        ".io.element.msc4306.rule.subscribed_thread",
    ];
    assert_eq!(ids, expected);
    for kind in ["postcontent", "io.element.msc4306.postcontent"] {
        if Homeserver::chosen() == Homeserver::Synapse && kind != "postcontent" {
            continue; // Only ruma knows it under this name.
        }
        let rule = format!("{rules}/{kind}/{}", expected[1]);
        assert_eq!(ada.get(&rule).await.expect_ok()["rule_id"], expected[1]);
        let enabled = format!("{rule}/enabled");
        for flag in [false, true] {
            ada.put(&enabled, &json!({ "enabled": flag })).await.expect_ok();
            assert_eq!(ada.get(&enabled).await.expect_ok(), json!({ "enabled": flag }));
        }
        let own = json!({ "conditions": [], "actions": ["notify"] });
        let answer = ada.put(&format!("{rules}/{kind}/mine"), &own).await;
        answer.expect_error(400, "M_INVALID_PARAM");
    }
}

#[tokio::test]
async fn who_uses_subscriptions_hears_of_their_threads_alone() {
    if Homeserver::chosen() == Homeserver::Synapse {
        return; // There, who never subscribed to anything hears of no thread.
    }
    let (ada, bo, room) = kitchen().await;
    bo.join(&room).await;
    let (tea, cake) = (ada.say(&room, "tea").await, ada.say(&room, "cake").await);
    let counted = async || {
        let sync = bo.sync().await;
        sync["rooms"]["join"][&room]["unread_notifications"]["notification_count"].as_u64()
    };
    let before = counted().await.unwrap();
    reply(&ada, &room, &tea).await;
    assert_eq!(counted().await, Some(before + 1), "bo never subscribed to anything");
    bo.put(&path(&room, &cake), &json!({})).await.expect_ok();
    assert_eq!(counted().await, Some(before));
    reply(&ada, &room, &cake).await;
    reply(&ada, &room, &tea).await;
    assert_eq!(counted().await, Some(before + 1));
}
