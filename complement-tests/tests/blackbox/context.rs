//! The context of an event.

use complement_tests::{Client, Server, encoded, event_ids, room_path};
use serde_json::{Value, json};

async fn kitchen() -> (Client, String, Vec<String>) {
    let ada = Server::start().await.register("ada").await;
    let room = ada.create_room().await;
    let mut sent = Vec::new();
    for number in 0..7 {
        sent.push(ada.say(&room, &number.to_string()).await);
    }
    (ada, room, sent)
}

fn path(room: &str, event: &str, query: &str) -> String {
    room_path(room, &format!("context/{}?{query}", encoded(event)))
}

fn ids(events: &Value) -> Vec<&str> {
    events.as_array().map(|events| event_ids(events)).unwrap_or_default()
}

#[tokio::test]
async fn an_event_has_as_many_before_as_after() {
    let (ada, room, sent) = kitchen().await;

    let answer = ada.get(&path(&room, &sent[3], "limit=4")).await.expect_ok();

    assert_eq!(answer["event"]["event_id"], sent[3]);
    // Before: newest first. After: oldest first.
    assert_eq!(ids(&answer["events_before"]), [sent[2].as_str(), &sent[1]]);
    assert_eq!(ids(&answer["events_after"]), sent[4..6]);
    assert!(answer["start"].is_string() && answer["end"].is_string(), "{answer}");
    let state = answer["state"].as_array().expect("state is a list");
    assert!(state.iter().any(|event| event["type"] == "m.room.create"), "{answer}");
}

#[tokio::test]
async fn a_limit_of_nothing_gives_the_event_alone() {
    let (ada, room, sent) = kitchen().await;
    let answer = ada.get(&path(&room, &sent[3], "limit=0")).await.expect_ok();
    assert_eq!(answer["event"]["event_id"], sent[3]);
    assert!(answer["events_before"].as_array().is_none_or(Vec::is_empty), "{answer}");
    assert!(answer["events_after"].as_array().is_none_or(Vec::is_empty), "{answer}");
}

#[tokio::test]
async fn history_goes_on_at_both_ends() {
    let (ada, room, sent) = kitchen().await;
    let answer = ada.get(&path(&room, &sent[3], "limit=2")).await.expect_ok();
    let token = |end: &str| encoded(answer[end].as_str().expect("a token"));

    let tail = format!("messages?dir=b&limit=2&from={}", token("start"));
    let before = ada.get(&room_path(&room, &tail)).await.expect_ok();
    assert_eq!(ids(&before["chunk"]), [sent[1].as_str(), &sent[0]]);

    let tail = format!("messages?dir=f&limit=2&from={}", token("end"));
    let after = ada.get(&room_path(&room, &tail)).await.expect_ok();
    assert_eq!(ids(&after["chunk"]), sent[5..]);
}

#[tokio::test]
async fn a_filter_chooses_among_the_events_around() {
    let (ada, room, sent) = kitchen().await;
    let gong = ada.send(&room, "com.example.gong", &json!({})).await;
    let filter = encoded(&json!({ "types": ["com.example.gong"] }).to_string());
    let query = format!("limit=10&filter={filter}");
    let answer = ada.get(&path(&room, &sent[3], &query)).await.expect_ok();
    assert!(ids(&answer["events_before"]).is_empty(), "{answer}");
    assert_eq!(ids(&answer["events_after"]), [gong]);
}

#[tokio::test]
async fn context_is_closed_to_outsiders_and_unknown_events_are_not_found() {
    let (ada, room, sent) = kitchen().await;
    let cy = ada.server().register("cy").await;
    let answer = cy.get(&path(&room, &sent[3], "")).await;
    answer.expect_error_of(&[(403, "M_FORBIDDEN"), (404, "M_NOT_FOUND")]);
    ada.get(&path(&room, "$nothing", "")).await.expect_error(404, "M_NOT_FOUND");
}
