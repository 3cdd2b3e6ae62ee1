//! How administrators remove old events, by Synapse's paths.

use std::time::Duration;

use complement_tests::{
    Client, Role, Server, encoded, event_ids, room_path, synapse_departs_from, timeline,
};
use serde_json::{Value, json};

/// An administrator, and ada's room with bo in it and ten messages, oldest first.
async fn kitchen() -> (Client, Client, Client, String, Vec<String>) {
    let server = Server::start().await;
    let admin = server.register_with_shared_secret("admin", Role::Administrator).await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    let room = ada.create_room().await;
    bo.join(&room).await;
    let mut messages = Vec::new();
    for number in 0..10 {
        messages.push(ada.say(&room, &number.to_string()).await);
    }
    (admin, ada, bo, room, messages)
}

fn path(room: &str) -> String {
    format!("/_synapse/admin/v1/purge_history/{}", encoded(room))
}

async fn complete(admin: &Client, answer: &Value) {
    let id = answer["purge_id"].as_str().expect("an id");
    let path = format!("/_synapse/admin/v1/purge_history_status/{id}");
    for _ in 0..200 {
        let status = admin.get(&path).await.expect_ok();
        match status["status"].as_str() {
            Some("complete") => return,
            Some("failed") => panic!("{status}"),
            _ => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
    panic!("the purge has not ended");
}

/// The ids of the messages that a reader still finds, newest first.
async fn messages_of(reader: &Client, room: &str) -> Vec<String> {
    let answer = reader.get(&room_path(room, "messages?dir=b&limit=100")).await.expect_ok();
    let chunk = answer["chunk"].as_array().expect("a list").clone();
    let messages: Vec<_> =
        chunk.into_iter().filter(|event| event["type"] == "m.room.message").collect();
    event_ids(&messages).into_iter().map(str::to_owned).collect()
}

#[tokio::test]
async fn messages_before_an_event_are_removed_and_the_room_goes_on() {
    let (admin, ada, bo, room, messages) = kitchen().await;
    let before = bo.sync().await;
    let state = ada.get(&room_path(&room, "state")).await.expect_ok();
    let body = json!({ "delete_local_events": true });
    let path = format!("{}/{}", path(&room), encoded(&messages[6]));

    let answer = admin.post(&path, &body).await.expect_ok();

    complete(&admin, &answer).await;
    let mut left = messages[6..].to_vec();
    left.reverse();
    assert_eq!(messages_of(&bo, &room).await, left);
    let gone = room_path(&room, &format!("event/{}", encoded(&messages[0])));
    ada.get(&gone).await.expect_error(404, "M_NOT_FOUND");
    ada.event(&room, &messages[6]).await;
    let now = ada.get(&room_path(&room, "state")).await.expect_ok();
    assert_eq!(now.as_array().map(Vec::len), state.as_array().map(Vec::len));
    let new = ada.say(&room, "more").await;
    let news = bo.sync_since(&before).await;
    assert_eq!(event_ids(timeline(&news, &room)), [new.as_str()]);
    let cy = ada.server().register("cy").await;
    cy.join(&room).await;
    let first = cy.sync().await;
    assert!(first["rooms"]["join"][&room].is_object(), "{first}");
}

/// They may be the only copies there are.
#[tokio::test]
async fn events_of_local_users_stay_unless_they_are_meant() {
    let (admin, ada, _, room, messages) = kitchen().await;
    let body = json!({ "purge_up_to_event_id": messages[5] });

    let answer = admin.post(&path(&room), &body).await.expect_ok();

    complete(&admin, &answer).await;
    if synapse_departs_from("events of local users are not deleted, as its documentation says") {
        return;
    }
    ada.event(&room, &messages[0]).await;
    assert_eq!(messages_of(&ada, &room).await.len(), 10);
}

#[tokio::test]
async fn messages_before_a_time_are_removed_but_never_the_last_event() {
    let (admin, ada, _, room, messages) = kitchen().await;
    let body = json!({ "purge_up_to_ts": 4_781_243_146_000_u64, "delete_local_events": true });

    let answer = admin.post(&path(&room), &body).await.expect_ok();

    complete(&admin, &answer).await;
    assert_eq!(messages_of(&ada, &room).await, messages[9..]);
    ada.say(&room, "more").await;
    let early = json!({ "purge_up_to_ts": 1, "delete_local_events": true });
    admin.post(&path(&room), &early).await.expect_error(404, "M_NOT_FOUND");
}

#[tokio::test]
async fn edits_reactions_and_redactions_go_with_what_they_are_about() {
    let (admin, ada, bo, room, messages) = kitchen().await;
    let topic = ada.set_state(&room, "m.room.topic", "", &json!({ "topic": "tea" })).await;
    ada.redact(&room, &topic).await;
    ada.redact(&room, &messages[1]).await;
    let reaction = json!({
        "m.relates_to": { "rel_type": "m.annotation", "event_id": messages[9], "key": "+" },
    });
    bo.send(&room, "m.reaction", &reaction).await;
    let last = ada.say(&room, "last").await;
    let body = json!({ "delete_local_events": true });
    let path = format!("{}/{}", path(&room), encoded(&last));

    let answer = admin.post(&path, &body).await.expect_ok();

    complete(&admin, &answer).await;
    assert_eq!(messages_of(&ada, &room).await, [last]);
    if synapse_departs_from("what was redacted stays redacted") {
        return;
    }
    assert_eq!(ada.state(&room, "m.room.topic", "").await, json!({}));
    let shown = ada.event(&room, &topic).await;
    assert!(shown["unsigned"]["redacted_because"].is_object(), "{shown}");
    ada.sync().await;
}

#[tokio::test]
async fn what_cannot_be_purged_is_told() {
    let (admin, ada, _, room, messages) = kitchen().await;
    admin.post(&path(&room), &json!({})).await.expect_error(400, "M_BAD_JSON");
    let unknown = format!("{}/{}", path(&room), encoded("$unknown"));
    let answer = admin.post(&unknown, &json!({})).await;
    answer.expect_error_of(&[(404, "M_NOT_FOUND"), (400, "M_UNKNOWN")]);
    let other = ada.create_room().await;
    let wrong = format!("{}/{}", path(&other), encoded(&messages[3]));
    let answer = admin.post(&wrong, &json!({})).await;
    answer.expect_error_of(&[(404, "M_NOT_FOUND"), (400, "M_UNKNOWN")]);
    let status = admin.get("/_synapse/admin/v1/purge_history_status/nonsense").await;
    status.expect_error(404, "M_NOT_FOUND");
    ada.post(&path(&room), &json!({})).await.expect_error(403, "M_FORBIDDEN");
}

/// What is ordered stands in the store.
#[tokio::test]
async fn a_purge_goes_on_after_a_crash() {
    let server = Server::start_fresh().await;
    if synapse_departs_from("a purge goes on after a restart") {
        return;
    }
    let admin = server.register_with_shared_secret("admin", Role::Administrator).await;
    let ada = server.register("ada").await;
    let room = ada.create_room().await;
    for number in 0..200 {
        ada.say(&room, &number.to_string()).await;
    }
    let last = ada.say(&room, "last").await;
    let body = json!({ "delete_local_events": true, "purge_up_to_event_id": last });
    let answer = admin.post(&path(&room), &body).await.expect_ok();
    server.kill_and_restart().await;

    complete(&admin, &answer).await;

    assert_eq!(messages_of(&ada, &room).await, [last]);
}
