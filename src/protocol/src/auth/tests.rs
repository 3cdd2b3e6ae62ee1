//! The authorisation rules, version by version.

mod create;
mod membership;
mod power_levels;

use ruma::{events::room::member::MembershipState, owned_event_id, owned_room_id};
use serde_json::json;

use super::*;
use crate::test_room::{ADA, BO, CY, TestRoom};

fn version(number: u8) -> TestRoom {
    TestRoom::new(RoomVersionId::try_from(number.to_string()).unwrap())
}

fn is_joined(room: &TestRoom, who: &str) -> bool {
    #[derive(Deserialize)]
    struct Content {
        membership: MembershipState,
    }
    room.get(&StateEventType::RoomMember, who).is_some_and(|event| {
        event.content_as::<Content>().unwrap().membership == MembershipState::Join
    })
}

#[test]
fn auth_types_are_those_that_the_event_stands_on() {
    let types = |number, kind: &str, state_key, content: serde_json::Value| {
        let rules = version(number).rules;
        let content = RawValue::from_string(content.to_string()).unwrap();
        let sender = crate::test_room::user(ADA);
        let mut types: Vec<String> =
            auth_types(&kind.into(), &sender, state_key, &content, &rules)?
                .into_iter()
                .map(|(kind, state_key)| format!("{kind}/{state_key}"))
                .collect();
        types.sort();
        Ok::<_, AuthError>(types.join(" "))
    };
    let ada = "m.room.member/@ada:hearth.test";
    assert_eq!(types(11, "m.room.create", Some(""), json!({})).unwrap(), "");
    let expected = format!("m.room.create/ {ada} m.room.power_levels/");
    assert_eq!(types(11, "m.room.message", None, json!({})).unwrap(), expected);
    let expected = format!("{ada} m.room.power_levels/");
    assert_eq!(types(12, "m.room.message", None, json!({})).unwrap(), expected);
    let invite =
        json!({ "membership": "invite", "third_party_invite": { "signed": { "token": "t" } } });
    let expected = format!(
        "m.room.join_rules/ {ada} m.room.member/@bo:hearth.test m.room.power_levels/ m.room.third_party_invite/t"
    );
    assert_eq!(types(12, "m.room.member", Some(BO), invite).unwrap(), expected);
    let join = json!({ "membership": "join", "join_authorised_via_users_server": CY });
    let expected =
        format!("m.room.join_rules/ {ada} m.room.member/@cy:other.test m.room.power_levels/");
    assert_eq!(types(12, "m.room.member", Some(ADA), join.clone()).unwrap(), expected);
    let expected = format!("m.room.create/ m.room.join_rules/ {ada} m.room.power_levels/");
    assert_eq!(types(7, "m.room.member", Some(ADA), join).unwrap(), expected);
    for (state_key, content) in [(None, json!({ "membership": "join" })), (Some(BO), json!({}))] {
        let malformed = types(12, "m.room.member", state_key, content);
        assert!(matches!(malformed, Err(AuthError::Malformed(_))));
    }
}

#[test]
fn only_members_send_and_only_as_their_level_allows() {
    for mut room in TestRoom::of_all_versions() {
        let message = room.event(BO, "m.room.message", None, &json!({}));
        assert!(room.check(&message).is_err(), "{}: not a member", room.version);
        room.join(BO);
        let message = room.event(BO, "m.room.message", None, &json!({}));
        assert_eq!(room.check(&message), Ok(()), "{}", room.version);
        assert!(
            room.try_state(BO, "m.room.name", "", &json!({})).is_err(),
            "{}: level",
            room.version
        );
        room.send_state(ADA, "m.room.name", "", &json!({ "name": "Kitchen" }));
        let ranked = room.rules.state_ownership == StateOwnership::Ranked;
        let of_another = room.try_state(ADA, "org.example", BO, &json!({}));
        assert_eq!(of_another.is_ok(), ranked, "{}: @key of another", room.version);
        room.send_state(ADA, "org.example", ADA, &json!({}));
    }
}

