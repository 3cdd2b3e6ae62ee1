//! Room membership: joining, leaving, inviting, kicking, banning.

mod knocking;
mod restricted;

use complement_tests::{Answer, Client, Server, encoded, room_path, synapse_departs_from, unique};
use serde_json::{Value, json};

/// What a change that the other's membership rules out is answered with.
const BARRED: &[(u16, &str)] = &[(403, "M_FORBIDDEN"), (403, "M_BAD_STATE")];

async fn post(client: &Client, room: &str, action: &str, body: &Value) -> Answer {
    client.post(&room_path(room, action), body).await
}

/// Ada's room with bo in it, and cy outside.
async fn kitchen(preset: &str) -> (Client, Client, Client, String) {
    let server = Server::start().await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    let cy = server.register("cy").await;
    let room = ada.create_room_with(&json!({ "preset": preset })).await;
    ada.invite(&room, &bo).await;
    bo.join(&room).await;
    (ada, bo, cy, room)
}

async fn membership(client: &Client, room: &str, of: &Client) -> Value {
    client.state(room, "m.room.member", &of.user_id).await["membership"].clone()
}

#[tokio::test]
async fn anyone_joins_a_public_room_by_id_or_alias() {
    let server = Server::start().await;
    let (ada, bo, cy) =
        (server.register("ada").await, server.register("bo").await, server.register("cy").await);
    let name = unique("kitchen");
    let body = json!({ "preset": "public_chat", "room_alias_name": name });
    let room = ada.create_room_with(&body).await;

    let answer = post(&bo, &room, "join", &json!({})).await.expect_ok();
    assert_eq!(answer["room_id"], room.as_str());
    let alias = encoded(&format!("#{name}:{}", server.name()));
    let answer = cy.post(&format!("/_matrix/client/v3/join/{alias}"), &json!({})).await.expect_ok();
    assert_eq!(answer["room_id"], room.as_str());

    assert_eq!(membership(&ada, &room, &bo).await, "join");
    assert_eq!(membership(&ada, &room, &cy).await, "join");
    let joined = bo.get("/_matrix/client/v3/joined_rooms").await.expect_ok();
    assert_eq!(joined["joined_rooms"], json!([room]));
}

#[tokio::test]
async fn joining_again_changes_nothing() {
    let (_ada, bo, _, room) = kitchen("public_chat").await;
    post(&bo, &room, "join", &json!({})).await.expect_ok();
}

#[tokio::test]
async fn a_private_room_is_joined_by_invitation_only() {
    let (ada, _, cy, room) = kitchen("private_chat").await;
    post(&cy, &room, "join", &json!({})).await.expect_error(403, "M_FORBIDDEN");

    ada.invite(&room, &cy).await;
    assert_eq!(membership(&ada, &room, &cy).await, "invite");
    cy.join(&room).await;

    assert_eq!(membership(&ada, &room, &cy).await, "join");
}

#[tokio::test]
async fn joining_a_room_or_alias_that_does_not_exist_is_refused() {
    let server = Server::start().await;
    let ada = server.register("ada").await;
    let alias = encoded(&format!("#{}:{}", unique("nothing"), server.name()));
    let answer = ada.post(&format!("/_matrix/client/v3/join/{alias}"), &json!({})).await;
    answer.expect_error(404, "M_NOT_FOUND");
    let room = format!("!{}:{}", unique("nothing"), server.name());
    let answer = post(&ada, &room, "join", &json!({})).await;
    assert!([403, 404].contains(&answer.status), "{} {}", answer.status, answer.text);
}

#[tokio::test]
async fn a_reason_is_kept_in_the_membership() {
    let (ada, bo, cy, room) = kitchen("private_chat").await;
    let reason = |text: &str| json!({ "reason": text });
    let mut invite = reason("good cook");
    invite["user_id"] = json!(cy.user_id);
    post(&ada, &room, "invite", &invite).await.expect_ok();
    assert_eq!(ada.state(&room, "m.room.member", &cy.user_id).await["reason"], "good cook");
    post(&cy, &room, "join", &reason("hungry")).await.expect_ok();
    assert_eq!(ada.state(&room, "m.room.member", &cy.user_id).await["reason"], "hungry");
    post(&bo, &room, "leave", &reason("full")).await.expect_ok();
    assert_eq!(ada.state(&room, "m.room.member", &bo.user_id).await["reason"], "full");
}

