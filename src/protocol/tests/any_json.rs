//! No rule panics, whatever JSON it meets, and what is built or redacted holds what it promises.

use std::{collections::HashMap, sync::Arc};

use proptest::{collection::vec, option, prelude::*, sample::select};
use protocol::{
    Depth, Pdu, SigningKey,
    auth::{auth_types, authorise, authorise_by_auth_events, check_auth_events},
    event_builder::{EventTemplate, build},
    power_levels::PowerLevels,
    push::{LegacyMentions, PushEvent, PushRoom, Reader, ThreadStanding, default_rules, evaluate},
    receipt::{Received, Validity, VerifyKey, VerifyKeys, event_id},
    redaction::{may_redact, redact_json, redacted},
    room_version::{self, Rules},
    state_resolution::resolve,
};
use ruma::{
    CanonicalJsonObject, EventId, MilliSecondsSinceUnixEpoch, OwnedEventId, RoomVersionId, UserId,
    events::{StateEventType, TimelineEventType},
    owned_room_id,
    room_version_rules::{EventIdFormatVersion, EventsReferenceFormatVersion},
    serde::Base64,
    server_name,
    state_res::{StateMap, utils::event_id_set::EventIdSet},
    user_id,
};
use serde_json::{Map, Value, json, value::RawValue};

const TYPES: [&str; 12] = [
    "m.room.create",
    "m.room.member",
    "m.room.power_levels",
    "m.room.join_rules",
    "m.room.third_party_invite",
    "m.room.redaction",
    "m.room.aliases",
    "m.room.history_visibility",
    "m.room.message",
    "m.room.encrypted",
    "m.reaction",
    "org.example.\u{1F375}",
];
const USERS: [&str; 3] = ["@ada:hearth.test", "@bo:hearth.test", "@cy:other.test"];
const IDS: [&str; 6] =
    ["$0:hearth.test", "$1:hearth.test", "$2:hearth.test", "$3:other.test", "$4:x", "$5:x"];
const NAMES: [&str; 30] = [
    "membership",
    "creator",
    "room_version",
    "m.federate",
    "additional_creators",
    "users",
    "events",
    "notifications",
    "users_default",
    "events_default",
    "state_default",
    "ban",
    "kick",
    "redact",
    "invite",
    "join_rule",
    "allow",
    "third_party_invite",
    "signed",
    "token",
    "mxid",
    "signatures",
    "public_key",
    "public_keys",
    "join_authorised_via_users_server",
    "redacts",
    "aliases",
    "body",
    "m.mentions",
    "user_ids",
];

fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        select(&USERS[..]).prop_map(str::to_owned),
        select(&IDS[..]).prop_map(str::to_owned),
        select(
            &[
                "join",
                "leave",
                "ban",
                "invite",
                "knock",
                "public",
                "restricted",
                "1",
                "12",
                "50",
                " +5 "
            ][..]
        )
        .prop_map(str::to_owned),
        ".{0,8}",
    ]
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        10 => Just(Value::Null),
        10 => any::<bool>().prop_map(Value::from),
        10 => (-100..200_i64).prop_map(Value::from),
        30 => word().prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => any::<f64>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 5, |inner| {
        let name = prop_oneof![select(&NAMES[..]).prop_map(str::to_owned), word()];
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((name, inner), 0..6).prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

/// Content that has, more often than chance, the fields that rules look at.
fn content() -> impl Strategy<Value = Value> {
    let plausible = prop_oneof![
        any_json(),
        word().prop_map(Value::from),
        select(&USERS[..]).prop_map(|user| json!({ user: 50 })),
        Just(
            json!({ "signed": { "token": "t", "mxid": "@bo:hearth.test", "signatures": { "x": { "ed25519:1": "AA" } } } })
        ),
    ];
    vec((select(&NAMES[..]), plausible), 0..6).prop_map(|fields| {
        fields
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect::<Map<_, _>>()
            .into()
    })
}

/// An event that is mostly what it should be, so that the rules look at it and not only its fields' types.
fn event() -> impl Strategy<Value = Value> {
    let references = || vec(select(&IDS[..]), 0..5);
    let references = (references(), references());
    let state_key = option::of(prop_oneof![Just(String::new()), word()]);
    let odd = option::weighted(
        0.3,
        (select(&["sender", "content", "depth", "room_id", "hashes", "state_key"][..]), any_json()),
    );
    (select(&TYPES[..]), select(&USERS[..]), state_key, content(), references, odd).prop_map(
        |(kind, sender, state_key, content, (prev_events, auth_events), odd)| {
            let mut event = json!({
                "type": kind, "sender": sender, "room_id": "!kitchen:hearth.test", "content": content, "depth": 3,
                "origin_server_ts": 1_000, "prev_events": prev_events, "auth_events": auth_events,
                "event_id": "$0:hearth.test", "redacts": "$1:hearth.test", "hashes": { "sha256": "AAAA" }, "signatures": {},
            });
            if let Some(state_key) = state_key {
                event["state_key"] = Value::from(state_key);
            }
            if let Some((field, value)) = odd {
                event[field] = value;
            }
            event
        },
    )
}

/// The event with its references in the form of its room version.
fn in_version(event: &Value, rules: &Rules) -> String {
    let mut event = event.clone();
    if rules.events_reference_format == EventsReferenceFormatVersion::V1 {
        for field in ["prev_events", "auth_events"] {
            event[field] =
                event[field].as_array().into_iter().flatten().map(|id| json!([id, {}])).collect();
        }
    }
    event.to_string()
}

fn all_rules() -> impl Iterator<Item = Rules> {
    room_version::supported().iter().filter_map(room_version::rules)
}

/// The events that can be parsed, each under one of the ids that they refer to each other by. Where ids are hashes no circle is
/// possible, so there an event refers only to those before it.
fn parsed(events: &[Value], rules: &Rules) -> HashMap<OwnedEventId, Arc<Pdu>> {
    let circles = rules.event_id_format == EventIdFormatVersion::V1;
    let parse = |(event, id): (&Value, &&str)| {
        let id = EventId::parse(id).ok()?;
        let mut pdu = Pdu::from_json(&in_version(event, rules), id.clone(), rules).ok()?;
        pdu.auth_events.retain(|other| circles || *other < id);
        Some((id, Arc::new(pdu)))
    };
    events.iter().zip(IDS.iter()).filter_map(parse).collect()
}

fn judge(event: &Arc<Pdu>, others: &HashMap<OwnedEventId, Arc<Pdu>>, rules: &Rules) {
    let state = |kind: &StateEventType, state_key: &str| {
        others.values().find(|other| other.is_state(&kind.to_string().into(), state_key)).cloned()
    };
    let fetch = |id: &EventId| others.get(id).cloned();
    let _types =
        auth_types(&event.kind, &event.sender, event.state_key.as_deref(), &event.content, rules);
    let _verdict = check_auth_events(event, fetch, rules);
    let _verdict = authorise_by_auth_events(event, fetch, rules);
    let _verdict = authorise(event, state, rules);
    let levels =
        PowerLevels::new(Some(event), state(&StateEventType::RoomCreate, "").as_ref(), rules);
    for other in others.values() {
        may_redact(event, other, &levels, rules);
    }
    let _left = redacted(event, rules);
    let ada = user_id!("@ada:hearth.test");
    let reader = Reader { user: ada, display_name: Some("Ada"), thread: ThreadStanding::Outside };
    evaluate(
        &default_rules(ada, LegacyMentions::Ignored),
        &PushEvent::new(event),
        PushRoom { members: 2, levels: &levels },
        reader,
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_panics_on_any_json(value in any_json()) {
        let text = value.to_string();
        for rules in all_rules() {
            let _event = Pdu::from_json(&text, EventId::parse("$x:y").unwrap(), &rules);
            let _left = redact_json(&text, &rules);
            let _received = Received::read(&text, &rules);
        }
    }

    #[test]
    fn nothing_panics_on_any_text(text in "\\PC{0,40}") {
        for rules in all_rules() {
            let _event = Pdu::from_json(&text, EventId::parse("$x:y").unwrap(), &rules);
            let _received = Received::read(&text, &rules);
        }
        let _key = SigningKey::from_text(&text);
    }

    #[test]
    fn no_rule_panics_on_any_events(events in vec(event(), 1..7)) {
        for rules in all_rules() {
            let parsed = parsed(&events, &rules);
            for event in parsed.values() {
                judge(event, &parsed, &rules);
            }
        }
    }

    #[test]
    fn resolution_ends_and_does_not_depend_on_the_order_for_any_events(
        events in vec(event(), 2..7),
        sides in vec((0..6_usize, 0..3_usize), 0..12),
    ) {
        for rules in all_rules() {
            let parsed = parsed(&events, &rules);
            let mut states = vec![StateMap::new(); 3];
            for (index, side) in &sides {
                let id = EventId::parse(IDS[*index]).ok();
                if let Some(event) = id.and_then(|id| parsed.get(&id)) && let Some((kind, key)) = event.state_entry() {
                    states[*side].insert((kind, key.to_owned()), event.event_id.clone());
                }
            }
            let chains: Vec<EventIdSet<OwnedEventId>> = states
                .iter()
                .map(|state| state.values().filter_map(|id| parsed.get(id)).flat_map(|e| e.auth_events.clone()).collect())
                .collect();
            let fetch = |id: &EventId| parsed.get(id).cloned();
            let one = resolve(&rules, &states, chains.clone(), fetch).ok();
            let (mut states, mut chains) = (states, chains);
            states.reverse();
            chains.reverse();
            prop_assert_eq!(one, resolve(&rules, &states, chains, fetch).ok(), "{:?}", rules.state_res);
        }
    }

    #[test]
    fn redacting_twice_is_redacting_once_and_keeps_the_id(event in event()) {
        for rules in all_rules() {
            let event = in_version(&event, &rules);
            let Ok(once) = redact_json(&event, &rules) else { continue };
            prop_assert_eq!(&redact_json(&once, &rules).unwrap(), &once);
            let object = |text: &str| serde_json::from_str::<CanonicalJsonObject>(text).unwrap();
            let ids = (event_id(&object(&event), &rules).ok(), event_id(&object(&once), &rules).ok());
            prop_assert_eq!(&ids.0, &ids.1);
            let id = EventId::parse("$0:hearth.test").unwrap();
            if let Ok(pdu) = Pdu::from_json(&event, id.clone(), &rules) {
                let left = redacted(&pdu, &rules).unwrap();
                let read = Pdu::from_json(&once, id, &rules).unwrap();
                prop_assert_eq!(left.content.get(), read.content.get());
                prop_assert_eq!(left.redacts, read.redacts);
            }
        }
    }

    #[test]
    fn what_is_built_is_received_as_it_was(
        kind in select(&TYPES[1..]),
        state_key in option::of(word()),
        content in content(),
        number in 1..=12_u8,
    ) {
        let version = RoomVersionId::try_from(number.to_string()).unwrap();
        let rules = room_version::rules(&version).unwrap();
        let key = SigningKey::from_seed([1; 32], "1".to_owned()).unwrap();
        let content = RawValue::from_string(content.to_string()).unwrap();
        let sender = UserId::parse("@ada:hearth.test").unwrap();
        let mut template =
            EventTemplate::new(Some(owned_room_id!("!kitchen:hearth.test")), sender, TimelineEventType::from(kind), content);
        template.state_key = state_key;
        template.depth = Depth::new(7);
        template.id_localpart = Some("random".to_owned());
        if let Ok((pdu, json)) = build(template, &version, key.key_pair(), server_name!("hearth.test")) {
            let verify_key = VerifyKey {
                key: Base64::parse(key.public_key()).unwrap(),
                validity: Validity::Until(MilliSecondsSinceUnixEpoch(ruma::uint!(9))),
            };
            let keys = VerifyKeys::from([
                (server_name!("hearth.test").to_owned(), [("ed25519:1".to_owned(), verify_key)].into()),
            ]);
            let received = Received::read(&json, &rules).unwrap();
            prop_assert_eq!(&received.claimed().event_id, &pdu.event_id);
            if received.signers().is_ok_and(|signers| signers.len() == 1) {
                let checked = received.verify(&keys).unwrap();
                prop_assert!(checked.intact);
                prop_assert_eq!(checked.json, json);
                prop_assert_eq!(format!("{:?}", checked.pdu), format!("{pdu:?}"));
            }
        }
    }
}

/// Spec: appendices, "Canonical JSON", "Examples".
#[test]
fn the_specifications_canonical_json() {
    for (json, canonical) in [
        ("{}", "{}"),
        (r#"{ "one": 1, "two": "Two" }"#, r#"{"one":1,"two":"Two"}"#),
        (r#"{ "b": "2", "a": "1" }"#, r#"{"a":"1","b":"2"}"#),
        (
            r#"{ "auth": { "success": true, "mxid": "@john.doe:example.com", "profile": { "display_name": "John Doe",
                "three_pids": [ { "medium": "email", "address": "john.doe@example.org" },
                                { "medium": "msisdn", "address": "123456789" } ] } } }"#,
            r#"{"auth":{"mxid":"@john.doe:example.com","profile":{"display_name":"John Doe","three_pids":[{"address":"john.doe@example.org","medium":"email"},{"address":"123456789","medium":"msisdn"}]},"success":true}}"#,
        ),
        (r#"{ "a": "日本語" }"#, r#"{"a":"日本語"}"#),
        (r#"{ "本": 2, "日": 1 }"#, r#"{"日":1,"本":2}"#),
        (r#"{ "a": "\u65E5" }"#, r#"{"a":"日"}"#),
        (r#"{ "a": null }"#, r#"{"a":null}"#),
        (r#"{ "a": "\u001F\u0008\/" }"#, "{\"a\":\"\\u001f\\b/\"}"),
    ] {
        let key = SigningKey::from_seed([1; 32], "1".to_owned()).unwrap();
        let content = RawValue::from_string(json.to_owned()).unwrap();
        let sender = UserId::parse("@ada:hearth.test").unwrap();
        let room_id = Some(owned_room_id!("!kitchen:hearth.test"));
        let template = EventTemplate::new(room_id, sender, TimelineEventType::RoomMessage, content);
        let (pdu, json) =
            build(template, &RoomVersionId::V11, key.key_pair(), server_name!("hearth.test"))
                .unwrap();
        assert_eq!(pdu.content.get(), canonical);
        assert!(json.contains(&format!("\"content\":{canonical},")));
    }
}
