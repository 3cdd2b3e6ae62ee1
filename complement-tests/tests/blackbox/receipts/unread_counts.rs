//! How much a user has not read. Spec: client-server API, "Receiving notifications".

use complement_tests::{Client, synapse_departs_from};
use serde_json::json;

use super::{in_thread, kitchen, path, read, receipts, unread};

/// Has threads count to which a user did not subscribe: a rule of MSC4306, which Synapse may have on, says that they do not.
async fn count_all_threads(user: &Client) {
    let rule = "global/postcontent/.io.element.msc4306.rule.unsubscribed_thread";
    let path = format!("/_matrix/client/v3/pushrules/{rule}/enabled");
    user.put(&path, &json!({ "enabled": false })).await.expect_ok();
}

#[tokio::test]
async fn unread_counts_go_up_with_messages_and_down_with_the_receipt() {
    let (ada, bo, room) = kitchen().await;
    assert_eq!(unread(&bo.sync().await, &room), (Some(0), Some(0)));
    ada.say(&room, "tea").await;
    let last = ada.say(&room, "cake").await;

    let sync = bo.sync().await;
    assert_eq!(unread(&sync, &room), (Some(2), Some(0)));

    read(&bo, &room, "m.read", &last).await;
    bo.sync_until(&sync, |sync| unread(sync, &room) == (Some(0), Some(0))).await;
}

#[tokio::test]
async fn a_private_receipt_clears_the_count_too() {
    let (ada, bo, room) = kitchen().await;
    let last = ada.say(&room, "tea").await;
    let sync = bo.sync().await;
    assert_eq!(unread(&sync, &room), (Some(1), Some(0)));
    read(&bo, &room, "m.read.private", &last).await;
    bo.sync_until(&sync, |sync| unread(sync, &room) == (Some(0), Some(0))).await;
}

#[tokio::test]
async fn a_receipt_for_an_older_message_leaves_the_newer_unread() {
    let (ada, bo, room) = kitchen().await;
    let first = ada.say(&room, "tea").await;
    ada.say(&room, "cake").await;
    ada.say(&room, "scones").await;
    let sync = bo.sync().await;
    read(&bo, &room, "m.read", &first).await;
    bo.sync_until(&sync, |sync| unread(sync, &room) == (Some(2), Some(0))).await;
}

/// Spec: "Mentions", the push rules `.m.rule.is_user_mention` and `.m.rule.suppress_notices`.
#[tokio::test]
async fn a_mention_highlights_and_a_notice_does_not_count() {
    let (ada, bo, room) = kitchen().await;
    let mention = json!({
        "msgtype": "m.text", "body": "tea, bo?", "m.mentions": { "user_ids": [bo.user_id] },
    });
    ada.send(&room, "m.room.message", &mention).await;
    let notice = json!({ "msgtype": "m.notice", "body": "the kettle is on" });
    ada.send(&room, "m.room.message", &notice).await;
    let sync = bo.sync().await;
    assert_eq!(unread(&sync, &room), (Some(1), Some(1)));
}

#[tokio::test]
async fn ones_own_messages_do_not_count() {
    let (_ada, bo, room) = kitchen().await;
    bo.say(&room, "tea").await;
    bo.log_in().await.say(&room, "cake").await;
    assert_eq!(unread(&bo.sync().await, &room), (Some(0), Some(0)));
}

#[tokio::test]
async fn counts_of_threads_are_given_apart_when_asked() {
    let (ada, bo, room) = kitchen().await;
    count_all_threads(&bo).await;
    let opener = ada.say(&room, "tea?").await;
    let content = in_thread(&opener, "anyone");
    ada.send(&room, "m.room.message", &content).await;
    assert_eq!(unread(&bo.sync().await, &room), (Some(2), Some(0)));

    let filter = json!({ "room": { "timeline": { "unread_thread_notifications": true } } });
    let query = [("filter", filter.to_string()), ("timeout", "0".to_owned())];
    let query = query.each_ref().map(|(key, value)| (*key, value.as_str()));
    let sync = bo.sync_with(&query).await;

    assert_eq!(unread(&sync, &room), (Some(1), Some(0)));
    let threads = &sync["rooms"]["join"][&room]["unread_thread_notifications"];
    assert_eq!(threads[&opener]["notification_count"], 1, "{threads}");
}

/// Spec: "Private read receipts": a public receipt may lag behind the private one, and rewinds no counts.
#[tokio::test]
async fn a_public_receipt_may_lag_behind_the_private_one() {
    let (ada, bo, room) = kitchen().await;
    let (first, second) = (ada.say(&room, "tea").await, ada.say(&room, "cake").await);
    read(&bo, &room, "m.read.private", &second).await;
    read(&bo, &room, "m.read", &first).await;
    let all = receipts(&ada.sync().await, &room);
    assert!(all[&first]["m.read"][&bo.user_id].is_object(), "{all}");
    assert_eq!(unread(&bo.sync().await, &room), (Some(0), Some(0)));
}

