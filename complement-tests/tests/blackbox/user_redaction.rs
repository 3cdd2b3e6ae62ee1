//! How administrators redact what a user sent, and read it, by Synapse's paths.

use std::time::Duration;

use complement_tests::{Client, Role, Server, encoded, synapse_departs_from, unique};
use serde_json::{Value, json};

/// An administrator, ada with two rooms, and bo in both.
async fn rooms() -> (Client, Client, Client, [String; 2]) {
    let server = Server::start().await;
    let admin = server.register_with_shared_secret("admin", Role::Administrator).await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    let rooms = [ada.create_room().await, ada.create_room().await];
    for room in &rooms {
        bo.join(room).await;
    }
    (admin, ada, bo, rooms)
}

fn path(user: &str) -> String {
    format!("/_synapse/admin/v1/user/{}/redact", encoded(user))
}

/// Redacts what the body says, and gives the status once that is done.
async fn redact(admin: &Client, user: &Client, body: &Value) -> Value {
    let answer = admin.post(&path(&user.user_id), body).await.expect_ok();
    let id = answer["redact_id"].as_str().expect("an id").to_owned();
    let path = format!("/_synapse/admin/v1/user/redact_status/{id}");
    for _ in 0..200 {
        let status = admin.get(&path).await.expect_ok();
        if status["status"] != "active" && status["status"] != "scheduled" {
            return status;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the redaction has not ended");
}

async fn is_redacted(reader: &Client, room: &str, event: &str) -> bool {
    reader.event(room, event).await["content"] == json!({})
}

#[tokio::test]
async fn what_a_user_sent_is_redacted_in_all_their_rooms() {
    let (admin, ada, bo, rooms) = rooms().await;
    let mut sent = Vec::new();
    for room in &rooms {
        sent.push((room, bo.say(room, "spam").await));
        sent.push((room, bo.say(room, "more spam").await));
    }
    let hers = ada.say(&rooms[0], "tea").await;

    let status = redact(&admin, &bo, &json!({ "rooms": [], "reason": "spam" })).await;

    assert_eq!(status["status"], "complete", "{status}");
    for (room, event) in sent {
        let shown = ada.event(room, &event).await;
        assert_eq!(shown["content"], json!({}));
        let because = &shown["unsigned"]["redacted_because"];
        assert_eq!(because["sender"], bo.user_id);
        assert_eq!(because["content"]["reason"], "spam");
    }
    assert!(!is_redacted(&ada, &rooms[0], &hers).await);
    bo.say(&rooms[0], "still here").await;
}

#[tokio::test]
async fn only_the_newest_events_of_the_named_rooms_are_redacted() {
    let (admin, ada, bo, rooms) = rooms().await;
    let (old, new) = (bo.say(&rooms[0], "old").await, bo.say(&rooms[0], "new").await);
    let other = bo.say(&rooms[1], "other").await;

    redact(&admin, &bo, &json!({ "rooms": [rooms[0]], "limit": 1 })).await;

    assert!(is_redacted(&ada, &rooms[0], &new).await);
    assert!(!is_redacted(&ada, &rooms[0], &old).await);
    assert!(!is_redacted(&ada, &rooms[1], &other).await);
}

#[tokio::test]
async fn an_administrator_without_power_redacts_nothing_in_their_own_name() {
    let (admin, ada, bo, rooms) = rooms().await;
    let event = bo.say(&rooms[0], "spam").await;
    if synapse_departs_from("redactions fail one by one") {
        return;
    }

    let body = json!({ "rooms": [rooms[0]], "use_admin": true });
    let status = redact(&admin, &bo, &body).await;

    assert!(status["failed_redactions"][&event].is_string(), "{status}");
    assert!(!is_redacted(&ada, &rooms[0], &event).await);
}

#[tokio::test]
async fn an_event_of_any_room_is_fetched_by_administrators() {
    let (admin, ada, bo, rooms) = rooms().await;
    let event = bo.say(&rooms[0], "tea").await;
    bo.redact(&rooms[0], &event).await;
    let path = |event: &str| format!("/_synapse/admin/v1/fetch_event/{}", encoded(event));

    let fetched = admin.get(&path(&event)).await.expect_ok();

    assert_eq!(fetched["event"]["event_id"], event);
    assert_eq!(fetched["event"]["content"]["body"], "tea");
    admin.get(&path("$unknown")).await.expect_error(404, "M_NOT_FOUND");
    ada.get(&path(&event)).await.expect_error(403, "M_FORBIDDEN");
}

#[tokio::test]
async fn what_cannot_be_redacted_is_told() {
    let (admin, ada, bo, _) = rooms().await;
    let answer = admin.post(&path(&bo.user_id), &json!({})).await;
    answer.expect_error_of(&[(400, "M_MISSING_PARAM"), (400, "M_BAD_JSON")]);
    if !synapse_departs_from("a limit is at least 1") {
        let answer = admin.post(&path(&bo.user_id), &json!({ "rooms": [], "limit": 0 })).await;
        answer.expect_error(400, "M_INVALID_PARAM");
    }
    let status = "/_synapse/admin/v1/user/redact_status/nonsense";
    admin.get(status).await.expect_error(404, "M_NOT_FOUND");
    let body = json!({ "rooms": [] });
    ada.post(&path(&bo.user_id), &body).await.expect_error(403, "M_FORBIDDEN");
    ada.get(status).await.expect_error(403, "M_FORBIDDEN");
    let nobody = format!("@{}:{}", unique("nobody"), ada.server().name());
    admin.post(&path(&nobody), &body).await.expect_ok();
}
