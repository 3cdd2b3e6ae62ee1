//! Events as clients see them.

use std::sync::Arc;

use protocol::{Pdu, redaction};
use ruma::events::{StateEventType, TimelineEventType};
use ruma::{DeviceId, OwnedEventId, UserId};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value, json};

use crate::aggregations::Edits;
use crate::{RoomError, Rooms, StoredEvent};

/// Who an event is shown to.
#[derive(Debug, Clone, Copy)]
pub struct Viewer<'a> {
    /// The user.
    pub user_id: &'a UserId,
    /// The user's device, which alone sees the transaction that made an event; `None` if that does not matter.
    pub device_id: Option<&'a DeviceId>,
}

/// What an event looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventShape {
    /// With its room's ID.
    Whole,
    /// Without its room's ID, as in `/sync`, where the room is known.
    InRoom,
    /// Just type, state key, sender and content, as in `invite_state`.
    Stripped,
}

#[derive(Serialize)]
struct ClientEvent<'a> {
    content: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    origin_server_ts: Option<ruma::MilliSecondsSinceUnixEpoch>,
    #[serde(skip_serializing_if = "Option::is_none")]
    redacts: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    room_id: Option<&'a str>,
    sender: &'a UserId,
    #[serde(skip_serializing_if = "Option::is_none")]
    state_key: Option<&'a str>,
    #[serde(rename = "type")]
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    unsigned: Option<Map<String, Value>>,
}

impl Rooms {
    /// An event as `viewer` sees it, with what the specification has servers add under `unsigned`. A redacted event
    /// is shown redacted, and so is one whose sender had it erased before the viewer came.
    /// Spec: client-server API, "Room event format" and "Aggregations of child events".
    pub async fn client_event(
        &self,
        viewer: Viewer<'_>,
        event: &StoredEvent,
        shape: EventShape,
    ) -> Result<Box<RawValue>, RoomError> {
        if shape == EventShape::Stripped {
            return serialise(&*self.after_redaction(event).await?, shape, None);
        }
        let (pdu, unsigned) = self.as_it_is_now(viewer, event).await?;
        let unsigned = self.with_relations(viewer, event, &pdu, unsigned).await?;
        serialise(&pdu, shape, Some(unsigned))
    }

    /// An event as one that was redacted, for who ignores its sender.
    pub(crate) async fn pruned_event(
        &self,
        viewer: Viewer<'_>,
        event: &StoredEvent,
    ) -> Result<Box<RawValue>, RoomError> {
        let (_, mut unsigned) = self.as_it_is_now(viewer, event).await?;
        unsigned.remove("prev_content");
        let pdu = self.redacted_form(event).await?;
        let unsigned = self.with_relations(viewer, event, &pdu, unsigned).await?;
        serialise(&pdu, EventShape::Whole, Some(unsigned))
    }

    /// The `unsigned` of an event that is shown as `pdu`, with what relates to it.
    async fn with_relations(
        &self,
        viewer: Viewer<'_>,
        event: &StoredEvent,
        pdu: &Arc<Pdu>,
        mut unsigned: Map<String, Value>,
    ) -> Result<Map<String, Value>, RoomError> {
        if event.pdu.state_key.is_none() {
            let is_redacted = !Arc::ptr_eq(pdu, &event.pdu);
            let edits = if is_redacted { Edits::Ignored } else { Edits::Shown };
            let relations = self.aggregations(viewer, event, edits).await?;
            if !relations.is_empty() {
                unsigned.insert("m.relations".to_owned(), Value::Object(relations));
            }
        }
        Ok(unsigned)
    }

    /// An event as it is sent to other servers, after any redaction.
    /// Spec: client-server API, "Filtering", `event_format`.
    pub async fn federation_event(&self, event: &StoredEvent) -> Result<Box<RawValue>, RoomError> {
        let stored = self.store().event(event.number).await?;
        let missing = || RoomError::Damaged(format!("event {} is missing", event.number));
        let (record, mut json) = stored.ok_or_else(missing)?;
        if self.store().redaction(event.number).await?.is_some() {
            let rules = self.rules_of(record.room).await?;
            let damaged = |error: redaction::RedactionError| RoomError::Damaged(error.to_string());
            json = redaction::redact_json(&json, &rules).map_err(damaged)?;
        }
        RawValue::from_string(json).map_err(|error| RoomError::Damaged(error.to_string()))
    }

