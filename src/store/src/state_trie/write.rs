//! Making a state from another one.

use std::collections::{BTreeMap, HashMap};
use std::pin::Pin;
use std::sync::Arc;

use super::node::{
    self, BUCKET, CHILDREN, Child, Children, Entry, MAX_DEPTH, Node, NodeHash, path, turn,
};
use super::pins::BatchPins;
use super::read::too_deep;
use super::{STATE_NODE, StateRoot, damaged, node_key};
use crate::{Batch, EventNumber, RoomNumber, StateKeyNumber, Store, StoreError};

/// The states a batch brings.
#[derive(Debug, Default)]
pub(crate) struct BatchState {
    /// The nodes it puts, so that a state can be made from one that only this batch has.
    nodes: HashMap<(RoomNumber, NodeHash), Arc<Node>>,
    pins: BatchPins,
}

/// A change to one key, with the key's path.
struct Step {
    path: u64,
    key: u64,
    event: Option<u64>,
}

/// What became of a subtree.
enum Subtree {
    Unchanged,
    Empty,
    /// A new node, not yet hashed, since it may yet melt into a larger bucket.
    New(Node),
}

impl Store {
    /// The state that differs from `state` by `changes` (`None` takes a key out; of two changes to one key the later
    /// counts). Puts the nodes that are new into the batch, so the state lasts if the batch is committed. Writes and
    /// reads a few nodes for each change, however large the state is.
    ///
    /// `state` may be durable, or come from a batch that was submitted before, or from this very batch.
    pub async fn set_state(
        &self,
        batch: &mut Batch,
        room: RoomNumber,
        state: StateRoot,
        changes: &[(StateKeyNumber, Option<EventNumber>)],
    ) -> Result<StateRoot, StoreError> {
        // Before anything is read, so that it is not collected meanwhile.
        if let Some(base) =
            state.node().filter(|base| !batch.state.nodes.contains_key(&(room, *base)))
        {
            batch.state.pins.pin_base(&self.tries().pins, room, base);
        }
        let mut writer = Writer { store: self, batch: &batch.state, room, fresh: Vec::new() };
        let made = match writer.change(state.node(), 0, &steps(changes)).await? {
            Subtree::Unchanged => return Ok(state),
            Subtree::Empty => StateRoot::EMPTY,
            Subtree::New(node) => StateRoot(writer.keep(node).hash),
        };
        let fresh = writer.fresh;
        let hashes: Vec<NodeHash> = fresh.iter().map(|(hash, ..)| *hash).collect();
        batch.state.pins.pin_nodes(&self.tries().pins, room, &hashes);
        for (hash, bytes, node) in fresh {
            self.tries().cache.insert((room, hash), Arc::clone(&node));
            if batch.state.nodes.insert((room, hash), node).is_none() {
                batch.put(STATE_NODE, node_key(room, hash), bytes)?;
            }
        }
        Ok(made)
    }
}

/// The changes in the order of their paths, one for each key.
fn steps(changes: &[(StateKeyNumber, Option<EventNumber>)]) -> Vec<Step> {
    let last: HashMap<u64, Option<u64>> =
        changes.iter().map(|(key, event)| (key.0, event.map(|event| event.0))).collect();
    let mut steps: Vec<Step> =
        last.into_iter().map(|(key, event)| Step { path: path(key), key, event }).collect();
    steps.sort_unstable_by_key(|step| step.path);
    steps
}

struct Writer<'a> {
    store: &'a Store,
    batch: &'a BatchState,
    room: RoomNumber,
    /// Nodes that the new state has and that were not read from the old one.
    fresh: Vec<(NodeHash, Vec<u8>, Arc<Node>)>,
}

