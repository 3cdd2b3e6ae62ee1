//! What redacted events said: who still reads it, and for how long.

use std::time::Duration;

use complement_tests::{Client, Homeserver, Role, Server, encoded, room_path};
use serde_json::json;

/// Ada's room with bo in it, on hearth with this retention; `None` on Synapse, where MSC2815 is an experiment that is
/// off.
async fn kitchen(retention: &str) -> Option<(Client, Client, String)> {
    if Homeserver::chosen() != Homeserver::Hearth {
        return None;
    }
    let setting = ("HEARTH_ROOMS__REDACTED_RETENTION_SECONDS", retention);
    let server = Server::start_with(&[setting]).await;
    let (ada, bo) = (server.register("ada").await, server.register("bo").await);
    let room = ada.create_room().await;
    bo.join(&room).await;
    Some((ada, bo, room))
}

fn unredacted_path(room: &str, event: &str) -> String {
    let parameter = "fi.mau.msc2815.include_unredacted_content=true";
    room_path(room, &format!("event/{}?{parameter}", encoded(event)))
}

/// Spec: MSC2815: "users who have the power to redact".
#[tokio::test]
async fn moderators_and_administrators_read_what_a_redacted_event_said() {
    let Some((ada, bo, room)) = kitchen("1000").await else { return };
    let admin = ada.server().register_with_shared_secret("admin", Role::Administrator).await;
    admin.join(&room).await;
    let message = bo.say(&room, "tea").await;
    bo.redact(&room, &message).await;
    let path = unredacted_path(&room, &message);

    for moderator in [&ada, &admin] {
        let event = moderator.get(&path).await.expect_ok();
        assert_eq!(event["content"]["body"], "tea");
        assert!(event["unsigned"]["redacted_because"].is_object(), "{event}");
        assert_eq!(moderator.event(&room, &message).await["content"], json!({}));
    }
    bo.get(&path).await.expect_error(403, "M_FORBIDDEN");
    let stranger = ada.server().register("cy").await;
    stranger.get(&path).await.expect_error(404, "M_NOT_FOUND");
    let versions = ada.get("/_matrix/client/versions").await.expect_ok();
    assert_eq!(versions["unstable_features"]["fi.mau.msc2815"], true);
}

#[tokio::test]
async fn an_event_that_is_not_redacted_is_shown_as_it_is() {
    let Some((ada, _, room)) = kitchen("1000").await else { return };
    let message = ada.say(&room, "tea").await;
    let event = ada.get(&unredacted_path(&room, &message)).await.expect_ok();
    assert_eq!(event["content"]["body"], "tea");
}

#[tokio::test]
async fn redacted_content_is_erased_after_its_time() {
    let Some((ada, bo, room)) = kitchen("0").await else { return };
    let message = bo.say(&room, "tea").await;
    let redaction = bo.redact(&room, &message).await;
    let path = unredacted_path(&room, &message);

    let mut answer = ada.get(&path).await;
    for _ in 0..100 {
        if answer.status != 200 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        answer = ada.get(&path).await;
    }

    let error = answer.expect_error(404, "FI.MAU.MSC2815_UNREDACTED_CONTENT_DELETED");
    assert_eq!(error["fi.mau.msc2815.content_keep_ms"], 0);
    let event = bo.event(&room, &message).await;
    assert_eq!(event["content"], json!({}));
    assert_eq!(event["unsigned"]["redacted_because"]["event_id"], redaction);
    ada.server().restart().await;
    assert_eq!(bo.event(&room, &message).await["content"], json!({}));
    bo.say(&room, "more tea").await;
}

/// What is due stands in the store.
#[tokio::test]
async fn redacted_content_is_erased_after_a_crash_too() {
    let Some((ada, bo, room)) = kitchen("3").await else { return };
    let message = bo.say(&room, "tea").await;
    bo.redact(&room, &message).await;
    ada.server().kill_and_restart().await;

    let path = unredacted_path(&room, &message);
    for _ in 0..100 {
        if ada.get(&path).await.status == 404 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the content is still there");
}
