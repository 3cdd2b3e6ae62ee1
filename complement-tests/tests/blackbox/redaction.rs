//! Redactions.

use complement_tests::{
    Client, Role, Server, redact_path, room_path, synapse_departs_from, unique,
};
use serde_json::json;

/// Ada's room of this version with bo in it.
async fn kitchen(version: &str) -> (Client, Client, String) {
    let server = Server::start().await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    let body = json!({ "preset": "public_chat", "room_version": version });
    let room = ada.create_room_with(&body).await;
    bo.join(&room).await;
    (ada, bo, room)
}

#[tokio::test]
async fn a_redacted_message_has_lost_its_content() {
    for version in ["1", "10", "11", "12"] {
        let (ada, bo, room) = kitchen(version).await;
        let message = bo.say(&room, "tea").await;

        let redaction = bo.redact(&room, &message).await;

        let event = ada.event(&room, &message).await;
        assert_eq!(event["content"], json!({}), "{version}");
        assert_eq!(event["sender"], bo.user_id.as_str(), "{version}");
        assert_eq!(event["unsigned"]["redacted_because"]["event_id"], redaction, "{version}");
    }
}

/// Spec: `m.room.redaction`: before version 11 the target stands beside the content, from 11 on in it;
/// servers give clients both.
#[tokio::test]
async fn a_redaction_names_its_target_where_its_room_version_says() {
    for version in ["1", "10", "11", "12"] {
        let (ada, _, room) = kitchen(version).await;
        let message = ada.say(&room, "tea").await;
        let redaction = ada.redact(&room, &message).await;

        let event = ada.event(&room, &redaction).await;

        assert_eq!(event["type"], "m.room.redaction");
        assert_eq!(event["redacts"], message, "{version}: {event}");
        assert_eq!(event["content"]["redacts"], message, "{version}: {event}");
    }
}

#[tokio::test]
async fn a_redaction_keeps_its_reason() {
    let (ada, _, room) = kitchen("12").await;
    let message = ada.say(&room, "tea").await;
    let path = redact_path(&room, &message, &unique("txn"));
    let answer = ada.put(&path, &json!({ "reason": "cold" })).await.expect_ok();
    let redaction = answer["event_id"].as_str().expect("an event id");
    assert_eq!(ada.event(&room, redaction).await["content"]["reason"], "cold");
}

#[tokio::test]
async fn a_redaction_sent_twice_is_one_event() {
    let (ada, _, room) = kitchen("12").await;
    let message = ada.say(&room, "tea").await;
    let path = redact_path(&room, &message, &unique("txn"));
    let first = ada.put(&path, &json!({})).await.expect_ok();
    let again = ada.put(&path, &json!({})).await.expect_ok();
    assert_eq!(first, again);
}

#[tokio::test]
async fn only_the_sender_or_a_moderator_redacts() {
    for version in ["1", "10", "12"] {
        let (ada, bo, room) = kitchen(version).await;
        let (hers, his) = (ada.say(&room, "tea").await, bo.say(&room, "cake").await);

        let answer = bo.put(&redact_path(&room, &hers, &unique("txn")), &json!({})).await;
        answer.expect_error(403, "M_FORBIDDEN");
        assert_eq!(ada.event(&room, &hers).await["content"]["body"], "tea", "{version}");

        ada.redact(&room, &his).await;
        assert_eq!(bo.event(&room, &his).await["content"], json!({}), "{version}");
    }
}

#[tokio::test]
async fn outsiders_do_not_redact() {
    let (ada, _, room) = kitchen("12").await;
    let cy = ada.server().register("cy").await;
    let message = ada.say(&room, "tea").await;
    let answer = cy.put(&redact_path(&room, &message, &unique("txn")), &json!({})).await;
    answer.expect_error(403, "M_FORBIDDEN");
}

/// Spec: "Redactions" of the room versions: what a state event keeps, and version 11's changes to it.
#[tokio::test]
async fn a_redacted_state_event_keeps_what_its_room_version_protects() {
    for (version, keeps_invite) in [("10", false), ("11", true)] {
        let (ada, _, room) = kitchen(version).await;
        let mut levels = ada.state(&room, "m.room.power_levels", "").await;
        levels["invite"] = json!(5);
        levels["com.example.tea"] = json!(1);
        let id = ada.set_state(&room, "m.room.power_levels", "", &levels).await;

        ada.redact(&room, &id).await;

        let content = ada.event(&room, &id).await["content"].clone();
        assert_eq!(content["users"], levels["users"], "{version}");
        assert_eq!(content["ban"], levels["ban"], "{version}");
        assert_eq!(content.get("invite").is_some(), keeps_invite, "{version}: {content}");
        assert!(content.get("com.example.tea").is_none(), "{version}: {content}");
        assert_eq!(ada.state(&room, "m.room.power_levels", "").await, content, "{version}");
    }
}

#[tokio::test]
async fn a_redacted_membership_is_still_one() {
    let (ada, bo, room) = kitchen("12").await;
    let content = json!({ "membership": "join", "displayname": "Bo the cook" });
    let id = bo.set_state(&room, "m.room.member", &bo.user_id, &content).await;

    ada.redact(&room, &id).await;

    let member = ada.state(&room, "m.room.member", &bo.user_id).await;
    assert_eq!(member, json!({ "membership": "join" }));
    bo.say(&room, "still here").await;
}

