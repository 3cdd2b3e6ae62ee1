//! What operations on the state of a room take, by the room's size: the table "State tries" of `docs/performance.md`.
//!
//! `cargo run --release -p store --example state_tries`

use std::time::{Duration, Instant};

use store::{
    Batch, EngineKind, EngineOptions, EventNumber, RoomNumber, StateKeyNumber, StateRoot, Store,
    StoreError,
};

const ROOM: RoomNumber = RoomNumber(1);
const SIZES: [u64; 3] = [50, 2_000, 50_000];
const TIMES: u64 = 20_000;

/// The state key of the `nth` member: members get their numbers between those of users and events.
fn key(nth: u64) -> StateKeyNumber {
    StateKeyNumber(1000 + 3 * nth)
}

/// The member that the `nth` operation is about.
fn some(nth: u64, size: u64) -> u64 {
    nth.wrapping_mul(0x9E37_79B9_7F4A_7C15) % size
}

fn micros(took: Duration, times: u64) -> f64 {
    took.as_secs_f64() * 1e6 / f64::from(u32::try_from(times).unwrap_or(u32::MAX))
}

async fn fill(store: &Store, size: u64) -> Result<StateRoot, StoreError> {
    let all: Vec<_> = (0..size).map(|nth| (key(nth), Some(EventNumber(1001 + 3 * nth)))).collect();
    let mut batch = Batch::new();
    let state = store.set_state(&mut batch, ROOM, StateRoot::EMPTY, &all).await?;
    store.commit(batch).await?;
    Ok(state)
}

/// The states after each of many single changes, and the time of a change (without its commit).
async fn change(
    store: &Store,
    mut state: StateRoot,
    size: u64,
) -> Result<(Vec<StateRoot>, Duration), StoreError> {
    let mut states = vec![state];
    let mut took = Duration::ZERO;
    for nth in 0..TIMES {
        let mut batch = Batch::new();
        let change = (key(some(nth, size)), Some(EventNumber(1_000_000 + nth)));
        let began = Instant::now();
        state = store.set_state(&mut batch, ROOM, state, &[change]).await?;
        took += began.elapsed();
        states.push(state);
        // Its answer is not waited for: many changes share a group. Every so often, so that few are in memory.
        let ticket = store.submit(batch);
        if nth % 256 == 0 {
            ticket.await?;
        }
    }
    store.commit(Batch::new()).await?;
    Ok((states, took))
}

async fn look_up(store: &Store, state: StateRoot, size: u64) -> Result<Duration, StoreError> {
    let began = Instant::now();
    for nth in 0..TIMES {
        store.state_event(ROOM, state, key(some(nth, size))).await?;
    }
    Ok(began.elapsed())
}

async fn differences(store: &Store, states: &[StateRoot]) -> Result<Duration, StoreError> {
    let began = Instant::now();
    for pair in states.windows(2) {
        store.state_difference(ROOM, pair[0], pair[1]).await?;
    }
    Ok(began.elapsed())
}

async fn measure(size: u64) -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let store = store::open(EngineKind::Sled, folder.path(), EngineOptions::default()).await?;
    let state = fill(&store, size).await?;
    let (states, set) = change(&store, state, size).await?;
    let last = states.last().copied().unwrap_or(state);
    let cached = look_up(&store, last, size).await?;
    let difference = differences(&store, &states[states.len() - 2_000..]).await?;
    let began = Instant::now();
    store.state_entries(ROOM, last).await?;
    let listing = began.elapsed();
    store.set_state_cache(0);
    let read = look_up(&store, last, size).await?;

    let mut collection = store.collect_state_nodes(ROOM).ok_or("a collection is under way")?;
    let began = Instant::now();
    for page in states[states.len() / 2..].chunks(256) {
        collection = collection.keep(page).await?;
    }
    let marked = began.elapsed();
    let began = Instant::now();
    let collected = collection.sweep().await?;
    println!(
        "| {size} | {:.1} | {:.1} | {:.1} | {:.1} | {:.0} |",
        micros(set, TIMES),
        micros(cached, TIMES),
        micros(read, TIMES),
        micros(difference, 1_999),
        micros(listing, 1),
    );
    println!("{collected:?}: marked in {marked:?}, swept in {:?}", began.elapsed());
    store.close().await;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!(
        "| entries | change | look-up, cached | look-up, read | difference of one change | full listing |"
    );
    println!("| --- | --- | --- | --- | --- | --- |");
    for size in SIZES {
        measure(size).await?;
    }
    Ok(())
}