#[tokio::test]
async fn a_member_leaves_and_may_come_back_to_a_public_room() {
    let (ada, bo, _, room) = kitchen("public_chat").await;
    bo.leave(&room).await;
    assert_eq!(membership(&ada, &room, &bo).await, "leave");
    let joined = bo.get("/_matrix/client/v3/joined_rooms").await.expect_ok();
    assert_eq!(joined["joined_rooms"], json!([]));
    bo.join(&room).await;
    assert_eq!(membership(&ada, &room, &bo).await, "join");
}

#[tokio::test]
async fn an_invitation_is_refused_by_leaving() {
    let (ada, _, cy, room) = kitchen("private_chat").await;
    ada.invite(&room, &cy).await;
    cy.leave(&room).await;
    assert_eq!(membership(&ada, &room, &cy).await, "leave");
    post(&cy, &room, "join", &json!({})).await.expect_error(403, "M_FORBIDDEN");
}

#[tokio::test]
async fn leaving_a_room_one_was_never_in_is_refused() {
    let (_ada, _, cy, room) = kitchen("public_chat").await;
    let answer = post(&cy, &room, "leave", &json!({})).await;
    answer.expect_error_of(&[(403, "M_FORBIDDEN"), (404, "M_NOT_FOUND")]);
}

#[tokio::test]
async fn only_members_invite() {
    let (ada, bo, cy, room) = kitchen("private_chat").await;
    let dee = ada.server().register("dee").await;
    let body = json!({ "user_id": dee.user_id });
    post(&cy, &room, "invite", &body).await.expect_error(403, "M_FORBIDDEN");
    post(&bo, &room, "invite", &body).await.expect_ok();
}

#[tokio::test]
async fn members_and_banned_users_cannot_be_invited() {
    let (ada, bo, cy, room) = kitchen("private_chat").await;
    let answer = post(&ada, &room, "invite", &json!({ "user_id": bo.user_id })).await;
    answer.expect_error(403, "M_FORBIDDEN");
    post(&ada, &room, "ban", &json!({ "user_id": cy.user_id })).await.expect_ok();
    let answer = post(&ada, &room, "invite", &json!({ "user_id": cy.user_id })).await;
    answer.expect_error_of(BARRED);
}

#[tokio::test]
async fn inviting_needs_the_invite_level() {
    let (ada, bo, cy, room) = kitchen("private_chat").await;
    let mut levels = ada.state(&room, "m.room.power_levels", "").await;
    levels["invite"] = json!(50);
    ada.set_state(&room, "m.room.power_levels", "", &levels).await;
    let answer = post(&bo, &room, "invite", &json!({ "user_id": cy.user_id })).await;
    answer.expect_error(403, "M_FORBIDDEN");
}

#[tokio::test]
async fn an_invite_without_a_user_or_of_none_answers_400() {
    let (ada, _, _, room) = kitchen("private_chat").await;
    let mut bodies = vec![json!({}), json!({ "user_id": "nobody" })];
    if !synapse_departs_from("M_BAD_JSON: […] valid JSON, but it was malformed in some way") {
        bodies.push(json!({ "user_id": 5 }));
    }
    for body in bodies {
        let answer = post(&ada, &room, "invite", &body).await;
        answer.expect_error_of(&[
            (400, "M_BAD_JSON"),
            (400, "M_INVALID_PARAM"),
            (400, "M_MISSING_PARAM"),
        ]);
    }
}

#[tokio::test]
async fn a_kick_removes_a_member_who_may_join_again() {
    let (ada, bo, _, room) = kitchen("public_chat").await;
    let body = json!({ "user_id": bo.user_id, "reason": "crumbs" });
    post(&ada, &room, "kick", &body).await.expect_ok();
    let member = ada.state(&room, "m.room.member", &bo.user_id).await;
    assert_eq!(member["membership"], "leave");
    assert_eq!(member["reason"], "crumbs");
    bo.join(&room).await;
}

#[tokio::test]
async fn kicking_needs_power_over_the_other() {
    let (ada, bo, cy, room) = kitchen("public_chat").await;
    cy.join(&room).await;
    for whom in [&ada, &cy] {
        let answer = post(&bo, &room, "kick", &json!({ "user_id": whom.user_id })).await;
        answer.expect_error(403, "M_FORBIDDEN");
    }
    let mut levels = ada.state(&room, "m.room.power_levels", "").await;
    levels["users"][&bo.user_id] = json!(60);
    levels["users"][&cy.user_id] = json!(60);
    ada.set_state(&room, "m.room.power_levels", "", &levels).await;
    let answer = post(&bo, &room, "kick", &json!({ "user_id": cy.user_id })).await;
    answer.expect_error(403, "M_FORBIDDEN");
}

