use ruma::{RoomVersionId, owned_server_name, server_name};
use serde_json::{Value, json, value::RawValue};

use super::*;
use crate::{
    SigningKey,
    event_builder::{EventTemplate, build},
    room_version,
    server_keys::sign_json,
    test_room::user,
};

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed([seed; 32], "1".to_owned()).unwrap()
}

fn keys_of(server: &str, seed: u8, validity: Validity) -> VerifyKeys {
    let key = Base64::parse(key(seed).public_key()).unwrap();
    let by_id = BTreeMap::from([("ed25519:1".to_owned(), VerifyKey { key, validity })]);
    VerifyKeys::from([(server.try_into().unwrap(), by_id)])
}

fn at(millis: u32) -> MilliSecondsSinceUnixEpoch {
    MilliSecondsSinceUnixEpoch(millis.into())
}

fn forever() -> Validity {
    Validity::Until(MilliSecondsSinceUnixEpoch(ruma::UInt::MAX))
}

fn message(version: &RoomVersionId) -> String {
    event(version, "m.room.message", None, &json!({ "body": "tea" }))
}

fn event(version: &RoomVersionId, kind: &str, state_key: Option<&str>, content: &Value) -> String {
    let content = RawValue::from_string(content.to_string()).unwrap();
    let room_id = Some(ruma::owned_room_id!("!kitchen:hearth.test"));
    let mut template = EventTemplate::new(room_id, user("@ada:hearth.test"), kind.into(), content);
    template.id_localpart = Some("random".to_owned());
    template.origin_server_ts = at(1_000);
    template.state_key = state_key.map(ToOwned::to_owned);
    build(template, version, key(1).key_pair(), server_name!("hearth.test")).unwrap().1
}

fn rules(version: &RoomVersionId) -> room_version::Rules {
    room_version::rules(version).unwrap()
}

fn changed(json: &str, change: impl FnOnce(&mut Value)) -> String {
    let mut value: Value = serde_json::from_str(json).unwrap();
    change(&mut value);
    value.to_string()
}

#[test]
fn an_intact_event_passes_unchanged() {
    for version in room_version::supported() {
        let json = message(version);
        let unsigned = changed(&json, |event| event["unsigned"] = json!({ "age": 1 }));
        let received = Received::read(&unsigned, &rules(version)).unwrap();
        assert_eq!(
            received.signers().unwrap(),
            BTreeMap::from([(
                owned_server_name!("hearth.test"),
                BTreeSet::from(["ed25519:1".to_owned()]),
            )])
        );
        let id = received.claimed().event_id.clone();
        let checked = received.verify(&keys_of("hearth.test", 1, forever())).unwrap();
        assert!(checked.intact && checked.json == json && checked.pdu.event_id == id, "{version}");
        assert!(checked.pdu.unsigned.is_none());
    }
}

#[test]
fn an_event_whose_content_was_changed_goes_on_redacted_under_the_same_id() {
    for version in room_version::supported() {
        let json = message(version);
        let keys = keys_of("hearth.test", 1, forever());
        let intact = Received::read(&json, &rules(version)).unwrap().verify(&keys).unwrap();
        let forged = changed(&json, |event| event["content"]["body"] = json!("coffee"));
        let checked = Received::read(&forged, &rules(version)).unwrap().verify(&keys).unwrap();
        assert!(!checked.intact, "{version}");
        assert_eq!(checked.pdu.content.get(), "{}");
        assert_eq!(checked.pdu.event_id, intact.pdu.event_id);
        let again = Received::read(&checked.json, &rules(version)).unwrap().verify(&keys).unwrap();
        assert_eq!((again.json, again.intact), (checked.json, false), "it stays as it is");
    }
}

#[test]
fn a_wrong_or_missing_signature_is_an_error() {
    let version = RoomVersionId::V11;
    let read = |json: &str| Received::read(json, &rules(&version)).unwrap();
    let json = message(&version);
    assert!(read(&json).verify(&keys_of("hearth.test", 2, forever())).is_err(), "another key");
    assert!(read(&json).verify(&keys_of("other.test", 1, forever())).is_err(), "another server's");
    assert!(read(&json).verify(&VerifyKeys::new()).is_err());
    let keys = keys_of("hearth.test", 1, forever());
    for change in [
        |event: &mut Value| event["sender"] = json!("@bo:hearth.test"),
        |event: &mut Value| event["depth"] = json!(7),
        |event: &mut Value| event["signatures"] = json!({}),
        |event: &mut Value| event["signatures"] = json!(1),
        |event: &mut Value| event["hashes"] = json!({}),
        |event: &mut Value| event["signatures"]["hearth.test"]["ed25519:1"] = json!("!"),
    ] {
        assert!(read(&changed(&json, change)).verify(&keys).is_err());
    }
}

