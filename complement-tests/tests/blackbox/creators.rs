//! Room version 12: creators stand above all power levels.

use complement_tests::{Client, Server, room_path, state_path};
use serde_json::json;

/// Ada's room with bo, who has level 100, in it.
async fn kitchen() -> (Client, Client, String) {
    let server = Server::start().await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    let body = json!({
        "preset": "public_chat", "room_version": "12",
        "power_level_content_override": { "users": { bo.user_id.clone(): 100 } },
    });
    let room = ada.create_room_with(&body).await;
    bo.join(&room).await;
    (ada, bo, room)
}

#[tokio::test]
async fn an_administrator_neither_kicks_nor_bans_the_creator() {
    let (ada, bo, room) = kitchen().await;
    for action in ["kick", "ban"] {
        let body = json!({ "user_id": ada.user_id });
        bo.post(&room_path(&room, action), &body).await.expect_error(403, "M_FORBIDDEN");
    }
    let body = json!({ "user_id": bo.user_id });
    ada.post(&room_path(&room, "kick"), &body).await.expect_ok();
}

#[tokio::test]
async fn the_creator_changes_an_administrators_level() {
    let (ada, bo, room) = kitchen().await;
    let mut levels = ada.state(&room, "m.room.power_levels", "").await;
    levels["users"][&bo.user_id] = json!(0);
    ada.set_state(&room, "m.room.power_levels", "", &levels).await;
    let path = state_path(&room, "m.room.name", "");
    bo.put(&path, &json!({ "name": "mine" })).await.expect_error(403, "M_FORBIDDEN");
}

#[tokio::test]
async fn a_creator_is_never_listed_with_a_level() {
    let (ada, bo, room) = kitchen().await;
    let mut levels = ada.state(&room, "m.room.power_levels", "").await;
    levels["users"][&ada.user_id] = json!(100);
    for client in [&ada, &bo] {
        let answer = client.put(&state_path(&room, "m.room.power_levels", ""), &levels).await;
        assert_eq!(answer.status, 400, "{}", answer.text);
    }
}

#[tokio::test]
async fn additional_creators_have_the_creators_power() {
    let server = Server::start().await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    let body = json!({
        "preset": "public_chat", "room_version": "12",
        "creation_content": { "additional_creators": [bo.user_id] },
    });
    let room = ada.create_room_with(&body).await;
    bo.join(&room).await;

    bo.set_state(&room, "m.room.name", "", &json!({ "name": "ours" })).await;
    let body = json!({ "user_id": bo.user_id });
    ada.post(&room_path(&room, "kick"), &body).await.expect_error(403, "M_FORBIDDEN");
}

#[tokio::test]
async fn additional_creators_are_user_ids() {
    let ada = Server::start().await.register("ada").await;
    for wrong in [json!(["nobody"]), json!([5]), json!("@bo:hearth.test")] {
        let body = json!({
            "room_version": "12", "creation_content": { "additional_creators": wrong },
        });
        let answer = ada.post("/_matrix/client/v3/createRoom", &body).await;
        assert_eq!(answer.status, 400, "{wrong}: {}", answer.text);
    }
}
