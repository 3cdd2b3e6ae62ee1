//! What belongs together lands together: the unit of change.

use serde::Serialize;

use crate::engine::Write;
use crate::state_trie::BatchState;
use crate::{RoomNumber, StoreError, StreamPosition, Table, UserNumber};

/// Something a reader may be waiting for, announced to observers once its batch is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Change {
    /// A room's timeline has a new event.
    Timeline(RoomNumber),
    /// A user's membership in a room changed.
    Membership(RoomNumber, UserNumber),
    /// A user's receipt in a room moved.
    Receipt(RoomNumber, UserNumber),
    /// A user's account data, global or of a room, changed.
    AccountData(UserNumber),
    /// A user's subscription to a thread changed.
    ThreadSubscription(UserNumber),
    /// A message came for a device of a user.
    ToDevice(UserNumber),
    /// A user's sessions changed: something was logged out or deactivated.
    Sessions(UserNumber),
    /// Somebody is to be seen out of rooms.
    Departures,
    /// Events were removed.
    Removal,
}

/// One of the stream positions that a batch will get when it is committed. A batch gets as many consecutive positions
/// as it has slots, at least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot(pub(crate) u32);

/// Where in a write the position of a slot is to be filled in when it is known.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stamp {
    pub(crate) offset: usize,
    pub(crate) slot: Slot,
    /// Whether the sign bit is flipped, as in keys of timelines.
    pub(crate) encoding: StampEncoding,
}

/// How a position is written into a key or value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StampEncoding {
    /// Eight big-endian bytes.
    Stream,
    /// Eight big-endian bytes with the sign bit flipped.
    Timeline,
}

impl Stamp {
    /// Fills the position in.
    pub(crate) fn fill(self, bytes: &mut [u8], first: StreamPosition) {
        let position = first.0 + u64::from(self.slot.0);
        let encoded = match self.encoding {
            StampEncoding::Stream => position,
            StampEncoding::Timeline => position ^ (1 << 63),
        };
        bytes[self.offset..self.offset + 8].copy_from_slice(&encoded.to_be_bytes());
    }
}

#[derive(Debug)]
pub(crate) struct StampedWrite {
    pub(crate) write: Write,
    pub(crate) key_stamp: Option<Stamp>,
    pub(crate) value_stamp: Option<Stamp>,
}

#[derive(Debug)]
pub(crate) struct Precondition {
    pub(crate) table: Table,
    pub(crate) key: Vec<u8>,
    pub(crate) expected: Option<Vec<u8>>,
}

/// A set of preconditions and changes that is committed as a whole or refused as a whole.
#[derive(Debug, Default)]
pub struct Batch {
    pub(crate) preconditions: Vec<Precondition>,
    pub(crate) writes: Vec<StampedWrite>,
    pub(crate) changes: Vec<Change>,
    pub(crate) slots: u32,
    pub(crate) state: BatchState,
}

impl Batch {
    /// The largest value, in bytes: an event of 65,536 bytes, the specification's limit of a PDU, and its record.
    pub const MAX_VALUE: usize = 65_536 + 1_024;

    /// The largest key, in bytes: several of the longest identifiers, less than the smallest limit of an engine
    /// (2,704 in an index of `PostgreSQL`).
    pub const MAX_KEY: usize = 2_048;

    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether committing it would change nothing.
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    /// Asks for one more stream position.
    pub fn slot(&mut self) -> Slot {
        let slot = Slot(self.slots);
        self.slots += 1;
        slot
    }

    /// Tells observers of a change once the batch is durable.
    pub fn announce(&mut self, change: Change) {
        if !self.changes.contains(&change) {
            self.changes.push(change);
        }
    }

    /// How many bytes its writes carry.
    pub(crate) fn size(&self) -> usize {
        self.writes.iter().map(|stamped| stamped.write.size()).sum()
    }

    /// How many stream positions the batch takes.
    pub(crate) fn positions(&self) -> u64 {
        u64::from(self.slots.max(1))
    }

    pub(crate) fn put(
        &mut self,
        table: Table,
        key: impl Into<Vec<u8>>,
        value: Vec<u8>,
    ) -> Result<(), StoreError> {
        self.put_stamped(table, key.into(), None, value, None)
    }

    pub(crate) fn put_stamped(
        &mut self,
        table: Table,
        key: Vec<u8>,
        key_stamp: Option<Stamp>,
        value: Vec<u8>,
        value_stamp: Option<Stamp>,
    ) -> Result<(), StoreError> {
        if value.len() > Self::MAX_VALUE {
            return Err(StoreError::TooLarge(value.len()));
        }
        if key.len() > Self::MAX_KEY {
            return Err(StoreError::TooLongKey(key.len()));
        }
        self.writes.push(StampedWrite {
            write: Write { table, key, value: Some(value) },
            key_stamp,
            value_stamp,
        });
        Ok(())
    }

    /// Sets a key to a value.
    pub(crate) fn insert<V: Serialize + ?Sized>(
        &mut self,
        table: Table,
        key: impl Into<Vec<u8>>,
        value: &V,
    ) -> Result<(), StoreError> {
        self.put(table, key, encode(table, value)?)
    }

    /// Sets a key that must not exist; committing fails with [`StoreError::Conflict`] when it does.
    pub(crate) fn insert_new<V: Serialize + ?Sized>(
        &mut self,
        table: Table,
        key: impl Into<Vec<u8>>,
        value: &V,
    ) -> Result<(), StoreError> {
        let key = key.into();
        self.expect_bytes(table, key.clone(), None);
        self.insert(table, key, value)
    }

    /// Deletes a key; deleting an absent one is no error.
    pub(crate) fn remove(&mut self, table: Table, key: impl Into<Vec<u8>>) {
        let write = Write { table, key: key.into(), value: None };
        self.writes.push(StampedWrite { write, key_stamp: None, value_stamp: None });
    }

    /// Makes the commit depend on a key's value: `None` means absent.
    pub(crate) fn expect<V: Serialize + ?Sized>(
        &mut self,
        table: Table,
        key: impl Into<Vec<u8>>,
        expected: Option<&V>,
    ) -> Result<(), StoreError> {
        let expected = expected.map(|value| encode(table, value)).transpose()?;
        self.expect_bytes(table, key.into(), expected);
        Ok(())
    }

    pub(crate) fn expect_bytes(&mut self, table: Table, key: Vec<u8>, expected: Option<Vec<u8>>) {
        self.preconditions.push(Precondition { table, key, expected });
    }
}

/// A value's stored form.
pub(crate) fn encode<V: Serialize + ?Sized>(
    table: Table,
    value: &V,
) -> Result<Vec<u8>, StoreError> {
    postcard::to_stdvec(value)
        .map_err(|error| StoreError::Undecodable { table: table.name(), reason: error.to_string() })
}