#[test]
fn from_version_5_on_a_key_counts_only_as_long_as_promised() {
    for version in room_version::supported() {
        let verify = |validity| {
            let received = Received::read(&message(version), &rules(version)).unwrap();
            received.verify(&keys_of("hearth.test", 1, validity)).is_ok()
        };
        assert!(verify(Validity::Until(at(1_000))) && verify(Validity::Expired(at(1_000))));
        assert_eq!(
            verify(Validity::Until(at(999))),
            !rules(version).enforce_key_validity,
            "{version}"
        );
        assert!(!verify(Validity::Expired(at(999))), "{version}");
    }
}

#[test]
fn in_versions_1_and_2_the_server_of_the_event_id_signs_too() {
    for version in [RoomVersionId::V1, RoomVersionId::V2] {
        let foreign =
            changed(&message(&version), |event| event["event_id"] = json!("$x:other.test"));
        let received = Received::read(&foreign, &rules(&version)).unwrap();
        let signers: Vec<_> = received.signers().unwrap().into_keys().collect();
        assert_eq!(signers, [owned_server_name!("hearth.test"), owned_server_name!("other.test")]);
    }
}

#[test]
fn a_restricted_join_is_signed_by_the_server_that_let_it_pass() {
    let via = json!({ "membership": "join", "join_authorised_via_users_server": "@cy:other.test" });
    for version in room_version::supported() {
        let restricted = rules(version).signatures.check_join_authorised_via_users_server;
        let signers = |kind: &str| {
            let json = event(version, kind, Some("@ada:hearth.test"), &via);
            Received::read(&json, &rules(version)).unwrap().signers().unwrap().len()
        };
        assert_eq!(signers("m.room.member"), if restricted { 2 } else { 1 }, "{version}");
        assert_eq!(signers("m.room.message"), 1, "{version}: the key means nothing elsewhere");
    }

    let version = RoomVersionId::V11;
    let json = event(&version, "m.room.member", Some("@ada:hearth.test"), &via);
    let mut keys = keys_of("hearth.test", 1, forever());
    keys.extend(keys_of("other.test", 2, forever()));
    assert!(Received::read(&json, &rules(&version)).unwrap().verify(&keys).is_err());
    let mut redacted: CanonicalJsonObject = serde_json::from_str(&json).unwrap();
    redaction::redact(&mut redacted, &rules(&version)).unwrap();
    sign_json(&mut redacted, server_name!("other.test"), &key(2)).unwrap();
    let countersigned = changed(&json, |event| {
        event["signatures"] = serde_json::to_value(&redacted["signatures"]).unwrap();
    });
    assert!(
        Received::read(&countersigned, &rules(&version)).unwrap().verify(&keys).unwrap().intact
    );
}

#[test]
fn a_third_party_invitation_needs_no_signature_of_its_sender() {
    let content = json!({ "membership": "invite", "third_party_invite": { "signed": {} } });
    let json = event(&RoomVersionId::V11, "m.room.member", Some("@bo:hearth.test"), &content);
    let received = Received::read(&json, &rules(&RoomVersionId::V11)).unwrap();
    assert!(received.signers().unwrap().is_empty());
}

