//! State tries against a plain map.

use proptest::collection::vec;
use proptest::prelude::*;

use super::{Map, MapChanges, ROOM, apply, entries, set, write};
use crate::state_trie::node::Node;
use crate::state_trie::{STATE_NODE, node_key};
use crate::{
    Batch, EventNumber, RoomNumber, StateChange, StateKeyNumber, StateRoot, Store, StoreError,
};

fn difference(before: &Map, after: &Map) -> Vec<StateChange> {
    let keys: std::collections::BTreeSet<u64> =
        before.keys().chain(after.keys()).copied().collect();
    let sides = keys.into_iter().map(|key| StateChange {
        key: StateKeyNumber(key),
        before: before.get(&key).copied().map(EventNumber),
        after: after.get(&key).copied().map(EventNumber),
    });
    sides.filter(|change| change.before != change.after).collect()
}

/// Where the next changes go: into a new batch, committed or only submitted, or into the last one.
#[derive(Debug, Clone, Copy)]
enum Batching {
    Commit,
    Submit,
    Wait,
}

fn some_changes() -> impl Strategy<Value = MapChanges> {
    // Few keys, so that they are hit again, some of them far apart; and few events, so that states recur.
    let key =
        prop_oneof![4 => 0..60_u64, 1 => (0..20_u64).prop_map(|n| n << 40), 1 => any::<u64>()];
    let event = prop_oneof![3 => (1..4_u64).prop_map(Some), 2 => Just(None)];
    let cleared = vec(0..60_u64, 30..120);
    let cleared = cleared.prop_map(|keys| keys.into_iter().map(|key| (key, None)).collect());
    prop_oneof![3 => vec((key, event), 0..40), 1 => cleared]
}

fn history() -> impl Strategy<Value = Vec<(prop::sample::Index, MapChanges, Batching)>> {
    let batching =
        prop_oneof![Just(Batching::Commit), Just(Batching::Submit), Just(Batching::Wait)];
    vec((any::<prop::sample::Index>(), some_changes(), batching), 1..25)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Each step makes a state from any state before it, as forks of a room's history do.
    #[test]
    fn a_state_is_the_map_it_stands_for(history in history()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async move {
            let store = Store::in_memory().await;
            let mut states = vec![(StateRoot::EMPTY, Map::new())];
            let mut batch = Batch::new();
            let mut tickets = Vec::new();
            let mut made = 0; // states whose batch was submitted
            for (from, step, batching) in history {
                // One that is only in the batch in hand, or any submitted one.
                let from = from.index(states.len());
                let (root, mut map) = states[from].clone();
                let root = set(&store, &mut batch, root, &step).await;
                apply(&mut map, &step);
                states.push((root, map));
                match batching {
                    Batching::Wait => continue,
                    Batching::Submit => tickets.push(store.submit(std::mem::take(&mut batch))),
                    Batching::Commit => { store.commit(std::mem::take(&mut batch)).await.unwrap(); }
                }
                for (root, map) in &states[made..] {
                    assert_eq!(entries(&store, *root).await, *map);
                }
                made = states.len();
            }
            store.commit(batch).await.unwrap();
            for ticket in tickets {
                ticket.await.unwrap();
            }
            // Not from memory but from what was written.
            store.set_state_cache(0);
            compare_all(&store, &states).await;
        });
    }
}

async fn compare_all(store: &Store, states: &[(StateRoot, Map)]) {
    let keys: Vec<u64> = (0..62).chain((0..20).map(|n| n << 40)).collect();
    let numbers: Vec<StateKeyNumber> = keys.iter().copied().map(StateKeyNumber).collect();
    for (root, map) in states {
        assert_eq!(entries(store, *root).await, *map);
        let expected: Vec<_> =
            keys.iter().map(|key| map.get(key).copied().map(EventNumber)).collect();
        assert_eq!(store.state_events(ROOM, *root, &numbers).await.unwrap(), expected);
        for (number, expected) in numbers.iter().zip(expected).step_by(7) {
            assert_eq!(store.state_event(ROOM, *root, *number).await.unwrap(), expected);
        }
        for (other, other_map) in states.iter().step_by(3) {
            assert_eq!(root == other, map == other_map);
            let found = store.state_difference(ROOM, *root, *other).await.unwrap();
            assert_eq!(found, difference(map, other_map));
        }
    }
    for (root, map) in states {
        assert_eq!(write(store, map).await, *root);
    }
}

#[tokio::test]
async fn a_state_does_not_depend_on_the_order_of_its_history() {
    let store = Store::in_memory().await;
    let mut batch = Batch::new();
    let all: Vec<_> = (0..2000).map(|key| (key * 3, Some(key + 10))).collect();
    let at_once = set(&store, &mut batch, StateRoot::EMPTY, &all).await;
    let mut one_by_one = StateRoot::EMPTY;
    for change in all.iter().rev().chain(&[(1, Some(1)), (1, None)]) {
        one_by_one = set(&store, &mut batch, one_by_one, &[*change]).await;
    }
    assert_eq!(at_once, one_by_one);

    let none: Vec<_> = all.iter().map(|(key, _)| (*key, None)).collect();
    let emptied = set(&store, &mut batch, at_once, &none).await;
    assert_eq!(emptied, StateRoot::EMPTY);
}

#[tokio::test]
async fn a_state_that_a_dropped_batch_had_too_is_written_all_the_same() {
    let store = Store::in_memory().await;
    let changes: MapChanges = (0..100).map(|key| (key, Some(key))).collect();
    let dropped = set(&store, &mut Batch::new(), StateRoot::EMPTY, &changes).await;
    let mut batch = Batch::new();
    let state = set(&store, &mut batch, StateRoot::EMPTY, &changes).await;
    assert_eq!(state, dropped);
    store.commit(batch).await.unwrap();
    store.set_state_cache(0);
    assert_eq!(entries(&store, state).await, (0..100).map(|key| (key, key)).collect());
}

#[tokio::test]
async fn of_two_changes_to_a_key_the_later_counts() {
    let store = Store::in_memory().await;
    let mut batch = Batch::new();
    let twice = [(1, Some(5)), (1, None), (2, None), (2, Some(6))];
    let state = set(&store, &mut batch, StateRoot::EMPTY, &twice).await;
    store.commit(batch).await.unwrap();
    assert_eq!(entries(&store, state).await, Map::from([(2, 6)]));
}

#[tokio::test]
async fn a_state_of_another_room_is_an_error() {
    let store = Store::in_memory().await;
    let state = write(&store, &Map::from([(1, 5)])).await;
    let other = RoomNumber(ROOM.0 + 1);
    store.state_entries(other, state).await.unwrap_err();
    let change = [(StateKeyNumber(1), None)];
    store.set_state(&mut Batch::new(), other, state, &change).await.unwrap_err();
}

#[tokio::test]
async fn a_damaged_node_is_an_error() {
    let store = Store::in_memory().await;
    let state = write(&store, &Map::from([(1, 5)])).await;
    store.set_state_cache(0);
    let mut batch = Batch::new();
    let other = Node::Bucket(vec![(1, 6)]).encode();
    batch.put(STATE_NODE, node_key(ROOM, state.0), other).unwrap();
    store.commit(batch).await.unwrap();
    let error = store.state_event(ROOM, state, StateKeyNumber(1)).await.unwrap_err();
    assert!(matches!(error, StoreError::Undecodable { table: "state_node", .. }));
}
