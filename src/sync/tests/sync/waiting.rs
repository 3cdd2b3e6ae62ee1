//! Waiting for news.

use std::time::{Duration, Instant};

use ruma::api::client::sync::sync_events::v3::Response;
use serde_json::json;
use tokio::task::JoinHandle;

use crate::house::{House, Wish, ada, bo, timeline};

const LONG: Duration = Duration::from_secs(20);

/// A request of Bo's that waits.
async fn waiting(house: &std::sync::Arc<House>, wish: Wish) -> JoinHandle<Response> {
    let waiter = std::sync::Arc::clone(house);
    let task = tokio::spawn(async move { waiter.sync(bo(), wish.timeout(LONG)).await });
    tokio::time::sleep(Duration::from_millis(30)).await;
    assert!(!task.is_finished(), "there was nothing to tell");
    task
}

#[tokio::test]
async fn a_message_wakes_who_waits_in_its_room_and_nobody_else() {
    let house = std::sync::Arc::new(House::new().await);
    let room = house.shared_room().await;
    let other = house.room().await;
    let before = house.sync(bo(), Wish::default()).await;
    let task = waiting(&house, Wish::since(&before)).await;

    house.say(&other, ada(), "elsewhere").await;
    tokio::time::sleep(Duration::from_millis(30)).await;
    assert!(!task.is_finished());
    let message = house.say(&room, ada(), "tea").await;

    let answer = tokio::time::timeout(LONG / 4, task).await.unwrap().unwrap();
    assert_eq!(timeline(&answer.rooms.join[&room]), [message]);
}

#[tokio::test]
async fn what_the_filter_keeps_out_wakes_nobody_unless_it_notifies() {
    let house = std::sync::Arc::new(House::new().await);
    let room = house.shared_room().await;
    let before = house.sync(bo(), Wish::default()).await;
    let filter = json!({ "room": { "timeline": { "not_senders": [ada()] } } });
    let task = waiting(&house, Wish::since(&before).filter(&filter)).await;

    let notice = json!({ "msgtype": "m.notice", "body": "the kettle is on" });
    house.send(&room, ada(), &notice).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!task.is_finished());
    let own = house.say(&room, bo(), "cake").await;

    let answer = tokio::time::timeout(LONG / 4, task).await.unwrap().unwrap();
    assert_eq!(timeline(&answer.rooms.join[&room]), [own]);

    let task = waiting(&house, Wish::since(&answer).filter(&filter)).await;
    house.say(&room, ada(), "tea").await;
    let answer = tokio::time::timeout(LONG / 4, task).await.unwrap().unwrap();
    let room = &answer.rooms.join[&room];
    assert!(timeline(room).is_empty());
    assert_eq!(room.unread_notifications.notification_count, Some(ruma::uint!(1)));
}

#[tokio::test]
async fn typing_and_its_end_wake_who_waits() {
    let house = std::sync::Arc::new(House::new().await);
    let room = house.shared_room().await;
    let number = house.rooms.number_of(&room).await.unwrap();
    let before = house.sync(bo(), Wish::default()).await;
    let task = waiting(&house, Wish::since(&before)).await;
    house.rooms.typing().start(number, ada(), Instant::now(), Duration::from_millis(80));
    let answer = tokio::time::timeout(LONG / 4, task).await.unwrap().unwrap();
    let typing = answer.rooms.join[&room].ephemeral.events[0].json().get();
    assert!(typing.contains("@ada:hearth.test"), "{typing}");

    let wish = Wish::since(&answer).timeout(LONG);
    let answer = tokio::time::timeout(LONG / 4, house.sync(bo(), wish)).await.unwrap();
    let typing = answer.rooms.join[&room].ephemeral.events[0].json().get();
    assert!(!typing.contains("@ada:hearth.test"), "{typing}");
}

#[tokio::test]
async fn a_wait_without_news_ends_at_its_timeout() {
    let house = House::new().await;
    house.shared_room().await;
    let before = house.sync(bo(), Wish::default()).await;
    let wish = Wish::since(&before).timeout(Duration::from_millis(50));
    let started = Instant::now();
    let answer = house.sync(bo(), wish).await;

    assert!(answer.rooms.is_empty());
    assert!(started.elapsed() >= Duration::from_millis(50));
}
