//! The data folder of an embedded engine: who may open it, and which engine wrote it.
//!
//! `lock` is held by the process that uses the folder. The database is in a folder named as its engine. A database
//! is made in `<engine>.creating` and renamed when it is durable, so a folder with the final name is always whole
//! and nothing is ever created over one.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::engine::fjall::FjallEngine;
use crate::engine::sled::SledEngine;
use crate::{Engine, EngineError, MemoryEngine, Store, StoreError};

const LOCK: &str = "lock";
const LOCK_PATIENCE: Duration = Duration::from_millis(300);

/// Where the database is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EngineKind {
    /// sled in the data folder; the default.
    Sled,
    /// fjall in the data folder; for large single machines.
    Fjall,
    /// In memory, gone with the process; for tests.
    Memory,
}

impl EngineKind {
    /// The name, as in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sled => "sled",
            Self::Fjall => "fjall",
            Self::Memory => "memory",
        }
    }
}

impl std::fmt::Display for EngineKind {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for EngineKind {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        [Self::Sled, Self::Fjall, Self::Memory]
            .into_iter()
            .find(|kind| kind.name() == name)
            .ok_or_else(|| format!("no engine is called {name:?}: sled, fjall or memory"))
    }
}

/// How an engine uses the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EngineOptions {
    /// How much of the database to keep in memory. sled takes about four times as much when it is busy.
    pub cache_bytes: u64,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self { cache_bytes: 64 << 20 }
    }
}

/// Opens the database of a server in its data folder, creating both when they do not exist.
///
/// Must be called inside a tokio runtime. Fails with [`EngineError::Locked`] when another process uses the folder,
/// and with [`EngineError::OtherEngine`] when another engine wrote it; nothing is changed then.
pub async fn open(
    kind: EngineKind,
    data_dir: &Path,
    options: EngineOptions,
) -> Result<Store, StoreError> {
    let data_dir = data_dir.to_owned();
    let opened = tokio::task::spawn_blocking(move || open_engine(kind, &data_dir, options)).await;
    let engine =
        opened.map_err(|error| EngineError::Database(format!("opening stopped: {error}")))??;
    Store::open(engine).await
}

/// Opens an engine alone, as [`open`] does. Waits for the disk.
pub fn open_engine(
    kind: EngineKind,
    data_dir: &Path,
    options: EngineOptions,
) -> Result<Arc<dyn Engine>, EngineError> {
    if kind == EngineKind::Memory {
        return Ok(Arc::new(MemoryEngine::default()));
    }
    std::fs::create_dir_all(data_dir)?;
    let lock = Lock::take(data_dir)?;
    if let Some(other) = engine_in(data_dir)?.filter(|found| *found != kind) {
        return Err(EngineError::OtherEngine {
            folder: data_dir.display().to_string(),
            found: other.name(),
            wanted: kind.name(),
        });
    }
    create_missing(kind, data_dir)?;
    let folder = data_dir.join(kind.name());
    Ok(if kind == EngineKind::Fjall {
        Arc::new(FjallEngine::open(&folder, options.cache_bytes, lock)?)
    } else {
        Arc::new(SledEngine::open(&folder, options.cache_bytes, lock)?)
    })
}

/// The engine whose database is in a data folder; `None` when there is none yet.
pub fn engine_in(data_dir: &Path) -> Result<Option<EngineKind>, EngineError> {
    for kind in [EngineKind::Sled, EngineKind::Fjall] {
        if data_dir.join(kind.name()).try_exists()? {
            return Ok(Some(kind));
        }
    }
    Ok(None)
}

/// Makes the database folder, durable before it gets its name.
fn create_missing(kind: EngineKind, data_dir: &Path) -> Result<(), EngineError> {
    let folder = data_dir.join(kind.name());
    if folder.try_exists()? {
        return Ok(());
    }
    let unfinished = data_dir.join(format!("{kind}.creating"));
    if unfinished.try_exists()? {
        std::fs::remove_dir_all(&unfinished)?;
    }
    std::fs::create_dir(&unfinished)?;
    if kind == EngineKind::Fjall {
        FjallEngine::create(&unfinished)?;
    } else {
        SledEngine::create(&unfinished)?;
    }
    std::fs::rename(&unfinished, &folder)?;
    sync_folder(data_dir)?;
    if let Some(parent) = data_dir.canonicalize()?.parent() {
        sync_folder(parent)?;
    }
    Ok(())
}

/// Makes names in a folder durable.
pub(crate) fn sync_folder(folder: &Path) -> Result<(), EngineError> {
    Ok(File::open(folder)?.sync_all()?)
}

/// The right to use a data folder; ends with the process or when dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Waits a moment for a process that is just ending, or that was just started by this one and still shares its
    /// files.
    fn take(data_dir: &Path) -> Result<Self, EngineError> {
        let path = data_dir.join(LOCK);
        let file = File::options().create(true).truncate(false).write(true).open(&path)?;
        let started = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { _file: file }),
                Err(TryLockError::WouldBlock) if started.elapsed() < LOCK_PATIENCE => {
                    std::thread::sleep(Duration::from_millis(10));
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(EngineError::Locked(data_dir.display().to_string()));
                }
                Err(TryLockError::Error(error)) => return Err(EngineError::Io(error)),
            }
        }
    }
}