#[tokio::test]
async fn a_redacted_topic_is_empty() {
    let (ada, _, room) = kitchen("12").await;
    let id = ada.set_state(&room, "m.room.topic", "", &json!({ "topic": "tea" })).await;
    ada.redact(&room, &id).await;
    assert_eq!(ada.state(&room, "m.room.topic", "").await, json!({}));
}

#[tokio::test]
async fn history_and_sync_show_the_redacted_event() {
    let (ada, bo, room) = kitchen("12").await;
    let message = ada.say(&room, "tea").await;
    let before = bo.sync().await;
    let redaction = ada.redact(&room, &message).await;

    let news = bo.sync_since(&before).await;
    let news = complement_tests::timeline(&news, &room);
    assert_eq!(complement_tests::event_ids(news), [redaction.as_str()]);
    assert_eq!(news[0]["content"]["redacts"], message);

    let answer = bo.get(&room_path(&room, "messages?dir=b&limit=2")).await.expect_ok();
    assert_eq!(answer["chunk"][0]["event_id"], redaction);
    assert_eq!(answer["chunk"][1]["event_id"], message);
    assert_eq!(answer["chunk"][1]["content"], json!({}));
    assert!(answer["chunk"][1]["unsigned"]["redacted_because"].is_object(), "{answer}");
}

/// Spec: "Redactions": a redaction may be sent as any event, and names its target in the content from version 11 on.
#[tokio::test]
async fn a_redaction_is_sent_as_any_event() {
    for version in ["1", "6", "10", "11", "12"] {
        let is_old = matches!(version, "1" | "6" | "10");
        if is_old
            && synapse_departs_from(
                "Homeservers MUST allow clients to send m.room.redaction events",
            )
        {
            continue;
        }
        let (ada, _, room) = kitchen(version).await;
        let message = ada.say(&room, "tea").await;
        let content = json!({ "redacts": message, "reason": "cold" });
        let redaction = ada.send(&room, "m.room.redaction", &content).await;
        let event = ada.event(&room, &message).await;
        assert_eq!(event["content"], json!({}), "{version}");
        let because = &event["unsigned"]["redacted_because"];
        assert_eq!(
            (&because["event_id"], &because["content"]["reason"]),
            (&json!(redaction), &json!("cold"))
        );
    }
}

#[tokio::test]
async fn a_redaction_that_is_redacted_has_still_redacted() {
    let (ada, _, room) = kitchen("12").await;
    let message = ada.say(&room, "tea").await;
    let path = redact_path(&room, &message, &unique("txn"));
    let answer = ada.put(&path, &json!({ "reason": "cold" })).await.expect_ok();
    let redaction = answer["event_id"].as_str().unwrap();

    ada.redact(&room, redaction).await;

    assert_eq!(ada.event(&room, &message).await["content"], json!({}));
    let redaction = ada.event(&room, redaction).await;
    assert_eq!(redaction["content"], json!({ "redacts": message }), "{redaction}");
}

#[tokio::test]
async fn an_event_is_redacted_once_and_stays_so() {
    let (ada, bo, room) = kitchen("12").await;
    let message = bo.say(&room, "tea").await;
    ada.redact(&room, &message).await;
    bo.redact(&room, &message).await;
    let event = bo.event(&room, &message).await;
    assert_eq!(event["content"], json!({}));
    assert!(event["unsigned"]["redacted_because"].is_object(), "{event}");
}

/// The specification has no word for it: a moderator may redact what the server does not have yet.
#[tokio::test]
async fn only_a_moderator_redacts_what_is_not_there() {
    let (ada, bo, room) = kitchen("12").await;
    let elsewhere = bo.create_room().await;
    let other = bo.say(&elsewhere, "tea").await;
    for target in ["$nothing", &*other] {
        let answer = bo.put(&redact_path(&room, target, &unique("txn")), &json!({})).await;
        answer.expect_error_of(&[(404, "M_NOT_FOUND"), (403, "M_FORBIDDEN"), (400, "M_UNKNOWN")]);
        if target == other && synapse_departs_from("events of other rooms (a choice of hearth's)") {
            continue;
        }
        ada.put(&redact_path(&room, target, &unique("txn")), &json!({})).await.expect_ok();
    }
    assert_eq!(bo.event(&elsewhere, &other).await["content"]["body"], "tea");
}

