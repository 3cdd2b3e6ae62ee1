//! The event stream and the snapshots that there were before `/sync`.

use std::time::{Duration, Instant};

use complement_tests::{Client, Server, encoded, room_path, synapse_departs_from};
use serde_json::{Value, json};

const BASE: &str = "/_matrix/client/v3";

async fn kitchen() -> (Client, Client, String) {
    let server = Server::start().await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    let room = ada.create_room().await;
    bo.join(&room).await;
    (ada, bo, room)
}

/// A room that everybody may look into.
async fn shop_window(ada: &Client) -> String {
    let body = json!({
        "preset": "public_chat",
        "initial_state": [{
            "type": "m.room.history_visibility",
            "content": { "history_visibility": "world_readable" },
        }],
    });
    ada.create_room_with(&body).await
}

async fn events(client: &Client, query: &[(&str, &str)]) -> Value {
    let query: Vec<_> =
        query.iter().map(|(key, value)| format!("{key}={}", encoded(value))).collect();
    client.get(&format!("{BASE}/events?{}", query.join("&"))).await.expect_ok()
}

/// Follows the stream from `from` until there is an event of this ID; gives it.
async fn event_after(client: &Client, from: &str, query: &[(&str, &str)], id: &str) -> Value {
    let mut from = from.to_owned();
    for _ in 0..10 {
        let query = [&[("from", from.as_str()), ("timeout", "3000")], query].concat();
        let answer = events(client, &query).await;
        let chunk = answer["chunk"].as_array().expect("a chunk");
        if let Some(event) = chunk.iter().find(|event| event["event_id"] == id) {
            return event.clone();
        }
        answer["end"].as_str().expect("an end").clone_into(&mut from);
    }
    panic!("{id} is not in the stream");
}

#[tokio::test]
async fn the_stream_has_the_events_of_ones_rooms() {
    let (ada, bo, room) = kitchen().await;
    let start = events(&bo, &[("timeout", "0")]).await;
    let start = start["end"].as_str().expect("an end");
    let message = ada.say(&room, "tea").await;

    let event = event_after(&bo, start, &[], &message).await;

    assert_eq!(event["room_id"], room);
    assert_eq!(event["content"]["body"], "tea");
    let answer = events(&bo, &[("from", start), ("timeout", "3000")]).await;
    assert_eq!(answer["start"], start);
}

#[tokio::test]
async fn the_stream_waits_for_events() {
    let (ada, bo, room) = kitchen().await;
    let start = events(&bo, &[("timeout", "0")]).await;
    let start = start["end"].as_str().expect("an end").to_owned();
    let waiting = {
        let (bo, start) = (bo.clone(), start.clone());
        tokio::spawn(async move { events(&bo, &[("from", &start), ("timeout", "20000")]).await })
    };
    tokio::time::sleep(Duration::from_millis(300)).await;
    let sent = Instant::now();
    ada.say(&room, "tea").await;
    let answer = waiting.await.unwrap();
    assert!(sent.elapsed() < Duration::from_secs(6));
    assert!(answer["chunk"].as_array().is_some_and(|chunk| !chunk.is_empty()), "{answer}");
}

#[tokio::test]
async fn the_stream_has_invitations() {
    let server = Server::start().await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    let room = ada.create_room_with(&json!({ "preset": "private_chat" })).await;
    let start = events(&bo, &[("timeout", "0")]).await;
    ada.invite(&room, &bo).await;
    let from = start["end"].as_str().expect("an end");
    let answer = events(&bo, &[("from", from), ("timeout", "5000")]).await;
    let chunk = answer["chunk"].as_array().expect("a chunk");
    let invitation = chunk.iter().find(|event| event["type"] == "m.room.member");
    let invitation = invitation.unwrap_or_else(|| panic!("no invitation in {answer}"));
    assert_eq!(invitation["content"]["membership"], "invite");
    assert_eq!(invitation["room_id"], room);
}

#[tokio::test]
async fn a_place_that_is_none_is_refused() {
    let ada = Server::start().await.register("ada").await;
    let room = shop_window(&ada).await;
    for query in ["from=nonsense".to_owned(), format!("from=nonsense&room_id={}", encoded(&room))] {
        let answer = ada.get(&format!("{BASE}/events?timeout=0&{query}")).await;
        assert_eq!(answer.status, 400, "{}", answer.text);
    }
}

/// Spec: "Room previews": a room whose history is readable by the world is seen without joining it.
#[tokio::test]
async fn everybody_looks_into_a_room_that_is_open_to_the_world() {
    let server = Server::start().await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    let room = shop_window(&ada).await;
    let before = ada.say(&room, "before").await;

    let path = room_path(&room, "initialSync");
    let snapshot = bo.get(&path).await.expect_ok();
    assert_eq!(snapshot["room_id"], room);
    let messages = snapshot["messages"]["chunk"].as_array().expect("messages");
    assert_eq!(messages.last().expect("a message")["event_id"], before);
    let state = snapshot["state"].as_array().expect("state");
    assert!(state.iter().any(|event| event["type"] == "m.room.create"), "{snapshot}");

    let from = snapshot["messages"]["end"].as_str().expect("an end").to_owned();
    let after = {
        let (ada, room) = (ada.clone(), room.clone());
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(300)).await;
            ada.say(&room, "after").await
        })
    };
    let start = Instant::now();
    let mut from = from;
    let event = loop {
        let query = [("room_id", room.as_str()), ("from", &from), ("timeout", "20000")];
        let answer = events(&bo, &query).await;
        let chunk = answer["chunk"].as_array().expect("a chunk");
        if let Some(event) = chunk.iter().find(|event| event["content"]["body"] == "after") {
            break event.clone();
        }
        answer["end"].as_str().expect("an end").clone_into(&mut from);
    };
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
    assert_eq!(
        (&event["event_id"], &event["room_id"]),
        (&json!(after.await.unwrap()), &json!(room))
    );
    let later = ada.say(&room, "later").await;
    event_after(&bo, &from, &[("room_id", &room)], &later).await;
}

