//! Room state: reading and setting it, and who may.

use complement_tests::{Client, Server, room_path, state_path, synapse_departs_from};
use serde_json::json;

/// Ada's room with bo in it, and cy outside.
async fn kitchen() -> (Client, Client, Client, String) {
    let server = Server::start().await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    let room = ada.create_room().await;
    bo.join(&room).await;
    (ada, bo, server.register("cy").await, room)
}

#[tokio::test]
async fn an_empty_state_key_is_written_with_and_without_a_last_slash() {
    let (ada, _, _, room) = kitchen().await;
    let bare = room_path(&room, "state/m.room.topic");
    let slash = format!("{bare}/");

    ada.put(&bare, &json!({ "topic": "tea" })).await.expect_ok();
    assert_eq!(ada.get(&slash).await.expect_ok(), json!({ "topic": "tea" }));

    ada.put(&slash, &json!({ "topic": "cake" })).await.expect_ok();
    assert_eq!(ada.get(&bare).await.expect_ok(), json!({ "topic": "cake" }));
}

#[tokio::test]
async fn a_state_key_is_any_text() {
    let (ada, _, _, room) = kitchen().await;
    for key in ["green", "a/b", "with space", "é", "100%"] {
        ada.set_state(&room, "com.example.tea", key, &json!({ "key": key })).await;
        assert_eq!(ada.state(&room, "com.example.tea", key).await, json!({ "key": key }));
    }
}

#[tokio::test]
async fn format_event_gives_the_whole_event() {
    let (ada, _, _, room) = kitchen().await;
    let id = ada.set_state(&room, "m.room.topic", "", &json!({ "topic": "tea" })).await;

    let path = room_path(&room, "state/m.room.topic/?format=event");
    let event = ada.get(&path).await.expect_ok();

    assert_eq!(event["event_id"], id);
    assert_eq!(event["sender"], ada.user_id.as_str());
    assert_eq!(event["content"], json!({ "topic": "tea" }));
    assert_eq!(event["state_key"], "");
    assert_eq!(event["room_id"], room);
    assert!(event["origin_server_ts"].is_u64(), "{event}");
}

#[tokio::test]
async fn state_that_was_never_set_answers_404() {
    let (ada, _, _, room) = kitchen().await;
    let path = state_path(&room, "com.example.nothing", "");
    ada.get(&path).await.expect_error(404, "M_NOT_FOUND");
}

#[tokio::test]
async fn state_is_closed_to_one_who_was_never_in_the_room() {
    let (_ada, _, cy, room) = kitchen().await;
    for tail in ["state", "state/m.room.create/", "state/com.example.nothing/"] {
        cy.get(&room_path(&room, tail)).await.expect_error(403, "M_FORBIDDEN");
    }
    let answer = cy.put(&state_path(&room, "m.room.topic", ""), &json!({ "topic": "x" })).await;
    answer.expect_error(403, "M_FORBIDDEN");
}

#[tokio::test]
async fn state_of_a_room_that_does_not_exist_is_refused() {
    let (ada, _, _, _) = kitchen().await;
    let answer = ada.get(&room_path("!nothing:hearth.test", "state")).await;
    answer.expect_error_of(&[(403, "M_FORBIDDEN"), (404, "M_NOT_FOUND")]);
}

#[tokio::test]
async fn the_whole_state_has_one_event_per_key() {
    let (ada, bo, _, room) = kitchen().await;
    ada.set_state(&room, "m.room.topic", "", &json!({ "topic": "tea" })).await;
    ada.set_state(&room, "m.room.topic", "", &json!({ "topic": "cake" })).await;

    let answer = bo.get(&room_path(&room, "state")).await.expect_ok();

    let state = answer.as_array().expect("state is a list");
    let mut keys: Vec<_> = state
        .iter()
        .map(|event| (event["type"].as_str().unwrap(), event["state_key"].as_str().unwrap()))
        .collect();
    let count = keys.len();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), count);
    for kind in ["m.room.create", "m.room.power_levels", "m.room.join_rules", "m.room.topic"] {
        assert!(keys.contains(&(kind, "")), "{kind} in {keys:?}");
    }
    assert!(keys.contains(&("m.room.member", &bo.user_id)), "{keys:?}");
    let topic = state.iter().find(|event| event["type"] == "m.room.topic").unwrap();
    assert_eq!(topic["content"]["topic"], "cake");
}

/// Spec: "Room history visibility" and `GET /rooms/{roomId}/state`: "if the user has left the room
/// then this will be the state at the time they left".
#[tokio::test]
async fn one_who_left_sees_the_state_as_it_was_then() {
    let (ada, bo, _, room) = kitchen().await;
    ada.set_state(&room, "m.room.topic", "", &json!({ "topic": "tea" })).await;
    bo.leave(&room).await;
    ada.set_state(&room, "m.room.topic", "", &json!({ "topic": "cake" })).await;

    assert_eq!(bo.state(&room, "m.room.topic", "").await["topic"], "tea");
    let answer = bo.get(&room_path(&room, "state")).await.expect_ok();
    let topic = answer.as_array().unwrap().iter().find(|event| event["type"] == "m.room.topic");
    assert_eq!(topic.unwrap()["content"]["topic"], "tea");
}

