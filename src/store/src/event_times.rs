//! Table of rooms' events by the time they were sent.
//!
//! | table | key | value |
//! | --- | --- | --- |
//! | `event_time` | room number, milliseconds since 1970, timeline position | event number |
//!
//! The time is the sender's server's word, so its order need not be that of the timeline.

use ruma::MilliSecondsSinceUnixEpoch;

use crate::batch::{Slot, Stamp, StampEncoding, encode};
use crate::engine::{Direction, KeyRange};
use crate::key::{Key, KeyReader};
use crate::store::decode;
use crate::{
    Batch, EventNumber, RoomNumber, Store, StoreError, Table, TimelineEntry, TimelinePosition,
};

pub(crate) const EVENT_TIME: Table = Table::new(29, "event_time");

/// A moment in a room: events of the same millisecond stand in the order of the timeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    /// When.
    pub time: MilliSecondsSinceUnixEpoch,
    /// Which of the events of that millisecond.
    pub position: TimelinePosition,
}

fn moment_key(room: RoomNumber, moment: Moment) -> Key {
    Key::new().room(room).u64(moment.time.get().into()).timeline(moment.position)
}

impl Store {
    /// At most `limit` events of a room that were sent after a moment, or before it when `direction` is descending;
    /// the nearest first. The moment itself is left out.
    pub async fn events_around(
        &self,
        room: RoomNumber,
        moment: Moment,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<(Moment, TimelineEntry)>, StoreError> {
        let mut range = KeyRange::prefix(Key::new().room(room).into_bytes());
        range.continue_after(moment_key(room, moment).into_bytes(), direction);
        let rows = self.scan(EVENT_TIME, range, direction, limit).await?;
        rows.iter().map(|(key, value)| placed(key, value)).collect()
    }
}

fn placed(key: &[u8], value: &[u8]) -> Result<(Moment, TimelineEntry), StoreError> {
    let damaged =
        |reason: &str| StoreError::Undecodable { table: EVENT_TIME.name(), reason: reason.into() };
    let mut reader = KeyReader::new(key);
    let time = reader.u64().and_then(|_room| reader.u64());
    let (time, position) = time.zip(reader.timeline()).ok_or_else(|| damaged("key too short"))?;
    let time = time.try_into().map_err(|_| damaged("no such time"))?;
    let moment = Moment { time: MilliSecondsSinceUnixEpoch(time), position };
    Ok((moment, TimelineEntry { position, event: decode(EVENT_TIME, value)? }))
}

impl Batch {
    /// Notes when the event at `slot` was sent.
    pub fn create_event_time(
        &mut self,
        room: RoomNumber,
        time: MilliSecondsSinceUnixEpoch,
        event: EventNumber,
        slot: Slot,
    ) -> Result<(), StoreError> {
        let key = Key::new().room(room).u64(time.get().into()).u64(0).into_bytes();
        let stamp = Stamp { offset: 16, slot, encoding: StampEncoding::Timeline };
        self.put_stamped(EVENT_TIME, key, Some(stamp), encode(EVENT_TIME, &event)?, None)
    }
}

impl Batch {
    /// Forgets when the event at `position` was sent.
    pub fn remove_event_time(
        &mut self,
        room: RoomNumber,
        time: MilliSecondsSinceUnixEpoch,
        position: TimelinePosition,
    ) {
        self.remove(EVENT_TIME, moment_key(room, Moment { time, position }).into_bytes());
    }
}

#[cfg(test)]
mod tests {
    use ruma::uint;

    use super::*;

    const ROOM: RoomNumber = RoomNumber(7);

    #[tokio::test]
    async fn events_are_found_from_a_moment_on_in_both_directions() {
        let store = Store::in_memory().await;
        let mut batch = Batch::new();
        for (event, time) in [(1, uint!(10)), (2, uint!(30)), (3, uint!(30)), (4, uint!(20))] {
            let slot = batch.slot();
            let time = MilliSecondsSinceUnixEpoch(time);
            batch.create_event_time(ROOM, time, EventNumber(event), slot).unwrap();
        }
        store.commit(batch).await.unwrap();
        let found = |time, position, direction| {
            let moment = Moment { time: MilliSecondsSinceUnixEpoch(time), position };
            let store = store.clone();
            async move {
                let found = store.events_around(ROOM, moment, direction, 10).await.unwrap();
                found.into_iter().map(|(_, entry)| entry.event.0).collect::<Vec<_>>()
            }
        };

        let (min, max) = (TimelinePosition::MIN, TimelinePosition::MAX);
        assert_eq!(found(uint!(20), min, Direction::Ascending).await, [4, 2, 3]);
        assert_eq!(found(uint!(30), max, Direction::Descending).await, [3, 2, 4, 1]);
        assert_eq!(found(uint!(9), max, Direction::Descending).await, [0; 0]);
        assert_eq!(found(uint!(31), min, Direction::Ascending).await, [0; 0]);
    }
}
