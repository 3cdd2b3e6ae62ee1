//! What else is in an answer.

use rooms::MembershipChange;
use serde_json::json;
use store::Batch;

use crate::house::{House, Wish, ada, bo, raw, timeline};

#[tokio::test]
async fn messages_of_ignored_users_are_left_out() {
    let house = House::new().await;
    let room = house.shared_room().await;
    let before = house.sync(bo(), Wish::default()).await;
    let user = house.rooms.store().number_user(bo()).await.unwrap();
    let mut batch = Batch::new();
    let content = raw(&json!({ "ignored_users": { ada(): {} } }));
    batch.set_account_data(user, None, "m.ignored_user_list", None, &content).unwrap();
    house.rooms.store().commit(batch).await.unwrap();

    house.say(&room, ada(), "tea").await;
    let topic = house.set_topic(&room, "state is not left out").await;
    let own = house.say(&room, bo(), "cake").await;

    let answer = house.sync(bo(), Wish::since(&before)).await;
    assert_eq!(timeline(&answer.rooms.join[&room]), [topic, own]);
    assert_eq!(answer.account_data.events.len(), 1);
}

#[tokio::test]
async fn a_room_that_was_left_is_told_once_up_to_the_departure() {
    let house = House::new().await;
    let room = house.shared_room().await;
    let before = house.sync(bo(), Wish::default()).await;
    house.say(&room, ada(), "before").await;
    house.change(&room, bo(), MembershipChange::Leave).await;
    house.say(&room, ada(), "after").await;

    let answer = house.sync(bo(), Wish::since(&before)).await;
    let left = &answer.rooms.leave[&room];
    let events = left.timeline.events.iter().map(|event| event.json().get());
    let events: Vec<_> = events.collect();
    assert_eq!(events.len(), 2, "{events:?}");
    assert!(events[0].contains("before") && events[1].contains("leave"), "{events:?}");
    assert!(left.state.is_empty());

    let later = house.sync(bo(), Wish::since(&answer)).await;
    assert!(later.rooms.is_empty());
    let anew = house.sync(bo(), Wish::default()).await;
    assert!(anew.rooms.is_empty(), "left rooms are not in a first answer");
}

#[tokio::test]
async fn whole_state_comes_for_rooms_without_news() {
    let house = House::new().await;
    let room = house.shared_room().await;
    let before = house.sync(bo(), Wish::default()).await;

    let answer = house.sync(bo(), Wish { whole: true, ..Wish::since(&before) }).await;

    let keys = crate::house::state(&answer.rooms.join[&room]);
    assert!(keys.contains(&("m.room.create".to_owned(), String::new())), "{keys:?}");
    assert!(answer.rooms.join[&room].timeline.events.is_empty());
}

#[tokio::test]
async fn a_summary_counts_members() {
    let house = House::new().await;
    let room = house.shared_room().await;
    let answer = house.sync(bo(), Wish::default()).await;
    let summary = &answer.rooms.join[&room].summary;
    assert_eq!(summary.joined_member_count, Some(ruma::uint!(2)));
    assert!(summary.heroes.is_empty(), "the room has a name");
}
