//! What changed from one state to another.

use std::sync::Arc;

use super::node::{Entry, MAX_DEPTH, Node, NodeHash};
use super::read::too_deep;
use super::{StateChange, StateRoot};
use crate::{EventNumber, RoomNumber, StateKeyNumber, Store, StoreError};

/// A place in two tries where they differ: its node in the one and in the other, if there is one.
type Place = [Option<NodeHash>; 2];

impl Store {
    /// The state keys whose events differ between two states of a room, by key number. Reads only where the states
    /// differ.
    pub async fn state_difference(
        &self,
        room: RoomNumber,
        before: StateRoot,
        after: StateRoot,
    ) -> Result<Vec<StateChange>, StoreError> {
        let mut entries: [Vec<Entry>; 2] = Default::default();
        let mut places: Vec<Place> = Vec::new();
        if before != after {
            places.push([before.node(), after.node()]);
        }
        for _ in 0..=MAX_DEPTH {
            let hashes: Vec<NodeHash> = places.iter().flatten().copied().flatten().collect();
            let mut nodes = self.state_nodes(room, &hashes).await?.into_iter();
            for place in std::mem::take(&mut places) {
                let nodes = place.map(|hash| hash.and_then(|_| nodes.next()));
                compare(&nodes, &mut entries, &mut places);
            }
        }
        if !places.is_empty() {
            return Err(too_deep());
        }
        let [before, after] = &mut entries;
        before.sort_unstable();
        after.sort_unstable();
        Ok(changes(before, after))
    }
}

/// Looks at one place: notes the entries of buckets, and the places below branches that differ. Where a bucket meets
/// a branch all entries of both are noted, which are at most a bucket's more than those that differ.
fn compare(nodes: &[Option<Arc<Node>>; 2], entries: &mut [Vec<Entry>; 2], below: &mut Vec<Place>) {
    let nodes = nodes.each_ref().map(Option::as_deref);
    if let [Some(Node::Branch(one)), Some(Node::Branch(other))] = nodes {
        let pairs = one.iter().zip(other.iter()).filter(|(one, other)| one != other);
        below.extend(pairs.map(|(one, other)| [one, other].map(|child| Some((*child)?.hash))));
        return;
    }
    for (side, node) in nodes.into_iter().enumerate() {
        match node {
            Some(Node::Bucket(found)) => entries[side].extend(found),
            Some(Node::Branch(children)) => {
                for child in children.iter().flatten() {
                    let mut place = [None, None];
                    place[side] = Some(child.hash);
                    below.push(place);
                }
            }
            None => {}
        }
    }
}

/// What differs between two lists of entries in key order.
fn changes(before: &[Entry], after: &[Entry]) -> Vec<StateChange> {
    let (mut before, mut after) = (before.iter().peekable(), after.iter().peekable());
    let mut changes = Vec::new();
    loop {
        let key = match (before.peek(), after.peek()) {
            (Some(one), Some(other)) => one.0.min(other.0),
            (Some(one), None) => one.0,
            (None, Some(other)) => other.0,
            (None, None) => return changes,
        };
        let old = before.next_if(|entry| entry.0 == key).map(|entry| EventNumber(entry.1));
        let new = after.next_if(|entry| entry.0 == key).map(|entry| EventNumber(entry.1));
        if old != new {
            changes.push(StateChange { key: StateKeyNumber(key), before: old, after: new });
        }
    }
}
