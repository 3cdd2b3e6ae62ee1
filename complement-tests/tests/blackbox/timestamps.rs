//! Finding the event at a time.

use complement_tests::{Client, Server, encoded, synapse_departs_from};
use serde_json::{Value, json};

async fn kitchen() -> (Client, Client, String) {
    let server = Server::start().await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    (ada.clone(), bo, ada.create_room().await)
}

fn path(room: &str, query: &str) -> String {
    format!("/_matrix/client/v1/rooms/{}/timestamp_to_event?{query}", encoded(room))
}

async fn time_of(client: &Client, room: &str, event: &str) -> u64 {
    client.event(room, event).await["origin_server_ts"].as_u64().expect("a time")
}

/// Lets the clock move on, so that two events are of different milliseconds.
async fn tick() {
    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
}

async fn nearest(client: &Client, room: &str, time: u64, direction: &str) -> Value {
    client.get(&path(room, &format!("ts={time}&dir={direction}"))).await.expect_ok()
}

#[tokio::test]
async fn the_nearest_event_in_a_direction_is_found() {
    let (ada, _, room) = kitchen().await;
    tick().await;
    let first = ada.say(&room, "one").await;
    tick().await;
    let second = ada.say(&room, "two").await;
    let (one, two) = (time_of(&ada, &room, &first).await, time_of(&ada, &room, &second).await);

    for (time, direction, wanted) in [
        (one, "f", &first),
        (one, "b", &first),
        (one + 1, "f", &second),
        (one + 1, "b", &first),
        (two, "f", &second),
        (two + 1_000_000, "b", &second),
    ] {
        let found = nearest(&ada, &room, time, direction).await;
        assert_eq!(found["event_id"], wanted.as_str(), "{direction} from {time}");
        let stamp = if *wanted == first { one } else { two };
        assert_eq!(found["origin_server_ts"], stamp);
    }
    let found = nearest(&ada, &room, 0, "f").await;
    let create = ada.event(&room, found["event_id"].as_str().unwrap()).await;
    assert_eq!(create["type"], "m.room.create");
}

#[tokio::test]
async fn there_is_nothing_before_the_first_event_and_after_the_last() {
    let (ada, _, room) = kitchen().await;
    let last = ada.say(&room, "tea").await;
    let time = time_of(&ada, &room, &last).await;
    for query in ["ts=1&dir=b".to_owned(), format!("ts={}&dir=f", time + 1_000_000)] {
        ada.get(&path(&room, &query)).await.expect_error(404, "M_NOT_FOUND");
    }
}

#[tokio::test]
async fn only_what_the_reader_may_see_is_found() {
    let server = Server::start().await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    let visibility = json!([{
        "type": "m.room.history_visibility", "content": { "history_visibility": "joined" },
    }]);
    let room = ada
        .create_room_with(&json!({ "preset": "public_chat", "initial_state": visibility }))
        .await;
    // What is older than the room's visibility is shared.
    tick().await;
    let early = ada.say(&room, "early").await;
    let early = time_of(&ada, &room, &early).await;
    tick().await;
    bo.get(&path(&room, "ts=0&dir=f")).await.expect_error(403, "M_FORBIDDEN");
    bo.join(&room).await;
    if synapse_departs_from("the rules governing whether a user is allowed to see an event") {
        return;
    }
    let found = nearest(&bo, &room, early, "f").await;
    let event = bo.event(&room, found["event_id"].as_str().unwrap()).await;
    assert_eq!((&event["type"], &event["sender"]), (&json!("m.room.member"), &json!(bo.user_id)));

    tick().await;
    bo.leave(&room).await;
    tick().await;
    ada.say(&room, "late").await;
    let found = nearest(&bo, &room, 10_000_000_000_000, "b").await;
    let event = ada.event(&room, found["event_id"].as_str().unwrap()).await;
    assert_eq!(event["content"]["membership"], "leave", "{event}");
}

#[tokio::test]
async fn the_room_is_closed_to_outsiders() {
    let (_, bo, room) = kitchen().await;
    bo.get(&path(&room, "ts=0&dir=f")).await.expect_error(403, "M_FORBIDDEN");
    let answer = bo.get(&path("!nothing:hearth.test", "ts=0&dir=f")).await;
    answer.expect_error_of(&[(403, "M_FORBIDDEN"), (404, "M_NOT_FOUND")]);
}

#[tokio::test]
async fn a_time_and_a_direction_must_be_named() {
    let (ada, _, room) = kitchen().await;
    for query in ["dir=f", "ts=never&dir=f", "ts=1&dir=up", "ts=-1&dir=f"] {
        let answer = ada.get(&path(&room, query)).await;
        assert_eq!(answer.status, 400, "{query}: {}", answer.text);
    }
}

#[tokio::test]
async fn the_path_from_before_the_specification_is_served() {
    let (ada, _, room) = kitchen().await;
    let path = format!(
        "/_matrix/client/unstable/org.matrix.msc3030/rooms/{}/timestamp_to_event?ts=0&dir=f",
        encoded(&room)
    );
    let answer = ada.get(&path).await;
    // Synapse serves it no more.
    assert!(matches!(answer.status, 200 | 404), "{}", answer.text);
    if answer.status == 404 {
        answer.expect_error(404, "M_UNRECOGNIZED");
    }
}
