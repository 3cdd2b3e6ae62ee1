//! The store without subjects: any table, any bytes. For the suites and the benchmark of this crate, for tests of what
//! must be gone, and nothing else.

use crate::batch::{Stamp, StampEncoding};
use crate::{Batch, Direction, Entry, KeyRange, Slot, Store, StoreError, StreamPosition, Table};

/// A table of the caller's own; numbers from 200 up belong to nobody.
pub const fn table(id: u8, name: &'static str) -> Table {
    Table::new(id, name)
}

/// As [`table`], with values that never change.
pub const fn immutable_table(id: u8, name: &'static str) -> Table {
    Table::immutable(id, name)
}

/// Sets a key.
pub fn put(batch: &mut Batch, table: Table, key: &[u8], value: Vec<u8>) -> Result<(), StoreError> {
    batch.put(table, key, value)
}

/// Sets a key that ends in the position of `slot`, which `value` begins with too.
pub fn put_at(
    batch: &mut Batch,
    table: Table,
    prefix: &[u8],
    slot: Slot,
    value: &[u8],
) -> Result<(), StoreError> {
    let stamp = |offset| Some(Stamp { offset, slot, encoding: StampEncoding::Stream });
    let key = [prefix, &[0; 8]].concat();
    batch.put_stamped(table, key, stamp(prefix.len()), [&[0; 8], value].concat(), stamp(0))
}

/// Deletes a key.
pub fn remove(batch: &mut Batch, table: Table, key: &[u8]) {
    batch.remove(table, key);
}

/// Makes the commit depend on a key's bytes.
pub fn expect(batch: &mut Batch, table: Table, key: &[u8], expected: Option<Vec<u8>>) {
    batch.expect_bytes(table, key.to_vec(), expected);
}

/// The bytes of a key.
pub async fn get(store: &Store, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
    store.get_bytes(table, key).await
}

/// The bytes of several keys.
pub async fn get_many(
    store: &Store,
    table: Table,
    keys: &[Vec<u8>],
) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
    store.get_many_bytes(table, keys).await
}

/// Entries of a range.
pub async fn scan(
    store: &Store,
    table: Table,
    range: KeyRange,
    direction: Direction,
    limit: usize,
) -> Result<Vec<Entry>, StoreError> {
    store.scan(table, range, direction, limit).await
}

/// The position of a key that [`put_at`] wrote.
pub fn position_of(key: &[u8]) -> Option<StreamPosition> {
    let (_, number) = key.split_last_chunk::<8>()?;
    Some(StreamPosition(u64::from_be_bytes(*number)))
}
