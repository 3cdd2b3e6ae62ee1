//! Known splits, and what must come of them.

use std::collections::HashMap;

use proptest::prelude::*;
use ruma::{RoomVersionId, events::StateEventType};
use serde_json::json;

use super::*;
use crate::test_room::{ADA, BO, CY, TestRoom};

/// A fork of `room` whose events are made `later` than its own.
fn fork(room: &TestRoom, later: u32) -> TestRoom {
    let mut fork = room.clone();
    fork.clock += later;
    fork
}

/// The state that some branches of one room resolve to.
fn merged(branches: &[&TestRoom]) -> TestRoom {
    let mut events: HashMap<_, _> = HashMap::new();
    for branch in branches {
        events.extend(branch.events.clone());
    }
    let states: Vec<_> = branches.iter().map(|branch| branch.state.clone()).collect();
    let chains = branches.iter().map(|branch| branch.auth_chain()).collect();
    let fetch = |id: &EventId| events.get(id).cloned();
    let state = resolve(&branches[0].rules, &states, chains, fetch).unwrap();
    let mut both = branches[0].clone();
    (both.events, both.state) = (events, state);
    both
}

fn membership(room: &TestRoom, who: &str) -> String {
    let member = room.get(&StateEventType::RoomMember, who).unwrap();
    member.content_as::<serde_json::Value>().unwrap()["membership"].as_str().unwrap().to_owned()
}

fn from_version_2() -> impl Iterator<Item = TestRoom> {
    TestRoom::of_all_versions().filter(|room| room.version != RoomVersionId::V1)
}

fn topic(room: &TestRoom) -> String {
    let topic = room.get(&StateEventType::RoomTopic, "").unwrap();
    topic.content_as::<serde_json::Value>().unwrap()["topic"].as_str().unwrap().to_owned()
}

#[test]
fn states_that_agree_resolve_to_themselves() {
    for room in TestRoom::of_all_versions() {
        assert_eq!(merged(&[&room, &room]).state, room.state);
        assert_eq!(merged(&[&room]).state, room.state);
    }
}

#[test]
fn what_only_one_side_has_is_kept() {
    for room in TestRoom::of_all_versions() {
        let (mut one, mut two) = (fork(&room, 10), fork(&room, 20));
        one.join(BO);
        two.send_state(ADA, "m.room.topic", "", &json!({ "topic": "tea" }));
        let both = merged(&[&one, &two]);
        assert_eq!(
            (membership(&both, BO).as_str(), topic(&both).as_str()),
            ("join", "tea"),
            "{}",
            room.version
        );
    }
}

#[test]
fn the_later_topic_wins() {
    for room in TestRoom::of_all_versions() {
        let (mut one, mut two) = (fork(&room, 10), fork(&room, 20));
        one.send_state(ADA, "m.room.topic", "", &json!({ "topic": "earlier" }));
        two.send_state(ADA, "org.example", "", &json!({}));
        two.send_state(ADA, "m.room.topic", "", &json!({ "topic": "later" }));
        assert_eq!(topic(&merged(&[&one, &two])), "later", "{}", room.version);
    }
}

#[test]
fn a_ban_beats_what_the_banned_did_beside_it() {
    for mut room in from_version_2() {
        room.join(BO);
        room.levels(&json!({ "users": { BO: 50 } }));
        let (mut one, mut two) = (fork(&room, 10), fork(&room, 20));
        one.membership(ADA, BO, "ban").unwrap();
        two.send_state(BO, "m.room.topic", "", &json!({ "topic": "mine" }));
        two.send_state(
            BO,
            "m.room.member",
            BO,
            &json!({ "membership": "join", "displayname": "B" }),
        );
        let both = merged(&[&one, &two]);
        assert_eq!(membership(&both, BO), "ban", "{}", room.version);
        assert!(both.get(&StateEventType::RoomTopic, "").is_none(), "{}", room.version);
    }
}

