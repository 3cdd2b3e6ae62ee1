//! Looking things up in a state.

use super::node::{Entry, MAX_DEPTH, Node, NodeHash, path, turn};
use super::{StateRoot, damaged};
use crate::{EventNumber, RoomNumber, StateKeyNumber, Store, StoreError};

impl Store {
    /// The event of a state key in a state; `None` when the state has none.
    pub async fn state_event(
        &self,
        room: RoomNumber,
        state: StateRoot,
        key: StateKeyNumber,
    ) -> Result<Option<EventNumber>, StoreError> {
        let Some(mut hash) = state.node() else { return Ok(None) };
        for depth in 0..=MAX_DEPTH {
            match &*self.state_node(room, hash).await? {
                Node::Bucket(entries) => return Ok(event_in(entries, key)),
                Node::Branch(children) => match children[turn(path(key.0), depth)] {
                    Some(child) => hash = child.hash,
                    None => return Ok(None),
                },
            }
        }
        Err(too_deep())
    }

    /// The events of several state keys in a state, in the order of the keys. Reads each node once.
    pub async fn state_events(
        &self,
        room: RoomNumber,
        state: StateRoot,
        keys: &[StateKeyNumber],
    ) -> Result<Vec<Option<EventNumber>>, StoreError> {
        let mut events = vec![None; keys.len()];
        // The nodes of one depth, each with which of the keys lead to it.
        let mut nodes: Vec<(NodeHash, Vec<usize>)> =
            state.node().map(|hash| (hash, (0..keys.len()).collect())).into_iter().collect();
        for depth in 0..=MAX_DEPTH {
            let (hashes, wanted): (Vec<_>, Vec<_>) = std::mem::take(&mut nodes).into_iter().unzip();
            for (node, wanted) in self.state_nodes(room, &hashes).await?.iter().zip(wanted) {
                match &**node {
                    Node::Bucket(entries) => {
                        for at in wanted {
                            events[at] = event_in(entries, keys[at]);
                        }
                    }
                    Node::Branch(children) => {
                        let mut ways = vec![Vec::new(); children.len()];
                        for at in wanted {
                            ways[turn(path(keys[at].0), depth)].push(at);
                        }
                        let taken = children.iter().zip(ways).filter(|(_, way)| !way.is_empty());
                        nodes.extend(taken.filter_map(|(child, way)| Some(((*child)?.hash, way))));
                    }
                }
            }
        }
        if nodes.is_empty() { Ok(events) } else { Err(too_deep()) }
    }

    /// How many entries a state has. Reads one node.
    pub async fn state_size(&self, room: RoomNumber, state: StateRoot) -> Result<u64, StoreError> {
        match state.node() {
            Some(top) => Ok(self.state_node(room, top).await?.count()),
            None => Ok(0),
        }
    }

    /// All entries of a state, by key number.
    pub async fn state_entries(
        &self,
        room: RoomNumber,
        state: StateRoot,
    ) -> Result<Vec<(StateKeyNumber, EventNumber)>, StoreError> {
        let mut found: Vec<Entry> = Vec::new();
        let mut nodes: Vec<NodeHash> = state.node().into_iter().collect();
        for _ in 0..=MAX_DEPTH {
            for node in self.state_nodes(room, &std::mem::take(&mut nodes)).await? {
                match &*node {
                    Node::Bucket(entries) => found.extend(entries),
                    Node::Branch(children) => {
                        nodes.extend(children.iter().flatten().map(|child| child.hash));
                    }
                }
            }
        }
        if !nodes.is_empty() {
            return Err(too_deep());
        }
        found.sort_unstable();
        Ok(found
            .into_iter()
            .map(|(key, event)| (StateKeyNumber(key), EventNumber(event)))
            .collect())
    }
}

fn event_in(entries: &[Entry], key: StateKeyNumber) -> Option<EventNumber> {
    let at = entries.binary_search_by_key(&key.0, |(key, _)| *key).ok()?;
    Some(EventNumber(entries[at].1))
}

pub(super) fn too_deep() -> StoreError {
    damaged("a branch lies deeper than keys are long")
}
