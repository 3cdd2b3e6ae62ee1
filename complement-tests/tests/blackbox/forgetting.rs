//! Forgetting rooms. Spec: client-server API, `POST /rooms/{roomId}/forget`.

use complement_tests::{
    Answer, Client, Server, encoded, room_path, synapse_departs_from, timeline,
};
use serde_json::{Value, json};

async fn post(client: &Client, room: &str, action: &str, body: &Value) -> Answer {
    client.post(&room_path(room, action), body).await
}

/// Ada's room that bo was invited to and is in.
async fn kitchen() -> (Client, Client, String) {
    let server = Server::start().await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    let room = ada.create_room_with(&json!({ "preset": "private_chat" })).await;
    ada.invite(&room, &bo).await;
    bo.join(&room).await;
    (ada, bo, room)
}

/// What was said in a room as far back as its reader sees, the latest first.
async fn said(reader: &Client, room: &str) -> Vec<String> {
    let page = reader.get(&room_path(room, "messages?dir=b&limit=50")).await.expect_ok();
    let events = page["chunk"].as_array().into_iter().flatten();
    events.filter_map(|event| event["content"]["body"].as_str()).map(ToOwned::to_owned).collect()
}

#[tokio::test]
async fn a_room_is_forgotten_only_after_leaving() {
    let (_ada, bo, room) = kitchen().await;
    post(&bo, &room, "forget", &json!({})).await.expect_error(400, "M_UNKNOWN");
    bo.leave(&room).await;
    bo.get(&room_path(&room, "messages?dir=b")).await.expect_ok();
    post(&bo, &room, "forget", &json!({})).await.expect_ok();
    let answer = bo.get(&room_path(&room, "messages?dir=b")).await;
    answer.expect_error(403, "M_FORBIDDEN");
}

/// Spec: "After this API is called, however, a user will no longer be able to retrieve history for this room", and
/// "Leaving rooms": it does not appear in `/sync` "until the user re-joins, is re-invited, or knocks".
#[tokio::test]
async fn an_invitation_to_a_forgotten_room_brings_nothing_of_it_back_until_one_joins() {
    let (ada, bo, room) = kitchen().await;
    let event = bo.say(&room, "tea").await;
    bo.leave(&room).await;
    post(&bo, &room, "forget", &json!({})).await.expect_ok();
    ada.say(&room, "cake").await;
    ada.invite(&room, &bo).await;

    let filter = json!({ "room": { "include_leave": true } }).to_string();
    let sync = bo.sync_with(&[("filter", &filter), ("timeout", "0")]).await;
    let rooms = &sync["rooms"];
    assert!(rooms["leave"][&room].is_null() && rooms["join"][&room].is_null(), "{sync}");
    assert!(rooms["invite"][&room]["invite_state"]["events"].is_array(), "{sync}");
    assert!(!rooms.to_string().contains("tea"), "{sync}");
    for read in ["messages?dir=b", "state", "members"] {
        bo.get(&room_path(&room, read)).await.expect_error(403, "M_FORBIDDEN");
    }
    let context = room_path(&room, &format!("context/{}", encoded(&event)));
    let event = room_path(&room, &format!("event/{}", encoded(&event)));
    for read in [&event, &context] {
        let answer = bo.get(read).await;
        if !synapse_departs_from("a user will no longer be able to retrieve history for this room")
        {
            answer.expect_error_of(&[(403, "M_FORBIDDEN"), (404, "M_NOT_FOUND")]);
        }
    }

    bo.join(&room).await;
    assert_eq!(
        said(&bo, &room).await,
        ["cake", "tea"],
        "history is as visible as to anybody in it"
    );
    bo.get(&event).await.expect_ok();
    let sync = bo.sync_since(&sync).await;
    let told = timeline(&sync, &room).iter().filter_map(|event| event["content"]["body"].as_str());
    assert_eq!(told.collect::<Vec<_>>(), ["tea", "cake"]);
    bo.leave(&room).await;
    assert_eq!(said(&bo, &room).await, ["cake", "tea"], "this time it was not forgotten");
}

/// Spec: "`m.forget_forced_upon_leave` capability"; `rooms.forget_on_leave` is hearth's setting.
#[tokio::test]
async fn a_server_may_forget_rooms_as_they_are_left() {
    let server = Server::start_with(&[("HEARTH_ROOMS__FORGET_ON_LEAVE", "true")]).await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    let capabilities = ada.get("/_matrix/client/v3/capabilities").await.expect_ok();
    let forgets = &capabilities["capabilities"]["m.forget_forced_upon_leave"]["enabled"];
    if synapse_departs_from("a setting of hearth's") {
        return;
    }
    assert_eq!(*forgets, true);
    let (left, kicked) = (ada.create_room().await, ada.create_room().await);
    for room in [&left, &kicked] {
        bo.join(room).await;
    }
    bo.leave(&left).await;
    post(&ada, &kicked, "kick", &json!({ "user_id": bo.user_id })).await.expect_ok();
    for room in [&left, &kicked] {
        let answer = bo.get(&room_path(room, "messages?dir=b")).await;
        answer.expect_error(403, "M_FORBIDDEN");
        bo.join(room).await;
        bo.get(&room_path(room, "messages?dir=b")).await.expect_ok();
    }
}
