//! Table of events in the order they arrived, over all rooms.
//!
//! | table | key | value |
//! | --- | --- | --- |
//! | `arrival` | stream position | event number |
//!
//! What is derived from events and kept outside the store catches up by reading it from where it stands. An event that
//! is removed arrives once more and is not there then.

use crate::batch::{Slot, Stamp, StampEncoding, encode};
use crate::engine::{Direction, KeyRange};
use crate::key::{Key, KeyReader};
use crate::store::decode;
use crate::{Batch, EventNumber, Store, StoreError, StreamPosition, Table};

const ARRIVAL: Table = Table::new(28, "arrival");

/// An event and when it arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// The stream position it got.
    pub position: StreamPosition,
    /// The event.
    pub event: EventNumber,
}

impl Store {
    /// At most `limit` events that arrived after `since` up to `until`, in that order.
    pub async fn arrivals(
        &self,
        since: StreamPosition,
        until: StreamPosition,
        limit: usize,
    ) -> Result<Vec<Arrival>, StoreError> {
        let range = KeyRange {
            start: std::ops::Bound::Excluded(Key::new().position(since).into_bytes()),
            end: std::ops::Bound::Included(Key::new().position(until).into_bytes()),
        };
        let rows = self.scan(ARRIVAL, range, Direction::Ascending, limit).await?;
        let read = |(key, value): &(Vec<u8>, Vec<u8>)| {
            let position = KeyReader::new(key).u64().map(StreamPosition);
            let position = position.ok_or_else(|| StoreError::Undecodable {
                table: ARRIVAL.name(),
                reason: "key too short".to_owned(),
            })?;
            Ok(Arrival { position, event: decode(ARRIVAL, value)? })
        };
        rows.iter().map(read).collect()
    }
}

impl Batch {
    /// Notes that `event` arrives, or is removed, at `slot`.
    pub(crate) fn create_arrival(
        &mut self,
        event: EventNumber,
        slot: Slot,
    ) -> Result<(), StoreError> {
        let stamp = Stamp { offset: 0, slot, encoding: StampEncoding::Stream };
        let key = Key::new().u64(0).into_bytes();
        self.put_stamped(ARRIVAL, key, Some(stamp), encode(ARRIVAL, &event)?, None)
    }
}
