//! Values that were submitted and are not durable yet, readable by those who build on them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use crate::{Batch, Table};

/// A value and how many submitted batches carry it.
#[derive(Debug)]
struct Held {
    value: Arc<[u8]>,
    batches: usize,
}

type Values = HashMap<Arc<[u8]>, Held>;

/// Values of immutable tables on their way to the disk. Two batches may carry the same entry (a state trie node is
/// named by its content), so entries are counted; of two values for a key the one submitted first is shown. Bounded
/// by what is in the committer's queue.
#[derive(Debug, Default)]
pub(crate) struct Overlay {
    tables: RwLock<HashMap<Table, Values>>,
    len: AtomicUsize,
}

/// What one batch has in the overlay.
pub(crate) type Overlaid = Vec<(Table, Arc<[u8]>)>;

impl Overlay {
    /// Makes a submitted batch's immutable values readable, except those whose key or value still lacks a position.
    pub(crate) fn add(&self, batch: &Batch) -> Overlaid {
        let mut overlaid = Overlaid::new();
        if !batch.writes.iter().any(|stamped| stamped.write.table.is_immutable()) {
            return overlaid;
        }
        let mut tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        for stamped in &batch.writes {
            let write = &stamped.write;
            let Some(value) = write.value.as_ref().filter(|_| write.table.is_immutable()) else {
                continue;
            };
            if stamped.key_stamp.is_some() || stamped.value_stamp.is_some() {
                continue;
            }
            let values = tables.entry(write.table).or_default();
            if let Some((key, _)) = values.get_key_value(write.key.as_slice()) {
                overlaid.push((write.table, Arc::clone(key)));
            } else {
                let key: Arc<[u8]> = Arc::from(write.key.as_slice());
                let held = Held { value: Arc::from(value.as_slice()), batches: 0 };
                values.insert(Arc::clone(&key), held);
                overlaid.push((write.table, key));
                self.len.fetch_add(1, Ordering::Release);
            }
            if let Some(held) = values.get_mut(write.key.as_slice()) {
                held.batches += 1;
            }
        }
        overlaid
    }

    /// Forgets batches that were applied or refused.
    pub(crate) fn remove(&self, overlaid: Overlaid) {
        if overlaid.is_empty() {
            return;
        }
        let mut tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        for (table, key) in overlaid {
            let Some(values) = tables.get_mut(&table) else { continue };
            let Some(held) = values.get_mut(&key) else { continue };
            held.batches -= 1;
            if held.batches == 0 {
                values.remove(&key);
                self.len.fetch_sub(1, Ordering::Release);
            }
        }
    }

    /// The submitted value of a key, if there is one.
    pub(crate) fn get(&self, table: Table, key: &[u8]) -> Option<Vec<u8>> {
        if !table.is_immutable() || self.len.load(Ordering::Acquire) == 0 {
            return None;
        }
        let tables = self.tables.read().unwrap_or_else(PoisonError::into_inner);
        tables.get(&table)?.get(key).map(|held| held.value.to_vec())
    }
}
