//! A parsed event.

use ruma::{
    EventId, MilliSecondsSinceUnixEpoch, OwnedEventId, OwnedRoomId, OwnedUserId, RoomId, UserId,
    events::{StateEventType, TimelineEventType},
    room_version_rules::{EventsReferenceFormatVersion, RoomIdFormatVersion, RoomVersionRules},
    state_res::Event,
};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, IgnoredAny},
};
use serde_json::value::RawValue;

use crate::{Depth, event_builder::EventTemplate};

/// An event of a room, parsed and never changed after. Its hashes and signatures are not here: they are checked on receipt and
/// then needed only by other servers, which get the stored JSON.
/// Spec: server-server API, "PDUs".
#[derive(Debug, Clone)]
pub struct Pdu {
    /// The event's id: in its JSON in room versions 1 and 2, else computed from it.
    pub event_id: OwnedEventId,
    /// The event's room. In version 12 the create event names none: there it follows from the event's id.
    pub room_id: OwnedRoomId,
    /// Who sent it.
    pub sender: OwnedUserId,
    /// When it was made, by its maker's clock.
    pub origin_server_ts: MilliSecondsSinceUnixEpoch,
    /// Its type.
    pub kind: TimelineEventType,
    /// Its content: a JSON object.
    pub content: Box<RawValue>,
    /// Which of its type's state it sets; `None` for a message.
    pub state_key: Option<String>,
    /// The events right before it.
    pub prev_events: Vec<OwnedEventId>,
    /// The state that allowed it.
    pub auth_events: Vec<OwnedEventId>,
    /// The event that it redacts. `None` unless it is an `m.room.redaction` and names a valid id where its room version
    /// looks for it.
    pub redacts: Option<OwnedEventId>,
    /// How deep it lies, by its maker's account.
    pub depth: Depth,
    /// What this server knows about the event beside it; never hashed, signed or sent to other servers.
    pub unsigned: Option<Box<RawValue>>,
    /// Whether it failed the checks on receipt. Such an event is kept only so that others can be checked.
    pub rejected: bool,
    /// Whether its JSON has a `room_id`: in version 12 a create event with one is to be rejected.
    pub(crate) has_room_id: bool,
}

/// Why some JSON is not an event.
#[derive(Debug, thiserror::Error)]
pub enum PduError {
    /// It is not JSON, or a field is missing or of the wrong type.
    #[error("not an event: {0}")]
    Json(#[from] serde_json::Error),
    /// The content is not an object.
    #[error("the content of an event is an object")]
    Content,
    /// There is no `room_id`, and this is not a create event of a version where that is right.
    #[error("event without a room_id")]
    NoRoomId,
    /// The create event's id is no room id.
    #[error("the event id {0} makes no room id")]
    NotARoom(OwnedEventId),
}

/// What the JSON of an event of either reference format is read into; `R` is one reference to another event.
#[derive(Deserialize)]
struct Fields<'a, R> {
    room_id: Option<OwnedRoomId>,
    sender: OwnedUserId,
    origin_server_ts: MilliSecondsSinceUnixEpoch,
    #[serde(rename = "type")]
    kind: TimelineEventType,
    #[serde(borrow)]
    content: &'a RawValue,
    #[serde(default, deserialize_with = "present")]
    state_key: Option<String>,
    #[serde(bound = "R: Deserialize<'de>")]
    prev_events: Vec<R>,
    #[serde(bound = "R: Deserialize<'de>")]
    auth_events: Vec<R>,
    #[serde(borrow)]
    redacts: Option<&'a RawValue>,
    depth: Depth,
    #[serde(borrow)]
    unsigned: Option<&'a RawValue>,
}

/// A reference of room versions 1 and 2: `["$id:server", {"sha256": "..."}]`.
#[derive(Deserialize)]
struct HashedReference(OwnedEventId, IgnoredAny);

impl From<HashedReference> for OwnedEventId {
    fn from(reference: HashedReference) -> Self {
        reference.0
    }
}

/// A string where the field is there; unlike `Option`, `null` is an error and not an absent field.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    String::deserialize(deserializer).map(Some)
}

impl Pdu {
    /// Reads an event's JSON, in the format of its room version. The event's id and signatures are not checked.
    pub fn from_json(
        json: &str,
        event_id: OwnedEventId,
        rules: &RoomVersionRules,
    ) -> Result<Self, PduError> {
        match rules.events_reference_format {
            EventsReferenceFormatVersion::V1 => {
                Self::from_fields::<HashedReference>(serde_json::from_str(json)?, event_id, rules)
            }
            _ => Self::from_fields::<OwnedEventId>(serde_json::from_str(json)?, event_id, rules),
        }
    }

