//! What a collection takes and what it leaves.

use proptest::collection::vec;
use proptest::prelude::*;

use super::engine::WatchedEngine;
use super::{Map, MapChanges, ROOM, apply, entries, set, write};
use crate::state_trie::StateRoot;
use crate::{Batch, CollectedNodes, RoomNumber, Store, StoreError};

fn states() -> impl Strategy<Value = Vec<(prop::sample::Index, MapChanges, bool)>> {
    let event = prop_oneof![3 => (1..3_u64).prop_map(Some), 1 => Just(None)];
    let changes = vec((0..120_u64, event), 0..60);
    vec((any::<prop::sample::Index>(), changes, any::<bool>()), 1..20)
}

/// The keys of exactly the nodes that some states are made of.
async fn nodes_of(maps: impl Iterator<Item = &Map>) -> Vec<Vec<u8>> {
    let (engine, store) = WatchedEngine::with_store().await;
    for map in maps {
        write(&store, map).await;
    }
    engine.nodes(ROOM).await
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn exactly_the_nodes_of_kept_states_stay(steps in states()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async move {
            let (engine, store) = WatchedEngine::with_store().await;
            let mut states = vec![(StateRoot::EMPTY, Map::new(), true)];
            for (from, changes, kept) in steps {
                let (root, mut map, _) = states[from.index(states.len())].clone();
                let mut batch = Batch::new();
                let root = set(&store, &mut batch, root, &changes).await;
                store.commit(batch).await.unwrap();
                apply(&mut map, &changes);
                states.push((root, map, kept));
            }
            let before = engine.nodes(ROOM).await.len();
            states.retain(|(_, _, kept)| *kept);
            let roots: Vec<StateRoot> = states.iter().map(|(root, ..)| *root).collect();

            let mut collection = store.collect_state_nodes(ROOM).unwrap();
            for page in roots.chunks(3) {
                collection = collection.keep(page).await.unwrap();
            }
            let collected = collection.sweep().await.unwrap();

            let left = engine.nodes(ROOM).await;
            assert_eq!(left, nodes_of(states.iter().map(|(_, map, _)| map)).await);
            assert_eq!(collected.examined, before as u64);
            assert_eq!(collected.deleted, (before - left.len()) as u64);
            for (root, map, _) in states {
                assert_eq!(entries(&store, root).await, map);
            }
        });
    }
}

fn large(event: u64) -> Map {
    (0..1000).map(|key| (key, event)).collect()
}

async fn collect(store: &Store, keep: &[StateRoot]) -> Result<CollectedNodes, StoreError> {
    store.collect_state_nodes(ROOM).unwrap().keep(keep).await?.sweep().await
}

/// Fails if the state is not whole on the disk.
async fn assert_whole(store: &Store, state: StateRoot, map: &Map) {
    store.set_state_cache(0);
    assert_eq!(entries(store, state).await, *map);
}

#[tokio::test]
async fn other_rooms_keep_theirs() {
    let (engine, store) = WatchedEngine::with_store().await;
    write(&store, &large(1)).await;
    let mut batch = Batch::new();
    let changes = [(crate::StateKeyNumber(1), Some(crate::EventNumber(1)))];
    let other = RoomNumber(ROOM.0 + 1);
    store.set_state(&mut batch, other, StateRoot::EMPTY, &changes).await.unwrap();
    store.commit(batch).await.unwrap();

    let collected = collect(&store, &[]).await.unwrap();

    assert!(collected.deleted > 32 && collected.bytes > 32 * 40);
    assert!(engine.nodes(ROOM).await.is_empty());
    assert_eq!(engine.nodes(other).await.len(), 1);
}

#[tokio::test]
async fn a_state_of_a_batch_in_hand_stays() {
    let (_engine, store) = WatchedEngine::with_store().await;
    let map = large(1);
    // The same nodes are there already, as garbage.
    write(&store, &map).await;
    let mut batch = Batch::new();
    let changes: MapChanges = map.iter().map(|(key, event)| (*key, Some(*event))).collect();
    let state = set(&store, &mut batch, StateRoot::EMPTY, &changes).await;
    let collection = store.collect_state_nodes(ROOM).unwrap();
    store.commit(batch).await.unwrap();
    assert_eq!(collection.sweep().await.unwrap().deleted, 0);
    assert_whole(&store, state, &map).await;
}

