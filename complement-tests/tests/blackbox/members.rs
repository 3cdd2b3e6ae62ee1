//! Who is in a room.

use complement_tests::{Client, Server, encoded, room_path, synapse_departs_from};
use serde_json::{Value, json};

/// Ada's room: bo in it, cy invited, dee left.
async fn kitchen() -> ([Client; 4], String) {
    let server = Server::start().await;
    let [ada, bo, cy, dee] = [
        server.register("ada").await,
        server.register("bo").await,
        server.register("cy").await,
        server.register("dee").await,
    ];
    let room = ada.create_room().await;
    bo.join(&room).await;
    ada.invite(&room, &cy).await;
    dee.join(&room).await;
    dee.leave(&room).await;
    ([ada, bo, cy, dee], room)
}

async fn members(client: &Client, room: &str, query: &str) -> Vec<String> {
    let answer = client.get(&room_path(room, &format!("members{query}"))).await.expect_ok();
    let chunk = answer["chunk"].as_array().expect("chunk is a list");
    assert!(chunk.iter().all(|event| event["type"] == "m.room.member"), "{answer}");
    let mut keys: Vec<_> = chunk
        .iter()
        .map(|event| event["state_key"].as_str().unwrap_or_default().to_owned())
        .collect();
    keys.sort();
    keys
}

fn sorted(clients: &[&Client]) -> Vec<String> {
    let mut ids: Vec<_> = clients.iter().map(|client| client.user_id.clone()).collect();
    ids.sort();
    ids
}

#[tokio::test]
async fn members_are_all_who_ever_had_a_membership() {
    let ([ada, bo, cy, dee], room) = kitchen().await;
    assert_eq!(members(&bo, &room, "").await, sorted(&[&ada, &bo, &cy, &dee]));
}

#[tokio::test]
async fn members_are_filtered_by_membership() {
    let ([ada, bo, cy, dee], room) = kitchen().await;
    assert_eq!(members(&bo, &room, "?membership=join").await, sorted(&[&ada, &bo]));
    assert_eq!(members(&bo, &room, "?membership=invite").await, sorted(&[&cy]));
    assert_eq!(members(&bo, &room, "?membership=leave").await, sorted(&[&dee]));
    assert_eq!(members(&bo, &room, "?membership=ban").await, sorted(&[]));
    assert_eq!(members(&bo, &room, "?not_membership=leave").await, sorted(&[&ada, &bo, &cy]));
}

#[tokio::test]
async fn members_are_those_at_the_token() {
    let ([ada, bo, _, dee], room) = kitchen().await;
    let before = ada.sync().await;
    dee.join(&room).await;
    let at = encoded(before["next_batch"].as_str().unwrap());
    let query = format!("?membership=join&at={at}");
    assert_eq!(members(&ada, &room, &query).await, sorted(&[&ada, &bo]));
    assert_eq!(members(&ada, &room, "?membership=join").await, sorted(&[&ada, &bo, &dee]));
}

#[tokio::test]
async fn one_who_left_sees_the_members_as_they_were() {
    let ([ada, bo, _, dee], room) = kitchen().await;
    let late = ada.server().register("eve").await;
    late.join(&room).await;
    assert_eq!(members(&dee, &room, "?membership=join").await, sorted(&[&ada, &bo]));
}

#[tokio::test]
async fn joined_members_come_with_their_profile() {
    let ([ada, bo, ..], room) = kitchen().await;
    let answer = bo.get(&room_path(&room, "joined_members")).await.expect_ok();
    let joined = answer["joined"].as_object().expect("joined is an object");
    let mut ids: Vec<_> = joined.keys().cloned().collect();
    ids.sort();
    assert_eq!(ids, sorted(&[&ada, &bo]));
    assert_eq!(joined[&ada.user_id]["display_name"], ada.name());
    let has_picture = joined[&ada.user_id].as_object().unwrap().get("avatar_url");
    assert_eq!(has_picture, Some(&Value::Null), "what is not set is null");
}

#[tokio::test]
async fn members_are_closed_to_outsiders() {
    let ([ada, ..], room) = kitchen().await;
    let eve = ada.server().register("eve").await;
    for tail in ["members", "joined_members"] {
        eve.get(&room_path(&room, tail)).await.expect_error(403, "M_FORBIDDEN");
    }
}

#[tokio::test]
async fn an_unknown_membership_is_refused() {
    let ([ada, ..], room) = kitchen().await;
    let answer = ada.get(&room_path(&room, "members?membership=nothing")).await;
    assert!([200, 400].contains(&answer.status), "{} {}", answer.status, answer.text);
    if answer.status == 200 {
        assert_eq!(answer.json()["chunk"], Value::Array(Vec::new()));
    }
}

#[tokio::test]
async fn joined_rooms_are_those_one_is_in_now() {
    let ([ada, bo, cy, dee], room) = kitchen().await;
    for (client, rooms) in
        [(&ada, json!([room])), (&bo, json!([room])), (&cy, json!([])), (&dee, json!([]))]
    {
        let answer = client.get("/_matrix/client/v3/joined_rooms").await.expect_ok();
        assert_eq!(answer["joined_rooms"], rooms, "{}", client.user_id);
    }
}

/// Spec: `GET /rooms/{roomId}/members`: "either the membership *is* the same as `membership` **or** *is not* the same as
/// `not_membership`".
#[tokio::test]
async fn two_conditions_on_members_are_joined_by_or() {
    let ([ada, bo, cy, dee], room) = kitchen().await;
    if synapse_departs_from("the two parameters create an 'or' condition") {
        return;
    }
    let all = sorted(&[&ada, &bo, &cy, &dee]);
    assert_eq!(members(&bo, &room, "?membership=join&not_membership=join").await, all);
    let query = "?membership=leave&not_membership=invite";
    assert_eq!(members(&bo, &room, query).await, sorted(&[&ada, &bo, &dee]));
}

#[tokio::test]
async fn a_redacted_name_is_not_among_the_members() {
    let ([ada, bo, ..], room) = kitchen().await;
    let content = json!({ "membership": "join", "displayname": "Rude" });
    let event = bo.set_state(&room, "m.room.member", &bo.user_id, &content).await;
    ada.redact(&room, &event).await;
    let shown = ada.get(&room_path(&room, "joined_members")).await.expect_ok();
    if synapse_departs_from("redacted events have no name (Synapse tells it on)") {
        return;
    }
    assert_eq!(shown["joined"][&bo.user_id]["display_name"], Value::Null);
}