#[test]
fn a_ban_by_a_moderator_who_lost_the_power_meanwhile_does_not_count() {
    for mut room in from_version_2() {
        room.join(BO);
        room.join(CY);
        room.levels(&json!({ "users": { BO: 50 } }));
        let (mut one, mut two) = (fork(&room, 10), fork(&room, 20));
        one.levels(&json!({ "users": { BO: 0 } }));
        two.membership(BO, CY, "ban").unwrap();
        assert_eq!(membership(&merged(&[&one, &two]), CY), "join", "{}", room.version);
    }
}

#[test]
fn the_higher_power_wins_between_two_power_level_events() {
    for mut room in from_version_2() {
        room.join(BO);
        room.levels(&json!({ "users": { BO: 50 } }));
        let (mut one, mut two) = (fork(&room, 10), fork(&room, 20));
        let mut content = json!({ "users": { BO: 50, CY: 50 } });
        if !room.rules.authorization.explicitly_privilege_room_creators {
            content["users"][ADA] = json!(100);
        }
        one.send_state(BO, "m.room.power_levels", "", &content);
        let hers = two.levels(&json!({ "users": {} }));
        let both = merged(&[&one, &two]);
        let winner = both.get(&StateEventType::RoomPowerLevels, "").unwrap();
        assert_eq!(winner.event_id, hers.event_id, "{}", room.version);
    }
}

#[test]
fn a_join_before_the_room_was_closed_is_not_a_way_around_it() {
    for room in from_version_2() {
        let (mut one, mut two) = (fork(&room, 10), fork(&room, 20));
        one.send_state(ADA, "m.room.join_rules", "", &json!({ "join_rule": "invite" }));
        two.join(BO);
        let both = merged(&[&one, &two]);
        assert!(both.get(&StateEventType::RoomMember, BO).is_none(), "{}", room.version);
    }
}

#[test]
fn version_1_goes_by_depth() {
    let mut room = TestRoom::new(RoomVersionId::V1);
    room.join(BO);
    let (mut one, mut two) = (fork(&room, 10), fork(&room, 20));
    one.membership(ADA, BO, "ban").unwrap();
    two.send_state(ADA, "org.example", "", &json!({}));
    let rejoined = json!({ "membership": "join", "displayname": "B" });
    two.send_state(BO, "m.room.member", BO, &rejoined);
    // The ban is less deep, so the run starts with it, and it does not allow what comes after.
    assert_eq!(membership(&merged(&[&one, &two]), BO), "ban");

    let (mut one, mut two) = (fork(&room, 10), fork(&room, 20));
    one.send_state(BO, "m.room.member", BO, &rejoined);
    two.send_state(ADA, "org.example", "", &json!({}));
    two.membership(ADA, BO, "ban").unwrap();
    assert_eq!(membership(&merged(&[&one, &two]), BO), "ban");
}

#[test]
fn version_1_settles_levels_before_rules_before_members_before_the_rest() {
    let mut room = TestRoom::new(RoomVersionId::V1);
    room.join(BO);
    room.levels(&json!({ "users": { BO: 50 } }));
    room.send_state(BO, "m.room.topic", "", &json!({ "topic": "old" }));
    let (mut one, mut two) = (fork(&room, 10), fork(&room, 20));
    one.levels(&json!({ "users": { BO: 0 } }));
    one.send_state(ADA, "m.room.topic", "", &json!({ "topic": "hers" }));
    two.levels(&json!({ "users": { BO: 40 } }));
    two.levels(&json!({ "users": { BO: 0 }, "state_default": 50 }));
    let before = fork(&room, 30).event(BO, "m.room.topic", Some(""), &json!({ "topic": "his" }));
    let his = Arc::new(Pdu { depth: crate::Depth::new(99), ..(*before).clone() });
    two.add(&his);
    // His topic is the deepest; but with the levels settled he may not set one.
    assert_eq!(topic(&merged(&[&one, &two])), "hers");
}

