//! Putting new events together: what they follow, what allows them, and everything that changes with them.

mod event;
mod redaction;
mod state;

use std::collections::HashMap;
use std::sync::Arc;

use protocol::room_version::{self, Rules};
use protocol::{Pdu, auth};
use ruma::events::{StateEventType, TimelineEventType};
use ruma::room::RoomSummary;
use ruma::room_version_rules::EventIdFormatVersion;
use ruma::{OwnedEventId, OwnedRoomId, OwnedUserId};
use serde_json::value::RawValue;
use store::{
    Batch, Change, EventKind, EventNumber, EventRecord, EventTransaction, Extremity, Publication,
    RoomHead, RoomNumber, StateRoot,
};

use crate::{RoomError, Rooms, StoredEvent, references};

/// What a new event is to say. The rest follows from where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    pub(crate) sender: OwnedUserId,
    pub(crate) kind: TimelineEventType,
    pub(crate) content: Box<RawValue>,
    pub(crate) state_key: Option<String>,
    pub(crate) redacts: Option<OwnedEventId>,
    pub(crate) transaction: Option<EventTransaction>,
}

impl Draft {
    /// A message or, with a `state_key`, a state event.
    pub(crate) fn new(
        sender: OwnedUserId,
        kind: TimelineEventType,
        state_key: Option<String>,
        content: Box<RawValue>,
    ) -> Self {
        Self { sender, kind, content, state_key, redacts: None, transaction: None }
    }
}

/// The events that decide whether another is allowed, by type and state key.
type AuthState = HashMap<(StateEventType, String), Arc<StoredEvent>>;

/// New events of one room on their way into one batch.
pub(crate) struct Assembly<'a> {
    pub(crate) rooms: &'a Rooms,
    pub(crate) batch: Batch,
    room: RoomNumber,
    room_id: OwnedRoomId,
    rules: Rules,
    /// The head that the batch depends on; `None` for a room that is being created.
    before: Option<RoomHead>,
    /// The head with the events added so far.
    head: RoomHead,
    pub(crate) events: Vec<Arc<StoredEvent>>,
    /// The reference hashes of the events added so far, in versions 1 and 2, where others name them by it.
    hashes: HashMap<OwnedEventId, String>,
    /// Whether an event changed what the directory tells of the room.
    is_described_anew: bool,
    /// The events that those added so far redact.
    redacted: Vec<EventNumber>,
}

impl<'a> Assembly<'a> {
    /// Begins on a room's head.
    pub(crate) fn on(
        rooms: &'a Rooms,
        room: RoomNumber,
        room_id: OwnedRoomId,
        head: RoomHead,
    ) -> Result<Self, RoomError> {
        let before = Some(head.clone());
        Self::begin(rooms, room, room_id, before, head)
    }

    /// Goes on with a batch that holds changes to other rooms: all is committed or nothing.
    pub(crate) fn along_with(self, batch: Batch) -> Self {
        Self { batch, ..self }
    }

    /// Begins a new room.
    pub(crate) fn new_room(
        rooms: &'a Rooms,
        room: RoomNumber,
        room_id: OwnedRoomId,
        version: ruma::RoomVersionId,
    ) -> Result<Self, RoomError> {
        let state = StateRoot::EMPTY;
        let head = RoomHead {
            version,
            extremities: Vec::new(),
            state,
            joined: 0,
            invited: 0,
            publication: Publication::Private,
        };
        Self::begin(rooms, room, room_id, None, head)
    }

    fn begin(
        rooms: &'a Rooms,
        room: RoomNumber,
        room_id: OwnedRoomId,
        before: Option<RoomHead>,
        head: RoomHead,
    ) -> Result<Self, RoomError> {
        let rules = room_version::rules(&head.version)
            .ok_or_else(|| RoomError::UnsupportedVersion(head.version.clone()))?;
        let batch = Batch::new();
        Ok(Self {
            rooms,
            batch,
            room,
            room_id,
            rules,
            before,
            head,
            events: Vec::new(),
            hashes: HashMap::new(),
            is_described_anew: false,
            redacted: Vec::new(),
        })
    }

