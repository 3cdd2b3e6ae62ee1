//! All of a state trie's operations together.

mod against_map;
mod collecting;
mod collecting_under_load;
mod costs;
mod engine;

use std::collections::BTreeMap;

use super::StateRoot;
use crate::{Batch, EventNumber, RoomNumber, StateKeyNumber, Store};

const ROOM: RoomNumber = RoomNumber(7);

/// A state as a plain map.
type Map = BTreeMap<u64, u64>;

/// Changes to one.
type MapChanges = Vec<(u64, Option<u64>)>;

fn apply(map: &mut Map, changes: &[(u64, Option<u64>)]) {
    for (key, event) in changes {
        match event {
            Some(event) => map.insert(*key, *event),
            None => map.remove(key),
        };
    }
}

/// Makes a state from another one in a batch.
async fn set(
    store: &Store,
    batch: &mut Batch,
    state: StateRoot,
    changes: &[(u64, Option<u64>)],
) -> StateRoot {
    let changes: Vec<_> =
        changes.iter().map(|(key, event)| (StateKeyNumber(*key), event.map(EventNumber))).collect();
    store.set_state(batch, ROOM, state, &changes).await.unwrap()
}

/// Writes a whole state.
async fn write(store: &Store, map: &Map) -> StateRoot {
    let mut batch = Batch::new();
    let changes: MapChanges = map.iter().map(|(key, event)| (*key, Some(*event))).collect();
    let root = set(store, &mut batch, StateRoot::EMPTY, &changes).await;
    store.commit(batch).await.unwrap();
    root
}

async fn entries(store: &Store, state: StateRoot) -> Map {
    let entries = store.state_entries(ROOM, state).await.unwrap();
    assert!(entries.is_sorted_by(|one, other| one.0 < other.0));
    entries.into_iter().map(|(key, event)| (key.0, event.0)).collect()
}
