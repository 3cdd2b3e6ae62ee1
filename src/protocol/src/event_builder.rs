//! Making an event of our own: from what a service wants to say to hashed and signed JSON.

use std::{collections::HashMap, sync::Arc};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use ruma::{
    CanonicalJsonObject, CanonicalJsonValue, EventId, IdParseError, MilliSecondsSinceUnixEpoch,
    OwnedEventId, OwnedRoomId, OwnedUserId, RoomVersionId, ServerName,
    canonical_json::redact_content_in_place,
    events::TimelineEventType,
    room_version_rules::{EventIdFormatVersion, EventsReferenceFormatVersion, RoomVersionRules},
    signatures::{Ed25519KeyPair, KeyPair},
};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::{
    Depth, Pdu, PduError,
    json_writer::ObjectWriter,
    limits,
    pdu::{names_its_room, room_of_create_event},
    room_version,
};

/// What an event says, before it is hashed and signed.
#[derive(Debug, Clone)]
pub struct EventTemplate {
    /// The room. `None` only for the create event of a version where the room's id follows from that event's id (12).
    pub room_id: Option<OwnedRoomId>,
    /// Who sends it.
    pub sender: OwnedUserId,
    /// Its type.
    pub kind: TimelineEventType,
    /// Its content: a JSON object, in any key order.
    pub content: Box<RawValue>,
    /// Which of its type's state it sets; `None` for a message.
    pub state_key: Option<String>,
    /// The event that an `m.room.redaction` redacts. It is put where the room version wants it; other types have none.
    pub redacts: Option<OwnedEventId>,
    /// The events right before it.
    pub prev_events: Vec<OwnedEventId>,
    /// The state that allows it.
    pub auth_events: Vec<OwnedEventId>,
    /// How deep it lies.
    pub depth: Depth,
    /// When it is made.
    pub origin_server_ts: MilliSecondsSinceUnixEpoch,
    /// Room versions 1 and 2 only, and needed there: what stands before `:server` in the event's id. It must be random.
    pub id_localpart: Option<String>,
    /// Room versions 1 and 2 only: the reference hashes of the previous and auth events, as far as known.
    pub reference_hashes: HashMap<OwnedEventId, String>,
}

impl EventTemplate {
    /// An event of `room_id` that follows nothing, sets no state and was made in 1970: set the fields that differ.
    pub fn new(
        room_id: Option<OwnedRoomId>,
        sender: OwnedUserId,
        kind: TimelineEventType,
        content: Box<RawValue>,
    ) -> Self {
        Self {
            room_id,
            sender,
            kind,
            content,
            state_key: None,
            redacts: None,
            prev_events: Vec::new(),
            auth_events: Vec::new(),
            depth: Depth::new(1),
            origin_server_ts: MilliSecondsSinceUnixEpoch(ruma::UInt::MIN),
            id_localpart: None,
            reference_hashes: HashMap::new(),
        }
    }
}