    fn from_fields<R: Into<OwnedEventId>>(
        fields: Fields<'_, R>,
        event_id: OwnedEventId,
        rules: &RoomVersionRules,
    ) -> Result<Self, PduError> {
        if !fields.content.get().starts_with('{') {
            return Err(PduError::Content);
        }
        let has_room_id = fields.room_id.is_some();
        let room_id = match fields.room_id {
            _ if names_its_room(&fields.kind, fields.state_key.as_deref(), rules) => {
                room_of_create_event(&event_id)?
            }
            Some(room_id) => room_id,
            None => return Err(PduError::NoRoomId),
        };
        let redacts = redacted_event(&fields.kind, fields.redacts, fields.content, rules);
        Ok(Self {
            event_id,
            room_id,
            sender: fields.sender,
            origin_server_ts: fields.origin_server_ts,
            kind: fields.kind,
            content: fields.content.to_owned(),
            state_key: fields.state_key,
            prev_events: fields.prev_events.into_iter().map(Into::into).collect(),
            auth_events: fields.auth_events.into_iter().map(Into::into).collect(),
            redacts,
            depth: fields.depth,
            unsigned: fields.unsigned.map(ToOwned::to_owned),
            rejected: false,
            has_room_id,
        })
    }

    /// The content as `T`, read anew at each call.
    pub fn content_as<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.content.get())
    }

    /// The state this event sets: its type and state key; `None` for a message.
    pub fn state_entry(&self) -> Option<(StateEventType, &str)> {
        let state_key = self.state_key.as_deref()?;
        Some((self.kind.to_string().into(), state_key))
    }

    /// Whether this event sets the state `kind` of `state_key`.
    pub fn is_state(&self, kind: &TimelineEventType, state_key: &str) -> bool {
        self.kind == *kind && self.state_key.as_deref() == Some(state_key)
    }

    /// The same event, marked as having failed the checks on receipt.
    #[must_use]
    pub fn into_rejected(self) -> Self {
        Self { rejected: true, ..self }
    }

    /// The same event with `unsigned` in place of what it had.
    #[must_use]
    pub fn with_unsigned(self, unsigned: Option<Box<RawValue>>) -> Self {
        Self { unsigned, ..self }
    }

    /// An event whose parts are known already.
    pub(crate) fn from_template(
        template: EventTemplate,
        event_id: OwnedEventId,
        room_id: OwnedRoomId,
        content: Box<RawValue>,
    ) -> Self {
        Self {
            event_id,
            room_id,
            has_room_id: template.room_id.is_some(),
            sender: template.sender,
            origin_server_ts: template.origin_server_ts,
            kind: template.kind,
            content,
            state_key: template.state_key,
            prev_events: template.prev_events,
            auth_events: template.auth_events,
            redacts: template.redacts,
            depth: template.depth,
            unsigned: None,
            rejected: false,
        }
    }
}

/// Whether the room of this event follows from the event's id: the create event of version 12.
pub(crate) fn names_its_room(
    kind: &TimelineEventType,
    state_key: Option<&str>,
    rules: &RoomVersionRules,
) -> bool {
    rules.room_id_format == RoomIdFormatVersion::V2
        && *kind == TimelineEventType::RoomCreate
        && state_key == Some("")
}

/// The room that a version 12 create event makes.
/// Spec: room version 12, "Room IDs as hashes of the create event".
pub(crate) fn room_of_create_event(event_id: &EventId) -> Result<OwnedRoomId, PduError> {
    RoomId::parse(event_id.as_str().replacen('$', "!", 1))
        .map_err(|_| PduError::NotARoom(event_id.to_owned()))
}

/// The event that an event of type `kind` redacts, if its `redacts` is a valid event id.
fn redacted_event(
    kind: &TimelineEventType,
    top_level: Option<&RawValue>,
    content: &RawValue,
    rules: &RoomVersionRules,
) -> Option<OwnedEventId> {
    #[derive(Deserialize)]
    struct Content {
        redacts: OwnedEventId,
    }
    if *kind != TimelineEventType::RoomRedaction {
        return None;
    }
    if rules.redaction.content_field_redacts {
        serde_json::from_str::<Content>(content.get()).ok().map(|content| content.redacts)
    } else {
        serde_json::from_str(top_level?.get()).ok()
    }
}

impl Event for Pdu {
    type Id = OwnedEventId;

    fn event_id(&self) -> &Self::Id {
        &self.event_id
    }

    fn room_id(&self) -> Option<&RoomId> {
        self.has_room_id.then_some(&self.room_id)
    }

    fn sender(&self) -> &UserId {
        &self.sender
    }

    fn origin_server_ts(&self) -> MilliSecondsSinceUnixEpoch {
        self.origin_server_ts
    }

    fn event_type(&self) -> &TimelineEventType {
        &self.kind
    }

    fn content(&self) -> &RawValue {
        &self.content
    }

    fn state_key(&self) -> Option<&str> {
        self.state_key.as_deref()
    }

    fn prev_events(&self) -> Box<dyn DoubleEndedIterator<Item = &Self::Id> + '_> {
        Box::new(self.prev_events.iter())
    }

    fn auth_events(&self) -> Box<dyn DoubleEndedIterator<Item = &Self::Id> + '_> {
        Box::new(self.auth_events.iter())
    }

    fn redacts(&self) -> Option<&Self::Id> {
        self.redacts.as_ref()
    }

    fn rejected(&self) -> bool {
        self.rejected
    }
}
