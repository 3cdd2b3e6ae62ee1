//! What a storage engine must do.

pub(crate) mod fjall;
pub(crate) mod memory;
mod prefixed;
pub(crate) mod sled;

use std::ops::Bound;

use async_trait::async_trait;

use crate::{EngineError, Table};

/// One change to one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// The table.
    pub table: Table,
    /// The key.
    pub key: Vec<u8>,
    /// The new value; `None` deletes.
    pub value: Option<Vec<u8>>,
}

impl Write {
    /// How many bytes it carries.
    pub(crate) fn size(&self) -> usize {
        self.key.len() + self.value.as_ref().map_or(0, Vec::len)
    }
}

/// How many bytes [`Engine::load`] makes durable at once.
const LOAD_CHUNK: usize = 2 << 20;

/// A range of keys of one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRange {
    /// Where it begins.
    pub start: Bound<Vec<u8>>,
    /// Where it ends.
    pub end: Bound<Vec<u8>>,
}

impl KeyRange {
    /// All keys that begin with `prefix`.
    pub fn prefix(prefix: impl Into<Vec<u8>>) -> Self {
        let start = prefix.into();
        let mut end = start.clone();
        while let Some(last) = end.pop() {
            if last < u8::MAX {
                end.push(last + 1);
                return Self { start: Bound::Included(start), end: Bound::Excluded(end) };
            }
        }
        Self { start: Bound::Included(start), end: Bound::Unbounded }
    }

    /// What of the range is left beyond `key`.
    pub fn continue_after(&mut self, key: Vec<u8>, direction: Direction) {
        match direction {
            Direction::Ascending => self.start = Bound::Excluded(key),
            Direction::Descending => self.end = Bound::Excluded(key),
        }
    }

    /// Whether no key can be in it.
    pub(crate) fn is_empty(&self) -> bool {
        match (&self.start, &self.end) {
            (Bound::Included(start), Bound::Included(end)) => start > end,
            (
                Bound::Included(start) | Bound::Excluded(start),
                Bound::Excluded(end) | Bound::Included(end),
            ) => start >= end,
            _ => false,
        }
    }
}

/// Which end of a range a scan begins at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the lowest key up.
    Ascending,
    /// From the highest key down.
    Descending,
}

/// A key and its value.
pub type Entry = (Vec<u8>, Vec<u8>);

/// An ordered map from bytes to bytes for each table, on some medium.
///
/// A read sees everything that [`Engine::apply`] finished, and all or nothing of one that is under way: an engine may
/// show a group a moment before it is durable. Who must not tell of what could still be lost reads up to
/// [`Store::position`](crate::Store::position).
#[async_trait]
pub trait Engine: std::fmt::Debug + Send + Sync + 'static {
    /// The value of a key.
    async fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError>;

    /// The values of several keys of one table, in the order asked.
    async fn get_many(
        &self,
        table: Table,
        keys: &[Vec<u8>],
    ) -> Result<Vec<Option<Vec<u8>>>, EngineError> {
        let mut values = Vec::with_capacity(keys.len());
        for key in keys {
            values.push(self.get(table, key).await?);
        }
        Ok(values)
    }

    /// At most `limit` entries of a range, in the given direction. The first thousand are of one moment; after that
    /// an engine may show what was committed while it read.
    async fn scan(
        &self,
        table: Table,
        range: KeyRange,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Entry>, EngineError>;

    /// Applies all writes in order as one atomic change, and returns when it is durable: after a crash or power cut
    /// all of it is there. Called by one caller at a time. After an error nobody knows what is on disk: the caller
    /// must stop the process.
    async fn apply(&self, writes: &[Write]) -> Result<(), EngineError>;

    /// Writes much at once, in chunks: durable when it returns, partly there when it does not. Fastest in key order.
    async fn load(&self, writes: &[Write]) -> Result<(), EngineError> {
        let mut rest = writes;
        while !rest.is_empty() {
            let mut bytes = 0;
            let chunk = rest.iter().take_while(|write| {
                bytes += write.size();
                bytes <= LOAD_CHUNK
            });
            let (chunk, after) = rest.split_at(chunk.count().max(1));
            self.apply(chunk).await?;
            rest = after;
        }
        Ok(())
    }

    /// How much disk the database takes; zero for one that is elsewhere.
    async fn disk_bytes(&self) -> Result<u64, EngineError>;
}