#[tokio::test]
async fn a_state_of_a_batch_being_applied_stays() {
    let (engine, store) = WatchedEngine::with_store().await;
    let map = large(1);
    let mut batch = Batch::new();
    let changes: MapChanges = map.iter().map(|(key, event)| (*key, Some(*event))).collect();
    let state = set(&store, &mut batch, StateRoot::EMPTY, &changes).await;
    let shut = engine.shut().await;
    let ticket = store.submit(batch);
    // Long enough for the committer to take it from the queue.
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    let collection = store.collect_state_nodes(ROOM).unwrap();
    drop(shut);
    ticket.await.unwrap();
    collection.sweep().await.unwrap();
    assert_whole(&store, state, &map).await;
}

#[tokio::test]
async fn nodes_put_while_they_are_being_deleted_stay() {
    let (engine, store) = WatchedEngine::with_store().await;
    let map = large(1);
    write(&store, &map).await;
    let collection = store.collect_state_nodes(ROOM).unwrap();
    let shut = engine.shut().await;
    let sweep = tokio::spawn(collection.sweep());
    // Long enough for the deletion to be on its way.
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    let mut batch = Batch::new();
    let changes: MapChanges = map.iter().map(|(key, event)| (*key, Some(*event))).collect();
    let state = set(&store, &mut batch, StateRoot::EMPTY, &changes).await;
    let ticket = store.submit(batch);
    drop(shut);
    ticket.await.unwrap();
    assert!(sweep.await.unwrap().unwrap().deleted > 0);
    assert_whole(&store, state, &map).await;
}

#[tokio::test]
async fn a_state_made_meanwhile_stays_with_all_it_was_made_from() {
    let (_engine, store) = WatchedEngine::with_store().await;
    let mut map = large(1);
    let before = write(&store, &map).await;
    let collection = store.collect_state_nodes(ROOM).unwrap();
    let mut batch = Batch::new();
    let after = set(&store, &mut batch, before, &[(5, Some(2))]).await;
    store.commit(batch).await.unwrap();
    collection.sweep().await.unwrap();
    assert_whole(&store, before, &map).await;
    map.insert(5, 2);
    assert_whole(&store, after, &map).await;
}

#[tokio::test]
async fn a_state_used_unchanged_meanwhile_stays() {
    let (_engine, store) = WatchedEngine::with_store().await;
    let state = write(&store, &large(1)).await;
    let collection = store.collect_state_nodes(ROOM).unwrap();
    assert_eq!(set(&store, &mut Batch::new(), state, &[]).await, state);
    assert_eq!(collection.sweep().await.unwrap().deleted, 0);
    assert_whole(&store, state, &large(1)).await;
}

#[tokio::test]
async fn what_a_dropped_batch_pinned_goes_next_time() {
    let (engine, store) = WatchedEngine::with_store().await;
    let state = write(&store, &large(1)).await;
    let mut batch = Batch::new();
    set(&store, &mut batch, state, &[(5, Some(2))]).await;
    assert_eq!(collect(&store, &[]).await.unwrap().deleted, 0);
    drop(batch);
    collect(&store, &[]).await.unwrap();
    assert!(engine.nodes(ROOM).await.is_empty());
}

#[tokio::test]
async fn a_room_is_collected_by_one_at_a_time() {
    let store = Store::in_memory().await;
    let collection = store.collect_state_nodes(ROOM).unwrap();
    assert!(store.collect_state_nodes(ROOM).is_none());
    drop(collection);
    assert!(store.collect_state_nodes(ROOM).is_some());
}

#[tokio::test]
async fn a_state_that_is_not_whole_ends_the_collection() {
    let (engine, store) = WatchedEngine::with_store().await;
    let state = write(&store, &large(1)).await;
    let nodes = engine.nodes(ROOM).await.len();
    let unknown = StateRoot([9; 16]);
    collect(&store, &[state, unknown]).await.unwrap_err();
    assert_eq!(engine.nodes(ROOM).await.len(), nodes);
}
