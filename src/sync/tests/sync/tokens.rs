//! Tokens: replayed, of another run, of the future.

use std::time::{Duration, Instant};

use store::Store;
use sync::{Epoch, SyncError};

use crate::house::{House, Wish, ada, bo, timeline};

#[tokio::test]
async fn a_token_gives_the_same_answer_again() {
    let house = House::new().await;
    let room = house.shared_room().await;
    let before = house.sync(bo(), Wish::default()).await;
    let message = house.say(&room, ada(), "tea").await;

    for _ in 0..3 {
        let answer = house.sync(bo(), Wish::since(&before)).await;
        assert_eq!(timeline(&answer.rooms.join[&room]), [message.as_str()]);
    }
}

#[tokio::test]
async fn a_token_of_before_a_restart_works_and_who_types_is_told_anew() {
    let store = Store::in_memory().await;
    let house = House::on(store.clone(), Epoch(1));
    let room = house.shared_room().await;
    let before = house.sync(bo(), Wish::default()).await;
    let message = house.say(&room, ada(), "tea").await;
    let number = house.rooms.number_of(&room).await.unwrap();
    drop(house);

    let house = House::on(store, Epoch(2));
    house.rooms.typing().start(number, ada(), Instant::now(), Duration::from_secs(30));
    let answer = house.sync(bo(), Wish::since(&before)).await;

    let room = &answer.rooms.join[&room];
    assert_eq!(timeline(room), [message.as_str()]);
    assert_eq!(room.ephemeral.events.len(), 1);
}

#[tokio::test]
async fn after_a_restart_rooms_without_news_are_left_out() {
    let store = Store::in_memory().await;
    let house = House::on(store.clone(), Epoch(1));
    house.shared_room().await;
    let before = house.sync(bo(), Wish::default()).await;
    drop(house);

    let answer = House::on(store, Epoch(2)).sync(bo(), Wish::since(&before)).await;

    assert!(answer.rooms.is_empty(), "{:?}", answer.rooms);
}

#[tokio::test]
async fn a_token_of_the_future_is_refused() {
    let house = House::new().await;
    let wish = Wish { since: Some("s999999_1_0_0".to_owned()), ..Wish::default() };
    let answer = house.try_sync(bo(), wish).await;
    assert!(matches!(answer, Err(SyncError::UnknownPosition)));
}