    /// An event that was redacted as it was sent, with the redaction under `unsigned`.
    pub(crate) async fn original_event(
        &self,
        viewer: Viewer<'_>,
        event: &StoredEvent,
    ) -> Result<Box<RawValue>, RoomError> {
        let (_, unsigned) = self.as_it_is_now(viewer, event).await?;
        serialise(&event.pdu, EventShape::Whole, Some(unsigned))
    }

    /// An event without what others relate to it, as it is shown inside others.
    pub(crate) async fn plain_event(
        &self,
        viewer: Viewer<'_>,
        event: &StoredEvent,
    ) -> Result<Value, RoomError> {
        let (pdu, unsigned) = self.as_it_is_now(viewer, event).await?;
        to_value(&pdu, unsigned)
    }

    /// An event as a redaction leaves it, if there was one: whatever is told of an event is told of this.
    pub async fn after_redaction(&self, event: &StoredEvent) -> Result<Arc<Pdu>, RoomError> {
        match self.store().redaction(event.number).await? {
            None => Ok(Arc::clone(&event.pdu)),
            Some(_) => self.redacted_form(event).await,
        }
    }

    /// What a redaction leaves of an event.
    async fn redacted_form(&self, event: &StoredEvent) -> Result<Arc<Pdu>, RoomError> {
        let rules = self.rules_of(event.record.room).await?;
        let damaged = |error: redaction::RedactionError| RoomError::Damaged(error.to_string());
        Ok(Arc::new(redaction::redacted(&event.pdu, &rules).map_err(damaged)?))
    }

    /// An event after any redaction or erasure, with its `unsigned`.
    async fn as_it_is_now(
        &self,
        viewer: Viewer<'_>,
        event: &StoredEvent,
    ) -> Result<(Arc<Pdu>, Map<String, Value>), RoomError> {
        let mut unsigned = self.unsigned(viewer, event).await?;
        let redaction = self.store().redaction(event.number).await?;
        if redaction.is_none() && !self.is_erased_for(viewer.user_id, event).await? {
            return Ok((Arc::clone(&event.pdu), unsigned));
        }
        unsigned.remove("prev_content");
        if let Some(redaction) = redaction {
            let because = self.event(redaction).await?;
            let shown = self.after_redaction(&because).await?;
            let because = to_value(&shown, self.unsigned(viewer, &because).await?)?;
            unsigned.insert("redacted_by".to_owned(), because["event_id"].clone());
            unsigned.insert("redacted_because".to_owned(), because);
        }
        Ok((self.redacted_form(event).await?, unsigned))
    }

    async fn unsigned(
        &self,
        viewer: Viewer<'_>,
        event: &StoredEvent,
    ) -> Result<Map<String, Value>, RoomError> {
        let mut unsigned = Map::new();
        let now = u64::from(self.clock().now().get());
        let age = now.saturating_sub(event.pdu.origin_server_ts.get().into());
        unsigned.insert("age".to_owned(), json!(age));
        if let Some(transaction) = &event.record.transaction
            && event.pdu.sender == viewer.user_id
            && viewer.device_id.is_some_and(|device| device == transaction.device_id)
        {
            unsigned.insert("transaction_id".to_owned(), json!(transaction.transaction_id));
        }
        if let Some(before) = self.replaced_state(event).await? {
            if let Some(content) = self.content_seen_by(viewer.user_id, &before).await? {
                unsigned.insert("prev_content".to_owned(), content);
            }
            unsigned.insert("replaces_state".to_owned(), json!(before.pdu.event_id));
            unsigned.insert("prev_sender".to_owned(), json!(before.pdu.sender));
        }
        if let Some(membership) = self.membership_at(viewer.user_id, event).await? {
            unsigned.insert("membership".to_owned(), membership);
        }
        Ok(unsigned)
    }

