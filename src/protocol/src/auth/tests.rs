//! The authorisation rules, version by version.

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
fn a_banned_user_cannot_come_back_until_unbanned() {
    for mut room in TestRoom::of_all_versions() {
        room.join(BO);
        assert!(room.membership(BO, ADA, "ban").is_err());
        room.membership(ADA, BO, "ban").unwrap();
        for (sender, membership) in [(BO, "join"), (BO, "leave"), (ADA, "invite")] {
            assert!(
                room.membership(sender, BO, membership).is_err(),
                "{} {membership}",
                room.version
            );
        }
        room.membership(ADA, BO, "leave").unwrap();
        room.join(BO);
        assert!(is_joined(&room, BO));
    }
}

#[test]
fn an_invitation_opens_a_closed_room_to_its_addressee() {
    for mut room in TestRoom::of_all_versions() {
        room.send_state(ADA, "m.room.join_rules", "", &json!({ "join_rule": "invite" }));
        assert!(room.membership(BO, BO, "join").is_err());
        assert!(room.membership(BO, BO, "leave").is_err(), "nothing to leave");
        room.membership(ADA, BO, "invite").unwrap();
        assert!(room.membership(CY, BO, "join").is_err(), "nobody joins for another");
        room.join(BO);
        assert!(room.membership(ADA, BO, "invite").is_err(), "joined already");
        room.membership(BO, BO, "leave").unwrap();
        assert!(room.membership(BO, BO, "nonsense").is_err());
    }
}

#[test]
fn kicking_takes_the_level_and_a_lower_target() {
    for mut room in TestRoom::of_all_versions() {
        room.join(BO);
        room.join(CY);
        assert!(room.membership(BO, CY, "leave").is_err());
        room.levels(&json!({ "users": { BO: 50, CY: 50 } }));
        assert!(room.membership(BO, CY, "leave").is_err(), "{}: equals", room.version);
        room.levels(&json!({ "users": { BO: 50, CY: 49 } }));
        room.membership(BO, CY, "leave").unwrap();
        assert!(room.membership(BO, ADA, "leave").is_err());
    }
}

#[test]
fn knocking_exists_from_version_7_on() {
    for mut room in TestRoom::of_all_versions() {
        room.send_state(ADA, "m.room.join_rules", "", &json!({ "join_rule": "knock" }));
        let knock = room.membership(BO, BO, "knock");
        assert_eq!(knock.is_ok(), room.rules.authorization.knocking, "{}", room.version);
        assert!(room.membership(BO, BO, "join").is_err());
        assert!(room.membership(CY, BO, "knock").is_err());
        assert_eq!(room.membership(BO, BO, "leave").is_ok(), room.rules.authorization.knocking);
        room.send_state(ADA, "m.room.join_rules", "", &json!({ "join_rule": "knock_restricted" }));
        let knock = room.membership(BO, BO, "knock");
        assert_eq!(
            knock.is_ok(),
            room.rules.authorization.knock_restricted_join_rule,
            "{}",
            room.version
        );
    }
}

#[test]
fn a_restricted_join_needs_a_member_who_may_invite() {
    for mut room in TestRoom::of_all_versions() {
        room.join(CY);
        room.levels(&json!({ "invite": 50 }));
        room.send_state(
            ADA,
            "m.room.join_rules",
            "",
            &json!({ "join_rule": "restricted", "allow": [] }),
        );
        let via =
            |user: &str| json!({ "membership": "join", "join_authorised_via_users_server": user });
        assert!(room.membership(BO, BO, "join").is_err());
        assert!(room.try_state(BO, "m.room.member", BO, &via(CY)).is_err(), "may not invite");
        assert!(room.try_state(BO, "m.room.member", BO, &via("@gone:x")).is_err(), "not a member");
        let joined = room.try_state(BO, "m.room.member", BO, &via(ADA));
        assert_eq!(
            joined.is_ok(),
            room.rules.authorization.restricted_join_rule,
            "{}",
            room.version
        );
    }
}

#[test]
fn nobody_hands_out_more_power_than_they_have() {
    for mut room in TestRoom::of_all_versions() {
        room.join(BO);
        room.join(CY);
        let levels = |changed: serde_json::Value| {
            let mut levels = json!({ "users": { BO: 50, CY: 50 }, "state_default": 50, "events": { "m.a": 60 } });
            levels.as_object_mut().unwrap().extend(changed.as_object().unwrap().clone());
            levels
        };
        room.levels(&levels(json!({})));
        for refused in [
            json!({ "users": { BO: 51, CY: 50 } }),
            json!({ "users": { BO: 50, CY: 49 } }),
            json!({ "users": { BO: 50 } }),
            json!({ "users": { BO: 50, CY: 50, "@dee:x": 51 } }),
            json!({ "events": {} }),
            json!({ "events": { "m.a": 61 } }),
            json!({ "events": { "m.a": 60, "m.b": 51 } }),
            json!({ "ban": 51 }),
            json!({ "users_default": 51 }),
        ] {
            let mut content = levels(refused.clone());
            if !room.rules.authorization.explicitly_privilege_room_creators {
                content["users"][ADA] = json!(100);
            }
            let sent = room.clone().try_state(BO, "m.room.power_levels", "", &content);
            assert!(sent.is_err(), "{} {refused}", room.version);
        }
        for allowed in [
            json!({ "users": { BO: 49, CY: 50 } }),
            json!({ "ban": 50 }),
            json!({ "events": { "m.a": 60, "m.b": 50 } }),
        ] {
            let mut content = levels(allowed.clone());
            if !room.rules.authorization.explicitly_privilege_room_creators {
                content["users"][ADA] = json!(100);
            }
            room.clone().try_state(BO, "m.room.power_levels", "", &content).unwrap_or_else(
                |error| {
                    panic!("{} {allowed}: {error}", room.version);
                },
            );
        }
    }
}

