//! Joining restricted rooms. Spec: client-server API, "Restricted rooms".

use complement_tests::encoded;
use serde_json::json;

use super::{BARRED, kitchen, post};

#[tokio::test]
async fn members_of_an_allowed_room_join_a_restricted_one() {
    let (ada, bo, cy, hall) = kitchen("public_chat").await;
    let rule = json!({
        "join_rule": "restricted",
        "allow": [{ "type": "m.room_membership", "room_id": hall }],
    });
    let body = json!({
        "initial_state": [{ "type": "m.room.join_rules", "content": rule }],
    });
    let attic = ada.create_room_with(&body).await;
    bo.join(&attic).await;
    post(&cy, &attic, "join", &json!({})).await.expect_error(403, "M_FORBIDDEN");
}

/// As Synapse does: the specification leaves the rest of the body open.
#[tokio::test]
async fn a_join_may_say_more_than_the_server_asks_for() {
    let (ada, _, cy, room) = kitchen("public_chat").await;
    let path = format!("/_matrix/client/v3/join/{}", encoded(&room));
    cy.post(&path, &json!({ "foo": "bar" })).await.expect_ok();
    let member = ada.state(&room, "m.room.member", &cy.user_id).await;
    assert_eq!((&member["membership"], &member["foo"]), (&json!("join"), &json!("bar")));
}

#[tokio::test]
async fn who_joined_a_restricted_room_may_restate_their_membership() {
    let (ada, bo, _, hall) = kitchen("public_chat").await;
    for rule in ["restricted", "knock_restricted"] {
        let allow = json!([{ "type": "m.room_membership", "room_id": hall }]);
        let content = json!({ "join_rule": rule, "allow": allow });
        let body =
            json!({ "initial_state": [{ "type": "m.room.join_rules", "content": content }] });
        let attic = ada.create_room_with(&body).await;
        bo.join(&attic).await;
        let member = ada.state(&attic, "m.room.member", &bo.user_id).await;
        assert_eq!(member["join_authorised_via_users_server"], ada.user_id.as_str());
        let again = json!({
            "membership": "join", "displayname": "Bobby",
            "join_authorised_via_users_server": "unused",
        });
        bo.set_state(&attic, "m.room.member", &bo.user_id, &again).await;
        let member = ada.state(&attic, "m.room.member", &bo.user_id).await;
        assert_eq!(member["displayname"], "Bobby");
    }
}

#[tokio::test]
async fn a_restricted_room_without_anybody_to_vouch_is_closed() {
    let (ada, bo, cy, hall) = kitchen("public_chat").await;
    cy.join(&hall).await;
    let allow = json!([{ "type": "m.room_membership", "room_id": hall }]);
    let content = json!({ "join_rule": "restricted", "allow": allow });
    let body = json!({
        "initial_state": [{ "type": "m.room.join_rules", "content": content }],
        "power_level_content_override": { "invite": 50 },
    });
    let attic = ada.create_room_with(&body).await;
    bo.join(&attic).await;
    ada.leave(&attic).await;
    let answer = post(&cy, &attic, "join", &json!({})).await;
    assert!([400, 403, 404].contains(&answer.status), "{} {}", answer.status, answer.text);
}

/// Spec: "Restricted rooms": "If the user has an invite to the room then the restrictions will not affect them".
#[tokio::test]
async fn the_invited_and_banned_are_so_in_restricted_rooms_too() {
    let (ada, bo, cy, hall) = kitchen("private_chat").await;
    let allow = json!([{ "type": "m.room_membership", "room_id": hall }]);
    let rule = json!({ "join_rule": "restricted", "allow": allow });
    let body = json!({ "initial_state": [{ "type": "m.room.join_rules", "content": rule }] });
    let attic = ada.create_room_with(&body).await;
    ada.invite(&attic, &cy).await;
    cy.join(&attic).await;
    post(&ada, &attic, "ban", &json!({ "user_id": bo.user_id })).await.expect_ok();
    post(&bo, &attic, "join", &json!({})).await.expect_error_of(BARRED);
}