#[test]
fn what_is_not_in_the_format_is_refused() {
    let version = RoomVersionId::V11;
    let json = message(&version);
    let many = |count| Value::from(vec!["$e"; count]);
    let long = "x".repeat(256);
    let changes: [&dyn Fn(&mut Value); 18] = [
        &|event| event["sender"] = json!("ada"),
        &|event| event["room_id"] = json!(null),
        &|event| event["room_id"] = json!(format!("!{long}:x")),
        &|event| event["sender"] = json!(format!("@{long}:x")),
        &|event| event["type"] = json!(long),
        &|event| event["state_key"] = json!(long),
        &|event| event["state_key"] = json!(null),
        &|event| event["content"] = json!([]),
        &|event| event["content"] = json!(null),
        &|event| event["depth"] = json!(-1),
        &|event| event["depth"] = json!("1"),
        &|event| event["origin_server_ts"] = json!(-5),
        &|event| event["prev_events"] = many(21),
        &|event| event["auth_events"] = many(11),
        &|event| event["auth_events"] = json!([["$e", {}]]),
        &|event| event["content"]["body"] = json!("x".repeat(65_536)),
        &|event| event["content"]["float"] = json!(1.5),
        &|event| event["content"]["large"] = json!(9_007_199_254_740_992_i64),
    ];
    for (number, change) in changes.into_iter().enumerate() {
        assert!(
            Received::read(&changed(&json, change), &rules(&version)).is_err(),
            "change {number}"
        );
    }
    for text in ["", "[]", "{}", "null", "{\"type\":", "\u{0}"] {
        assert!(Received::read(text, &rules(&version)).is_err(), "{text}");
    }
    let full =
        changed(&json, |event| (event["prev_events"], event["auth_events"]) = (many(20), many(10)));
    assert!(Received::read(&full, &rules(&version)).is_ok());
    for id in [json!(null), json!("random"), json!(5)] {
        let odd = changed(&message(&RoomVersionId::V1), |event| event["event_id"] = id);
        assert!(matches!(
            Received::read(&odd, &rules(&RoomVersionId::V1)),
            Err(ReceiptError::EventId)
        ));
    }
}

/// The specification wants room versions 1 to 5 to take floats and integers beyond 2^53. They are refused: servers hash such events
/// differently, and no way to write them is agreed on. A depth up to 2^63 is refused for the same reason.
#[test]
fn numbers_outside_canonical_json_are_refused_in_old_versions_too() {
    for version in &room_version::supported()[..5] {
        for (field, number) in
            [("content", json!({ "n": 0.5 })), ("depth", json!(9_223_372_036_854_775_807_i64))]
        {
            let odd = changed(&message(version), |event| event[field] = number);
            assert!(
                matches!(Received::read(&odd, &rules(version)), Err(ReceiptError::Json(_))),
                "{version}"
            );
        }
    }
}

/// Spec: appendices, "Cryptographic Test Vectors", "Event Signing".
#[test]
fn the_specifications_event_signatures() {
    let key = Base64::parse(
        SigningKey::from_text("ed25519 1 YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1")
            .unwrap()
            .public_key(),
    );
    let by_id = BTreeMap::from([(
        "ed25519:1".to_owned(),
        VerifyKey { key: key.unwrap(), validity: forever() },
    )]);
    let keys = VerifyKeys::from([(owned_server_name!("domain"), by_id)]);
    let minimal = json!({
        "auth_events": [], "content": {}, "depth": 3, "origin": "domain", "origin_server_ts": 1_000_000, "prev_events": [],
        "room_id": "!x:domain", "sender": "@a:domain", "type": "X", "unsigned": { "age_ts": 1_000_000 },
        "hashes": { "sha256": "5jM4wQpv6lnBo7CLIghJuHdW+s2CMBJPUOGOC89ncos" },
        "signatures": { "domain": {
            "ed25519:1": "KxwGjPSDEtvnFgU00fwFz+l6d2pJM6XBIaMEn81SXPTRl16AqLAYqfIReFGZlHi5KLjAWbOoMszkwsQma+lYAg"
        } },
    });
    let received = Received::read(&minimal.to_string(), &rules(&RoomVersionId::V3)).unwrap();
    assert!(received.verify(&keys).unwrap().intact);

    // The second example leaves out the fields that every event has by now, so it is checked as plain JSON.
    let message = json!({
        "content": { "body": "Here is the message content" }, "event_id": "$0:domain", "origin": "domain",
        "origin_server_ts": 1_000_000, "type": "m.room.message", "room_id": "!r:domain", "sender": "@u:domain",
        "hashes": { "sha256": "onLKD1bGljeBWQhWZ1kaP9SorVmRQNdN5aM2JYU2n/g" },
        "signatures": { "domain": {
            "ed25519:1": "Wm+VzmOUOz08Ds+0NTWb1d4CZrVsJSikkeRxh6aCcUwu6pNC78FunoD7KNWzqFn241eYHYMGCA5McEiVPdhzBA"
        } },
    });
    let object: CanonicalJsonObject = serde_json::from_value(message).unwrap();
    let by_id = PublicKeySet::from([(
        "ed25519:1".to_owned(),
        keys[server_name!("domain")]["ed25519:1"].key.clone(),
    )]);
    let keys = PublicKeyMap::from([("domain".to_owned(), by_id)]);
    assert_eq!(verify_event(&keys, &object, &rules(&RoomVersionId::V1)).unwrap(), Verified::All);
}