#[test]
fn a_missing_event_is_an_error_in_version_1_and_left_out_later() {
    let room = TestRoom::new(RoomVersionId::V1);
    let mut other = fork(&room, 5);
    other.send_state(ADA, "m.room.topic", "", &json!({ "topic": "a" }));
    let mut third = fork(&room, 9);
    third.send_state(ADA, "m.room.topic", "", &json!({ "topic": "b" }));
    let states = [other.state.clone(), third.state.clone()];
    let missing = resolve(&room.rules, &states, vec![], |_| None);
    assert!(matches!(missing, Err(ResolutionError::Missing(_))));
}

#[test]
fn a_circle_of_power_levels_is_refused_and_not_followed_for_ever() {
    let mut room = TestRoom::new(RoomVersionId::V2);
    let levels = room.get(&StateEventType::RoomPowerLevels, "").unwrap();
    let next = room.levels(&json!({ "ban": 60 }));
    let twisted = Pdu { auth_events: vec![next.event_id.clone()], ..(*levels).clone() };
    room.events.insert(levels.event_id.clone(), Arc::new(twisted));
    let other = fork(&room, 9).levels(&json!({ "ban": 70 }));
    room.events.insert(other.event_id.clone(), other.clone());
    let mut state = room.state.clone();
    state.insert((StateEventType::RoomPowerLevels, String::new()), other.event_id.clone());
    let states = [room.state.clone(), state];
    let refused = resolve(&room.rules, &states, vec![], |id| room.fetch(id));
    assert!(matches!(refused, Err(ResolutionError::Circle(_))), "{refused:?}");
}

#[test]
fn two_create_events_are_refused() {
    for room in TestRoom::of_all_versions().filter(|room| room.version != RoomVersionId::V1) {
        let (mut one, mut two) = (fork(&room, 10), fork(&room, 20));
        let version = &room.version;
        let create = two.event_with(
            ADA,
            "m.room.create",
            Some(""),
            &json!({ "creator": ADA, "n": 2, "room_version": version }),
            |template| {
                template.prev_events.clear();
                if room.rules.authorization.room_create_event_id_as_room_id {
                    template.room_id = None;
                }
            },
        );
        two.add(&create);
        one.events.insert(create.event_id.clone(), create);
        let states = [one.state.clone(), two.state.clone()];
        let refused =
            resolve(&room.rules, &states, vec![one.auth_chain(), two.auth_chain()], |id| {
                one.fetch(id)
            });
        assert!(
            matches!(refused, Err(ResolutionError::TwoCreateEvents(..))),
            "{version} {refused:?}"
        );
    }
}

#[test]
fn the_subgraph_is_what_lies_between_conflicted_events() {
    let mut room = TestRoom::new(RoomVersionId::V12);
    let first = room.levels(&json!({ "users": { BO: 50 } }));
    room.join(BO);
    let second = room.levels(&json!({ "users": { BO: 60 } }));
    let third = room.levels(&json!({ "users": { BO: 70 } }));
    let topic = room.send_state(BO, "m.room.topic", "", &json!({ "topic": "x" }));
    let ids = [&first.event_id, &topic.event_id];
    let found = subgraph::between(ids.into_iter(), &|id: &EventId| room.fetch(id));
    let joined = room.get(&StateEventType::RoomMember, BO).unwrap();
    for id in [&first, &second, &third, &topic, &joined].map(|event| &event.event_id) {
        assert!(found.contains(id));
    }
    assert_eq!(found.len(), 5, "and nothing else, as the create event or the join rules");
}

