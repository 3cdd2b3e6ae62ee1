//! Taking away the nodes that nothing leads to.

use std::collections::HashSet;

use super::node::{Node, NodeHash};
use super::{READ_AT_ONCE, STATE_NODE, StateRoot, damaged, node_key};
use crate::key::Key;
use crate::{Batch, Direction, KeyRange, RoomNumber, Store, StoreError, Ticket};

/// How many nodes are looked at, and at most deleted in one batch, at a time.
const SLICE: usize = 256;

/// What a collection did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CollectedNodes {
    /// How many nodes the room had.
    pub examined: u64,
    /// How many of them were deleted.
    pub deleted: u64,
    /// The bytes of keys and values deleted.
    pub bytes: u64,
}

/// A collection of one room's unreachable state nodes: mark what is live with [`StateCollection::keep`], then
/// [`StateCollection::sweep`] the rest. Dropping it ends it; nothing is deleted before the sweep.
///
/// Reads and writes of the room go on meanwhile. Holds some 40 bytes for each live node of the room.
///
/// # What must be kept
///
/// Every root that something durable refers to when the collection begins, and every root that is held only in memory
/// to be used later. Of a durable listing that changes while it is read, the room's current state comes first. A root
/// that [`Store::set_state`] made need not be kept while its batch is on its way, or if that was so at any time since
/// the collection began.
/// While a collection runs, do not take references to states of the room away (by purging events, say) if these
/// states may be referred to again without a `set_state` on them. In a cluster, run it where the room's writer is.
///
/// # Why nothing is deleted that is needed
///
/// A state that is needed later is (1) one that was kept, (2) one that a batch brings which was under way when the
/// collection began, or (3) one that `set_state` made since. Nodes reachable from (1) are marked. Take a state of (2)
/// or (3). Each of its nodes was put by its batch, or belongs to the base it was made from. The base was pinned before
/// it was read, and the new nodes were pinned before they were put in the batch; a batch's pins end only after it was
/// applied, and those that a collection has seen, with the collection. Following the bases back, one comes to
/// states of (1), or to bases that a pin names and the collection marks before it deletes.
///
/// That leaves a node that is deleted and put at about the same time. Pins and deletions exclude each other: a slice
/// looks at the pins and submits its deletions under one lock. If the node was pinned before, the slice skips it. If
/// it is pinned after, then the batch that puts it is submitted after the deletions, and the committer keeps that
/// order: the node is there in the end, and readable all the while from the submitted batch. A node is put by whoever
/// makes it, even if it is cached or stored already, so no one relies on a node that was garbage when they met it.
#[derive(Debug)]
pub struct StateCollection {
    store: Store,
    room: RoomNumber,
    live: HashSet<NodeHash>,
}

impl Drop for StateCollection {
    fn drop(&mut self) {
        self.store.tries().pins.end_collection(self.room);
    }
}

/// What to do about a node that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Missing {
    Fails,
    Ignored,
}

impl Store {
    /// Begins a collection of a room's unreachable state nodes; `None` when one is under way.
    pub fn collect_state_nodes(&self, room: RoomNumber) -> Option<StateCollection> {
        let begun = self.tries().pins.begin_collection(room);
        begun.then(|| StateCollection { store: self.clone(), room, live: HashSet::new() })
    }
}

impl StateCollection {
    /// Keeps some states. Fails, and so ends the collection, when one of them is not whole.
    pub async fn keep(mut self, roots: &[StateRoot]) -> Result<Self, StoreError> {
        for hash in roots.iter().filter_map(|root| root.node()) {
            self.mark(hash, Missing::Fails).await?;
        }
        Ok(self)
    }

    /// Deletes, slice after slice, every node of the room that is not part of a state that was kept or is on its way.
    /// Each slice is durable before the next begins.
    pub async fn sweep(mut self) -> Result<CollectedNodes, StoreError> {
        let mut collected = CollectedNodes::default();
        let mut rest = KeyRange::prefix(Key::new().room(self.room).into_bytes());
        loop {
            let page =
                self.store.scan(STATE_NODE, rest.clone(), Direction::Ascending, SLICE).await?;
            let Some((last, _)) = page.last() else { return Ok(collected) };
            rest.continue_after(last.clone(), Direction::Ascending);
            collected.examined += page.len() as u64;
            let mut found = Vec::with_capacity(page.len());
            for (key, value) in page {
                let hash =
                    key.last_chunk().copied().ok_or_else(|| damaged("a key is too short"))?;
                found.push((hash, (key.len() + value.len()) as u64));
            }
            for (hash, bytes) in self.delete(found).await? {
                self.store.tries().cache.remove(&(self.room, hash));
                collected.deleted += 1;
                collected.bytes += bytes;
            }
            tokio::task::yield_now().await;
        }
    }

    /// Deletes those of some nodes that are neither live nor pinned, and returns them.
    async fn delete(
        &mut self,
        mut found: Vec<(NodeHash, u64)>,
    ) -> Result<Vec<(NodeHash, u64)>, StoreError> {
        loop {
            found.retain(|(hash, _)| !self.live.contains(hash));
            if found.is_empty() {
                return Ok(found);
            }
            match self.delete_unless_pinned(&mut found) {
                Ok(None) => return Ok(found),
                Ok(Some(ticket)) => {
                    ticket.await?;
                    return Ok(found);
                }
                Err(bases) => {
                    for base in bases {
                        // One that is not there is not collected either; whoever wanted to use it was told.
                        self.mark(base, Missing::Ignored).await?;
                    }
                }
            }
        }
    }

    /// Submits the deletion of those of some nodes that are not pinned and leaves only these in the list; or, without
    /// doing anything, returns pinned states whose nodes are not yet marked.
    fn delete_unless_pinned(
        &self,
        found: &mut Vec<(NodeHash, u64)>,
    ) -> Result<Option<Ticket>, Vec<NodeHash>> {
        self.store.tries().pins.with_collection(self.room, |pinned| {
            if !pinned.bases.is_empty() {
                return Err(std::mem::take(&mut pinned.bases));
            }
            found.retain(|(hash, _)| !pinned.nodes.contains(hash));
            let mut batch = Batch::new();
            for (hash, _) in found.iter() {
                batch.remove(STATE_NODE, node_key(self.room, *hash));
            }
            Ok((!batch.is_empty()).then(|| self.store.submit(batch)))
        })
    }

    /// Marks all nodes below one, and itself. Reads branches only, and past the cache, which has better things to hold.
    async fn mark(&mut self, top: NodeHash, missing: Missing) -> Result<(), StoreError> {
        let mut branches = if self.live.insert(top) { vec![top] } else { Vec::new() };
        while !branches.is_empty() {
            let some = branches.split_off(branches.len().saturating_sub(READ_AT_ONCE));
            for node in self.store.stored_state_nodes(self.room, &some).await? {
                let children = match node {
                    Some(Node::Branch(children)) => children,
                    Some(Node::Bucket(_)) => continue,
                    None if missing == Missing::Ignored => continue,
                    None => return Err(damaged("a node is missing")),
                };
                for child in children.iter().flatten() {
                    if self.live.insert(child.hash) && !child.is_bucket() {
                        branches.push(child.hash);
                    }
                }
            }
        }
        Ok(())
    }
}
