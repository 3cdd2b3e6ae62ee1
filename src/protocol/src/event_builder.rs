//! Making an event of our own: from what a service wants to say to hashed and signed JSON.

mod draft;
#[cfg(test)]
mod tests;

use std::{collections::HashMap, sync::Arc};

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use ruma::{
    IdParseError, MilliSecondsSinceUnixEpoch, OwnedEventId, OwnedRoomId, OwnedUserId,
    RoomVersionId, ServerName,
    events::TimelineEventType,
    signatures::{Ed25519KeyPair, KeyPair},
};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use self::draft::{Draft, Seals, check_size, to_json};
use crate::{Depth, Pdu, PduError, limits, room_version};

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