#[test]
fn aliases_belong_to_the_senders_server_before_version_6() {
    for mut room in TestRoom::of_all_versions() {
        room.join(CY);
        let special = room.rules.authorization.special_case_room_aliases;
        let own = room.event(CY, "m.room.aliases", Some("other.test"), &json!({ "aliases": [] }));
        assert_eq!(room.check(&own).is_ok(), special, "{}", room.version);
        let foreign =
            room.event(ADA, "m.room.aliases", Some("other.test"), &json!({ "aliases": [] }));
        assert_eq!(room.check(&foreign).is_err(), special, "{}", room.version);
    }
}

#[test]
fn a_redaction_is_judged_by_the_rules_only_in_versions_1_and_2() {
    for mut room in TestRoom::of_all_versions() {
        room.join(CY);
        let mut redaction = |id: &str| {
            let event = room.event_with(CY, "m.room.redaction", None, &json!({}), |template| {
                template.redacts = Some(EventId::parse(id).unwrap());
            });
            room.check(&event).is_ok()
        };
        let (same_server, other_server) =
            (redaction("$a:hearth.test"), redaction("$a:elsewhere.test"));
        assert!(same_server);
        assert_eq!(
            other_server, !room.rules.authorization.special_case_room_redaction,
            "{}",
            room.version
        );
    }
}

#[test]
fn auth_events_are_the_right_ones_of_the_same_room_and_were_accepted() {
    for mut room in TestRoom::of_all_versions() {
        let topic = room.send_state(ADA, "m.room.topic", "", &json!({}));
        let sound = room.event(ADA, "m.room.message", None, &json!({}));
        let with = |auth_events: Vec<_>| Pdu { auth_events, ..(*sound).clone() };
        let good = &sound.auth_events;
        let check = |event: &Pdu| check_auth_events(event, |id| room.fetch(id), &room.rules);
        assert_eq!(check(&sound), Ok(()));
        let more = |id: &ruma::OwnedEventId| [good.as_slice(), std::slice::from_ref(id)].concat();
        assert!(check(&with(more(&topic.event_id))).is_err(), "not one of the selection");
        assert!(check(&with(more(&good[0]))).is_err(), "twice");
        assert!(check(&with(more(&owned_event_id!("$unknown")))).is_err(), "unknown");
        let elsewhere = Pdu { room_id: owned_room_id!("!elsewhere:x"), ..(*sound).clone() };
        assert!(check(&elsewhere).is_err(), "another room");
        let rejected =
            |id: &EventId| room.fetch(id).map(|event| Arc::new((*event).clone().into_rejected()));
        assert!(check_auth_events(&sound, rejected, &room.rules).is_err(), "rejected");
        let create = room.get(&StateEventType::RoomCreate, "").unwrap();
        let in_v12 = room.rules.authorization.room_create_event_id_as_room_id;
        if in_v12 {
            assert!(check(&with(more(&create.event_id))).is_err(), "the create event is not named");
        } else {
            let without = good.iter().filter(|id| **id != create.event_id).cloned().collect();
            assert!(check(&with(without)).is_err(), "the create event is named");
        }
    }
}

#[test]
fn an_event_is_judged_by_the_state_that_its_auth_events_name() {
    for mut room in TestRoom::of_all_versions() {
        room.join(BO);
        let message = room.event(BO, "m.room.message", None, &json!({}));
        room.membership(ADA, BO, "ban").unwrap();
        assert!(room.check(&message).is_err());
        assert_eq!(
            authorise_by_auth_events(&message, |id| room.fetch(id), &room.rules),
            Ok(()),
            "{}",
            room.version
        );
        let unfounded = Pdu { auth_events: vec![], ..(*message).clone() };
        assert!(authorise_by_auth_events(&unfounded, |id| room.fetch(id), &room.rules).is_err());
    }
}
