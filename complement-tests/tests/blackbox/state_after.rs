//! Syncing with the state after the timeline. Spec: `GET /sync`, `use_state_after`; MSC4222.

use complement_tests::{Client, Server, synapse_departs_from};
use serde_json::{Value, json};

async fn kitchen() -> (Client, Client, String) {
    let server = Server::start().await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    let room = ada.create_room().await;
    bo.join(&room).await;
    (ada, bo, room)
}

const REQUIRED: &str = "[state_after] **Required** if `use_state_after` was set to `true`";

/// Spec: `GET /sync`, `use_state_after`: `state_after` is the state at the end of the timeline.
#[tokio::test]
async fn state_after_the_timeline_is_given_when_asked_for() {
    let (ada, bo, room) = kitchen().await;
    let before = bo.sync().await;
    ada.set_state(&room, "m.room.topic", "", &json!({ "topic": "tea" })).await;
    ada.set_state(&room, "m.room.topic", "", &json!({ "topic": "cake" })).await;
    let since = before["next_batch"].as_str().unwrap();
    let query = [("since", since), ("use_state_after", "true"), ("timeout", "0")];

    if synapse_departs_from(REQUIRED) {
        return;
    }
    let sync = bo.sync_with(&query).await;

    let room_sync = &sync["rooms"]["join"][&room];
    assert!(room_sync.get("state").is_none(), "{room_sync}");
    let events = room_sync["state_after"]["events"].as_array().expect("state after the timeline");
    let topics: Vec<_> = events.iter().map(|event| &event["content"]["topic"]).collect();
    assert_eq!(topics, ["cake"]);
}

/// MSC4222: clients older than version 1.16 use the names of the proposal.
#[tokio::test]
async fn state_after_the_timeline_is_also_known_by_the_name_of_its_proposal() {
    let (ada, bo, room) = kitchen().await;
    let before = bo.sync().await;
    ada.set_state(&room, "m.room.topic", "", &json!({ "topic": "tea" })).await;
    if synapse_departs_from("no sentence: Synapse has this behind an experimental setting") {
        return;
    }
    let since = before["next_batch"].as_str().unwrap();
    let name = "org.matrix.msc4222.use_state_after";
    let sync = bo.sync_with(&[("since", since), (name, "true"), ("timeout", "0")]).await;
    let room_sync = &sync["rooms"]["join"][&room];
    assert!(room_sync.get("state").is_none() && room_sync.get("state_after").is_none());
    let events = &room_sync["org.matrix.msc4222.state_after"]["events"];
    assert_eq!(events[0]["content"]["topic"], "tea", "{room_sync}");
}

async fn sync_after(client: &Client, before: &Value) -> Value {
    let since = before["next_batch"].as_str().expect("a token");
    client.sync_with(&[("since", since), ("use_state_after", "true"), ("timeout", "0")]).await
}

/// Spec: "If this field is set, [...] clients MUST NOT update their local state with events in `timeline`."
#[tokio::test]
async fn state_in_the_timeline_is_in_the_state_after_it_too() {
    if synapse_departs_from(REQUIRED) {
        return;
    }
    let (ada, bo, room) = kitchen().await;
    let before = ada.sync().await;
    ada.say(&room, "tea").await;
    let sync = sync_after(&ada, &before).await;
    assert_eq!(sync["rooms"]["join"][&room]["state_after"]["events"], json!([]), "{sync}");

    bo.leave(&room).await;
    let sync = sync_after(&ada, &sync).await;
    let events = &sync["rooms"]["join"][&room]["state_after"]["events"];
    assert_eq!(events[0]["state_key"], bo.user_id.as_str(), "{sync}");
    assert_eq!(events[0]["content"]["membership"], "leave", "{sync}");
}

/// Spec: in left rooms as well, "**Required** if `use_state_after` was set to `true` in the request, even if empty".
#[tokio::test]
async fn left_rooms_and_refused_invitations_have_it() {
    if synapse_departs_from(REQUIRED) {
        return;
    }
    let (ada, bo, room) = kitchen().await;
    let attic = ada.create_room_with(&json!({ "preset": "private_chat" })).await;
    ada.invite(&attic, &bo).await;
    let before = bo.sync().await;
    bo.leave(&room).await;
    bo.leave(&attic).await;
    let sync = sync_after(&bo, &before).await;
    for left in [&room, &attic] {
        let left = &sync["rooms"]["leave"][left];
        assert!(left.get("state").is_none(), "{left}");
        let events = left["state_after"]["events"].as_array().expect("a state");
        let own = events.iter().find(|event| event["state_key"] == bo.user_id.as_str());
        let own = own.unwrap_or_else(|| panic!("no departure in {left}"));
        assert_eq!(own["content"]["membership"], "leave");
    }
}
