//! Table of redacted events whose content is still there.
//!
//! | table | key | value |
//! | --- | --- | --- |
//! | `redacted_event` | when it was redacted, event number | nothing |
//!
//! An entry goes with the content. The order of keys is that in which contents are due to go.

use ruma::{MilliSecondsSinceUnixEpoch, UInt};

use crate::key::{Key, KeyReader};
use crate::{Batch, Direction, EventNumber, KeyRange, Store, StoreError, Table};

const REDACTED_EVENT: Table = Table::new(35, "redacted_event");

/// A redacted event whose content is still there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RedactedEvent {
    /// When this server applied the redaction.
    pub at: MilliSecondsSinceUnixEpoch,
    /// The event.
    pub event: EventNumber,
}

impl RedactedEvent {
    fn key(self) -> Vec<u8> {
        Key::new().u64(self.at.get().into()).event(self.event).into_bytes()
    }
}

impl Store {
    /// At most `limit` redacted events whose content is still there, those that were redacted first.
    pub async fn redacted_events(&self, limit: usize) -> Result<Vec<RedactedEvent>, StoreError> {
        let range = KeyRange::prefix([]);
        let entries = self.scan(REDACTED_EVENT, range, Direction::Ascending, limit).await?;
        let read = |key: &[u8]| {
            let mut reader = KeyReader::new(key);
            let (at, event) = reader.u64().zip(reader.u64())?;
            let at = MilliSecondsSinceUnixEpoch(UInt::new_saturating(at));
            Some(RedactedEvent { at, event: EventNumber(event) })
        };
        let damaged = || StoreError::Undecodable {
            table: REDACTED_EVENT.name(),
            reason: "key too short".to_owned(),
        };
        entries.iter().map(|(key, _)| read(key).ok_or_else(damaged)).collect()
    }
}

impl Batch {
    /// Notes that an event was redacted and its content is still there.
    pub fn keep_redacted_content(&mut self, redacted: RedactedEvent) -> Result<(), StoreError> {
        self.insert(REDACTED_EVENT, redacted.key(), &())
    }

    /// Notes that the content of a redacted event is gone.
    pub fn forget_redacted_content(&mut self, redacted: RedactedEvent) {
        self.remove(REDACTED_EVENT, redacted.key());
    }
}
