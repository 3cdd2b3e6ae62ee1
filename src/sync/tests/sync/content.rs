//! What else is in an answer.

use rooms::{CreateRoom, MembershipChange};
use ruma::UserId;
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

/// Spec: client-server API, `GET /sync`, `RoomSummary`: "the first 5 members of the room, ordered by stream ordering, which
/// are joined or invited".
#[tokio::test]
async fn a_room_is_named_after_the_first_who_came_or_were_invited() {
    let house = House::new().await;
    let wish = CreateRoom { name: None, ..house.wish() };
    let room = house.rooms.create_room(ada(), wish).await.unwrap();
    let users: Vec<_> =
        (0..7).map(|index| UserId::parse(format!("@u{index}:hearth.test")).unwrap()).collect();
    for user in &users {
        house.rooms.store().number_user(user).await.unwrap();
    }
    let invite = MembershipChange::Invite;
    house.rooms.change_membership(&room, ada(), &users[6], invite, None).await.unwrap();
    for index in [5, 2, 4, 0, 1, 3] {
        house.change(&room, &users[index], MembershipChange::Join).await;
    }
    house.change(&room, &users[2], MembershipChange::Leave).await;
    let heroes = async |reader: &UserId| {
        let answer = house.sync(reader, Wish::default()).await;
        answer.rooms.join[&room].summary.heroes.clone()
    };

    let wanted = [6, 5, 4, 0, 1].map(|index| users[index].clone());
    assert_eq!(heroes(ada()).await, wanted);
    let wanted =
        [ada().to_owned()].into_iter().chain([6, 4, 0, 1].map(|index| users[index].clone()));
    assert_eq!(heroes(&users[5]).await, wanted.collect::<Vec<_>>());
}