#[test]
fn notification_levels_are_guarded_from_version_6_on() {
    for mut room in TestRoom::of_all_versions() {
        room.join(BO);
        room.levels(&json!({ "users": { BO: 50 }, "notifications": { "room": 60 } }));
        let mut content = json!({ "users": { BO: 50 }, "notifications": { "room": 10 } });
        if !room.rules.authorization.explicitly_privilege_room_creators {
            content["users"][ADA] = json!(100);
        }
        let sent = room.try_state(BO, "m.room.power_levels", "", &content);
        assert_eq!(
            sent.is_err(),
            room.rules.authorization.limit_notifications_power_levels,
            "{}",
            room.version
        );
    }
}

#[test]
fn levels_are_integers_from_version_10_on() {
    for mut room in TestRoom::of_all_versions() {
        for content in [
            json!({ "ban": "50" }),
            json!({ "events": { "m.a": " +5 " } }),
            json!({ "users": { BO: "05" } }),
        ] {
            let mut content = content;
            if !room.rules.authorization.explicitly_privilege_room_creators {
                content["users"][ADA] = json!(100);
            }
            let sent = room.try_state(ADA, "m.room.power_levels", "", &content);
            assert_eq!(
                sent.is_err(),
                room.rules.authorization.integer_power_levels,
                "{}",
                room.version
            );
        }
        for content in [
            json!({ "users": [] }),
            json!({ "users": { "bo": 1 } }),
            json!({ "users": { BO: "x" } }),
        ] {
            assert!(
                room.try_state(ADA, "m.room.power_levels", "", &content).is_err(),
                "{}",
                room.version
            );
        }
    }
}

