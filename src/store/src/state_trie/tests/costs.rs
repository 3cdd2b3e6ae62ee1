//! What operations read and write, by the size of the room.

use super::engine::{Traffic, WatchedEngine};
use super::{Map, ROOM, set, write};
use crate::{Batch, StateKeyNumber};

const CHANGES: u64 = 200;

/// What happens in a room of `size` entries, on average over many, a hundredfold: one change, one look-up, and one
/// difference between neighbouring states; nothing is cached.
async fn costs(size: u64) -> [Traffic; 3] {
    let (engine, store) = WatchedEngine::with_store().await;
    // As members are numbered that join one after the other: state keys among users and events.
    let map: Map = (0..size).map(|nth| (1000 + 3 * nth, 1001 + 3 * nth)).collect();
    let mut state = write(&store, &map).await;
    store.set_state_cache(0);
    engine.traffic();
    let mut costs = [Traffic { reads: 0, writes: 0, written_bytes: 0 }; 3];
    for nth in 0..CHANGES {
        let key = 1000 + 3 * (nth * 7919 % size);
        let before = state;
        let mut batch = Batch::new();
        state = set(&store, &mut batch, state, &[(key, Some(900_000 + nth))]).await;
        store.commit(batch).await.unwrap();
        add(&mut costs[0], engine.traffic());
        store.state_event(ROOM, state, StateKeyNumber(key)).await.unwrap().unwrap();
        add(&mut costs[1], engine.traffic());
        let changes = store.state_difference(ROOM, before, state).await.unwrap();
        assert_eq!(changes.len(), 1);
        add(&mut costs[2], engine.traffic());
    }
    costs.map(|sum| Traffic {
        reads: sum.reads * 100 / CHANGES,
        writes: sum.writes * 100 / CHANGES,
        written_bytes: sum.written_bytes * 100 / CHANGES,
    })
}

fn add(sum: &mut Traffic, traffic: Traffic) {
    sum.reads += traffic.reads;
    sum.writes += traffic.writes;
    sum.written_bytes += traffic.written_bytes;
}

#[tokio::test]
async fn a_room_of_50_000_costs_little_more_than_one_of_50() {
    let [change, lookup, difference] = costs(50).await;
    println!("50: {change:?} {lookup:?} {difference:?}");
    assert!(change.reads <= 200 && change.writes <= 200 && change.written_bytes <= 45_000);
    assert!(lookup.reads <= 200 && difference.reads <= 400);

    let [change, lookup, difference] = costs(50_000).await;
    println!("50,000: {change:?} {lookup:?} {difference:?}");
    assert!(change.reads <= 500 && change.writes <= 500 && change.written_bytes <= 130_000);
    assert!(lookup.reads <= 500 && difference.reads <= 1000);
}

#[tokio::test]
async fn what_is_cached_is_not_read_again() {
    let (engine, store) = WatchedEngine::with_store().await;
    let map: Map = (0..5000).map(|key| (key, key)).collect();
    let state = write(&store, &map).await;
    engine.traffic();
    let all: Vec<_> = map.keys().copied().map(StateKeyNumber).collect();
    store.state_events(ROOM, state, &all).await.unwrap();
    assert_eq!(engine.traffic().reads, 0);
}

#[tokio::test]
async fn several_keys_are_looked_up_with_each_node_read_once() {
    let (engine, store) = WatchedEngine::with_store().await;
    let map: Map = (0..5000).map(|key| (key, key)).collect();
    let state = write(&store, &map).await;
    store.set_state_cache(0);
    engine.traffic();
    let all: Vec<_> = map.keys().copied().map(StateKeyNumber).collect();
    store.state_events(ROOM, state, &all).await.unwrap();
    let nodes = engine.nodes(ROOM).await.len();
    assert_eq!(engine.traffic().reads, nodes as u64);
}
