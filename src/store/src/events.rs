//! Tables of events.
//!
//! | table | key | value |
//! | --- | --- | --- |
//! | `event` | event number | length of the record (u16), record, the event's JSON as it is sent to servers |
//! | `event_index` | event ID | event number, timeline position |
//! | `timeline` | room number, timeline position | event number, whether it is a membership of its sender's own |
//! | `redaction` | event number | number of the event that redacted it |
//!
//! An event's record and JSON are written once. What happens to it later (a redaction) stands beside it, and once that
//! has taken effect the stored form may be replaced by what is left ([`Batch::rewrite_event`]). Whoever holds the form
//! before holds a valid one too, which is why the table still counts as one of values that never change.

use ruma::{EventId, OwnedDeviceId, OwnedEventId};
use serde::{Deserialize, Serialize};

use crate::batch::{Slot, Stamp, StampEncoding, encode};
use crate::engine::{Direction, KeyRange};
use crate::key::{Key, KeyReader};
use crate::state_trie::StateRoot;
use crate::store::decode;
use crate::{Batch, Change, EventNumber, RoomNumber, Store, StoreError, Table, TimelinePosition};

const EVENT: Table = Table::immutable(10, "event");
const EVENT_INDEX: Table = Table::new(11, "event_index");
pub(crate) const TIMELINE: Table = Table::new(12, "timeline");
const REDACTION: Table = Table::new(13, "redaction");

/// The client's transaction that made an event. Spec: client-server API, "Transaction identifiers".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventTransaction {
    /// The device that sent it.
    pub device_id: OwnedDeviceId,
    /// The identifier it chose.
    pub transaction_id: String,
}

/// What this server knows of an event beside its JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventRecord {
    /// Its ID.
    pub event_id: OwnedEventId,
    /// Its room.
    pub room: RoomNumber,
    /// The room's state right before it.
    pub state_before: StateRoot,
    /// The local transaction that made it; `None` for other servers' events.
    pub transaction: Option<EventTransaction>,
}

/// Where an event is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventIndex {
    /// Its number.
    pub number: EventNumber,
    /// Its place in the room's timeline.
    pub position: TimelinePosition,
}

/// One event of a timeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimelineEntry {
    /// Where it stands.
    pub position: TimelinePosition,
    /// The event.
    pub event: EventNumber,
}

/// Whether an event states its sender's own membership: that they joined, left, or are called otherwise. In large rooms
/// most events do, and they concern hardly anybody who counts what is new.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum EventKind {
    /// It states something else.
    Other,
    /// It does.
    OwnMembership,
}

fn event_key(event: EventNumber) -> Vec<u8> {
    Key::new().event(event).into_bytes()
}

fn damaged(table: Table, reason: &str) -> StoreError {
    StoreError::Undecodable { table: table.name(), reason: reason.to_owned() }
}

impl Store {
    /// The record and the JSON of an event.
    pub async fn event(
        &self,
        event: EventNumber,
    ) -> Result<Option<(EventRecord, String)>, StoreError> {
        let Some(bytes) = self.get_bytes(EVENT, &event_key(event)).await? else { return Ok(None) };
        let split = bytes.split_first_chunk::<2>().and_then(|(length, rest)| {
            rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
        });
        let (record, json) = split.ok_or_else(|| damaged(EVENT, "shorter than its record"))?;
        let record = decode(EVENT, record)?;
        let json = String::from_utf8(json.to_vec()).map_err(|_| damaged(EVENT, "not UTF-8"))?;
        Ok(Some((record, json)))
    }

    /// Where an event of a timeline is found; `None` when it was never received.
    pub async fn event_index(&self, event_id: &EventId) -> Result<Option<EventIndex>, StoreError> {
        let Some(bytes) = self.get_bytes(EVENT_INDEX, event_id.as_bytes()).await? else {
            return Ok(None);
        };
        let mut reader = KeyReader::new(&bytes);
        let index = reader.u64().zip(reader.timeline());
        let (number, position) = index.ok_or_else(|| damaged(EVENT_INDEX, "too short"))?;
        Ok(Some(EventIndex { number: EventNumber(number), position }))
    }

