//! The default engine: sled 0.34, used only in the way that was measured to survive power cuts.
//!
//! - `flush()` of sled ends in `sync_file_range`, which does not reach the disk's journal: each group is followed by an
//!   `fdatasync` of the database file on a descriptor of our own.
//! - A log message over a quarter of a segment goes to a file in `blobs/` that sled never syncs. A message is a whole
//!   leaf, at most 17 entries: segments of 8 MiB keep values of 64 KiB inside the log.
//! - A process killed while sled writes its start-up snapshot leaves `snap.*.generating`, which the next start takes
//!   for a snapshot and refuses: such files are deleted first.
//! - The start-up snapshot is synced, the log it describes need not be: the log is synced before sled opens it.
//! - sled gives space back only from its flusher thread, which moves pages out of nearly empty segments. Without it a
//!   database with deletions grows for ever. Each of its turns ends in a sync and may last half its interval: a short
//!   interval keeps it from using a segment again whose pages were moved and not synced since.

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant};

use async_trait::async_trait;

use super::prefixed::{prefixed, prefixed_range};
use super::{Direction, Engine, Entry, KeyRange, Write};
use crate::folder::{Lock, sync_folder};
use crate::{EngineError, Table};

const SEGMENT: usize = 8 << 20;

/// How often sled's flusher cleans up.
const CLEAN_EVERY_MS: u64 = 50;

/// A scan holds up commits for at most this many entries.
const SCAN_PAGE: usize = 1024;

/// sled's threads may hold its file for a moment after its last handle is gone.
const HANDOVER: Duration = Duration::from_secs(5);

/// One sled tree with all tables in it.
pub(crate) struct SledEngine {
    tree: sled::Db,
    file: File,
    blobs: PathBuf,
    /// Held for writing while a batch is applied, so that a page of a scan shows all of it or nothing.
    applying: RwLock<()>,
    /// Dropped last: the folder is free when sled has let go of it.
    _lock: Lock,
}

impl std::fmt::Debug for SledEngine {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("SledEngine").field("blobs", &self.blobs).finish_non_exhaustive()
    }
}

impl SledEngine {
    /// Creates a database in a new folder and leaves it closed and durable.
    pub(crate) fn create(folder: &Path) -> Result<(), EngineError> {
        open_database(folder, 1 << 20)?.flush()?;
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                File::open(entry.path())?.sync_all()?;
            }
        }
        sync_folder(folder)?;
        Ok(())
    }

    /// Opens the database in `folder`, which exists.
    pub(crate) fn open(folder: &Path, cache_bytes: u64, lock: Lock) -> Result<Self, EngineError> {
        let file =
            File::options().read(true).write(true).open(folder.join("db")).map_err(|error| {
                match error.kind() {
                    ErrorKind::NotFound => {
                        EngineError::Corrupt(format!("{} has no file \"db\"", folder.display()))
                    }
                    _ => EngineError::Io(error),
                }
            })?;
        remove_unfinished_snapshots(folder)?;
        file.sync_all()?;
        let tree = open_database(folder, cache_bytes)?;
        tree.flush()?;
        file.sync_all()?;
        sync_folder(folder)?;
        let blobs = folder.join("blobs");
        let engine = Self { tree, file, blobs, applying: RwLock::new(()), _lock: lock };
        engine.sync_blobs()?;
        Ok(engine)
    }

    /// Syncs what sled put outside of its log. There must be nothing: an unacknowledged group that wrote there can
    /// make the database unreadable after a power cut.
    fn sync_blobs(&self) -> Result<(), EngineError> {
        let mut found = 0_u64;
        for entry in std::fs::read_dir(&self.blobs)? {
            File::open(entry?.path())?.sync_all()?;
            found += 1;
        }
        if found > 0 {
            sync_folder(&self.blobs)?;
            tracing::error!(files = found, "sled wrote outside of its log, values are too large");
            metrics::gauge!("hearth_store_sled_blobs")
                .set(u32::try_from(found).unwrap_or(u32::MAX));
        }
        Ok(())
    }

    fn flush(&self) -> Result<(), EngineError> {
        let started = Instant::now();
        self.tree.flush()?;
        self.sync_blobs()?;
        self.file.sync_data()?;
        metrics::histogram!("hearth_store_flush_seconds").record(started.elapsed());
        Ok(())
    }

    /// At most a page of a range, all of one moment.
    fn scan_page(
        &self,
        range: (std::ops::Bound<Vec<u8>>, std::ops::Bound<Vec<u8>>),
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Entry>, EngineError> {
        let _applying = self.applying.read().unwrap_or_else(PoisonError::into_inner);
        let mut entries = self.tree.range(range);
        let mut found = Vec::new();
        while found.len() < limit {
            let next = match direction {
                Direction::Ascending => entries.next(),
                Direction::Descending => entries.next_back(),
            };
            let Some(entry) = next else { break };
            let (key, value) = entry?;
            found.push((key[1..].to_vec(), value.to_vec()));
        }
        Ok(found)
    }
}

fn open_database(folder: &Path, cache_bytes: u64) -> Result<sled::Db, EngineError> {
    let started = Instant::now();
    loop {
        let opened = sled::Config::new()
            .path(folder)
            .segment_size(SEGMENT)
            .flush_every_ms(Some(CLEAN_EVERY_MS))
            .cache_capacity(cache_bytes)
            .open();
        match opened {
            Err(sled::Error::Io(error))
                if error.to_string().contains("could not acquire lock")
                    && started.elapsed() < HANDOVER =>
            {
                std::thread::sleep(Duration::from_millis(10));
            }
            outcome => return Ok(outcome?),
        }
    }
}

fn remove_unfinished_snapshots(folder: &Path) -> Result<(), EngineError> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            tracing::info!(file = %name, "removing the unfinished snapshot of an interrupted start");
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

impl From<sled::Error> for EngineError {
    fn from(error: sled::Error) -> Self {
        match error {
            sled::Error::Io(error) => Self::Io(error),
            sled::Error::Corruption { .. } => Self::Corrupt(error.to_string()),
            error => Self::Database(error.to_string()),
        }
    }
}

#[async_trait]
impl Engine for SledEngine {
    async fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        Ok(self.tree.get(prefixed(table, key))?.map(|value| value.to_vec()))
    }

    async fn scan(
        &self,
        table: Table,
        range: KeyRange,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Entry>, EngineError> {
        let mut range = range;
        let mut found: Vec<Entry> = Vec::new();
        while found.len() < limit && !range.is_empty() {
            let wanted = (limit - found.len()).min(SCAN_PAGE);
            let page = self.scan_page(prefixed_range(table, range.clone()), direction, wanted)?;
            let complete = page.len() < wanted;
            found.extend(page);
            if complete {
                break;
            }
            if let Some((last, _)) = found.last() {
                range.continue_after(last.clone(), direction);
            }
        }
        Ok(found)
    }

    async fn apply(&self, writes: &[Write]) -> Result<(), EngineError> {
        let mut batch = sled::Batch::default();
        for write in writes {
            let key = prefixed(write.table, &write.key);
            match &write.value {
                Some(value) => batch.insert(key, value.as_slice()),
                None => batch.remove(key),
            }
        }
        {
            let _applying = self.applying.write().unwrap_or_else(PoisonError::into_inner);
            self.tree.apply_batch(batch)?;
        }
        self.flush()
    }

    async fn disk_bytes(&self) -> Result<u64, EngineError> {
        Ok(self.tree.size_on_disk()?)
    }
}