#[tokio::test]
async fn world_readable_state_is_open_to_everyone() {
    let (ada, _, cy, room) = kitchen().await;
    let readable = json!({ "history_visibility": "world_readable" });
    ada.set_state(&room, "m.room.history_visibility", "", &readable).await;
    assert_eq!(cy.state(&room, "m.room.create", "").await["room_version"], "12");
}

#[tokio::test]
async fn setting_state_needs_power() {
    let (ada, bo, _, room) = kitchen().await;
    let path = state_path(&room, "m.room.topic", "");
    bo.put(&path, &json!({ "topic": "mine" })).await.expect_error(403, "M_FORBIDDEN");

    let mut levels = ada.state(&room, "m.room.power_levels", "").await;
    levels["events"]["m.room.topic"] = json!(0);
    ada.set_state(&room, "m.room.power_levels", "", &levels).await;
    bo.put(&path, &json!({ "topic": "ours" })).await.expect_ok();
}

#[tokio::test]
async fn a_state_key_that_is_a_user_id_is_theirs_alone() {
    let (ada, bo, _, room) = kitchen().await;
    let mut levels = ada.state(&room, "m.room.power_levels", "").await;
    levels["events"]["com.example.mood"] = json!(0);
    ada.set_state(&room, "m.room.power_levels", "", &levels).await;

    bo.set_state(&room, "com.example.mood", &bo.user_id, &json!({ "mood": "fine" })).await;
    let path = state_path(&room, "com.example.mood", &ada.user_id);
    bo.put(&path, &json!({ "mood": "cross" })).await.expect_error(403, "M_FORBIDDEN");
    let path = state_path(&room, "com.example.mood", &bo.user_id);
    ada.put(&path, &json!({ "mood": "cross" })).await.expect_error(403, "M_FORBIDDEN");
}

#[tokio::test]
async fn a_room_is_created_once() {
    let (ada, _, _, room) = kitchen().await;
    if synapse_departs_from("If type is m.room.create: if it has any prev_events, reject") {
        return;
    }
    let path = state_path(&room, "m.room.create", "");
    ada.put(&path, &json!({})).await.expect_error(400, "M_BAD_JSON");
    let path = room_path(&room, "send/m.room.create/txn");
    ada.put(&path, &json!({})).await.expect_error(400, "M_BAD_JSON");
}

#[tokio::test]
async fn nobody_gives_more_power_than_they_have() {
    let (ada, bo, cy, room) = kitchen().await;
    let path = state_path(&room, "m.room.power_levels", "");
    let mut levels = ada.state(&room, "m.room.power_levels", "").await;
    levels["users"][&bo.user_id] = json!(50);
    levels["events"]["m.room.power_levels"] = json!(50);
    ada.put(&path, &levels).await.expect_ok();

    levels["users"][&cy.user_id] = json!(51);
    bo.put(&path, &levels).await.expect_error(403, "M_FORBIDDEN");
    levels["users"][&cy.user_id] = json!(50);
    bo.put(&path, &levels).await.expect_ok();
    // An equal is not demoted either.
    levels["users"][&cy.user_id] = json!(0);
    bo.put(&path, &levels).await.expect_error(403, "M_FORBIDDEN");
}

/// Spec: room version 10 onwards: power levels are integers, not text.
#[tokio::test]
async fn power_levels_of_the_wrong_type_are_refused() {
    let (ada, _, _, room) = kitchen().await;
    let path = state_path(&room, "m.room.power_levels", "");
    for wrong in [json!({ "ban": "50" }), json!({ "users": [] }), json!({ "users": { "x": 1 } })] {
        let answer = ada.put(&path, &wrong).await;
        assert!([400, 403].contains(&answer.status), "{wrong}: {} {}", answer.status, answer.text);
    }
}

#[tokio::test]
async fn a_canonical_alias_must_point_at_the_room() {
    let (ada, _, _, room) = kitchen().await;
    let path = state_path(&room, "m.room.canonical_alias", "");
    let body = json!({ "alias": "#nothing:hearth.test" });
    ada.put(&path, &body).await.expect_error(400, "M_BAD_ALIAS");
    let body = json!({ "alt_aliases": ["#nothing:hearth.test"] });
    ada.put(&path, &body).await.expect_error(400, "M_BAD_ALIAS");
    for body in [json!({ "alias": "nonsense" }), json!({ "alt_aliases": ["nonsense"] })] {
        ada.put(&path, &body).await.expect_error(400, "M_INVALID_PARAM");
    }
    for body in [json!({}), json!({ "alias": null }), json!({ "alias": "" })] {
        ada.put(&path, &body).await.expect_ok();
    }
}

#[tokio::test]
async fn state_events_say_what_they_replace() {
    let (ada, _, _, room) = kitchen().await;
    let first = ada.set_state(&room, "m.room.topic", "", &json!({ "topic": "tea" })).await;
    let second = ada.set_state(&room, "m.room.topic", "", &json!({ "topic": "cake" })).await;

    let event = ada.event(&room, &second).await;

    assert_eq!(event["unsigned"]["replaces_state"], first);
}

#[tokio::test]
async fn a_member_of_an_encrypted_room_cannot_set_state_beyond_their_power() {
    let (ada, bo, _, room) = kitchen().await;
    let algorithm = json!({ "algorithm": "m.megolm.v1.aes-sha2" });
    let path = state_path(&room, "m.room.encryption", "");
    bo.put(&path, &algorithm).await.expect_error(403, "M_FORBIDDEN");
    ada.put(&path, &algorithm).await.expect_ok();
}