#[tokio::test]
async fn kicking_one_who_is_not_there_is_refused() {
    let (ada, _, cy, room) = kitchen("public_chat").await;
    let answer = post(&ada, &room, "kick", &json!({ "user_id": cy.user_id })).await;
    answer.expect_error(403, "M_FORBIDDEN");
}

#[tokio::test]
async fn a_ban_keeps_out_until_it_is_lifted() {
    let (ada, bo, cy, room) = kitchen("public_chat").await;
    let body = json!({ "user_id": bo.user_id, "reason": "burnt the toast" });
    post(&ada, &room, "ban", &body).await.expect_ok();
    assert_eq!(membership(&ada, &room, &bo).await, "ban");
    post(&bo, &room, "join", &json!({})).await.expect_error_of(BARRED);
    // One who was never there can be banned as well.
    post(&ada, &room, "ban", &json!({ "user_id": cy.user_id })).await.expect_ok();
    post(&cy, &room, "join", &json!({})).await.expect_error_of(BARRED);

    post(&ada, &room, "unban", &json!({ "user_id": bo.user_id })).await.expect_ok();
    assert_eq!(membership(&ada, &room, &bo).await, "leave");
    bo.join(&room).await;
}

#[tokio::test]
async fn banning_and_unbanning_need_power() {
    let (ada, bo, cy, room) = kitchen("public_chat").await;
    for whom in [&ada, &cy] {
        let answer = post(&bo, &room, "ban", &json!({ "user_id": whom.user_id })).await;
        answer.expect_error(403, "M_FORBIDDEN");
    }
    post(&ada, &room, "ban", &json!({ "user_id": cy.user_id })).await.expect_ok();
    let answer = post(&bo, &room, "unban", &json!({ "user_id": cy.user_id })).await;
    answer.expect_error(403, "M_FORBIDDEN");
}

#[tokio::test]
async fn unbanning_one_who_is_not_banned_is_refused() {
    let (ada, bo, _, room) = kitchen("public_chat").await;
    let answer = post(&ada, &room, "unban", &json!({ "user_id": bo.user_id })).await;
    answer.expect_error_of(BARRED);
    assert_eq!(membership(&ada, &room, &bo).await, "join");
}

#[tokio::test]
async fn a_banned_user_cannot_leave_the_ban() {
    let (ada, bo, _, room) = kitchen("public_chat").await;
    post(&ada, &room, "ban", &json!({ "user_id": bo.user_id })).await.expect_ok();
    post(&bo, &room, "leave", &json!({})).await.expect_error(403, "M_FORBIDDEN");
    assert_eq!(membership(&ada, &room, &bo).await, "ban");
}

#[tokio::test]
async fn membership_is_changed_through_the_state_as_well() {
    let (ada, bo, cy, room) = kitchen("private_chat").await;
    let set = |membership: &str| json!({ "membership": membership });
    ada.set_state(&room, "m.room.member", &cy.user_id, &set("invite")).await;
    cy.set_state(&room, "m.room.member", &cy.user_id, &set("join")).await;
    ada.set_state(&room, "m.room.member", &bo.user_id, &set("ban")).await;
    assert_eq!(membership(&cy, &room, &bo).await, "ban");
}

#[tokio::test]
async fn joins_carry_the_profile() {
    let (ada, bo, _, room) = kitchen("public_chat").await;
    let member = ada.state(&room, "m.room.member", &bo.user_id).await;
    assert_eq!(member["displayname"], bo.name());
}

/// Spec: `/kick`, `/ban`, `/unban` and `/invite`, 403: "The kicker is not currently in the room", and so on.
#[tokio::test]
async fn who_is_not_in_a_room_changes_no_memberships() {
    let (ada, bo, cy, room) = kitchen("public_chat").await;
    let mut levels = ada.state(&room, "m.room.power_levels", "").await;
    levels["users"][&cy.user_id] = json!(100);
    ada.set_state(&room, "m.room.power_levels", "", &levels).await;
    let dee = ada.server().register("dee").await;
    post(&ada, &room, "ban", &json!({ "user_id": dee.user_id })).await.expect_ok();
    for (action, whom) in [("kick", &bo), ("ban", &bo), ("unban", &dee)] {
        let answer = post(&cy, &room, action, &json!({ "user_id": whom.user_id })).await;
        answer.expect_error(403, "M_FORBIDDEN");
    }
}