#[tokio::test]
async fn a_receipt_changes_the_counts_of_who_sees_no_receipts() {
    let (ada, bo, room) = kitchen().await;
    let message = ada.say(&room, "tea").await;
    let filter = json!({ "room": { "ephemeral": { "types": [] } } }).to_string();
    let sync = bo.sync_with(&[("filter", &filter), ("timeout", "0")]).await;
    assert_eq!(unread(&sync, &room), (Some(1), Some(0)));
    read(&bo, &room, "m.read", &message).await;
    if synapse_departs_from("no sentence: Synapse tells the counts of rooms with other news only") {
        return;
    }
    let since = sync["next_batch"].as_str().unwrap();
    let sync = bo.sync_with(&[("since", since), ("filter", &filter), ("timeout", "0")]).await;
    assert_eq!(unread(&sync, &room), (Some(0), Some(0)));
}

/// Spec: "Receiving notifications": "Servers MUST include the number of unread notifications in a client's `/sync`
/// stream, and MUST update it as it changes."
#[tokio::test]
async fn a_message_changes_the_counts_of_who_filters_messages_out() {
    let (ada, bo, room) = kitchen().await;
    let filter = json!({ "room": { "timeline": { "types": ["m.room.name"] } } }).to_string();
    let before = bo.sync_with(&[("filter", &filter), ("timeout", "0")]).await;
    ada.say(&room, "tea").await;
    if synapse_departs_from("MUST update it as it changes") {
        return;
    }
    let since = before["next_batch"].as_str().unwrap();
    let query = [("since", since), ("filter", &filter), ("timeout", "10000")];
    let sync = bo.sync_with(&query).await;
    assert_eq!(unread(&sync, &room), (Some(1), Some(0)), "{sync}");

    let notice = json!({ "msgtype": "m.notice", "body": "the kettle is on" });
    ada.send(&room, "m.room.message", &notice).await;
    let since = sync["next_batch"].as_str().unwrap();
    let sync = bo.sync_with(&[("since", since), ("filter", &filter), ("timeout", "0")]).await;
    assert!(sync["rooms"]["join"].get(&room).is_none(), "a notice counts for nothing: {sync}");

    let message = ada.say(&room, "cake").await;
    let mut seen = bo.sync_with(&[("filter", &filter), ("timeout", "0")]).await;
    assert_eq!(unread(&seen, &room), (Some(2), Some(0)));
    for (redacts, wanted) in [(true, 1), (false, 0)] {
        if redacts {
            ada.redact(&room, &message).await;
        } else {
            bo.log_in().await.say(&room, "I have read it").await;
        }
        let since = seen["next_batch"].as_str().unwrap();
        seen = bo.sync_with(&[("since", since), ("filter", &filter), ("timeout", "0")]).await;
        assert_eq!(unread(&seen, &room), (Some(wanted), Some(0)), "{seen}");
    }
}

/// Spec: "Threaded read receipts": a threaded receipt reads its thread alone, an unthreaded one all up to its event.
#[tokio::test]
async fn a_threaded_receipt_clears_its_thread_and_an_unthreaded_one_all() {
    let (ada, bo, room) = kitchen().await;
    count_all_threads(&bo).await;
    let opener = ada.say(&room, "tea?").await;
    let content = in_thread(&opener, "anyone");
    let reply = ada.send(&room, "m.room.message", &content).await;
    let last = ada.say(&room, "cake?").await;
    let filter = json!({ "room": { "timeline": { "unread_thread_notifications": true } } });
    let filter = filter.to_string();
    let look = async || {
        let sync = bo.sync_with(&[("filter", &filter), ("timeout", "0")]).await;
        let threads = &sync["rooms"]["join"][&room]["unread_thread_notifications"];
        let in_thread = threads[&opener]["notification_count"].as_u64().unwrap_or_default();
        (unread(&sync, &room).0.unwrap_or_default(), in_thread)
    };
    let settled = async |wanted: (u64, u64)| {
        for _ in 0..20 {
            if look().await == wanted {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        assert_eq!(look().await, wanted);
    };
    settled((2, 1)).await;
    bo.post(&path(&room, "m.read", &opener), &json!({ "thread_id": "main" })).await.expect_ok();
    settled((1, 1)).await;
    bo.post(&path(&room, "m.read", &reply), &json!({ "thread_id": opener })).await.expect_ok();
    settled((1, 0)).await;
    let content = in_thread(&opener, "nobody?");
    ada.send(&room, "m.room.message", &content).await;
    settled((1, 1)).await;
    read(&bo, &room, "m.read", &last).await;
    settled((0, 1)).await;
}
