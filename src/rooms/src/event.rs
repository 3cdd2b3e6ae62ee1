//! Events as they are kept in memory.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use protocol::Pdu;
use protocol::room_version::{self, Rules};
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use ruma::EventId;
use store::{EventIndex, EventNumber, EventRecord, RoomNumber};

use crate::{RoomError, Rooms};

/// An event with what this server knows of it. Does not change while it is held; what is stored may meanwhile be
/// rewritten to what a redaction leaves.
#[derive(Debug)]
pub struct StoredEvent {
    /// Its number.
    pub number: EventNumber,
    /// What is known beside its JSON.
    pub record: EventRecord,
    /// The event.
    pub pdu: Arc<Pdu>,
}

/// Events by number, as many as fit.
pub(crate) type EventCache = Cache<EventNumber, Arc<StoredEvent>, ByWeight>;

/// An event weighs what it takes in memory, roughly.
#[derive(Debug, Clone)]
pub(crate) struct ByWeight;

impl Weighter<EventNumber, Arc<StoredEvent>> for ByWeight {
    fn weight(&self, _: &EventNumber, event: &Arc<StoredEvent>) -> u64 {
        let references = event.pdu.prev_events.len() + event.pdu.auth_events.len();
        (600 + event.pdu.content.get().len() + 48 * references) as u64
    }
}

impl Rooms {
    /// An event by its number. Fails with [`RoomError::Damaged`] when it is not there: numbers come from the store.
    pub async fn event(&self, number: EventNumber) -> Result<Arc<StoredEvent>, RoomError> {
        if let Some(event) = self.cached_event(number) {
            return Ok(event);
        }
        let rewrites = self.rewrites().load(Ordering::SeqCst);
        let Some((record, json)) = self.store().event(number).await? else {
            return Err(RoomError::Damaged(format!("event {number} is missing")));
        };
        let rules = self.rules_of(record.room).await?;
        let pdu = Pdu::from_json(&json, record.event_id.clone(), &rules)
            .map_err(|error| RoomError::Damaged(format!("event {number}: {error}")))?;
        let event = Arc::new(StoredEvent { number, record, pdu: Arc::new(pdu) });
        self.event_cache().insert(number, Arc::clone(&event));
        // It may be what was rewritten meanwhile: who rewrites counts first and clears the cache then.
        if self.rewrites().load(Ordering::SeqCst) != rewrites {
            self.event_cache().remove(&number);
        }
        Ok(event)
    }

    /// An event of a room by its ID, and where it stands. Fails with [`RoomError::UnknownEvent`] when the room has
    /// no such event.
    pub async fn event_by_id(
        &self,
        room: RoomNumber,
        event_id: &EventId,
    ) -> Result<(EventIndex, Arc<StoredEvent>), RoomError> {
        let unknown = || RoomError::UnknownEvent(event_id.to_owned());
        let index = self.store().event_index(event_id).await?.ok_or_else(unknown)?;
        let event = self.event(index.number).await?;
        if event.record.room == room { Ok((index, event)) } else { Err(unknown()) }
    }

    /// The rules of a room's version.
    pub async fn rules_of(&self, room: RoomNumber) -> Result<Rules, RoomError> {
        let cell = self.cell(room).await?;
        let cell = cell.ok_or_else(|| RoomError::Damaged(format!("room {room} has no head")))?;
        room_version::rules(&cell.version)
            .ok_or_else(|| RoomError::UnsupportedVersion(cell.version.clone()))
    }
}
