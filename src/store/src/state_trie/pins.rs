//! What a collection must leave alone although no durable root leads to it: the states of batches on their way.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::node::NodeHash;
use crate::RoomNumber;

/// Some of a room's states, as tops of subtrees and as single nodes.
#[derive(Debug, Default)]
pub(super) struct Pinned {
    /// States that others are made from: all below them counts.
    pub(super) bases: Vec<NodeHash>,
    /// Nodes that were put.
    pub(super) nodes: HashSet<NodeHash>,
}

impl Pinned {
    /// A base that was itself put needs no look: what is below it was pinned with it, or by what it was made from.
    fn add_base(&mut self, base: NodeHash) {
        if !self.nodes.contains(&base) && self.bases.last() != Some(&base) {
            self.bases.push(base);
        }
    }

    fn add(&mut self, other: &Self) {
        self.nodes.extend(&other.nodes);
        other.bases.iter().for_each(|base| self.add_base(*base));
    }
}

#[derive(Debug, Default)]
struct RoomPins {
    /// By batch, from its first state until it was applied, refused or dropped.
    batches: HashMap<u64, Pinned>,
    /// While a collection is under way: all that was pinned when it began or since.
    collection: Option<Pinned>,
}

#[derive(Debug, Default)]
struct AllPins {
    rooms: HashMap<RoomNumber, RoomPins>,
    last_batch: u64,
}

impl AllPins {
    fn forget_if_idle(&mut self, room: RoomNumber) {
        if self
            .rooms
            .get(&room)
            .is_some_and(|pins| pins.batches.is_empty() && pins.collection.is_none())
        {
            self.rooms.remove(&room);
        }
    }
}

/// The pins of all rooms.
#[derive(Debug, Default)]
pub(super) struct Pins(Mutex<AllPins>);

impl Pins {
    fn lock(&self) -> MutexGuard<'_, AllPins> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to gather a room's pins for a collection; `false` when one is under way already.
    pub(super) fn begin_collection(&self, room: RoomNumber) -> bool {
        let mut all = self.lock();
        let pins = all.rooms.entry(room).or_default();
        if pins.collection.is_some() {
            return false;
        }
        let mut gathered = Pinned::default();
        pins.batches.values().for_each(|pinned| gathered.add(pinned));
        pins.collection = Some(gathered);
        true
    }

    pub(super) fn end_collection(&self, room: RoomNumber) {
        let mut all = self.lock();
        if let Some(pins) = all.rooms.get_mut(&room) {
            pins.collection = None;
        }
        all.forget_if_idle(room);
    }

    /// Whether nothing is pinned and nothing collected.
    #[cfg(test)]
    pub(super) fn is_idle(&self) -> bool {
        self.lock().rooms.is_empty()
    }

    /// Shows a collection what is pinned. Nothing is pinned in any room until `look` returns.
    pub(super) fn with_collection<T>(
        &self,
        room: RoomNumber,
        look: impl FnOnce(&mut Pinned) -> T,
    ) -> T {
        let mut all = self.lock();
        look(all.rooms.entry(room).or_default().collection.get_or_insert_default())
    }
}

/// The pins of one batch; dropped with it, when it was applied, refused or given up.
#[derive(Debug, Default)]
pub(super) struct BatchPins(Option<Held>);

#[derive(Debug)]
struct Held {
    pins: Arc<Pins>,
    batch: u64,
    rooms: Vec<RoomNumber>,
}

impl BatchPins {
    pub(super) fn pin_base(&mut self, pins: &Arc<Pins>, room: RoomNumber, base: NodeHash) {
        self.pin(pins, room, |pinned| pinned.add_base(base));
    }

    pub(super) fn pin_nodes(&mut self, pins: &Arc<Pins>, room: RoomNumber, nodes: &[NodeHash]) {
        self.pin(pins, room, |pinned| pinned.nodes.extend(nodes));
    }

    fn pin(&mut self, pins: &Arc<Pins>, room: RoomNumber, add: impl Fn(&mut Pinned)) {
        let mut all = pins.lock();
        let held = self.0.get_or_insert_with(|| {
            all.last_batch += 1;
            Held { pins: Arc::clone(pins), batch: all.last_batch, rooms: Vec::new() }
        });
        if !held.rooms.contains(&room) {
            held.rooms.push(room);
        }
        let room = all.rooms.entry(room).or_default();
        add(room.batches.entry(held.batch).or_default());
        room.collection.iter_mut().for_each(add);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut all = self.pins.lock();
        for room in &self.rooms {
            if let Some(pins) = all.rooms.get_mut(room) {
                pins.batches.remove(&self.batch);
            }
            all.forget_if_idle(*room);
        }
    }
}
