//! An event on its way to its canonical JSON.

use std::collections::HashMap;

use base64::{
    Engine,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use ruma::{
    CanonicalJsonObject, CanonicalJsonValue, EventId, OwnedEventId, ServerName,
    canonical_json::redact_content_in_place,
    events::TimelineEventType,
    room_version_rules::{EventIdFormatVersion, EventsReferenceFormatVersion, RoomVersionRules},
};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::{BuildError, EventTemplate};
use crate::{
    Pdu,
    json_writer::ObjectWriter,
    limits,
    pdu::{names_its_room, room_of_create_event},
};

/// What is added to an event step by step, and whether its unprotected fields are left out.
#[derive(Default)]
pub(super) struct Seals<'a> {
    pub(super) hash: Option<&'a str>,
    pub(super) signed: Option<(&'a str, &'a str, &'a str)>,
    pub(super) redacted: bool,
}

/// A template that was found to be sound, with what follows from its room version.
pub(super) struct Draft {
    template: EventTemplate,
    pub(super) content: CanonicalJsonObject,
    kind: String,
    /// The id, in versions 1 and 2.
    own_id: Option<OwnedEventId>,
    /// Whether references carry hashes (versions 1 and 2).
    hashed_references: bool,
    /// `redacts` at the top level, where the version wants it there.
    top_level_redacts: Option<OwnedEventId>,
}

impl Draft {
    pub(super) fn new(
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
    pub(super) fn json(&self, content: &str, seals: &Seals<'_>) -> String {
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
    pub(super) fn redacted_content(&self, rules: &RoomVersionRules) -> String {
        if !crate::redaction::keeps_content(&self.kind) {
            return "{}".to_owned();
        }
        let mut content = self.content.clone();
        redact_content_in_place(&mut content, &rules.redaction, &self.kind);
        to_json(&content)
    }

    pub(super) fn event_id(
        &self,
        bare: &str,
        rules: &RoomVersionRules,
    ) -> Result<OwnedEventId, BuildError> {
        let hash = Sha256::digest(bare);
        let hash = match (&self.own_id, rules.event_id_format) {
            (Some(own_id), _) => return Ok(own_id.clone()),
            (None, EventIdFormatVersion::V2) => STANDARD_NO_PAD.encode(hash),
            (None, _) => URL_SAFE_NO_PAD.encode(hash),
        };
        Ok(EventId::parse(format!("${hash}"))?)
    }

    pub(super) fn into_pdu(
        self,
        event_id: OwnedEventId,
        content: Box<RawValue>,
    ) -> Result<Pdu, BuildError> {
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

pub(super) fn check_size(field: &'static str, size: usize, limit: usize) -> Result<(), BuildError> {
    if size > limit { Err(BuildError::TooLarge { field, limit }) } else { Ok(()) }
}

/// `value` as JSON; with its keys sorted already, in canonical JSON.
pub(super) fn to_json(value: &(impl serde::Serialize + ?Sized)) -> String {
    serde_json::to_string(value)
        .expect("strings, integers, lists and maps by string always serialise")
}
