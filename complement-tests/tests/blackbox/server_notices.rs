//! What the server says to its users. Spec: "Server Notices".
//!
//! For hearth alone: Synapse sends notices only where its configuration says so.

use complement_tests::{Client, Homeserver, Role, Server, encoded, room_path, timeline, unique};
use serde_json::{Value, json};

const SEND: &str = "/_synapse/admin/v1/send_server_notice";

/// An administrator and ada; `None` on Synapse.
async fn admin_and_ada() -> Option<(Client, Client)> {
    if Homeserver::chosen() != Homeserver::Hearth {
        return None;
    }
    let server = Server::start().await;
    let admin = server.register_with_shared_secret("admin", Role::Administrator).await;
    Some((admin, server.register("ada").await))
}

fn notice(ada: &Client, body: &str) -> Value {
    json!({ "user_id": ada.user_id, "content": { "msgtype": "m.text", "body": body } })
}

/// The only room that ada is invited to.
async fn invitation(ada: &Client) -> String {
    let sync = ada.sync().await;
    let invited = sync["rooms"]["invite"].as_object().expect("there is an invitation");
    assert_eq!(invited.len(), 1, "{sync}");
    invited.keys().next().expect("one").clone()
}

#[tokio::test]
async fn a_notice_invites_to_a_tagged_room_where_only_the_server_speaks() {
    let Some((admin, ada)) = admin_and_ada().await else { return };

    let sent = admin.post(SEND, &notice(&ada, "hello")).await.expect_ok();

    let room = invitation(&ada).await;
    ada.join(&room).await;
    let sync = ada.sync().await;
    let events = timeline(&sync, &room);
    let message = events.iter().find(|event| event["event_id"] == sent["event_id"]);
    let message = message.unwrap_or_else(|| panic!("no notice in {sync}"));
    assert_eq!(message["content"]["body"], "hello");
    assert_eq!(message["sender"], format!("@_server:{}", admin.server().name()));
    let name = ada.state(&room, "m.room.name", "").await;
    assert_eq!(name["name"], "Server notices");
    let tags =
        format!("/_matrix/client/v3/user/{}/rooms/{}/tags", encoded(&ada.user_id), encoded(&room));
    let tags = ada.get(&tags).await.expect_ok();
    assert!(tags["tags"]["m.server_notice"].is_object(), "{tags}");
    let path = complement_tests::send_path(&room, "m.room.message", &unique("txn"));
    let answer = ada.put(&path, &json!({ "msgtype": "m.text", "body": "hi" })).await;
    answer.expect_error(403, "M_FORBIDDEN");
}

/// Spec: "Attempting to reject the invite must result in an `M_CANNOT_LEAVE_SERVER_NOTICE_ROOM` error".
#[tokio::test]
async fn the_invitation_cannot_be_rejected_and_the_room_can_be_left() {
    let Some((admin, ada)) = admin_and_ada().await else { return };
    admin.post(SEND, &notice(&ada, "hello")).await.expect_ok();
    let room = invitation(&ada).await;

    let answer = ada.post(&room_path(&room, "leave"), &json!({})).await;

    answer.expect_error(403, "M_CANNOT_LEAVE_SERVER_NOTICE_ROOM");
    let state = complement_tests::state_path(&room, "m.room.member", &ada.user_id);
    let answer = ada.put(&state, &json!({ "membership": "leave" })).await;
    answer.expect_error(403, "M_CANNOT_LEAVE_SERVER_NOTICE_ROOM");
    ada.join(&room).await;
    ada.leave(&room).await;
    admin.post(SEND, &notice(&ada, "again")).await.expect_ok();
    assert_eq!(invitation(&ada).await, room);
}

#[tokio::test]
async fn a_notice_with_a_transaction_is_sent_once() {
    let Some((admin, ada)) = admin_and_ada().await else { return };
    let path = format!("{SEND}/{}", unique("txn"));

    let first = admin.put(&path, &notice(&ada, "hello")).await.expect_ok();
    let again = admin.put(&path, &notice(&ada, "hello")).await.expect_ok();

    assert_eq!(first, again);
    let other = admin.post(SEND, &notice(&ada, "hello")).await.expect_ok();
    assert_ne!(first, other);
}

#[tokio::test]
async fn two_notices_at_once_end_up_in_one_room() {
    let Some((admin, ada)) = admin_and_ada().await else { return };
    let (one, two) = (notice(&ada, "one"), notice(&ada, "two"));
    let (one, two) = tokio::join!(admin.post(SEND, &one), admin.post(SEND, &two));
    one.expect_ok();
    two.expect_ok();
    invitation(&ada).await;
}

#[tokio::test]
async fn a_notice_can_be_state() {
    let Some((admin, ada)) = admin_and_ada().await else { return };
    let body = json!({
        "user_id": ada.user_id, "type": "com.example.duty", "state_key": "today",
        "content": { "cook": "bo" },
    });
    admin.post(SEND, &body).await.expect_ok();
    let room = invitation(&ada).await;
    ada.join(&room).await;
    assert_eq!(ada.state(&room, "com.example.duty", "today").await, json!({ "cook": "bo" }));
}

#[tokio::test]
async fn only_administrators_send_notices_and_only_to_users_who_are_here() {
    let Some((admin, ada)) = admin_and_ada().await else { return };
    ada.post(SEND, &json!({})).await.expect_error(403, "M_FORBIDDEN");
    let answer = admin.post(SEND, &json!({ "user_id": ada.user_id })).await;
    answer.expect_error(400, "M_MISSING_PARAM");
    let answer = admin.post(SEND, &json!({ "content": {} })).await;
    answer.expect_error(400, "M_MISSING_PARAM");
    let body = json!({ "user_id": "@ada:elsewhere.test", "content": {} });
    admin.post(SEND, &body).await.expect_error(400, "M_UNKNOWN");
    let nobody = format!("@{}:{}", unique("nobody"), ada.server().name());
    let body = json!({ "user_id": nobody, "content": {} });
    admin.post(SEND, &body).await.expect_error(404, "M_NOT_FOUND");
}

#[tokio::test]
async fn notices_can_be_turned_off() {
    if Homeserver::chosen() != Homeserver::Hearth {
        return;
    }
    let server = Server::start_with(&[("HEARTH_SERVER_NOTICES__ENABLED", "false")]).await;
    let admin = server.register_with_shared_secret("admin", Role::Administrator).await;
    let answer = admin.post(SEND, &notice(&admin, "hello")).await;
    answer.expect_error(400, "M_UNKNOWN");
}
