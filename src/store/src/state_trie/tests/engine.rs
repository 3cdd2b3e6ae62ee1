//! An engine that counts what is read and written of state nodes, and may dawdle.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_trait::async_trait;
use tokio::sync::{RwLock, RwLockWriteGuard};

use crate::state_trie::STATE_NODE;
use crate::{
    Direction, Engine, EngineError, Entry, KeyRange, MemoryEngine, RoomNumber, Store, Table, Write,
};

#[derive(Debug, Default)]
pub(super) struct WatchedEngine {
    memory: MemoryEngine,
    reads: AtomicU64,
    writes: AtomicU64,
    written_bytes: AtomicU64,
    gate: RwLock<()>,
    dawdles: AtomicBool,
    random: AtomicU64,
}

/// What was read and written of state nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Traffic {
    pub(super) reads: u64,
    pub(super) writes: u64,
    pub(super) written_bytes: u64,
}

impl WatchedEngine {
    pub(super) async fn with_store() -> (Arc<Self>, Store) {
        let engine = Arc::new(Self::default());
        let store = Store::open(Arc::clone(&engine) as Arc<dyn Engine>).await.unwrap();
        (engine, store)
    }

    /// The traffic since the last call.
    pub(super) fn traffic(&self) -> Traffic {
        Traffic {
            reads: self.reads.swap(0, Ordering::Relaxed),
            writes: self.writes.swap(0, Ordering::Relaxed),
            written_bytes: self.written_bytes.swap(0, Ordering::Relaxed),
        }
    }

    /// Lets nothing be applied until the guard is dropped.
    pub(super) async fn shut(&self) -> RwLockWriteGuard<'_, ()> {
        self.gate.write().await
    }

    /// From now on every operation takes a different time.
    pub(super) fn dawdle(&self) {
        self.dawdles.store(true, Ordering::Relaxed);
    }

    /// The keys of a room's nodes.
    pub(super) async fn nodes(&self, room: RoomNumber) -> Vec<Vec<u8>> {
        let range = KeyRange::prefix(room.0.to_be_bytes());
        let found = self.memory.scan(STATE_NODE, range, Direction::Ascending, usize::MAX).await;
        found.unwrap().into_iter().map(|(key, _)| key).collect()
    }

    async fn wait(&self) {
        if !self.dawdles.load(Ordering::Relaxed) {
            return;
        }
        let draw = self.random.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed);
        let draw = (draw ^ (draw >> 31)).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 59;
        for _ in 0..draw {
            tokio::task::yield_now().await;
        }
    }
}

#[async_trait]
impl Engine for WatchedEngine {
    async fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        self.wait().await;
        if table == STATE_NODE {
            self.reads.fetch_add(1, Ordering::Relaxed);
        }
        self.memory.get(table, key).await
    }

    async fn scan(
        &self,
        table: Table,
        range: KeyRange,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Entry>, EngineError> {
        self.wait().await;
        self.memory.scan(table, range, direction, limit).await
    }

    async fn apply(&self, writes: &[Write]) -> Result<(), EngineError> {
        let _open = self.gate.read().await;
        self.wait().await;
        for write in writes.iter().filter(|write| write.table == STATE_NODE) {
            let bytes = write.key.len() + write.value.as_ref().map_or(0, Vec::len);
            self.writes.fetch_add(1, Ordering::Relaxed);
            self.written_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        }
        self.memory.apply(writes).await?;
        self.wait().await;
        Ok(())
    }

    async fn disk_bytes(&self) -> Result<u64, EngineError> {
        self.memory.disk_bytes().await
    }
}