#[tokio::test]
async fn nobody_looks_into_a_room_that_is_not_open() {
    let (ada, _, room) = kitchen().await;
    let cy = ada.server().register("cy").await;
    let answer = cy.get(&room_path(&room, "initialSync")).await;
    answer.expect_error(403, "M_FORBIDDEN");
    let path = format!("{BASE}/events?timeout=0&room_id={}", encoded(&room));
    cy.get(&path).await.expect_error(403, "M_FORBIDDEN");
    let message = ada.say(&room, "tea").await;
    let answer = cy.get(&format!("{BASE}/events/{}", encoded(&message))).await;
    answer.expect_error_of(&[(403, "M_FORBIDDEN"), (404, "M_NOT_FOUND")]);
}

#[tokio::test]
async fn a_snapshot_has_ones_rooms() {
    let (ada, bo, room) = kitchen().await;
    let message = ada.say(&room, "tea").await;
    let attic = ada.create_room_with(&json!({ "preset": "private_chat" })).await;
    ada.invite(&attic, &bo).await;
    let cellar = ada.create_room().await;
    bo.join(&cellar).await;
    bo.leave(&cellar).await;
    let data = format!("{BASE}/user/{}/account_data/com.example.tea", bo.user_id);
    bo.put(&data, &json!({ "sugar": 1 })).await.expect_ok();

    let snapshot = bo.get(&format!("{BASE}/initialSync?limit=1")).await.expect_ok();

    let find = |snapshot: &Value, room: &str| {
        let rooms = snapshot["rooms"].as_array().expect("rooms").clone();
        rooms.into_iter().find(|info| info["room_id"] == room)
    };
    let joined = find(&snapshot, &room).expect("the room");
    assert_eq!((&joined["membership"], &joined["visibility"]), (&json!("join"), &json!("private")));
    let messages = joined["messages"]["chunk"].as_array().expect("messages");
    assert_eq!(messages.len(), 1);
    assert_eq!(
        (&messages[0]["event_id"], &messages[0]["room_id"]),
        (&json!(message), &json!(room))
    );
    let state = joined["state"].as_array().expect("state");
    assert!(state.iter().any(|event| event["state_key"] == bo.user_id.as_str()), "{joined}");
    let invited = find(&snapshot, &attic).expect("the invitation");
    assert_eq!(invited["membership"], "invite");
    assert_eq!(invited["invite"]["content"]["membership"], "invite");
    assert!(find(&snapshot, &cellar).is_none());
    assert!(snapshot["presence"].is_array());
    assert!(snapshot["account_data"].to_string().contains("com.example.tea"), "{snapshot}");

    let archive = bo.get(&format!("{BASE}/initialSync?archived=true")).await.expect_ok();
    assert_eq!(find(&archive, &cellar).expect("the room that was left")["membership"], "leave");

    let from = snapshot["end"].as_str().expect("an end");
    let later = ada.say(&room, "cake").await;
    event_after(&bo, from, &[], &later).await;
}

#[tokio::test]
async fn a_snapshot_of_a_room_has_its_state_and_last_messages() {
    let (ada, bo, room) = kitchen().await;
    let message = ada.say(&room, "tea").await;
    let snapshot = bo.get(&room_path(&room, "initialSync")).await.expect_ok();
    assert_eq!(snapshot["membership"], "join");
    let path = format!("{BASE}/directory/list/room/{}", encoded(&room));
    ada.put(&path, &json!({ "visibility": "public" })).await.expect_ok();
    let listed = bo.get(&room_path(&room, "initialSync")).await.expect_ok();
    if !synapse_departs_from("visibility: whether this room is visible to the /publicRooms API") {
        assert_eq!(
            (&snapshot["visibility"], &listed["visibility"]),
            (&json!("private"), &json!("public"))
        );
    }
    let chunk = snapshot["messages"]["chunk"].as_array().expect("messages");
    assert_eq!(chunk.last().expect("a message")["event_id"], message);

    bo.leave(&room).await;
    ada.say(&room, "after").await;
    let snapshot = bo.get(&room_path(&room, "initialSync")).await.expect_ok();
    assert_eq!(snapshot["membership"], "leave");
    assert!(!snapshot["messages"].to_string().contains("after"), "{snapshot}");
}

#[tokio::test]
async fn an_event_is_found_without_its_room() {
    let (ada, bo, room) = kitchen().await;
    let message = ada.say(&room, "tea").await;
    let event = bo.get(&format!("{BASE}/events/{}", encoded(&message))).await.expect_ok();
    assert_eq!((&event["event_id"], &event["room_id"]), (&json!(message), &json!(room)));
    let answer = bo.get(&format!("{BASE}/events/$nothing")).await;
    assert_eq!(answer.status, 404, "{}", answer.text);
    if !synapse_departs_from("Standard error response: JSON with errcode and error") {
        answer.expect_error(404, "M_NOT_FOUND");
    }
}

#[tokio::test]
async fn the_endpoints_of_old_need_an_access_token() {
    let stranger = Server::start().await.stranger();
    for path in
        ["events", "initialSync", "events/$nothing", "rooms/!nothing:hearth.test/initialSync"]
    {
        stranger.get(&format!("{BASE}/{path}")).await.expect_error(401, "M_MISSING_TOKEN");
    }
}