/// Why an event cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The room version is not served.
    #[error("room version {0} is not supported")]
    UnknownVersion(RoomVersionId),
    /// A field, or the `event` as a whole, is over the size the specification allows.
    #[error("{field} is larger than {limit} bytes or entries")]
    TooLarge {
        /// The field, or `event`.
        field: &'static str,
        /// How many bytes, or entries of a list, are allowed.
        limit: usize,
    },
    /// The content is not an object of canonical JSON: it has a float, an integer beyond 2^53, or nests too deep.
    #[error("the content is not an object in canonical JSON")]
    NotCanonical,
    /// There is no `room_id`, or there is one in a version 12 create event.
    #[error("the event has no room_id, or has one where its version forbids it")]
    RoomId,
    /// The event's id, or the room's that follows from it, is not valid.
    #[error("the event gets no valid id: {0}")]
    EventId(#[from] IdParseError),
    /// The room's id that follows from the create event's is not valid.
    #[error(transparent)]
    Pdu(#[from] PduError),
    /// Room versions 1 and 2 need the random part of the event's id.
    #[error("room versions 1 and 2 need a random localpart for the event id")]
    NoIdLocalpart,
}

/// Hashes and signs an event of `server_name`; returns it parsed and as the canonical JSON to store and to send to others.
///
/// Refuses what is too large and what is not canonical JSON. In room versions 1 to 5 the specification lets floats and large
/// integers pass; nothing new with them is made here, as servers do not agree on how to hash them.
/// Spec: server-server API, "Signing Events", "Calculating the content hash for an event"; client-server API, "Size limits".
pub fn build(
    template: EventTemplate,
    version: &RoomVersionId,
    key_pair: &Ed25519KeyPair,
    server_name: &ServerName,
) -> Result<(Arc<Pdu>, String), BuildError> {
    let rules =
        room_version::rules(version).ok_or_else(|| BuildError::UnknownVersion(version.clone()))?;
    let draft = Draft::new(template, &rules, server_name)?;

    let content = to_json(&draft.content);
    let hash = STANDARD_NO_PAD.encode(Sha256::digest(draft.json(&content, &Seals::default())));

    // What is signed is what a redaction leaves, and in versions 3 and later the event's id is the hash of the same bytes.
    let redacted = draft.redacted_content(&rules);
    let bare =
        draft.json(&redacted, &Seals { hash: Some(&hash), redacted: true, ..Seals::default() });
    let signature = key_pair.sign(bare.as_bytes());
    let event_id = draft.event_id(&bare, &rules)?;

    let (key_id, signature) = (signature.id(), signature.base64());
    let signed = Some((server_name.as_str(), key_id.as_str(), signature.as_str()));
    let json = draft.json(&content, &Seals { hash: Some(&hash), signed, redacted: false });
    check_size("event", json.len(), limits::EVENT)?;

    let content = RawValue::from_string(content).map_err(|_| BuildError::NotCanonical)?;
    Ok((Arc::new(draft.into_pdu(event_id, content)?), json))
}

/// What is added to an event step by step, and whether its unprotected fields are left out.
#[derive(Default)]
struct Seals<'a> {
    hash: Option<&'a str>,
    signed: Option<(&'a str, &'a str, &'a str)>,
    redacted: bool,
}

/// A template that was found to be sound, with what follows from its room version.
struct Draft {
    template: EventTemplate,
    content: CanonicalJsonObject,
    kind: String,
    /// The id, in versions 1 and 2.
    own_id: Option<OwnedEventId>,
    /// Whether references carry hashes (versions 1 and 2).
    hashed_references: bool,
    /// `redacts` at the top level, where the version wants it there.
    top_level_redacts: Option<OwnedEventId>,
}

impl Draft {
    fn new(
        mut template: EventTemplate,
        rules: &RoomVersionRules,
        server_name: &ServerName,
    ) -> Result<Self, BuildError> {
        let forbidden = names_its_room(&template.kind, template.state_key.as_deref(), rules);
        if template.room_id.is_some() == forbidden {
            return Err(BuildError::RoomId);
        }
        if limits::nests_too_deep(template.content.get().as_bytes()) {
            return Err(BuildError::NotCanonical);
        }
        let mut content: CanonicalJsonObject =
            serde_json::from_str(template.content.get()).map_err(|_| BuildError::NotCanonical)?;
        let top_level_redacts = place_redacts(&mut template, &mut content, rules);
        let own_id = match rules.event_id_format {
            EventIdFormatVersion::V1 => {
                let localpart = template.id_localpart.as_ref().ok_or(BuildError::NoIdLocalpart)?;
                Some(EventId::parse(format!("${localpart}:{server_name}"))?)
            }
            _ => None,
        };
        let hashed_references = rules.events_reference_format == EventsReferenceFormatVersion::V1;
        let kind = template.kind.to_string();
        let draft = Self { template, content, kind, own_id, hashed_references, top_level_redacts };
        draft.check_sizes()?;
        Ok(draft)
    }

    fn check_sizes(&self) -> Result<(), BuildError> {
        let template = &self.template;
        let strings = [
            ("sender", Some(template.sender.as_str())),
            ("room_id", template.room_id.as_deref().map(AsRef::as_ref)),
            ("type", Some(self.kind.as_str())),
            ("state_key", template.state_key.as_deref()),
            ("event_id", self.own_id.as_deref().map(AsRef::as_ref)),
        ];
        for (field, value) in strings {
            check_size(field, value.map_or(0, str::len), limits::IDENTIFIER)?;
        }
        check_size("prev_events", template.prev_events.len(), limits::PREV_EVENTS)?;
        check_size("auth_events", template.auth_events.len(), limits::AUTH_EVENTS)
    }

    /// The event in canonical JSON: the fields stand in the order of their names.
    fn json(&self, content: &str, seals: &Seals<'_>) -> String {
        let template = &self.template;
        let mut json = ObjectWriter::with_capacity(content.len() + 1_024);
        json.raw("auth_events", &self.references(&template.auth_events));
        json.raw("content", content);
        json.integer("depth", template.depth.get());
        json.optional("event_id", self.own_id.as_deref().map(EventId::as_str));
        if let Some(hash) = seals.hash {
            json.nested("hashes", |hashes| hashes.string("sha256", hash));
        }
        json.integer("origin_server_ts", template.origin_server_ts.get().into());
        json.raw("prev_events", &self.references(&template.prev_events));
        if !seals.redacted {
            json.optional("redacts", self.top_level_redacts.as_deref().map(EventId::as_str));
        }
        json.optional("room_id", template.room_id.as_deref().map(AsRef::as_ref));
        json.string("sender", template.sender.as_str());
        if let Some((server_name, key_id, signature)) = seals.signed {
            json.nested("signatures", |by_server| {
                by_server.nested(server_name, |by_key| by_key.string(key_id, signature));
            });
        }
        json.optional("state_key", template.state_key.as_deref());
        json.string("type", &self.kind);
        json.finish()
    }

    fn references(&self, events: &[OwnedEventId]) -> String {
        if !self.hashed_references {
            return to_json(events);
        }
        let references: Vec<_> = events
            .iter()
            .map(|id| {
                let hash = self.template.reference_hashes.get(id);
                (id, hash.map(|hash| HashMap::from([("sha256", hash)])).unwrap_or_default())
            })
            .collect();
        to_json(&references)
    }

    /// The content as a redaction leaves it.
    fn redacted_content(&self, rules: &RoomVersionRules) -> String {
        if !crate::redaction::keeps_content(&self.kind) {
            return "{}".to_owned();
        }
        let mut content = self.content.clone();
        redact_content_in_place(&mut content, &rules.redaction, &self.kind);
        to_json(&content)
    }

    fn event_id(&self, bare: &str, rules: &RoomVersionRules) -> Result<OwnedEventId, BuildError> {
        let hash = Sha256::digest(bare);
        let hash = match (&self.own_id, rules.event_id_format) {
            (Some(own_id), _) => return Ok(own_id.clone()),
            (None, EventIdFormatVersion::V2) => STANDARD_NO_PAD.encode(hash),
            (None, _) => URL_SAFE_NO_PAD.encode(hash),
        };
        Ok(EventId::parse(format!("${hash}"))?)
    }

    fn into_pdu(self, event_id: OwnedEventId, content: Box<RawValue>) -> Result<Pdu, BuildError> {
        let room_id = match &self.template.room_id {
            Some(room_id) => room_id.clone(),
            None => room_of_create_event(&event_id)?,
        };
        Ok(Pdu::from_template(self.template, event_id, room_id, content))
    }
}

/// Puts `redacts` of a redaction into the content (version 11 and later) or returns it for the top level; in `template` it stays.
fn place_redacts(
    template: &mut EventTemplate,
    content: &mut CanonicalJsonObject,
    rules: &RoomVersionRules,
) -> Option<OwnedEventId> {
    if template.kind != TimelineEventType::RoomRedaction {
        template.redacts = None;
        return None;
    }
    if !rules.redaction.content_field_redacts {
        return template.redacts.clone();
    }
    if let Some(redacts) = &template.redacts {
        content.insert("redacts".to_owned(), CanonicalJsonValue::String(redacts.to_string()));
    } else {
        let named = content.get("redacts").and_then(CanonicalJsonValue::as_str);
        template.redacts = named.and_then(|id| EventId::parse(id).ok());
    }
    None
}

fn check_size(field: &'static str, size: usize, limit: usize) -> Result<(), BuildError> {
    if size > limit { Err(BuildError::TooLarge { field, limit }) } else { Ok(()) }
}

/// `value` as JSON; with its keys sorted already, in canonical JSON.
fn to_json(value: &(impl serde::Serialize + ?Sized)) -> String {
    serde_json::to_string(value)
        .expect("strings, integers, lists and maps by string always serialise")
}

#[cfg(test)]
mod tests {
    use ruma::{
        owned_event_id, owned_room_id, owned_user_id,
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
                    assert_eq!(
                        pdu.event_id,
                        format!("${}", reference_hash(&object, &rules).unwrap())
                    );
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
        for content in [
            r#"{"a":1.5}"#,
            r#"{"a":1e3}"#,
            r#"{"a":[9007199254740992]}"#,
            r#"{"a":-0}"#,
            "[]",
            "3",
        ] {
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
}
