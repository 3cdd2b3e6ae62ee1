//! Counts of unread events.

use protocol::push::LegacyMentions;
use rooms::{Settings, Subscribing};
use ruma::api::client::sync::sync_events::v3::Response;
use ruma::events::receipt::ReceiptThread;
use ruma::{EventId, OwnedRoomId, RoomId};
use serde_json::json;
use store::{ReceiptKind, Store};
use sync::Epoch;

use crate::house::{House, Wish, ada, bo};

async fn read(house: &House, room: &RoomId, thread: ReceiptThread, event: &EventId) {
    let kind = ReceiptKind::Private;
    house.rooms.move_receipt(bo(), room, kind, thread, event).await.unwrap();
}

/// Notifications and highlights of a room in a whole answer.
fn counts(answer: &Response, room: &OwnedRoomId) -> (u64, u64) {
    let counts = &answer.rooms.join[room].unread_notifications;
    let number = |count: Option<ruma::UInt>| count.unwrap().into();
    (number(counts.notification_count), number(counts.highlight_count))
}

/// The counts as a new process counts them, and as this one has kept them.
async fn both(house: &House, room: &OwnedRoomId) -> [(u64, u64); 2] {
    let anew = House::on(house.rooms.store().clone(), Epoch(2));
    let anew = anew.sync(bo(), Wish::default()).await;
    let kept = house.sync(bo(), Wish::default()).await;
    [counts(&anew, room), counts(&kept, room)]
}

#[tokio::test]
async fn counts_kept_along_the_way_equal_a_recount() {
    let house = House::on(Store::in_memory().await, Epoch(1));
    let room = house.shared_room().await;
    assert_eq!(both(&house, &room).await, [(0, 0); 2]);

    let first = house.say(&room, ada(), "one").await;
    house.say(&room, ada(), "two").await;
    assert_eq!(both(&house, &room).await, [(2, 0); 2]);

    read(&house, &room, ReceiptThread::Unthreaded, &first).await;
    assert_eq!(both(&house, &room).await, [(1, 0); 2]);

    let mention = json!({
        "msgtype": "m.text", "body": "bo!", "m.mentions": { "user_ids": [bo()] },
    });
    house.send(&room, ada(), &mention).await;
    assert_eq!(both(&house, &room).await, [(2, 1); 2]);

    house.say(&room, bo(), "I am here").await;
    assert_eq!(both(&house, &room).await, [(0, 0); 2]);
}

#[tokio::test]
async fn threads_are_read_and_counted_apart() {
    let house = House::new().await;
    let room = house.shared_room().await;
    let root = house.say(&room, ada(), "root").await;
    let reply = json!({
        "msgtype": "m.text",
        "body": "reply",
        "m.relates_to": { "rel_type": "m.thread", "event_id": root },
    });
    let reply = house.send(&room, ada(), &reply).await;
    assert_eq!(both(&house, &room).await, [(2, 0); 2]);

    let filter = json!({ "room": { "timeline": { "unread_thread_notifications": true } } });
    let answer = house.sync(bo(), Wish::default().filter(&filter)).await;
    assert_eq!(counts(&answer, &room), (1, 0));
    let threads = &answer.rooms.join[&room].unread_thread_notifications;
    assert_eq!(threads[&root].notification_count, Some(ruma::uint!(1)));

    read(&house, &room, ReceiptThread::Main, &root).await;
    assert_eq!(both(&house, &room).await, [(1, 0); 2]);
    read(&house, &room, ReceiptThread::Thread(root), &reply).await;
    assert_eq!(both(&house, &room).await, [(0, 0); 2]);
}

#[tokio::test]
async fn what_was_counted_before_a_restart_is_not_counted_again_but_receipts_count() {
    let house = House::on(Store::in_memory().await, Epoch(1));
    let room = house.shared_room().await;
    let mut messages = Vec::new();
    for number in 0..510 {
        messages.push(house.say(&room, ada(), &number.to_string()).await);
    }
    assert_eq!(both(&house, &room).await, [(510, 0); 2]);
    let user = house.rooms.store().number_user(bo()).await.unwrap();
    let number = house.rooms.number_of(&room).await.unwrap();
    let kept = house.rooms.store().unread_tally(user, number).await.unwrap();
    assert_eq!(kept.unwrap().events.len(), 510);

    read(&house, &room, ReceiptThread::Unthreaded, &messages[499]).await;
    assert_eq!(both(&house, &room).await, [(10, 0); 2]);
}

#[tokio::test]
async fn what_was_counted_under_other_rules_of_the_server_is_counted_again() {
    let house = House::on(Store::in_memory().await, Epoch(1));
    let room = house.shared_room().await;
    for number in 0..510 {
        house.say(&room, ada(), &format!("bo, have {number} cups of tea")).await;
    }
    assert_eq!(both(&house, &room).await, [(510, 0); 2]);

    for (legacy_mentions, highlights) in
        [(LegacyMentions::Found, 510), (LegacyMentions::Ignored, 0)]
    {
        let settings = Settings { legacy_mentions, ..Settings::default() };
        let house = House::with(house.rooms.store().clone(), Epoch(3), settings);
        let answer = house.sync(bo(), Wish::default()).await;
        assert_eq!(counts(&answer, &room), (510, highlights), "{legacy_mentions:?}");
    }
}

#[tokio::test]
async fn threads_count_for_who_is_subscribed_once_they_use_subscriptions() {
    let house = House::on(Store::in_memory().await, Epoch(1));
    let room = house.shared_room().await;
    let root = house.say(&room, ada(), "root").await;
    let other = house.say(&room, ada(), "other").await;
    for (root, body) in [(&root, "one"), (&root, "two"), (&other, "three")] {
        let relation = json!({ "rel_type": "m.thread", "event_id": root });
        let reply = json!({ "msgtype": "m.text", "body": body, "m.relates_to": relation });
        house.send(&room, ada(), &reply).await;
    }
    assert_eq!(both(&house, &room).await, [(5, 0); 2], "bo does not use subscriptions");

    let subscribe =
        |root| house.rooms.subscribe_to_thread(bo(), &room, root, Subscribing::Manually);
    subscribe(&other).await.unwrap();
    assert_eq!(both(&house, &room).await, [(3, 0); 2]);
    subscribe(&root).await.unwrap();
    assert_eq!(both(&house, &room).await, [(5, 0); 2]);
    house.rooms.unsubscribe_from_thread(bo(), &room, &other).await.unwrap();
    assert_eq!(both(&house, &room).await, [(4, 0); 2]);
}
