//! The engine of tests: a map in memory, gone with the process.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

use async_trait::async_trait;

use super::{Direction, Engine, Entry, KeyRange, Write};
use crate::{EngineError, Table};

type Entries = BTreeMap<Vec<u8>, Vec<u8>>;

/// Keeps everything in memory and nothing on disk.
#[derive(Debug, Default)]
pub struct MemoryEngine {
    tables: RwLock<BTreeMap<u8, Entries>>,
}

#[async_trait]
impl Engine for MemoryEngine {
    async fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        let tables = self.tables.read().unwrap_or_else(PoisonError::into_inner);
        Ok(tables.get(&table.id()).and_then(|entries| entries.get(key)).cloned())
    }

    async fn scan(
        &self,
        table: Table,
        range: KeyRange,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Entry>, EngineError> {
        if range.is_empty() {
            return Ok(Vec::new());
        }
        let tables = self.tables.read().unwrap_or_else(PoisonError::into_inner);
        let Some(entries) = tables.get(&table.id()) else { return Ok(Vec::new()) };
        let found = entries
            .range((range.start, range.end))
            .map(|(key, value)| (key.clone(), value.clone()));
        Ok(match direction {
            Direction::Ascending => found.take(limit).collect(),
            Direction::Descending => found.rev().take(limit).collect(),
        })
    }

    async fn apply(&self, writes: &[Write]) -> Result<(), EngineError> {
        let mut tables = self.tables.write().unwrap_or_else(PoisonError::into_inner);
        for write in writes {
            let entries = tables.entry(write.table.id()).or_default();
            match &write.value {
                Some(value) => entries.insert(write.key.clone(), value.clone()),
                None => entries.remove(&write.key),
            };
        }
        Ok(())
    }

    async fn disk_bytes(&self) -> Result<u64, EngineError> {
        Ok(0)
    }
}
