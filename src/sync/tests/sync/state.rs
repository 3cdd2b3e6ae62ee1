//! The state that comes with a timeline.

use rooms::MembershipChange;
use ruma::user_id;
use serde_json::json;

use crate::house::{House, Wish, ada, bo, state, timeline};

#[tokio::test]
async fn a_gap_brings_what_changed_in_it_and_nothing_else() {
    let house = House::new().await;
    let room = house.shared_room().await;
    let before = house.sync(bo(), Wish::default()).await;
    house.set_topic(&room, "tea").await;
    house.set_topic(&room, "cake").await;
    let last = house.say(&room, ada(), "hello").await;

    let filter = json!({ "room": { "timeline": { "limit": 1 } } });
    let answer = house.sync(bo(), Wish::since(&before).filter(&filter)).await;

    let room = &answer.rooms.join[&room];
    assert!(room.timeline.limited);
    assert_eq!(timeline(room), [last]);
    let json = serde_json::to_value(room).unwrap();
    let events = json["state"]["events"].as_array().unwrap();
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!(events[0]["content"]["topic"], "cake");
}

#[tokio::test]
async fn state_that_the_timelines_filter_keeps_out_comes_as_state() {
    let house = House::new().await;
    let room = house.shared_room().await;
    let before = house.sync(bo(), Wish::default()).await;
    house.say(&room, ada(), "one").await;
    house.set_topic(&room, "tea").await;
    house.say(&room, ada(), "two").await;

    for types in [json!(["m.room.message"]), json!([])] {
        let filter = json!({ "room": { "timeline": { "types": types } } });
        let answer = house.sync(bo(), Wish::since(&before).filter(&filter)).await;
        let room = &answer.rooms.join[&room];
        assert!(!room.timeline.limited);
        assert_eq!(state(room), [("m.room.topic".to_owned(), String::new())], "{types}");
    }
}

#[tokio::test]
async fn coming_back_is_like_coming_for_the_first_time() {
    let house = House::new().await;
    let room = house.shared_room().await;
    let before = house.sync(bo(), Wish::default()).await;
    house.change(&room, bo(), MembershipChange::Leave).await;
    house.set_topic(&room, "tea").await;
    house.change(&room, bo(), MembershipChange::Join).await;

    let filter = json!({ "room": { "timeline": { "limit": 1 } } });
    let answer = house.sync(bo(), Wish::since(&before).filter(&filter)).await;

    let keys = state(&answer.rooms.join[&room]);
    for wanted in ["m.room.create", "m.room.name", "m.room.topic"] {
        assert!(keys.contains(&(wanted.to_owned(), String::new())), "{wanted} in {keys:?}");
    }
}

#[tokio::test]
async fn a_member_comes_until_an_answer_with_it_was_acknowledged() {
    let house = House::new().await;
    let room = house.shared_room().await;
    let filter = json!({
        "room": { "state": { "lazy_load_members": true }, "timeline": { "limit": 1 } },
    });
    let wish = |wish: Wish| wish.filter(&filter);
    let first = house.sync(bo(), wish(Wish::default())).await;
    let cy = user_id!("@cy:hearth.test");
    house.change(&room, cy, MembershipChange::Join).await;
    house.say(&room, cy, "one").await;
    let member = [("m.room.member".to_owned(), cy.to_string())];

    let mut last = first.clone();
    for _ in 0..2 {
        // The second time as if the first answer had been lost.
        last = house.sync(bo(), wish(Wish::since(&first))).await;
        assert_eq!(state(&last.rooms.join[&room]), member);
    }
    house.say(&room, cy, "two").await;
    let answer = house.sync(bo(), wish(Wish::since(&last))).await;
    assert_eq!(state(&answer.rooms.join[&room]), []);
}
