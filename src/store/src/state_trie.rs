//! Table of state tries: the state of a room before or after an event, from state key to event.
//!
//! | table | key | value |
//! | --- | --- | --- |
//! | `state_node` | room number, hash of the node | node |
//!
//! A state is a persistent radix trie of immutable nodes, each named by the hash of its bytes, and is itself named by
//! the hash of its top node, its [`StateRoot`]. A change writes the nodes on the way to what changed; all others are
//! shared with the state it was made from. The form is canonical: two states of a room have the same root if and only
//! if they have the same entries, whatever their histories. So equal subtrees are seen without looking into them, and
//! the cost of a difference follows the difference and not the room.
//!
//! [`node`] has the form of nodes, [`read`], [`write`] and [`difference`] the operations. Nodes that no root leads to
//! any more are taken away by [`collect`]; [`pins`] keeps it off what is being written meanwhile.

mod collect;
mod difference;
mod node;
mod pins;
mod read;
#[cfg(test)]
mod tests;
mod write;

use std::sync::Arc;

use quick_cache::Weighter;
use quick_cache::sync::Cache;
use serde::{Deserialize, Serialize};

use crate::key::Key;
use crate::{EventNumber, RoomNumber, StateKeyNumber, Store, StoreError, Table};

pub use collect::{CollectedNodes, StateCollection};
use node::{Node, NodeHash};
use pins::Pins;
pub(crate) use write::BatchState;

pub(crate) const STATE_NODE: Table = Table::immutable(7, "state_node");

/// How many bytes of decoded nodes are kept in memory unless told otherwise.
const CACHED_BYTES: u64 = 32 << 20;

/// How many nodes the cache makes room for at once; it grows as needed.
const CACHED_NODES: usize = 20_000;

/// How many nodes are read from the engine at once.
const READ_AT_ONCE: usize = 256;

/// Names a state of a room by its content. Means nothing in another room.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct StateRoot([u8; 16]);

impl StateRoot {
    /// The state without entries, that of a room before its creation.
    pub const EMPTY: Self = Self([0; 16]);

    /// The top node; `None` of the empty state.
    fn node(self) -> Option<NodeHash> {
        (self != Self::EMPTY).then_some(self.0)
    }
}

impl std::fmt::Display for StateRoot {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl std::fmt::Debug for StateRoot {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "StateRoot({self})")
    }
}

/// A state key whose event is not the same in two states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateChange {
    /// The state key.
    pub key: StateKeyNumber,
    /// Its event in the first state.
    pub before: Option<EventNumber>,
    /// Its event in the second state.
    pub after: Option<EventNumber>,
}

#[derive(Debug, Clone)]
struct NodeWeight;

impl Weighter<(RoomNumber, NodeHash), Arc<Node>> for NodeWeight {
    fn weight(&self, _key: &(RoomNumber, NodeHash), node: &Arc<Node>) -> u64 {
        node.memory()
    }
}

/// What a store keeps in memory for its tries.
#[derive(Debug)]
pub(crate) struct StateTries {
    /// Decoded nodes. May hold nodes of batches that were refused and nodes that were collected: they are right
    /// whenever something leads to them, and whoever makes a node writes it, cached or not.
    cache: Cache<(RoomNumber, NodeHash), Arc<Node>, NodeWeight>,
    pins: Arc<Pins>,
}

impl StateTries {
    pub(crate) fn new() -> Self {
        let cache = Cache::with_weighter(CACHED_NODES, CACHED_BYTES, NodeWeight);
        Self { cache, pins: Arc::default() }
    }
}

impl Store {
    /// Has at most this many bytes of state nodes kept in memory, 32 MiB if never called.
    pub fn set_state_cache(&self, bytes: u64) {
        self.tries().cache.set_capacity(bytes);
    }

    /// A node that some root leads to, by way of the cache.
    async fn state_node(&self, room: RoomNumber, hash: NodeHash) -> Result<Arc<Node>, StoreError> {
        if let Some(node) = self.tries().cache.get(&(room, hash)) {
            return Ok(node);
        }
        let node = self.stored_state_node(room, hash).await?;
        let node = Arc::new(node.ok_or_else(|| damaged("a node is missing"))?);
        self.tries().cache.insert((room, hash), Arc::clone(&node));
        Ok(node)
    }

    /// As [`Store::state_node`], several at once, in the order asked.
    async fn state_nodes(
        &self,
        room: RoomNumber,
        hashes: &[NodeHash],
    ) -> Result<Vec<Arc<Node>>, StoreError> {
        let cache = &self.tries().cache;
        let cached: Vec<_> = hashes.iter().map(|hash| cache.get(&(room, *hash))).collect();
        let absent = cached.iter().zip(hashes).filter(|(cached, _)| cached.is_none());
        let absent: Vec<NodeHash> = absent.map(|(_, hash)| *hash).collect();
        let mut read = Vec::with_capacity(absent.len());
        for hashes in absent.chunks(READ_AT_ONCE) {
            for (hash, node) in hashes.iter().zip(self.stored_state_nodes(room, hashes).await?) {
                let node = Arc::new(node.ok_or_else(|| damaged("a node is missing"))?);
                cache.insert((room, *hash), Arc::clone(&node));
                read.push(node);
            }
        }
        let mut read = read.into_iter();
        Ok(cached.into_iter().filter_map(|cached| cached.or_else(|| read.next())).collect())
    }

    /// A node from the disk or from a submitted batch; `None` when neither has it.
    async fn stored_state_node(
        &self,
        room: RoomNumber,
        hash: NodeHash,
    ) -> Result<Option<Node>, StoreError> {
        let bytes = self.get_bytes(STATE_NODE, &node_key(room, hash)).await?;
        bytes.map(|bytes| decoded(hash, &bytes)).transpose()
    }

    /// As [`Store::stored_state_node`], several at once, in the order asked.
    async fn stored_state_nodes(
        &self,
        room: RoomNumber,
        hashes: &[NodeHash],
    ) -> Result<Vec<Option<Node>>, StoreError> {
        let keys: Vec<Vec<u8>> = hashes.iter().map(|hash| node_key(room, *hash)).collect();
        let found = self.get_many_bytes(STATE_NODE, &keys).await?;
        let found = found.into_iter().zip(hashes);
        found.map(|(bytes, hash)| bytes.map(|bytes| decoded(*hash, &bytes)).transpose()).collect()
    }
}

fn node_key(room: RoomNumber, hash: NodeHash) -> Vec<u8> {
    Key::new().room(room).raw(&hash).into_bytes()
}

fn decoded(hash: NodeHash, bytes: &[u8]) -> Result<Node, StoreError> {
    // A flipped bit in the entry of the power levels would decide who rules the room: better no answer than that one.
    if node::hash(bytes) != hash {
        return Err(damaged("a node is not what its hash says"));
    }
    Node::decode(bytes).map_err(damaged)
}

fn damaged(reason: &str) -> StoreError {
    StoreError::Undecodable { table: STATE_NODE.name(), reason: reason.to_owned() }
}
