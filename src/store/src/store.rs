//! The store as the other crates see it.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::task::{Context, Poll};

use serde::de::DeserializeOwned;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::committer::{Committer, POSITION_KEY};
use crate::engine::{Direction, Engine, Entry, KeyRange};
use crate::names::AllNames;
use crate::number::Numbers;
use crate::queue::Queue;
use crate::state_trie::StateTries;
use crate::table::META;
use crate::transfer::is_empty;
use crate::{Batch, Change, EngineError, MemoryEngine, StoreError, StreamPosition, Table};

/// The layout of keys and values that this program writes.
const SCHEMA_VERSION: u32 = 3;
const SCHEMA_KEY: &[u8] = b"schema";

/// Is told of commits, on the committer's thread: must return at once and never wait.
pub trait Observer: Send + Sync {
    /// A batch whose last position is `position` is durable. Called in position order, before readers can see the
    /// position.
    fn committed(&self, position: StreamPosition, changes: &[Change]);

    /// Readers see everything up to `position`, and those who wrote it were answered. Called after the last
    /// [`Observer::committed`] of a group.
    fn published(&self, position: StreamPosition) {
        let _ = position;
    }
}

/// The database of one server. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    engine: Arc<dyn Engine>,
    queue: Arc<Queue>,
    position: Arc<AtomicU64>,
    observers: Arc<RwLock<Vec<Arc<dyn Observer>>>>,
    committer: std::sync::Mutex<Option<std::thread::JoinHandle<()>>>,
    numbers: Numbers,
    names: AllNames,
    tries: StateTries,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Store").field("engine", &self.engine).finish_non_exhaustive()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.queue.close();
    }
}

/// The answer to a submitted batch: its last stream position once it is durable, [`StoreError::Conflict`] when a
/// precondition did not hold. Dropping it does not take the batch back.
#[derive(Debug)]
pub struct Ticket(oneshot::Receiver<Result<StreamPosition, StoreError>>);

impl Future for Ticket {
    type Output = Result<StreamPosition, StoreError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map(|answer| answer.unwrap_or(Err(StoreError::Closed)))
    }
}

fn abort(error: &EngineError) {
    tracing::error!(
        error = error as &dyn std::error::Error,
        "the storage engine failed, stopping at once"
    );
    std::process::abort();
}

impl Store {
    /// Opens the store on an engine and starts its committer. An engine failure later stops the process.
    ///
    /// Must be called inside a tokio runtime. Fails with [`StoreError::SchemaVersion`] for another layout's data.
    pub async fn open(engine: Arc<dyn Engine>) -> Result<Self, StoreError> {
        Self::open_with(engine, abort).await
    }

    /// As [`Store::open`], with what is to happen when the engine fails.
    pub async fn open_with(
        engine: Arc<dyn Engine>,
        on_failure: fn(&EngineError),
    ) -> Result<Self, StoreError> {
        check_schema(&*engine).await?;
        let position = stored_u64(&*engine, POSITION_KEY).await?.unwrap_or(0);
        let position = Arc::new(AtomicU64::new(position));
        let queue = Arc::new(Queue::default());
        let observers = Arc::new(RwLock::new(Vec::new()));
        let committer = Committer {
            engine: Arc::clone(&engine),
            queue: Arc::clone(&queue),
            position: Arc::clone(&position),
            observers: Arc::clone(&observers),
            runtime: Handle::current(),
            on_failure,
        };
        let thread = std::thread::Builder::new()
            .name("committer".to_owned())
            .spawn(move || committer.run())
            .map_err(EngineError::Io)?;
        let numbers = Numbers::new();
        let names = AllNames::new();
        let tries = StateTries::new();
        let committer = std::sync::Mutex::new(Some(thread));
        Ok(Self(Arc::new(Inner {
            engine,
            queue,
            position,
            observers,
            committer,
            numbers,
            names,
            tries,
        })))
    }

    /// A store in memory, for tests.
    ///
    /// # Panics
    ///
    /// Never: an empty memory engine always opens.
    pub async fn in_memory() -> Self {
        Self::open(Arc::new(MemoryEngine::default()))
            .await
            .expect("an empty memory engine always opens")
    }

    /// Commits what was submitted, refuses what comes after, and returns when the committer has stopped. The data
    /// folder is free once the last clone of the store is gone too.
    pub async fn close(&self) {
        self.0.queue.close();
        let thread = self.0.committer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // A committer that panicked has nothing left to commit; its panic is in the log.
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }

    /// Commits a batch: answers when it is durable. See [`Ticket`] for the answer.
    pub async fn commit(&self, batch: Batch) -> Result<StreamPosition, StoreError> {
        self.submit(batch).await
    }

    /// Hands a batch to the committer. Batches are committed in the order of these calls, so a caller may build its
    /// next batch on this one before it is durable: if this one is refused, so must be the next, by precondition.
    pub fn submit(&self, batch: Batch) -> Ticket {
        Ticket(self.0.queue.submit(batch))
    }

    /// The position up to which readers see everything.
    pub fn position(&self) -> StreamPosition {
        StreamPosition(self.0.position.load(Ordering::Acquire))
    }

    /// Has an observer told of all commits from now on.
    pub fn observe(&self, observer: Arc<dyn Observer>) {
        self.0.observers.write().unwrap_or_else(PoisonError::into_inner).push(observer);
    }

    pub(crate) fn names(&self) -> &AllNames {
        &self.0.names
    }

    pub(crate) fn numbers(&self) -> &Numbers {
        &self.0.numbers
    }

    pub(crate) fn tries(&self) -> &StateTries {
        &self.0.tries
    }

    pub(crate) async fn get_bytes(
        &self,
        table: Table,
        key: &[u8],
    ) -> Result<Option<Vec<u8>>, StoreError> {
        if let Some(value) = self.0.queue.overlay.get(table, key) {
            return Ok(Some(value));
        }
        let found = self.0.engine.get(table, key).await?;
        if found.is_none() && table.is_immutable() {
            // It may have become durable between the two looks.
            return Ok(self.0.queue.overlay.get(table, key));
        }
        Ok(found)
    }

    pub(crate) async fn get<V: DeserializeOwned>(
        &self,
        table: Table,
        key: impl AsRef<[u8]>,
    ) -> Result<Option<V>, StoreError> {
        let found = self.get_bytes(table, key.as_ref()).await?;
        found.map(|bytes| decode(table, &bytes)).transpose()
    }

    /// The values of several keys of one table, in the order asked.
    pub(crate) async fn get_many_bytes(
        &self,
        table: Table,
        keys: &[Vec<u8>],
    ) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        let overlay = &self.0.queue.overlay;
        // Before and after the engine: a value may become durable between the two looks.
        let before: Vec<_> = keys.iter().map(|key| overlay.get(table, key)).collect();
        let found = self.0.engine.get_many(table, keys).await?;
        let merged = found.into_iter().zip(before).zip(keys);
        let merged = merged
            .map(|((found, before), key)| found.or(before).or_else(|| overlay.get(table, key)));
        Ok(merged.collect())
    }

    /// How much disk the database takes.
    pub async fn disk_bytes(&self) -> Result<u64, StoreError> {
        Ok(self.0.engine.disk_bytes().await?)
    }

    pub(crate) async fn scan(
        &self,
        table: Table,
        range: KeyRange,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        Ok(self.0.engine.scan(table, range, direction, limit).await?)
    }
}

/// A value from its stored form.
pub(crate) fn decode<V: DeserializeOwned>(table: Table, bytes: &[u8]) -> Result<V, StoreError> {
    postcard::from_bytes(bytes)
        .map_err(|error| StoreError::Undecodable { table: table.name(), reason: error.to_string() })
}

async fn stored_u64(engine: &dyn Engine, key: &[u8]) -> Result<Option<u64>, StoreError> {
    let Some(bytes) = engine.get(META, key).await? else { return Ok(None) };
    let bytes: [u8; 8] = bytes.try_into().map_err(|_| StoreError::Undecodable {
        table: META.name(),
        reason: "not eight bytes".to_owned(),
    })?;
    Ok(Some(u64::from_be_bytes(bytes)))
}

/// Writes the layout version into an empty database, checks it in a used one.
async fn check_schema(engine: &dyn Engine) -> Result<(), StoreError> {
    let Some(bytes) = engine.get(META, SCHEMA_KEY).await? else {
        if !is_empty(engine).await? {
            let reason =
                "there is data, but no layout version: was an import interrupted?".to_owned();
            return Err(EngineError::Corrupt(reason).into());
        }
        let value = Some(SCHEMA_VERSION.to_be_bytes().to_vec());
        let write = crate::engine::Write { table: META, key: SCHEMA_KEY.to_vec(), value };
        return Ok(engine.apply(&[write]).await?);
    };
    let found = bytes.try_into().map_or(0, u32::from_be_bytes);
    if found == SCHEMA_VERSION {
        return Ok(());
    }
    Err(StoreError::SchemaVersion { found, known: SCHEMA_VERSION })
}