impl Writer<'_> {
    async fn node(&self, hash: NodeHash) -> Result<Arc<Node>, StoreError> {
        match self.batch.nodes.get(&(self.room, hash)) {
            Some(node) => Ok(Arc::clone(node)),
            None => self.store.state_node(self.room, hash).await,
        }
    }

    /// Names a node that will be part of the new state.
    fn keep(&mut self, node: Node) -> Child {
        let bytes = node.encode();
        let child = Child { hash: node::hash(&bytes), count: node.count() };
        self.fresh.push((child.hash, bytes, Arc::new(node)));
        child
    }

    /// Applies changes, all below one place, to the subtree that is there.
    fn change<'b>(
        &'b mut self,
        stored: Option<NodeHash>,
        depth: u32,
        steps: &'b [Step],
    ) -> Pin<Box<dyn Future<Output = Result<Subtree, StoreError>> + Send + 'b>> {
        Box::pin(async move {
            let Some(stored) = stored else { return Ok(self.change_entries(&[], depth, steps)) };
            match &*self.node(stored).await? {
                Node::Bucket(entries) => Ok(self.change_entries(entries, depth, steps)),
                Node::Branch(_) if depth >= MAX_DEPTH => Err(too_deep()),
                Node::Branch(children) => self.change_branch(children, depth, steps).await,
            }
        })
    }

    fn change_entries(&mut self, entries: &[Entry], depth: u32, steps: &[Step]) -> Subtree {
        let mut changed: BTreeMap<u64, u64> = entries.iter().copied().collect();
        for step in steps {
            match step.event {
                Some(event) => changed.insert(step.key, event),
                None => changed.remove(&step.key),
            };
        }
        if changed.len() == entries.len()
            && entries.iter().copied().eq(changed.iter().map(|(key, event)| (*key, *event)))
        {
            return Subtree::Unchanged;
        }
        if changed.is_empty() {
            return Subtree::Empty;
        }
        Subtree::New(self.build(changed.into_iter().collect(), depth))
    }

    /// The node of some entries, at least one, in key order.
    fn build(&mut self, entries: Vec<Entry>, depth: u32) -> Node {
        if entries.len() <= BUCKET {
            return Node::Bucket(entries);
        }
        let mut below: [Vec<Entry>; CHILDREN] = Default::default();
        for entry in entries {
            below[turn(path(entry.0), depth)].push(entry);
        }
        let mut children = Box::<Children>::default();
        for (child, entries) in children.iter_mut().zip(below) {
            if !entries.is_empty() {
                let node = self.build(entries, depth + 1);
                *child = Some(self.keep(node));
            }
        }
        Node::Branch(children)
    }

    async fn change_branch(
        &mut self,
        children: &Children,
        depth: u32,
        steps: &[Step],
    ) -> Result<Subtree, StoreError> {
        let mut children = Box::new(*children);
        let mut new: Vec<(usize, Node)> = Vec::new();
        let mut changed = false;
        for steps in steps.chunk_by(|one, other| turn(one.path, depth) == turn(other.path, depth)) {
            let turn = turn(steps[0].path, depth);
            let stored = children[turn].map(|child| child.hash);
            let node = match self.change(stored, depth + 1, steps).await? {
                Subtree::Unchanged => continue,
                Subtree::Empty => None,
                Subtree::New(node) => Some(node),
            };
            changed = true;
            children[turn] = None;
            new.extend(node.map(|node| (turn, node)));
        }
        if !changed {
            return Ok(Subtree::Unchanged);
        }
        let kept: u64 = children.iter().flatten().map(|child| child.count).sum();
        let count = kept + new.iter().map(|(_, node)| node.count()).sum::<u64>();
        if count == 0 {
            return Ok(Subtree::Empty);
        }
        if count <= BUCKET as u64 {
            return self.melt(&children, new).await.map(Subtree::New);
        }
        for (turn, node) in new {
            children[turn] = Some(self.keep(node));
        }
        Ok(Subtree::New(Node::Branch(children)))
    }

    /// One bucket of what is left below a branch.
    async fn melt(&self, kept: &Children, new: Vec<(usize, Node)>) -> Result<Node, StoreError> {
        let mut nodes: Vec<Arc<Node>> = new.into_iter().map(|(_, node)| Arc::new(node)).collect();
        for child in kept.iter().flatten() {
            nodes.push(self.node(child.hash).await?);
        }
        let mut entries = Vec::with_capacity(BUCKET);
        for node in &nodes {
            match &**node {
                Node::Bucket(below) => entries.extend(below),
                Node::Branch(_) => return Err(damaged("a branch counts its entries wrongly")),
            }
        }
        entries.sort_unstable();
        Ok(Node::Bucket(entries))
    }
}