    /// Adds an event after those added before. Fails when the room's rules do not allow it; nothing is added then. Only
    /// when a redaction fails is the assembly of no further use.
    pub(crate) async fn add(&mut self, draft: Draft) -> Result<Arc<StoredEvent>, RoomError> {
        // Spec: room versions, "Authorisation rules": a create event that follows another is none.
        if draft.kind == TimelineEventType::RoomCreate {
            return Err(RoomError::Malformed("a room is created once".to_owned()));
        }
        let auth_state = self.auth_state(&draft).await?;
        let transaction = draft.transaction.clone();
        let (pdu, json) = self.build(draft, &auth_state).await?;
        self.check_creators(&pdu, &auth_state)?;
        self.authorise(&pdu, &auth_state)?;
        self.keep(pdu, &json, transaction, &auth_state).await
    }

    /// Adds the first event of the room, which was built to learn the room's ID.
    pub(crate) async fn add_create(
        &mut self,
        pdu: Arc<Pdu>,
        json: &str,
    ) -> Result<Arc<StoredEvent>, RoomError> {
        // Nothing but what the creator asked for can be wrong with it.
        auth::check_auth_events(&pdu, |_| None, &self.rules)
            .map_err(|error| RoomError::InvalidParameter(error.to_string()))?;
        self.keep(pdu, json, None, &AuthState::new()).await
    }

    /// Completes the batch; returns it with the head after it.
    pub(crate) async fn finish(
        mut self,
    ) -> Result<(Batch, RoomHead, Vec<Arc<StoredEvent>>), RoomError> {
        self.change_listing().await?;
        self.batch.move_room_head(self.room, self.before.as_ref(), &self.head)?;
        Ok((self.batch, self.head, self.events))
    }

    /// Lists the room to everybody, or no longer.
    pub(crate) fn publish(&mut self, publication: Publication) {
        self.head.publication = publication;
    }

    /// The room with the events added so far.
    pub(crate) async fn summary(&self) -> Result<RoomSummary, RoomError> {
        self.rooms.summary_at(self.room, &self.room_id, &self.head, &self.redacted).await
    }

    /// Writes an event that was allowed, and all that follows from it, into the batch.
    async fn keep(
        &mut self,
        pdu: Arc<Pdu>,
        json: &str,
        transaction: Option<EventTransaction>,
        auth_state: &AuthState,
    ) -> Result<Arc<StoredEvent>, RoomError> {
        let number = self.rooms.store().new_event_number().await?;
        let slot = self.batch.slot();
        let record = EventRecord {
            event_id: pdu.event_id.clone(),
            room: self.room,
            state_before: self.head.state,
            transaction,
        };
        if self.rules.event_id_format == EventIdFormatVersion::V1 {
            let hash = references::reference_hash(json, &self.rules)?;
            self.hashes.insert(record.event_id.clone(), hash);
        }
        let is_own = pdu.is_state(&TimelineEventType::RoomMember, pdu.sender.as_str());
        let kind = if is_own { EventKind::OwnMembership } else { EventKind::Other };
        self.batch.append_event(number, &record, json, kind, slot)?;
        self.batch.create_event_time(self.room, pdu.origin_server_ts, number, slot)?;
        self.batch.announce(Change::Timeline(self.room));
        let event = Arc::new(StoredEvent { number, record, pdu });
        self.rooms.event_cache().insert(number, Arc::clone(&event));
        self.change_state(&event, slot).await?;
        self.relate(&event, slot).await?;
        self.redact(&event, auth_state, slot).await?;
        self.head.extremities = vec![Extremity {
            event: number,
            event_id: event.pdu.event_id.clone(),
            depth: event.pdu.depth.get(),
        }];
        self.events.push(Arc::clone(&event));
        Ok(event)
    }

    pub(crate) fn room(&self) -> RoomNumber {
        self.room
    }
}

/// The part of an event ID that this server chooses, in room versions 1 and 2.
pub(crate) fn random_localpart() -> String {
    use rand::distr::{Alphanumeric, SampleString};
    Alphanumeric.sample_string(&mut rand::rng(), 18)
}