/// Spec: "Redactions": "This stripped down event is thereafter returned anytime a client or remote server requests it".
#[tokio::test]
async fn what_was_redacted_is_not_told_by_other_events() {
    let (ada, _, room) = kitchen("12").await;
    let first = ada.set_state(&room, "m.room.topic", "", &json!({ "topic": "rude" })).await;
    let second = ada.set_state(&room, "m.room.topic", "", &json!({ "topic": "tea" })).await;
    let path = redact_path(&room, &first, &unique("txn"));
    let answer = ada.put(&path, &json!({ "reason": "rude as well" })).await.expect_ok();
    let redaction = answer["event_id"].as_str().expect("an event id");
    ada.redact(&room, redaction).await;

    let unsigned = ada.event(&room, &second).await["unsigned"].clone();
    let before = unsigned.get("prev_content");
    assert!(before.is_none_or(|before| *before == json!({})), "{unsigned}");
    assert_eq!(unsigned["replaces_state"], first);
    let unsigned = ada.event(&room, &first).await["unsigned"].clone();
    if synapse_departs_from("returned anytime a client requests it, in redacted_because too") {
        return;
    }
    let because = &unsigned["redacted_because"];
    assert_eq!(because["event_id"], redaction);
    assert!(because["content"].get("reason").is_none(), "{unsigned}");
}

#[tokio::test]
async fn an_invitation_does_not_tell_a_redacted_name() {
    let (ada, _, room) = kitchen("12").await;
    let name = ada.set_state(&room, "m.room.name", "", &json!({ "name": "rude" })).await;
    ada.redact(&room, &name).await;
    let cy = ada.server().register("cy").await;
    ada.invite(&room, &cy).await;
    let sync = cy.sync().await;
    let events = sync["rooms"]["invite"][&room]["invite_state"]["events"].as_array().unwrap();
    let name = events.iter().find(|event| event["type"] == "m.room.name");
    assert!(name.is_none_or(|name| name["content"] == json!({})), "{name:?}");
}

#[tokio::test]
async fn a_redaction_of_nothing_is_refused() {
    for version in ["10", "12"] {
        let (ada, _, room) = kitchen(version).await;
        let mut contents = vec![json!({ "reason": "x" }), json!({ "redacts": 5 })];
        if synapse_departs_from("redacts is required in m.room.redaction") {
            contents.clear();
        }
        for content in contents {
            let path = complement_tests::send_path(&room, "m.room.redaction", &unique("txn"));
            ada.put(&path, &content).await.expect_error(400, "M_BAD_JSON");
        }
    }
}

/// Spec: `PUT /rooms/{roomId}/redact/{eventId}/{txnId}`: "Server administrators may redact events sent by users on their
/// server".
#[tokio::test]
async fn an_administrator_of_the_server_redacts_what_its_users_sent() {
    let (ada, bo, room) = kitchen("12").await;
    let admin = ada.server().register_with_shared_secret("admin", Role::Administrator).await;
    let message = bo.say(&room, "tea").await;
    let path = redact_path(&room, &message, &unique("txn"));
    admin.put(&path, &json!({})).await.expect_error(403, "M_FORBIDDEN");
    admin.join(&room).await;
    if synapse_departs_from("Server administrators may redact events sent by users on their server")
    {
        return;
    }
    admin.redact(&room, &message).await;
    assert_eq!(bo.event(&room, &message).await["content"], json!({}));
}

/// Spec: "Redactions": "state events behave as though their properties were simply not specified": the same can be set
/// again, and nothing of it comes back by itself.
#[tokio::test]
async fn what_was_redacted_comes_back_only_when_it_is_set_again() {
    let (ada, bo, room) = kitchen("12").await;
    let topic = json!({ "topic": "tea" });
    let first = ada.set_state(&room, "m.room.topic", "", &topic).await;
    ada.redact(&room, &first).await;
    if !synapse_departs_from("as though their properties were simply not specified") {
        let second = ada.set_state(&room, "m.room.topic", "", &topic).await;
        assert_ne!(second, first);
        assert_eq!(ada.state(&room, "m.room.topic", "").await, topic);
    }

    let rude = json!({ "membership": "join", "displayname": "Bo", "com.example.mood": "rude" });
    let member = bo.set_state(&room, "m.room.member", &bo.user_id, &rude).await;
    ada.redact(&room, &member).await;
    let name = format!("/_matrix/client/v3/profile/{}/displayname", bo.user_id);
    bo.put(&name, &json!({ "displayname": "Bobby" })).await.expect_ok();
    let mut member = ada.state(&room, "m.room.member", &bo.user_id).await;
    for _ in 0..50 {
        if member["displayname"] == "Bobby" {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        member = ada.state(&room, "m.room.member", &bo.user_id).await;
    }
    assert_eq!(member["displayname"], "Bobby");
    assert!(member.get("com.example.mood").is_none(), "{member}");
}

#[tokio::test]
async fn a_room_whose_openness_to_guests_is_redacted_is_closed_to_them() {
    let (ada, _, room) = kitchen("12").await;
    let open = json!({ "guest_access": "can_join" });
    let open = ada.set_state(&room, "m.room.guest_access", "", &open).await;
    ada.redact(&room, &open).await;
    let guest = ada.server().stranger();
    let session = guest.post("/_matrix/client/v3/register?kind=guest", &json!({})).await;
    let guest = Client::of_session(ada.server(), &session.expect_ok());
    let answer = guest.post(&room_path(&room, "join"), &json!({})).await;
    if synapse_departs_from("redacted guest access does not let guests in") {
        return;
    }
    assert_eq!(answer.status, 403, "{}", answer.text);
}
