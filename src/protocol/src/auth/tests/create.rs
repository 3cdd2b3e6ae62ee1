//! What a room begins with.

use super::*;

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
