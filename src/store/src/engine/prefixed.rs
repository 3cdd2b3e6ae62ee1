//! Tables in an engine that has one map for all: each key begins with its table's number.

use std::ops::Bound;

use super::{KeyRange, Table};

/// A table's key in the one map.
pub(super) fn prefixed(table: Table, key: &[u8]) -> Vec<u8> {
    let mut prefixed = Vec::with_capacity(key.len() + 1);
    prefixed.push(table.id());
    prefixed.extend_from_slice(key);
    prefixed
}

/// A range of a table's keys in the one map.
pub(super) fn prefixed_range(table: Table, range: KeyRange) -> (Bound<Vec<u8>>, Bound<Vec<u8>>) {
    let start = match range.start {
        Bound::Included(key) => Bound::Included(prefixed(table, &key)),
        Bound::Excluded(key) => Bound::Excluded(prefixed(table, &key)),
        Bound::Unbounded => Bound::Included(vec![table.id()]),
    };
    let end = match (range.end, table.id().checked_add(1)) {
        (Bound::Included(key), _) => Bound::Included(prefixed(table, &key)),
        (Bound::Excluded(key), _) => Bound::Excluded(prefixed(table, &key)),
        (Bound::Unbounded, Some(next)) => Bound::Excluded(vec![next]),
        (Bound::Unbounded, None) => Bound::Unbounded,
    };
    (start, end)
}
