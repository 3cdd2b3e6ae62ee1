//! Collections while many write.

use std::collections::BTreeMap;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use tokio::task::JoinHandle;

use super::engine::WatchedEngine;
use super::{Map, MapChanges, ROOM, apply, entries, set, write};
use crate::key::Key;
use crate::{Batch, Direction, KeyRange, StateRoot, Store, Table};

/// What events are in the real thing: the durable references to states. Key: writer, number; value: root.
const REFERENCE: Table = Table::new(200, "reference");

const WRITERS: u64 = 4;
const STEPS: u64 = 250;

/// Makes states from its own states and keeps some of them. All write much the same states, so that a node is often
/// garbage for the one while it is put by the other.
async fn write_states(store: Store, writer: u64) -> BTreeMap<Vec<u8>, (StateRoot, Map)> {
    let mut runner = TestRunner::new_with_rng(
        Config::default(),
        TestRng::from_seed(RngAlgorithm::XorShift, &[u8::try_from(writer).unwrap() + 1; 16]),
    );
    let event = proptest::prop_oneof![(1..3_u64).prop_map(Some), proptest::strategy::Just(None)];
    let changes = proptest::collection::vec((0..100_u64, event), 1..16);
    let mut draw = |below: usize| (0..below).new_tree(&mut runner).unwrap().current();
    let mut change_runner = TestRunner::deterministic();
    let mut states = BTreeMap::new();
    for step in 0..STEPS {
        let from = states.values().nth(draw(states.len().max(1)));
        let (mut state, mut map) = from.cloned().unwrap_or((StateRoot::EMPTY, Map::new()));
        let mut batch = Batch::new();
        let mut made = Vec::new();
        for part in 0..=draw(2) {
            let changes: MapChanges = changes.new_tree(&mut change_runner).unwrap().current();
            state = set(&store, &mut batch, state, &changes).await;
            apply(&mut map, &changes);
            let key = Key::new().u64(writer).u64(step).u64(part as u64).into_bytes();
            batch.insert(REFERENCE, key.clone(), &state).unwrap();
            made.push((key, (state, map.clone())));
        }
        if draw(8) == 0 {
            continue;
        }
        while states.len() > 5 {
            let gone = states.keys().nth(draw(states.len())).cloned().unwrap();
            states.remove(&gone);
            batch.remove(REFERENCE, gone);
        }
        store.commit(batch).await.unwrap();
        states.extend(made);
    }
    states
}

async fn collect(store: &Store) -> u64 {
    let mut collection = store.collect_state_nodes(ROOM).unwrap();
    let mut rest = KeyRange::prefix([]);
    loop {
        let page = store.scan(REFERENCE, rest.clone(), Direction::Ascending, 3).await.unwrap();
        let Some((last, _)) = page.last() else { break };
        rest.continue_after(last.clone(), Direction::Ascending);
        let roots = page.iter().map(|(_, value)| crate::store::decode(REFERENCE, value).unwrap());
        collection = collection.keep(&roots.collect::<Vec<_>>()).await.unwrap();
    }
    collection.sweep().await.unwrap().deleted
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_state_loses_a_node_to_a_collection_under_load() {
    let (engine, store) = WatchedEngine::with_store().await;
    store.set_state_cache(0);
    engine.dawdle();
    let writers: Vec<_> =
        (0..WRITERS).map(|writer| tokio::spawn(write_states(store.clone(), writer))).collect();
    let (mut collections, mut deleted) = (0, 0);
    while !writers.iter().all(JoinHandle::is_finished) {
        deleted += collect(&store).await;
        collections += 1;
    }
    let mut states = BTreeMap::new();
    for writer in writers {
        states.extend(writer.await.unwrap());
    }
    assert!(collections > 3 && deleted > 100, "{collections} {deleted}");
    for (state, map) in states.values() {
        assert_eq!(entries(&store, *state).await, *map);
    }

    // And nothing stays that should not.
    collect(&store).await;
    let (fresh, fresh_store) = WatchedEngine::with_store().await;
    for (_, map) in states.values() {
        write(&fresh_store, map).await;
    }
    assert_eq!(engine.nodes(ROOM).await, fresh.nodes(ROOM).await);
    assert!(store.tries().pins.is_idle());
}
