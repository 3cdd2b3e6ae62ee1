//! Who may invite whom, and invitations by third-party ids.

use complement_tests::{Client, Server, encoded, room_path, state_path, synapse_departs_from};
use serde_json::{Value, json};

const CONFIG: &str = "m.invite_permission_config";
const FILTER: &str = "org.matrix.msc4155.invite_permission_config";

/// Ada's room, with bo outside.
async fn kitchen() -> (Client, Client, String) {
    let server = Server::start().await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    let room = ada.create_room_with(&json!({ "preset": "private_chat" })).await;
    (ada, bo, room)
}

async fn set(client: &Client, kind: &str, content: &Value) {
    let user = encoded(&client.user_id);
    let path = format!("/_matrix/client/v3/user/{user}/account_data/{kind}");
    client.put(&path, content).await.expect_ok();
}

async fn sees_invitation(client: &Client, room: &str) -> bool {
    client.sync().await["rooms"]["invite"][room].is_object()
}

/// Spec: "Invite permission", server behaviour.
#[tokio::test]
async fn who_blocks_invitations_gets_none() {
    let (ada, bo, room) = kitchen().await;
    set(&bo, CONFIG, &json!({ "default_action": "block" })).await;

    let body = json!({ "user_id": bo.user_id });
    ada.post(&room_path(&room, "invite"), &body).await.expect_error(403, "M_INVITE_BLOCKED");
    let path = state_path(&room, "m.room.member", &bo.user_id);
    let answer = ada.put(&path, &json!({ "membership": "invite" })).await;
    answer.expect_error(403, "M_INVITE_BLOCKED");
    if !synapse_departs_from("createRoom: M_INVITE_BLOCKED, due to a user in the invite list") {
        let body = json!({ "invite": [bo.user_id] });
        let answer = ada.post("/_matrix/client/v3/createRoom", &body).await;
        answer.expect_error(403, "M_INVITE_BLOCKED");
    }

    set(&bo, CONFIG, &json!({})).await;
    ada.invite(&room, &bo).await;
    assert!(sees_invitation(&bo, &room).await);
}

#[tokio::test]
async fn invitations_made_before_are_hidden_while_they_are_blocked() {
    if synapse_departs_from(
        "invite events for this user already in the database [...] MUST NOT be served",
    ) {
        return;
    }
    let (ada, bo, room) = kitchen().await;
    ada.invite(&room, &bo).await;
    set(&bo, CONFIG, &json!({ "default_action": "block" })).await;
    assert!(!sees_invitation(&bo, &room).await);
    assert_eq!(ada.state(&room, "m.room.member", &bo.user_id).await["membership"], "invite");
    set(&bo, CONFIG, &json!({})).await;
    assert!(sees_invitation(&bo, &room).await);
}

/// Spec: MSC4155.
#[tokio::test]
async fn a_filter_blocks_or_hides_invitations_by_who_sends_them() {
    let (ada, bo, room) = kitchen().await;
    let body = json!({ "user_id": bo.user_id });
    for filter in [
        json!({ "blocked_users": [ada.user_id] }),
        json!({ "blocked_users": ["@ada*"] }),
        json!({ "blocked_servers": ["hearth.*"] }),
        json!({ "blocked_servers": ["hearth.test"], "allowed_servers": [null] }),
    ] {
        set(&bo, FILTER, &filter).await;
        let answer = ada.post(&room_path(&room, "invite"), &body).await;
        answer.expect_error(403, "M_INVITE_BLOCKED");
    }
    set(&bo, FILTER, &json!({ "ignored_users": [ada.user_id] })).await;
    ada.invite(&room, &bo).await;
    assert!(!sees_invitation(&bo, &room).await);
    let both = json!({ "blocked_users": [ada.user_id], "allowed_users": [ada.user_id] });
    set(&bo, FILTER, &both).await;
    assert!(sees_invitation(&bo, &room).await);
}

#[tokio::test]
async fn invite_permission_is_announced() {
    let server = Server::start().await;
    let versions = server.stranger().get("/_matrix/client/versions").await.expect_ok();
    let features = &versions["unstable_features"];
    if !synapse_departs_from("unstable flags of MSC4380 and MSC4155") {
        for feature in ["org.matrix.msc4380", "org.matrix.msc4380.stable", "org.matrix.msc4155"] {
            assert_eq!(features[feature], true, "{feature}");
        }
    }
}