/// The state of two branches of a room of MSC3757, in the second of which Ada, who is above Bo, sets his lamp.
#[test]
fn of_state_that_users_own_the_last_that_is_allowed_counts() {
    let lamp = format!("{BO}_lamp");
    let kind = StateEventType::from("com.example.lamp");
    let set = |room: &mut TestRoom, sender| {
        room.try_state(sender, "com.example.lamp", &lamp, &json!({ "from": sender }))
    };
    for version in ["org.matrix.msc3757.10", "org.matrix.msc3757.11"] {
        let mut room = TestRoom::new(RoomVersionId::try_from(version).unwrap());
        room.join(BO);
        room.join(CY);
        let levels =
            |cy: u32| json!({ "users": { ADA: 100, CY: cy }, "events": { "com.example.lamp": 0 } });
        room.send_state(ADA, "m.room.power_levels", "", &levels(50));
        let (mut one, mut two) = (fork(&room, 10), fork(&room, 20));
        set(&mut one, BO).unwrap();
        set(&mut two, ADA).unwrap();
        let both = merged(&[&one, &two]);
        let from = |room: &TestRoom| room.get(&kind, &lamp).unwrap().sender.clone();
        assert_eq!(from(&both), ADA, "the later counts");
        assert_eq!(merged(&[&two, &one]).state, both.state);

        // On one side Cy loses the level by which she sets Bo's lamp on the other.
        let (mut one, mut two) = (fork(&room, 10), fork(&room, 20));
        set(&mut one, BO).unwrap();
        one.send_state(ADA, "m.room.power_levels", "", &levels(0));
        set(&mut two, CY).unwrap();
        set(&mut two, CY).unwrap();
        let both = merged(&[&one, &two]);
        assert_eq!(from(&both), BO, "what the resolved levels do not allow does not count");
        assert!(set(&mut both.clone(), CY).is_err());
        assert!(set(&mut both.clone(), ADA).is_ok());
    }
}

/// One thing somebody may do on a branch.
#[derive(Debug, Clone)]
struct Step {
    branch: usize,
    sender: usize,
    deed: usize,
    target: usize,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = (0..3_usize, 0..3_usize, 0..9_usize, 0..3_usize)
        .prop_map(|(branch, sender, deed, target)| Step { branch, sender, deed, target });
    prop::collection::vec(step, 0..24)
}

/// Does it, if the branch's own state allows it.
fn act(room: &mut TestRoom, step: &Step) {
    let people = [ADA, BO, CY];
    let (sender, target) = (people[step.sender], people[step.target]);
    let _refused = match step.deed {
        0 => room.membership(sender, sender, "join"),
        1 => room.membership(sender, target, "leave"),
        2 => room.membership(sender, target, "ban"),
        3 => room.membership(sender, target, "invite"),
        4 => room.try_state(sender, "m.room.topic", "", &json!({ "topic": sender })),
        5 => room.try_state(sender, "m.room.join_rules", "", &json!({ "join_rule": "invite" })),
        6 => room.try_state(sender, "m.room.join_rules", "", &json!({ "join_rule": "public" })),
        7 => {
            let key = format!("{target}_lamp");
            room.try_state(sender, "com.example.lamp", &key, &json!({ "from": sender }))
        }
        _ => {
            let mut content =
                json!({ "users": { target: 50 }, "events": { "com.example.lamp": 0 } });
            if !room.rules.authorization.explicitly_privilege_room_creators {
                content["users"][ADA] = json!(100);
            }
            room.try_state(sender, "m.room.power_levels", "", &content)
        }
    };
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_outcome_does_not_depend_on_the_order_and_is_a_state_of_known_events(steps in steps()) {
        for mut room in TestRoom::of_all_versions() {
            room.join(BO);
            let mut branches = [fork(&room, 0), fork(&room, 100), fork(&room, 200)];
            for step in &steps {
                act(&mut branches[step.branch], step);
            }
            let [a, b, c] = &branches;
            let resolved = merged(&[a, b, c]);
            for order in [[a, c, b], [b, a, c], [b, c, a], [c, a, b], [c, b, a]] {
                prop_assert_eq!(&merged(&order).state, &resolved.state, "version {}", &room.version);
            }
            for ((kind, key), id) in &resolved.state {
                let event = &resolved.events[id];
                prop_assert!(event.is_state(&kind.to_string().into(), key));
            }
        }
    }
}
