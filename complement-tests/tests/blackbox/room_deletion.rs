//! How administrators delete rooms, by Synapse's paths.

use std::time::Duration;

use complement_tests::{
    Client, Role, Server, encoded, room_path, synapse_departs_from, timeline, unique,
};
use serde_json::{Value, json};

/// An administrator, and ada's room with bo in it.
async fn kitchen() -> (Client, Client, Client, String) {
    let server = Server::start().await;
    let admin = server.register_with_shared_secret("admin", Role::Administrator).await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    let room = ada.create_room().await;
    bo.join(&room).await;
    ada.say(&room, "tea").await;
    (admin, ada, bo, room)
}

fn v2_path(room: &str) -> String {
    format!("/_synapse/admin/v2/rooms/{}", encoded(room))
}

async fn delete_with(admin: &Client, path: &str, body: &Value) -> complement_tests::Answer {
    admin.answer(admin.request(complement_tests::Method::DELETE, path).json(body)).await
}

/// The status of a deletion, once it has ended.
async fn ended(admin: &Client, delete_id: &Value) -> Value {
    let id = delete_id.as_str().expect("an id");
    let path = format!("/_synapse/admin/v2/rooms/delete_status/{id}");
    for _ in 0..200 {
        let status = admin.get(&path).await.expect_ok();
        if ["complete", "failed"].contains(&status["status"].as_str().unwrap_or_default()) {
            return status;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the deletion has not ended");
}

#[tokio::test]
async fn a_deleted_room_is_gone_for_everybody() {
    let (admin, ada, bo, room) = kitchen().await;
    let before = bo.sync().await;

    let answer = delete_with(&admin, &v2_path(&room), &json!({})).await.expect_ok();

    let status = ended(&admin, &answer["delete_id"]).await;
    assert_eq!(status["status"], "complete", "{status}");
    assert_eq!(status["room_id"], room);
    assert_eq!(status["delete_id"], answer["delete_id"]);
    let mut kicked = status["shutdown_room"]["kicked_users"].as_array().expect("a list").clone();
    kicked.sort_by_key(ToString::to_string);
    assert_eq!(kicked, [json!(ada.user_id), json!(bo.user_id)]);
    assert_eq!(status["shutdown_room"]["failed_to_kick_users"], json!([]));
    assert_eq!(status["shutdown_room"]["new_room_id"], Value::Null);
    let of_room = admin.get(&format!("{}/delete_status", v2_path(&room))).await.expect_ok();
    assert_eq!(of_room["results"].as_array().map(Vec::len), Some(1));

    let details = format!("/_synapse/admin/v1/rooms/{}", encoded(&room));
    admin.get(&details).await.expect_error(404, "M_NOT_FOUND");
    ada.get(&room_path(&room, "state")).await.expect_error(403, "M_FORBIDDEN");
    let join = bo.post(&room_path(&room, "join"), &json!({})).await;
    join.expect_error_of(&[(404, "M_NOT_FOUND"), (404, "M_UNKNOWN"), (403, "M_FORBIDDEN")]);
    let joined = bo.get("/_matrix/client/v3/joined_rooms").await.expect_ok();
    assert_eq!(joined["joined_rooms"], json!([]));
    let now = bo.sync().await;
    assert!(now["rooms"]["join"].get(&room).is_none(), "{now}");
    let since = bo.sync_since(&before).await;
    assert!(timeline(&since, &room).is_empty(), "{since}");
}

#[tokio::test]
async fn members_of_a_deleted_room_find_themselves_in_a_new_one() {
    let (admin, ada, bo, room) = kitchen().await;
    let alias = format!("#{}:{}", unique("kitchen"), ada.server().name());
    let directory = format!("/_matrix/client/v3/directory/room/{}", encoded(&alias));
    ada.put(&directory, &json!({ "room_id": room })).await.expect_ok();
    let body = json!({
        "new_room_user_id": admin.user_id, "room_name": "Sorry", "message": "It burned.",
        "block": true,
    });

    let answer = delete_with(&admin, &v2_path(&room), &body).await.expect_ok();

    let status = ended(&admin, &answer["delete_id"]).await;
    let new_room = status["shutdown_room"]["new_room_id"].as_str().expect("a room");
    assert_eq!(status["shutdown_room"]["local_aliases"], json!([alias]));
    assert_eq!(bo.state(new_room, "m.room.name", "").await["name"], "Sorry");
    let sync = bo.sync().await;
    let said =
        timeline(&sync, new_room).iter().any(|event| event["content"]["body"] == "It burned.");
    assert!(said, "{sync}");
    let path = complement_tests::send_path(new_room, "m.room.message", &unique("txn"));
    let answer = bo.put(&path, &json!({ "msgtype": "m.text", "body": "why" })).await;
    answer.expect_error(403, "M_FORBIDDEN");
    assert_eq!(bo.get(&directory).await.expect_ok()["room_id"], new_room);
    let block = format!("/_synapse/admin/v1/rooms/{}/block", encoded(&room));
    assert_eq!(admin.get(&block).await.expect_ok()["block"], true);
}

#[tokio::test]
async fn a_room_that_is_only_shut_down_keeps_its_history() {
    let (admin, ada, _, room) = kitchen().await;
    let body = json!({ "purge": false });

    let answer = delete_with(&admin, &v2_path(&room), &body).await.expect_ok();

    assert_eq!(ended(&admin, &answer["delete_id"]).await["status"], "complete");
    let details = format!("/_synapse/admin/v1/rooms/{}", encoded(&room));
    assert_eq!(admin.get(&details).await.expect_ok()["joined_members"], 0);
    let joined = ada.get("/_matrix/client/v3/joined_rooms").await.expect_ok();
    assert_eq!(joined["joined_rooms"], json!([]));
}

#[tokio::test]
async fn the_first_version_answers_when_the_room_is_gone() {
    let (admin, ada, _, room) = kitchen().await;
    let path = format!("/_synapse/admin/v1/rooms/{}", encoded(&room));

    let answer = delete_with(&admin, &path, &json!({})).await.expect_ok();

    assert_eq!(answer["kicked_users"].as_array().map(Vec::len), Some(2));
    assert_eq!(answer["new_room_id"], Value::Null);
    admin.get(&path).await.expect_error(404, "M_NOT_FOUND");
    ada.create_room().await;
}

#[tokio::test]
async fn what_cannot_be_deleted_is_told() {
    let (admin, ada, _, room) = kitchen().await;
    let body = json!({ "new_room_user_id": "@ada:elsewhere.test" });
    delete_with(&admin, &v2_path(&room), &body).await.expect_error(400, "M_UNKNOWN");
    let body = json!({ "purge": "x" });
    let answer = delete_with(&admin, &v2_path(&room), &body).await;
    answer.expect_error_of(&[(400, "M_BAD_JSON"), (400, "M_UNKNOWN")]);
    let answer = delete_with(&admin, &v2_path("nonsense"), &json!({})).await;
    answer.expect_error_of(&[(400, "M_INVALID_PARAM"), (400, "M_UNKNOWN")]);
    let status = admin.get("/_synapse/admin/v2/rooms/delete_status/nonsense").await;
    status.expect_error(404, "M_NOT_FOUND");
    let status = admin.get(&format!("{}/delete_status", v2_path(&room))).await;
    status.expect_error(404, "M_NOT_FOUND");
    delete_with(&ada, &v2_path(&room), &json!({})).await.expect_error(403, "M_FORBIDDEN");
}

/// What is ordered stands in the store.
#[tokio::test]
async fn a_deletion_goes_on_after_a_crash() {
    let server = Server::start_fresh().await;
    if synapse_departs_from("a deletion goes on when the server has started") {
        return;
    }
    let admin = server.register_with_shared_secret("admin", Role::Administrator).await;
    let ada = server.register("ada").await;
    let room = ada.create_room().await;
    for number in 0..150 {
        ada.say(&room, &number.to_string()).await;
    }
    let answer = delete_with(&admin, &v2_path(&room), &json!({})).await.expect_ok();
    server.kill_and_restart().await;

    let status = ended(&admin, &answer["delete_id"]).await;

    assert_eq!(status["status"], "complete", "{status}");
    let details = format!("/_synapse/admin/v1/rooms/{}", encoded(&room));
    admin.get(&details).await.expect_error(404, "M_NOT_FOUND");
    ada.sync().await;
}

#[tokio::test]
async fn a_deleted_room_is_off_the_directory() {
    let (admin, ada, _, room) = kitchen().await;
    let list = format!("/_matrix/client/v3/directory/list/room/{}", encoded(&room));
    ada.put(&list, &json!({ "visibility": "public" })).await.expect_ok();
    let name = unique("deleted");
    ada.set_state(&room, "m.room.name", "", &json!({ "name": name })).await;
    let search = json!({ "filter": { "generic_search_term": name } });
    let path = "/_matrix/client/v3/publicRooms";
    assert_eq!(ada.post(path, &search).await.expect_ok()["chunk"][0]["room_id"], room.as_str());

    let answer = delete_with(&admin, &v2_path(&room), &json!({})).await.expect_ok();

    ended(&admin, &answer["delete_id"]).await;
    assert_eq!(ada.post(path, &search).await.expect_ok()["chunk"], json!([]));
}