#[test]
fn creators_of_version_12_do_not_stand_among_the_levels() {
    let mut room = version(12);
    assert!(
        room.try_state(ADA, "m.room.power_levels", "", &json!({ "users": { ADA: 100 } })).is_err()
    );
    room.levels(&json!({ "users": { BO: 9_007_199_254_740_991_i64 } }));
    room.join(BO);
    assert!(room.membership(BO, ADA, "leave").is_err(), "no level is above a creator's");
    room.membership(ADA, BO, "leave").unwrap();
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
fn a_room_that_is_not_federated_is_its_own_servers() {
    for version in room_version::supported() {
        let mut room = TestRoom::new(version.clone());
        let content = json!({ "creator": ADA, "room_version": version, "m.federate": false });
        let create = room.event_with(ADA, "m.room.create", Some(""), &content, |template| {
            if room_version::rules(version).unwrap().authorization.room_create_event_id_as_room_id {
                template.room_id = None;
            }
            template.prev_events.clear();
        });
        room.add(&create);
        let state = |kind: &StateEventType, key: &str| room.get(kind, key);
        let mut fork = room.clone();
        let theirs = fork.event(CY, "m.room.member", Some(CY), &json!({ "membership": "join" }));
        let ours = fork.event(BO, "m.room.member", Some(BO), &json!({ "membership": "join" }));
        assert!(authorise(&theirs, state, &room.rules).is_err(), "{version}");
        assert_eq!(authorise(&ours, state, &room.rules), Ok(()), "{version}");
    }
}

#[test]
fn a_create_event_stands_alone_and_fits_its_version() {
    for version in room_version::supported() {
        let room = TestRoom::new(version.clone());
        let check = |event: &Pdu| check_auth_events(event, |_| None, &room.rules);
        let names_itself = room.rules.authorization.room_create_event_id_as_room_id;
        let sound = json!({ "creator": ADA, "room_version": version });
        let create = |sender: &str, content: &serde_json::Value| {
            room.clone().event_with(sender, "m.room.create", Some(""), content, |template| {
                if names_itself {
                    template.room_id = None;
                }
                template.prev_events.clear();
            })
        };
        let good = create(ADA, &sound);
        let foreign = create(CY, &sound);
        let unknown = create(ADA, &json!({ "creator": ADA, "room_version": "99" }));
        let odd = create(ADA, &json!({ "creator": ADA, "room_version": 5 }));
        let nobodys = create(ADA, &json!({ "room_version": version }));
        assert_eq!(check(&good), Ok(()), "{version}");
        assert_eq!(check(&foreign).is_err(), !names_itself, "{version}");
        assert!(check(&unknown).is_err() && check(&odd).is_err(), "{version}");
        assert_eq!(
            check(&nobodys).is_err(),
            !room.rules.authorization.use_room_create_sender,
            "{version}"
        );
        let later = Pdu { prev_events: vec![owned_event_id!("$x")], ..(*good).clone() };
        assert!(check(&later).is_err(), "{version}");
        let with_room = Pdu { has_room_id: true, ..(*good).clone() };
        assert_eq!(check(&with_room).is_err(), names_itself, "{version}");
    }
}

#[test]
fn additional_creators_are_user_ids() {
    let mut room = version(12);
    for creators in [json!("@bo:x"), json!(["bo"]), json!([1]), json!({})] {
        let content = json!({ "room_version": "12", "additional_creators": creators });
        let create = room.event_with(ADA, "m.room.create", Some(""), &content, |template| {
            template.room_id = None;
            template.prev_events.clear();
        });
        assert!(check_auth_events(&create, |_| None, &room.rules).is_err(), "{content}");
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
fn a_version_12_room_is_named_by_a_create_event_and_by_no_other() {
    let mut room = version(12);
    let topic = room.send_state(ADA, "m.room.topic", "", &json!({}));
    let message = room.event(ADA, "m.room.message", None, &json!({}));
    let room_id = ruma::RoomId::parse(topic.event_id.as_str().replace('$', "!")).unwrap();
    let moved = Pdu { room_id, auth_events: vec![], ..(*message).clone() };
    assert!(check_auth_events(&moved, |id| room.fetch(id), &room.rules).is_err());
    let bare = Pdu { auth_events: vec![], ..(*message).clone() };
    assert_eq!(check_auth_events(&bare, |id| room.fetch(id), &room.rules), Ok(()));
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

/// A third party's invitation of Bo, with `forged` wrong signatures beside a right one, to a token with `keys` keys.
fn third_party_invite(
    room: &mut TestRoom,
    change: impl FnOnce(&mut serde_json::Value),
    forged: usize,
    keys: usize,
) -> Result<(), AuthError> {
    let party = crate::SigningKey::from_seed([9; 32], "0".to_owned()).unwrap();
    let public_keys: Vec<_> =
        (0..keys).map(|_| json!({ "public_key": party.public_key() })).collect();
    let token = json!({
        "display_name": "B", "key_validity_url": "https://id.test", "public_key": party.public_key(), "public_keys": public_keys,
    });
    room.send_state(ADA, "m.room.third_party_invite", "token", &token);
    let mut signed: ruma::CanonicalJsonObject =
        serde_json::from_value(json!({ "mxid": BO, "token": "token" })).unwrap();
    crate::server_keys::sign_json(&mut signed, ruma::server_name!("id.test"), &party).unwrap();
    let mut content = json!({ "membership": "invite", "third_party_invite": { "display_name": "B", "signed": signed } });
    for number in 0..forged {
        let wrong = json!(
            content["third_party_invite"]["signed"]["signatures"]["id.test"]["ed25519:0"]
                .as_str()
                .unwrap()
                .replace('A', "B")
        );
        content["third_party_invite"]["signed"]["signatures"][format!("a{number}.test")] =
            json!({ "ed25519:0": wrong });
    }
    change(&mut content["third_party_invite"]["signed"]);
    let invite = room.event(ADA, "m.room.member", Some(BO), &content);
    room.check(&invite)
}

#[test]
fn a_third_party_invites_with_its_signature() {
    for mut room in TestRoom::of_all_versions() {
        assert_eq!(third_party_invite(&mut room, |_| {}, 0, 1), Ok(()), "{}", room.version);
        assert_eq!(third_party_invite(&mut room, |_| {}, 3, 2), Ok(()), "{}", room.version);
        for change in [
            |signed: &mut serde_json::Value| signed["mxid"] = json!(CY),
            |signed: &mut serde_json::Value| signed["token"] = json!("other"),
            |signed: &mut serde_json::Value| signed["more"] = json!(1),
            |signed: &mut serde_json::Value| signed["signatures"] = json!({}),
        ] {
            assert!(third_party_invite(&mut room, change, 0, 1).is_err(), "{}", room.version);
        }
        room.membership(ADA, BO, "ban").unwrap();
        assert!(third_party_invite(&mut room, |_| {}, 0, 1).is_err(), "{}: banned", room.version);
    }
}

#[test]
fn a_third_partys_invitation_with_countless_signatures_is_refused_unseen() {
    let mut room = version(11);
    let refused = third_party_invite(&mut room, |_| {}, 200, 300);
    assert_eq!(
        refused,
        Err(AuthError::NotAllowed("too many third-party signatures and keys".to_owned()))
    );
}
