//! What is built is what others verify.

use ruma::{
    CanonicalJsonObject, EventId, owned_event_id, owned_room_id, owned_user_id,
    room_version_rules::EventIdFormatVersion,
    serde::Base64,
    server_name,
    signatures::{PublicKeyMap, PublicKeySet, Verified, reference_hash, verify_event},
};
use serde_json::json;

use super::*;
use crate::SigningKey;

const SERVER: &str = "hearth.test";

fn key() -> SigningKey {
    SigningKey::from_seed([7; 32], "a_test".to_owned()).unwrap()
}

fn template(kind: TimelineEventType, content: &serde_json::Value) -> EventTemplate {
    let content = RawValue::from_string(content.to_string()).unwrap();
    let room_id = Some(owned_room_id!("!kitchen:hearth.test"));
    let mut template =
        EventTemplate::new(room_id, owned_user_id!("@ada:hearth.test"), kind, content);
    template.id_localpart = Some("random".to_owned());
    template.prev_events = vec![owned_event_id!("$before:hearth.test")];
    template.auth_events = vec![owned_event_id!("$create:hearth.test")];
    template
}

fn build_in(
    template: EventTemplate,
    version: &RoomVersionId,
) -> Result<(Arc<Pdu>, String), BuildError> {
    build(template, version, key().key_pair(), server_name!("hearth.test"))
}

fn public_keys() -> PublicKeyMap {
    let key = Base64::parse(key().public_key()).unwrap();
    PublicKeyMap::from([(
        SERVER.to_owned(),
        PublicKeySet::from([("ed25519:a_test".to_owned(), key)]),
    )])
}

fn contents() -> Vec<(TimelineEventType, Option<&'static str>, serde_json::Value)> {
    vec![
        (
            TimelineEventType::RoomMessage,
            None,
            json!({ "msgtype": "m.text", "body": "tea \u{1}\"\\ \u{1F375}" }),
        ),
        (
            TimelineEventType::RoomMember,
            Some("@ada:hearth.test"),
            json!({ "membership": "invite", "displayname": "Ada", "third_party_invite": { "signed": { "token": "t" }, "x": 1 } }),
        ),
        (
            TimelineEventType::RoomPowerLevels,
            Some(""),
            json!({ "invite": 5, "users": {}, "z": 1, "a": [1, null, true] }),
        ),
        (
            TimelineEventType::from("m.room.aliases"),
            Some(SERVER),
            json!({ "aliases": ["#a:hearth.test"] }),
        ),
        (TimelineEventType::RoomRedaction, None, json!({ "reason": "spam" })),
        (TimelineEventType::from("org.example.\"odd"), Some("\n"), json!({})),
    ]
}

#[test]
fn what_is_built_verifies_and_has_the_id_of_its_reference_hash_in_every_version() {
    for version in room_version::supported() {
        for (kind, state_key, content) in contents() {
            let mut template = template(kind, &content);
            template.state_key = state_key.map(ToOwned::to_owned);
            template.redacts = Some(owned_event_id!("$spam:hearth.test"));
            let (pdu, json) = build_in(template, version).unwrap();
            let rules = room_version::rules(version).unwrap();

            let object: CanonicalJsonObject = serde_json::from_str(&json).unwrap();
            assert_eq!(serde_json::to_string(&object).unwrap(), json, "canonical");
            assert_eq!(verify_event(&public_keys(), &object, &rules).unwrap(), Verified::All);
            if rules.event_id_format == EventIdFormatVersion::V1 {
                assert_eq!(pdu.event_id, "$random:hearth.test");
            } else {
                assert_eq!(pdu.event_id, format!("${}", reference_hash(&object, &rules).unwrap()));
            }
            let parsed = Pdu::from_json(&json, pdu.event_id.clone(), &rules).unwrap();
            assert_eq!(format!("{parsed:?}"), format!("{pdu:?}"));
        }
    }
}

#[test]
fn a_create_event_of_version_12_makes_its_room_id() {
    let mut create = template(TimelineEventType::RoomCreate, &json!({ "room_version": "12" }));
    create.state_key = Some(String::new());
    assert!(matches!(build_in(create.clone(), &RoomVersionId::V12), Err(BuildError::RoomId)));
    create.room_id = None;
    assert!(matches!(build_in(create.clone(), &RoomVersionId::V11), Err(BuildError::RoomId)));
    let (pdu, json) = build_in(create, &RoomVersionId::V12).unwrap();
    assert_eq!(pdu.room_id.as_str()[1..], pdu.event_id.as_str()[1..]);
    assert!(!json.contains("room_id"));
}

