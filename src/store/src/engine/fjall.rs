//! The engine for large single machines: fjall, a log-structured merge tree.
//!
//! One keyspace holds all tables. A group is one journal entry, synced before it is applied.

use std::path::Path;

use async_trait::async_trait;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use super::prefixed::{prefixed, prefixed_range};
use super::{Direction, Engine, Entry, KeyRange, Write};
use crate::folder::Lock;
use crate::{EngineError, Table};

const KEYSPACE: &str = "hearth";

/// The file without which fjall would make a new database in the folder.
const MARKER: &str = "version";

/// What is kept in memory before it is written as a sorted file.
const MEMTABLE: u64 = 16 << 20;

/// The journal may be this large before sorted files are written early. The smallest that fjall allows.
const JOURNAL: u64 = 64 << 20;

/// One fjall keyspace with all tables in it.
pub(crate) struct FjallEngine {
    keyspace: Keyspace,
    database: Database,
    /// Dropped last: the folder is free when fjall has let go of it.
    _lock: Lock,
}

impl std::fmt::Debug for FjallEngine {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("FjallEngine").finish_non_exhaustive()
    }
}

impl FjallEngine {
    /// Creates a database in a new folder and leaves it closed and durable.
    pub(crate) fn create(folder: &Path) -> Result<(), EngineError> {
        let database = Database::builder(folder).worker_threads(1).open()?;
        database.keyspace(KEYSPACE, options)?;
        Ok(database.persist(PersistMode::SyncAll)?)
    }

    /// Opens the database in `folder`, which exists.
    pub(crate) fn open(folder: &Path, cache_bytes: u64, lock: Lock) -> Result<Self, EngineError> {
        if !folder.join(MARKER).try_exists()? {
            let what = format!("{} has no file {MARKER:?}", folder.display());
            return Err(EngineError::Corrupt(what));
        }
        let database = Database::builder(folder)
            .cache_size(cache_bytes)
            .max_journaling_size(JOURNAL)
            .open()?;
        if !database.keyspace_exists(KEYSPACE) {
            let what = format!("{} has no keyspace {KEYSPACE:?}", folder.display());
            return Err(EngineError::Corrupt(what));
        }
        let keyspace = database.keyspace(KEYSPACE, options)?;
        Ok(Self { keyspace, database, _lock: lock })
    }
}

fn options() -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE)
}

impl From<fjall::Error> for EngineError {
    fn from(error: fjall::Error) -> Self {
        match error {
            fjall::Error::Io(error) => Self::Io(error),
            fjall::Error::JournalRecovery(_)
            | fjall::Error::InvalidTrailer
            | fjall::Error::InvalidTag(_)
            | fjall::Error::Unrecoverable => Self::Corrupt(error.to_string()),
            error => Self::Database(error.to_string()),
        }
    }
}

#[async_trait]
impl Engine for FjallEngine {
    async fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        Ok(self.keyspace.get(prefixed(table, key))?.map(|value| value.to_vec()))
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
        let mut entries = self.keyspace.range(prefixed_range(table, range));
        let mut found = Vec::new();
        while found.len() < limit {
            let next = match direction {
                Direction::Ascending => entries.next(),
                Direction::Descending => entries.next_back(),
            };
            let Some(entry) = next else { break };
            let (key, value) = entry.into_inner()?;
            found.push((key[1..].to_vec(), value.to_vec()));
        }
        Ok(found)
    }

    async fn apply(&self, writes: &[Write]) -> Result<(), EngineError> {
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncAll));
        for write in writes {
            let key = prefixed(write.table, &write.key);
            match &write.value {
                Some(value) => batch.insert(&self.keyspace, key, value.as_slice()),
                None => batch.remove(&self.keyspace, key),
            }
        }
        Ok(batch.commit()?)
    }

    async fn disk_bytes(&self) -> Result<u64, EngineError> {
        Ok(self.database.disk_space()?)
    }
}