#[tokio::test]
async fn stripped_state_of_an_invitation_has_what_a_room_is_and_nothing_more() {
    let (ada, bo, _) = kitchen().await;
    let body = json!({ "preset": "private_chat", "name": "Kitchen", "invite": [bo.user_id] });
    let room = ada.create_room_with(&body).await;
    let sync = bo.sync().await;
    let events = sync["rooms"]["invite"][&room]["invite_state"]["events"].as_array().unwrap();
    let types: Vec<_> = events.iter().filter_map(|event| event["type"].as_str()).collect();
    for kind in ["m.room.create", "m.room.name", "m.room.join_rules", "m.room.member"] {
        assert!(types.contains(&kind), "{kind} in {types:?}");
    }
    assert!(!types.contains(&"m.room.power_levels"));
    is_stripped(events);
}

/// Spec: "Stripped state events can only have the `sender`, `type`, `state_key` and `content` properties present".
fn is_stripped(events: &[Value]) {
    for event in events {
        let mut keys: Vec<_> = event.as_object().expect("an event").keys().collect();
        keys.sort_unstable();
        assert_eq!(keys, ["content", "sender", "state_key", "type"], "{event}");
    }
}

/// Spec: "Stripped state": "The `m.room.create` event is now **required** in […] `knock_state`".
#[tokio::test]
async fn stripped_state_of_a_knock_has_the_create_event() {
    let (ada, bo, room) = kitchen().await;
    ada.set_state(&room, "m.room.join_rules", "", &json!({ "join_rule": "knock" })).await;
    let path = format!("/_matrix/client/v3/knock/{}", encoded(&room));
    bo.post(&path, &json!({})).await.expect_ok();
    let sync = bo.sync().await;
    let events = sync["rooms"]["knock"][&room]["knock_state"]["events"].as_array().unwrap();
    let create = events.iter().find(|event| event["type"] == "m.room.create");
    assert_eq!(create.expect("the create event")["sender"], ada.user_id.as_str());
    assert!(events.iter().any(|event| event["content"]["membership"] == "knock"), "{events:?}");
    is_stripped(events);
}

/// Spec: "Third-party invites". No identity server is trusted until one is configured.
#[tokio::test]
async fn an_invitation_by_third_party_id_names_an_identity_server_that_is_not_trusted() {
    if synapse_departs_from(
        "M_SERVER_NOT_TRUSTED: a third-party server that this server does not trust",
    ) {
        return;
    }
    let (ada, _, room) = kitchen().await;
    let invite = json!({
        "id_server": "id.example.org", "id_access_token": "secret",
        "medium": "email", "address": "cy@example.org",
    });
    let answer = ada.post(&room_path(&room, "invite"), &invite).await;
    answer.expect_error(403, "M_SERVER_NOT_TRUSTED");
    let body = json!({ "invite_3pid": [invite] });
    let answer = ada.post("/_matrix/client/v3/createRoom", &body).await;
    answer.expect_error(403, "M_SERVER_NOT_TRUSTED");
}

#[tokio::test]
async fn a_forged_third_party_signature_lets_nobody_in() {
    let (ada, bo, room) = kitchen().await;
    let key = "2RsMwJuiDwOCgXpUhXSYGhaXS0Vv4Jwdp+q5eoD8Nqw";
    let invite = json!({
        "display_name": "b...@example.org", "public_key": key,
        "key_validity_url": "https://id.example.org/valid",
        "public_keys": [{ "public_key": key }],
    });
    ada.set_state(&room, "m.room.third_party_invite", "token", &invite).await;
    let signed = |mxid: &str, token: &str| {
        json!({
            "sender": ada.user_id, "mxid": mxid, "token": token,
            "signatures": { "id.example.org": { "ed25519:0": "A".repeat(86) } },
        })
    };
    for signed in
        [signed(&bo.user_id, "token"), signed(&bo.user_id, "none"), signed(&ada.user_id, "token")]
    {
        let body = json!({ "third_party_signed": signed });
        let answer = bo.post(&room_path(&room, "join"), &body).await;
        answer.expect_error(403, "M_FORBIDDEN");
    }
}