    /// The content of an event as a user sees it; `None` of one that they may not see.
    /// Spec: client-server API, "Room event format", `prev_content`.
    async fn content_seen_by(
        &self,
        user: &UserId,
        event: &StoredEvent,
    ) -> Result<Option<Value>, RoomError> {
        let index = self.store().event_index(&event.pdu.event_id).await?;
        let Some(index) = index else { return Ok(None) };
        let mut sight = self.sight_of_anybody(user, event.record.room).await?;
        if !sight.sees(event, index.position).await? {
            return Ok(None);
        }
        let pdu = if self.is_erased_for(user, event).await? {
            self.redacted_form(event).await?
        } else {
            self.after_redaction(event).await?
        };
        parse(&pdu.content).map(Some)
    }

    /// What the viewer was to the room when an event was sent; for their own membership events, what these made them.
    async fn membership_at(
        &self,
        user: &UserId,
        event: &StoredEvent,
    ) -> Result<Option<Value>, RoomError> {
        #[derive(serde::Deserialize)]
        struct Content {
            membership: Value,
        }
        let is_own = event.pdu.is_state(&TimelineEventType::RoomMember, user.as_str());
        let member = if is_own {
            Arc::clone(&event.pdu)
        } else {
            let (record, kind) = (&event.record, StateEventType::RoomMember);
            let member = self.state_at(record.room, record.state_before, &kind, user.as_str());
            match member.await? {
                Some(member) => Arc::clone(&member.pdu),
                None => return Ok(Some(json!("leave"))),
            }
        };
        Ok(member.content_as::<Content>().ok().map(|content| content.membership))
    }

    /// The state event that a state event took the place of.
    async fn replaced_state(
        &self,
        event: &StoredEvent,
    ) -> Result<Option<Arc<StoredEvent>>, RoomError> {
        let Some((kind, state_key)) = event.pdu.state_entry() else { return Ok(None) };
        let record = &event.record;
        self.state_at(record.room, record.state_before, &kind, state_key).await
    }
}

fn parse(raw: &RawValue) -> Result<Value, RoomError> {
    serde_json::from_str(raw.get()).map_err(|error| RoomError::Damaged(error.to_string()))
}

fn to_value(pdu: &Pdu, unsigned: Map<String, Value>) -> Result<Value, RoomError> {
    parse(&serialise(pdu, EventShape::Whole, Some(unsigned))?)
}

pub(crate) fn serialise(
    pdu: &Pdu,
    shape: EventShape,
    unsigned: Option<Map<String, Value>>,
) -> Result<Box<RawValue>, RoomError> {
    let content = with_redacts(pdu);
    let full = shape != EventShape::Stripped;
    let event = ClientEvent {
        content: content.as_deref().unwrap_or(&pdu.content),
        event_id: full.then(|| pdu.event_id.as_str()),
        origin_server_ts: full.then_some(pdu.origin_server_ts),
        redacts: pdu.redacts.as_deref().map(ruma::EventId::as_str),
        room_id: (shape == EventShape::Whole).then(|| pdu.room_id.as_str()),
        sender: &pdu.sender,
        state_key: pdu.state_key.as_deref(),
        kind: pdu.kind.to_string(),
        unsigned,
    };
    to_raw_value(&event).map_err(|error| RoomError::Damaged(error.to_string()))
}

/// The content of a redaction that names its target at the top level, with the name put where version 11 has it:
/// clients find it in both places whatever the version. Spec: room version 11, "Moving the `redacts` property".
fn with_redacts(pdu: &Pdu) -> Option<Box<RawValue>> {
    let redacts: &OwnedEventId = pdu.redacts.as_ref()?;
    let mut content: Map<String, Value> = pdu.content_as().ok()?;
    if content.contains_key("redacts") {
        return None;
    }
    content.insert("redacts".to_owned(), json!(redacts));
    to_raw_value(&content).ok()
}
