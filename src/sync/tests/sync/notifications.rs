//! What readers were notified of.

use rooms::MembershipChange;
use ruma::events::receipt::ReceiptThread;
use ruma::{DeviceId, OwnedEventId};
use serde_json::{Value, json};
use store::{ReceiptKind, StreamPosition};
use sync::{Notification, NotificationsWanted, Only};

use crate::house::{House, ada, bo};

fn wanted(before: Option<StreamPosition>, limit: usize) -> NotificationsWanted<'static> {
    let device_id = <&DeviceId>::from("PHONE");
    NotificationsWanted { user_id: bo(), device_id, before, limit, only: Only::Anything }
}

fn event_id(notification: &Notification) -> OwnedEventId {
    let event: Value = serde_json::from_str(notification.event.get()).unwrap();
    event["event_id"].as_str().unwrap().try_into().unwrap()
}

/// All notifications of Bo's, page by page.
async fn pages(house: &House, limit: usize) -> Vec<Vec<OwnedEventId>> {
    let (mut pages, mut before) = (Vec::new(), None);
    loop {
        let page = house.sync.notifications(wanted(before, limit)).await.unwrap();
        pages.push(page.notifications.iter().map(event_id).collect());
        before = page.next;
        if before.is_none() {
            return pages;
        }
    }
}

#[tokio::test]
async fn notifications_of_all_rooms_come_newest_first_in_pages() {
    let house = House::new().await;
    let rooms = [house.shared_room().await, house.shared_room().await, house.shared_room().await];
    let mut expected = Vec::new();
    for number in 0..70 {
        let room = &rooms[number * number % 3];
        expected.push(house.say(room, ada(), &number.to_string()).await);
        house.say(room, bo(), &format!("answer {number}")).await;
    }
    expected.reverse();

    assert_eq!(pages(&house, 100).await, [expected.clone()]);
    let pages = pages(&house, 7).await;
    assert!(pages.iter().all(|page| page.len() <= 7));
    assert_eq!(pages.concat(), expected);
}

#[tokio::test]
async fn what_is_redacted_or_read_is_told_so() {
    let house = House::new().await;
    let room = house.shared_room().await;
    let read = house.say(&room, ada(), "read").await;
    let gone = house.say(&room, ada(), "gone").await;
    let new = house.say(&room, ada(), "new").await;
    house.redact(&room, ada(), &gone).await;
    let (kind, thread) = (ReceiptKind::Private, ReceiptThread::Unthreaded);
    house.rooms.move_receipt(bo(), &room, kind, thread, &read).await.unwrap();

    let page = house.sync.notifications(wanted(None, 10)).await.unwrap();

    let found: Vec<_> =
        page.notifications.iter().map(|found| (event_id(found), found.is_read)).collect();
    assert_eq!(found, [(new, false), (read, true)]);
}

#[tokio::test]
async fn highlights_can_be_asked_for_alone() {
    let house = House::new().await;
    let room = house.shared_room().await;
    let mention =
        json!({ "msgtype": "m.text", "body": "bo!", "m.mentions": { "user_ids": [bo()] } });
    let mention = house.send(&room, ada(), &mention).await;
    house.say(&room, ada(), "tea").await;

    let wanted = NotificationsWanted { only: Only::Highlights, ..wanted(None, 10) };
    let page = house.sync.notifications(wanted).await.unwrap();

    assert_eq!(page.notifications.iter().map(event_id).collect::<Vec<_>>(), [mention]);
    assert_eq!(page.notifications[0].actions.len(), 3);
}

#[tokio::test]
async fn an_invitation_notifies_and_rooms_that_were_left_do_not() {
    let house = House::new().await;
    let (left, new) = (house.shared_room().await, house.room().await);
    house.say(&left, ada(), "tea").await;
    house.change(&left, bo(), MembershipChange::Leave).await;
    house.rooms.change_membership(&new, ada(), bo(), MembershipChange::Invite, None).await.unwrap();

    let page = house.sync.notifications(wanted(None, 10)).await.unwrap();

    let rooms: Vec<_> = page.notifications.iter().map(|found| &found.room_id).collect();
    assert_eq!(rooms, [&new]);
    assert!(!page.notifications[0].is_read);
}
