//! Asking to be let in. Spec: client-server API, "Knocking on rooms".

use complement_tests::{Client, Server, encoded, synapse_departs_from, unique};
use serde_json::json;

use super::{BARRED, kitchen, membership, post};

/// Spec: "Room membership", knocking: a room that does not allow it refuses.
#[tokio::test]
async fn knocking_on_a_public_room_is_refused() {
    let (_ada, _, cy, room) = kitchen("public_chat").await;
    let path = format!("/_matrix/client/v3/knock/{}", encoded(&room));
    cy.post(&path, &json!({})).await.expect_error(403, "M_FORBIDDEN");
}

#[tokio::test]
async fn a_knock_is_answered_by_an_invitation() {
    let (ada, _, cy, room) = kitchen("private_chat").await;
    ada.set_state(&room, "m.room.join_rules", "", &json!({ "join_rule": "knock" })).await;
    let path = format!("/_matrix/client/v3/knock/{}", encoded(&room));
    let answer = cy.post(&path, &json!({ "reason": "please" })).await.expect_ok();
    assert_eq!(answer["room_id"], room.as_str());
    let member = ada.state(&room, "m.room.member", &cy.user_id).await;
    assert_eq!((&member["membership"], &member["reason"]), (&json!("knock"), &json!("please")));
    ada.invite(&room, &cy).await;
    cy.join(&room).await;
}

fn knock_path(name: &str) -> String {
    format!("/_matrix/client/v3/knock/{}", encoded(name))
}

/// Spec: "Knocking on rooms": "Users who are currently in the room, already invited, or banned cannot knock".
#[tokio::test]
async fn members_and_the_invited_and_banned_do_not_knock() {
    let (ada, bo, cy, room) = kitchen("private_chat").await;
    ada.set_state(&room, "m.room.join_rules", "", &json!({ "join_rule": "knock" })).await;
    let knock = async |client: &Client| client.post(&knock_path(&room), &json!({})).await;
    knock(&bo).await.expect_error(403, "M_FORBIDDEN");
    ada.invite(&room, &cy).await;
    knock(&cy).await.expect_error(403, "M_FORBIDDEN");
    post(&ada, &room, "ban", &json!({ "user_id": cy.user_id })).await.expect_ok();
    knock(&cy).await.expect_error_of(BARRED);
}

#[tokio::test]
async fn there_is_no_knocking_on_what_is_not_there() {
    let server = Server::start().await;
    let ada = server.register("ada").await;
    let alias = format!("#{}:{}", unique("nothing"), server.name());
    ada.post(&knock_path(&alias), &json!({})).await.expect_error(404, "M_NOT_FOUND");
    if synapse_departs_from("404: The room could not be found or resolved to a room ID") {
        return;
    }
    let room = format!("!{}:{}", unique("nothing"), server.name());
    ada.post(&knock_path(&room), &json!({})).await.expect_error(404, "M_NOT_FOUND");
}

/// Spec: "Knocking on rooms": members deny a knock, and who knocked retracts it.
#[tokio::test]
async fn a_knock_is_denied_or_taken_back() {
    let (ada, _, cy, room) = kitchen("private_chat").await;
    ada.set_state(&room, "m.room.join_rules", "", &json!({ "join_rule": "knock" })).await;
    cy.post(&knock_path(&room), &json!({})).await.expect_ok();
    post(&ada, &room, "kick", &json!({ "user_id": cy.user_id })).await.expect_ok();
    assert_eq!(membership(&ada, &room, &cy).await, "leave");
    cy.post(&knock_path(&room), &json!({})).await.expect_ok();
    cy.leave(&room).await;
    assert_eq!(membership(&ada, &room, &cy).await, "leave");
    post(&cy, &room, "join", &json!({})).await.expect_error(403, "M_FORBIDDEN");
}

/// Spec: `knock_restricted`: "This room can be joined as though it was `restricted` *or* `knock`".
#[tokio::test]
async fn a_room_may_be_open_to_members_of_another_and_to_knocks() {
    let (ada, bo, cy, hall) = kitchen("private_chat").await;
    let rule = json!({
        "join_rule": "knock_restricted",
        "allow": [{ "type": "m.room_membership", "room_id": hall }],
    });
    let body = json!({ "initial_state": [{ "type": "m.room.join_rules", "content": rule }] });
    let attic = ada.create_room_with(&body).await;
    bo.join(&attic).await;
    post(&cy, &attic, "join", &json!({})).await.expect_error(403, "M_FORBIDDEN");
    cy.post(&knock_path(&attic), &json!({})).await.expect_ok();
    ada.invite(&attic, &cy).await;
    cy.join(&attic).await;
}