#[test]
fn redacts_stands_where_the_version_wants_it() {
    for (version, in_content) in [(RoomVersionId::V10, false), (RoomVersionId::V11, true)] {
        let mut redaction = template(TimelineEventType::RoomRedaction, &json!({}));
        redaction.redacts = Some(owned_event_id!("$spam"));
        let (pdu, json) = build_in(redaction, &version).unwrap();
        assert_eq!(pdu.redacts.as_deref().map(EventId::as_str), Some("$spam"));
        assert_eq!(json.contains(r#""content":{"redacts":"$spam"}"#), in_content);
    }
    let named = template(TimelineEventType::RoomRedaction, &json!({ "redacts": "$spam" }));
    assert!(build_in(named.clone(), &RoomVersionId::V11).unwrap().0.redacts.is_some());
    assert!(build_in(named, &RoomVersionId::V10).unwrap().0.redacts.is_none());
}

#[test]
fn references_carry_hashes_in_versions_1_and_2() {
    let mut message = template(TimelineEventType::RoomMessage, &json!({}));
    message.reference_hashes.insert(owned_event_id!("$before:hearth.test"), "h4sh".to_owned());
    let (_, json) = build_in(message, &RoomVersionId::V2).unwrap();
    assert!(
        json.contains(r#""prev_events":[["$before:hearth.test",{"sha256":"h4sh"}]]"#),
        "{json}"
    );
    assert!(json.contains(r#""auth_events":[["$create:hearth.test",{}]]"#), "{json}");
}

#[test]
fn numbers_that_are_not_canonical_are_refused() {
    for content in
        [r#"{"a":1.5}"#, r#"{"a":1e3}"#, r#"{"a":[9007199254740992]}"#, r#"{"a":-0}"#, "[]", "3"]
    {
        let mut message = template(TimelineEventType::RoomMessage, &json!({}));
        message.content = RawValue::from_string(content.to_owned()).unwrap();
        assert!(
            matches!(build_in(message, &RoomVersionId::V10), Err(BuildError::NotCanonical)),
            "{content}"
        );
    }
}

#[test]
fn content_nests_up_to_a_bound() {
    let nested = |depth: usize| {
        let content = format!("{}{}", r#"{"a":"#.repeat(depth) + "1", "}".repeat(depth));
        let mut message = template(TimelineEventType::RoomMessage, &json!({}));
        message.content = RawValue::from_string(content).unwrap();
        build_in(message, &RoomVersionId::V10)
    };
    nested(limits::NESTING).unwrap();
    assert!(matches!(nested(limits::NESTING + 1), Err(BuildError::NotCanonical)));
}

#[test]
fn what_is_too_large_is_refused() {
    let too_large = |template: EventTemplate| match build_in(template, &RoomVersionId::V11) {
        Err(BuildError::TooLarge { field, .. }) => field,
        other => panic!("{other:?}"),
    };
    let message = || template(TimelineEventType::RoomMessage, &json!({}));
    let body = |length: usize| {
        template(TimelineEventType::RoomMessage, &json!({ "body": "a".repeat(length) }))
    };
    let spare = limits::EVENT - build_in(body(0), &RoomVersionId::V11).unwrap().1.len();
    assert_eq!(build_in(body(spare), &RoomVersionId::V11).unwrap().1.len(), limits::EVENT);
    assert_eq!(too_large(body(spare + 1)), "event");

    let state_key = Some("k".repeat(256));
    assert_eq!(too_large(EventTemplate { state_key, ..message() }), "state_key");
    let kind = TimelineEventType::from("t".repeat(256));
    assert_eq!(too_large(EventTemplate { kind, ..message() }), "type");
    let prev_events = vec![owned_event_id!("$a"); 21];
    assert_eq!(too_large(EventTemplate { prev_events, ..message() }), "prev_events");
    let auth_events = vec![owned_event_id!("$a"); 11];
    assert_eq!(too_large(EventTemplate { auth_events, ..message() }), "auth_events");
}

#[test]
fn a_missing_localpart_and_an_unknown_version_are_refused() {
    let message = template(TimelineEventType::RoomMessage, &json!({}));
    let unknown = RoomVersionId::try_from("13").unwrap();
    assert!(matches!(build_in(message.clone(), &unknown), Err(BuildError::UnknownVersion(_))));
    let message = EventTemplate { id_localpart: None, ..message };
    assert!(matches!(build_in(message, &RoomVersionId::V1), Err(BuildError::NoIdLocalpart)));
}