    /// At most `limit` events of a room's timeline after `after` and before `before`, both excluded, from the end
    /// that `direction` begins at.
    pub async fn timeline(
        &self,
        room: RoomNumber,
        after: TimelinePosition,
        before: TimelinePosition,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<TimelineEntry>, StoreError> {
        let range = timeline_range(room, after, before);
        let entries = self.scan(TIMELINE, range, direction, limit).await?;
        entries.iter().map(|(key, value)| timeline_entry(key, value)).collect()
    }

    /// As [`Store::timeline`], without the events in which their senders state their own membership; those count
    /// against the limit.
    pub async fn timeline_without_own_memberships(
        &self,
        room: RoomNumber,
        after: TimelinePosition,
        before: TimelinePosition,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<TimelineEntry>, StoreError> {
        let rows =
            self.scan(TIMELINE, timeline_range(room, after, before), direction, limit).await?;
        let mut entries = Vec::new();
        for (key, value) in &rows {
            if event_kind(value)? == EventKind::Other {
                entries.push(timeline_entry(key, value)?);
            }
        }
        Ok(entries)
    }

    /// The event that redacted `event`; `None` when it is not redacted.
    pub async fn redaction(&self, event: EventNumber) -> Result<Option<EventNumber>, StoreError> {
        self.get(REDACTION, event_key(event)).await
    }
}

pub(crate) fn timeline_entry(key: &[u8], value: &[u8]) -> Result<TimelineEntry, StoreError> {
    let mut reader = KeyReader::new(key);
    let position = reader.u64().and_then(|_room| reader.timeline());
    let position = position.ok_or_else(|| damaged(TIMELINE, "key too short"))?;
    let (event, _): (EventNumber, EventKind) = decode(TIMELINE, value)?;
    Ok(TimelineEntry { position, event })
}

fn event_kind(value: &[u8]) -> Result<EventKind, StoreError> {
    let (_, kind): (EventNumber, EventKind) = decode(TIMELINE, value)?;
    Ok(kind)
}

fn timeline_range(room: RoomNumber, after: TimelinePosition, before: TimelinePosition) -> KeyRange {
    KeyRange {
        start: std::ops::Bound::Excluded(Key::new().room(room).timeline(after).into_bytes()),
        end: std::ops::Bound::Excluded(Key::new().room(room).timeline(before).into_bytes()),
    }
}

/// The stored form of an event.
fn event_value(record: &EventRecord, json: &str) -> Result<Vec<u8>, StoreError> {
    let encoded = encode(EVENT, record)?;
    let length = u16::try_from(encoded.len()).map_err(|_| StoreError::TooLarge(encoded.len()))?;
    Ok([&length.to_be_bytes(), encoded.as_slice(), json.as_bytes()].concat())
}

impl Batch {
    /// Writes a new event at the end of its room's timeline, at the stream position of `slot`. Committing fails with
    /// [`StoreError::Conflict`] when the event is already there.
    pub fn append_event(
        &mut self,
        number: EventNumber,
        record: &EventRecord,
        json: &str,
        kind: EventKind,
        slot: Slot,
    ) -> Result<(), StoreError> {
        self.put(EVENT, event_key(number), event_value(record, json)?)?;

        self.create_arrival(number, slot)?;

        let stamp = |offset| Stamp { offset, slot, encoding: StampEncoding::Timeline };
        let event_id = record.event_id.as_bytes().to_vec();
        self.expect_bytes(EVENT_INDEX, event_id.clone(), None);
        let index = Key::new().event(number).u64(0).into_bytes();
        self.put_stamped(EVENT_INDEX, event_id, None, index, Some(stamp(8)))?;

        let place = Key::new().room(record.room).u64(0).into_bytes();
        self.put_stamped(TIMELINE, place, Some(stamp(8)), encode(TIMELINE, &(number, kind))?, None)
    }

    /// Replaces the stored form of an event by what is left of it. Committing fails with [`StoreError::Conflict`] when it
    /// is not `before` any more. Who keeps events in memory has to forget this one after the commit.
    pub fn rewrite_event(
        &mut self,
        number: EventNumber,
        before: (&EventRecord, &str),
        after: (&EventRecord, &str),
    ) -> Result<(), StoreError> {
        let before = event_value(before.0, before.1)?;
        self.expect_bytes(EVENT, event_key(number), Some(before));
        self.put(EVENT, event_key(number), event_value(after.0, after.1)?)
    }

    /// Removes an event, but not from its room's timeline.
    pub fn remove_event(
        &mut self,
        number: EventNumber,
        event_id: &EventId,
    ) -> Result<(), StoreError> {
        self.remove(EVENT, event_key(number));
        self.remove(EVENT_INDEX, event_id.as_bytes());
        self.remove(REDACTION, event_key(number));
        let slot = self.slot();
        self.create_arrival(number, slot)?;
        self.announce(Change::Removal);
        Ok(())
    }

    /// Notes that `event` was redacted by `redaction`. Committing fails with [`StoreError::Conflict`] when it was
    /// redacted already.
    pub fn redact_event(
        &mut self,
        event: EventNumber,
        redaction: EventNumber,
    ) -> Result<(), StoreError> {
        self.insert_new(REDACTION, event_key(event), &redaction)
    }
}

#[cfg(test)]
mod tests {
    use ruma::event_id;

    use super::*;

    #[tokio::test]
    async fn an_event_is_found_by_number_by_id_and_in_its_timeline() {
        let store = Store::in_memory().await;
        let record = EventRecord {
            event_id: event_id!("$tea").to_owned(),
            room: RoomNumber(7),
            state_before: StateRoot::EMPTY,
            transaction: None,
        };
        let mut batch = Batch::new();
        let (first, second) = (batch.slot(), batch.slot());
        batch
            .append_event(EventNumber(3), &record, "{}", EventKind::OwnMembership, second)
            .unwrap();
        let other = EventRecord { event_id: event_id!("$milk").to_owned(), ..record.clone() };
        batch.append_event(EventNumber(4), &other, "{\"a\":1}", EventKind::Other, first).unwrap();
        let last = store.commit(batch).await.unwrap();

        assert_eq!(store.event(EventNumber(3)).await.unwrap().unwrap(), (record, "{}".to_owned()));
        let index = store.event_index(event_id!("$tea")).await.unwrap().unwrap();
        assert_eq!(index, EventIndex { number: EventNumber(3), position: last.into() });
        let (min, max) = (TimelinePosition::MIN, TimelinePosition::MAX);
        let page =
            store.timeline(RoomNumber(7), min, max, Direction::Descending, 10).await.unwrap();
        assert_eq!(page.iter().map(|entry| entry.event.0).collect::<Vec<_>>(), [3, 4]);
        assert_eq!(page[0].position, index.position);
        let others = store.timeline_without_own_memberships(
            RoomNumber(7),
            min,
            max,
            Direction::Descending,
            10,
        );
        assert_eq!(others.await.unwrap(), [page[1]]);
    }

    #[tokio::test]
    async fn the_same_event_is_appended_once() {
        let store = Store::in_memory().await;
        let record = EventRecord {
            event_id: event_id!("$tea").to_owned(),
            room: RoomNumber(7),
            state_before: StateRoot::EMPTY,
            transaction: None,
        };
        for expected in [true, false] {
            let mut batch = Batch::new();
            let slot = batch.slot();
            batch.append_event(EventNumber(3), &record, "{}", EventKind::Other, slot).unwrap();
            assert_eq!(store.commit(batch).await.is_ok(), expected);
        }
    }
}
