//! What the commit pipeline promises, on every engine.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use store::{
    Batch, Change, Direction, Engine, EngineError, Entry, KeyRange, MemoryEngine, Observer,
    RoomNumber, Store, StoreError, StreamPosition, Table, Write, raw,
};

use crate::on;

const DATA: Table = raw::table(200, "data");
const LOG: Table = raw::table(201, "log");
const NODES: Table = raw::immutable_table(202, "nodes");

fn put(key: &str, value: &str) -> Batch {
    let mut batch = Batch::new();
    raw::put(&mut batch, DATA, key.as_bytes(), value.into()).unwrap();
    batch
}

fn swap(key: &str, from: Option<&str>, to: &str) -> Batch {
    let mut batch = put(key, to);
    raw::expect(&mut batch, DATA, key.as_bytes(), from.map(Into::into));
    batch
}

async fn text(store: &Store, key: &str) -> Option<String> {
    let found = raw::get(store, DATA, key.as_bytes()).await.unwrap();
    found.map(|bytes| String::from_utf8(bytes).unwrap())
}

#[tokio::test]
async fn preconditions_see_earlier_commits_of_their_group() {
    for kind in on::ALL {
        let folder = tempfile::tempdir().unwrap();
        let store = on::store(kind, folder.path()).await;
        // Handed over at once, so that most share a group.
        let tickets = [
            store.submit(swap("head", None, "a")),
            store.submit(swap("head", Some("a"), "b")),
            store.submit(swap("head", Some("a"), "never")),
            store.submit(swap("head", Some("b"), "c")),
            store.submit(swap("head", None, "never")),
        ];
        let mut positions = Vec::new();
        for ticket in tickets {
            positions.push(ticket.await.ok().map(|position| position.0));
        }
        assert_eq!(positions, [Some(1), Some(2), None, Some(3), None], "{kind}");
        assert_eq!(text(&store, "head").await.unwrap(), "c", "{kind}");
        assert_eq!(store.position(), StreamPosition(3), "{kind}");
    }
}

#[tokio::test]
async fn a_refused_batch_leaves_nothing() {
    for kind in on::ALL {
        let folder = tempfile::tempdir().unwrap();
        let store = on::store(kind, folder.path()).await;
        let mut batch = swap("head", Some("absent"), "never");
        raw::put(&mut batch, LOG, b"entry", b"never".to_vec()).unwrap();
        raw::put(&mut batch, NODES, b"node", b"never".to_vec()).unwrap();
        batch.announce(Change::Timeline(RoomNumber(1)));
        assert!(matches!(store.commit(batch).await, Err(StoreError::Conflict)), "{kind}");
        assert_eq!(raw::get(&store, LOG, b"entry").await.unwrap(), None, "{kind}");
        assert_eq!(raw::get(&store, NODES, b"node").await.unwrap(), None, "{kind}");
        assert_eq!(store.position(), StreamPosition::START, "{kind}");
    }
}

#[tokio::test]
async fn a_delete_in_the_group_counts_as_absent() {
    for kind in on::ALL {
        let folder = tempfile::tempdir().unwrap();
        let store = on::store(kind, folder.path()).await;
        store.commit(put("key", "old")).await.unwrap();
        let mut delete = Batch::new();
        raw::remove(&mut delete, DATA, b"key");
        let deleted = store.submit(delete);
        let created = store.submit(swap("key", None, "new"));
        deleted.await.unwrap();
        created.await.unwrap();
        assert_eq!(text(&store, "key").await.unwrap(), "new", "{kind}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn positions_have_no_gaps_under_concurrency_and_go_on_after_reopening() {
    for kind in on::ON_DISK {
        let folder = tempfile::tempdir().unwrap();
        let mut committed = Vec::new();
        for round in 0..2_u64 {
            let store = on::store(kind, folder.path()).await;
            let writers = (0..16_u64).map(|writer| {
                let store = store.clone();
                tokio::spawn(async move {
                    let mut positions = Vec::new();
                    for number in 0..20_u64 {
                        let mut batch = Batch::new();
                        let slots = number % 3 + 1;
                        for _ in 0..slots {
                            let slot = batch.slot();
                            let who = [round, writer, number].map(u64::to_be_bytes).concat();
                            raw::put_at(&mut batch, LOG, b"", slot, &who).unwrap();
                        }
                        let last = store.commit(batch).await.unwrap();
                        positions.extend(last.0 + 1 - slots..=last.0);
                    }
                    positions
                })
            });
            for writer in writers.collect::<Vec<_>>() {
                committed.extend(writer.await.unwrap());
            }
            store.close().await;
        }
        committed.sort_unstable();
        let expected: Vec<u64> = (1..=committed.len() as u64).collect();
        assert_eq!(committed, expected, "{kind}");

        let store = on::store(kind, folder.path()).await;
        assert_eq!(store.position().0, committed.len() as u64, "{kind}");
        let all = KeyRange::prefix([]);
        let stamped = raw::scan(&store, LOG, all, Direction::Ascending, usize::MAX).await.unwrap();
        assert!(stamped.iter().all(|(key, value)| value.starts_with(key)), "{kind}");
        let keys: Vec<u64> =
            stamped.iter().map(|(key, _)| raw::position_of(key).unwrap().0).collect();
        assert_eq!(keys, expected, "{kind}");
    }
}

#[derive(Default)]
struct Seen(Mutex<Vec<(u64, Option<usize>)>>);

impl Observer for Seen {
    fn committed(&self, position: StreamPosition, changes: &[Change]) {
        self.0.lock().unwrap().push((position.0, Some(changes.len())));
    }

    fn published(&self, position: StreamPosition) {
        self.0.lock().unwrap().push((position.0, None));
    }
}

#[tokio::test]
async fn observers_hear_of_commits_in_order_and_before_the_answer() {
    for kind in on::ALL {
        let folder = tempfile::tempdir().unwrap();
        let store = on::store(kind, folder.path()).await;
        let seen = Arc::new(Seen::default());
        store.observe(seen.clone());
        let mut expected = Vec::new();
        for number in 1..=3_u64 {
            let mut batch = put("key", "value");
            batch.announce(Change::Timeline(RoomNumber(number)));
            batch.announce(Change::Timeline(RoomNumber(number)));
            let last = store.commit(batch).await.unwrap();
            expected.push((last.0, Some(1)));
            // That readers see it may be told a moment after the answer.
            let heard = seen.0.lock().unwrap().clone();
            assert!(heard.starts_with(&expected), "{kind}: {heard:?}");
            expected.push((last.0, None));
        }
        store.close().await;
        assert_eq!(*seen.0.lock().unwrap(), expected, "{kind}");
    }
}

#[tokio::test]
async fn immutable_values_can_be_read_before_they_are_durable() {
    let gate = Arc::new(Gate::default());
    gate.shut.store(true, Ordering::Release);
    let store = Store::open_with(gate.clone(), |_| ()).await;
    // The schema version is written at the start, before the gate matters.
    let store = store.unwrap();
    let mut batch = put("mutable", "later");
    raw::put(&mut batch, NODES, b"node", b"content".to_vec()).unwrap();
    let ticket = store.submit(batch);
    let keys = [b"node".to_vec(), b"none".to_vec()];
    let found = raw::get_many(&store, NODES, &keys).await.unwrap();
    assert_eq!(found, [Some(b"content".to_vec()), None]);
    assert_eq!(text(&store, "mutable").await, None);
    gate.shut.store(false, Ordering::Release);
    ticket.await.unwrap();
    assert_eq!(raw::get(&store, NODES, b"node").await.unwrap().unwrap(), b"content");
    assert_eq!(text(&store, "mutable").await.unwrap(), "later");
}

#[tokio::test]
async fn what_was_submitted_before_closing_is_committed_and_later_refused() {
    for kind in on::ON_DISK {
        let folder = tempfile::tempdir().unwrap();
        let store = on::store(kind, folder.path()).await;
        let before: Vec<_> =
            (0..50).map(|number| store.submit(put(&format!("{number}"), "value"))).collect();
        store.close().await;
        assert!(matches!(store.commit(put("late", "value")).await, Err(StoreError::Closed)));
        for ticket in before {
            ticket.await.unwrap();
        }
        drop(store);
        let store = on::store(kind, folder.path()).await;
        assert!(text(&store, "49").await.is_some(), "{kind}");
        assert!(text(&store, "late").await.is_none(), "{kind}");
    }
}

#[test]
fn a_value_or_key_no_engine_keeps_safe_is_refused() {
    let mut batch = Batch::new();
    let large = raw::put(&mut batch, DATA, b"key", vec![0; Batch::MAX_VALUE + 1]);
    assert!(matches!(large, Err(StoreError::TooLarge(66_561))));
    let long = raw::put(&mut batch, DATA, &[0; Batch::MAX_KEY + 1], Vec::new());
    assert!(matches!(long, Err(StoreError::TooLongKey(2_049))));
    assert!(batch.is_empty());
}

/// A memory engine whose commits wait while it is shut, and fail when it is broken. The first one passes.
#[derive(Debug, Default)]
struct Gate {
    memory: MemoryEngine,
    opened: AtomicBool,
    shut: AtomicBool,
    broken: AtomicBool,
}

#[async_trait]
impl Engine for Gate {
    async fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        self.memory.get(table, key).await
    }

    async fn scan(
        &self,
        table: Table,
        range: KeyRange,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Entry>, EngineError> {
        self.memory.scan(table, range, direction, limit).await
    }

    async fn apply(&self, writes: &[Write]) -> Result<(), EngineError> {
        if self.opened.swap(true, Ordering::AcqRel) {
            while self.shut.load(Ordering::Acquire) {
                std::thread::sleep(Duration::from_millis(1));
            }
            if self.broken.load(Ordering::Acquire) {
                return Err(EngineError::Io(std::io::ErrorKind::StorageFull.into()));
            }
        }
        self.memory.apply(writes).await
    }

    async fn disk_bytes(&self) -> Result<u64, EngineError> {
        Ok(0)
    }
}

static STOPPED_BY_ENGINE: AtomicBool = AtomicBool::new(false);

#[tokio::test]
async fn a_failed_group_stops_the_process_and_acknowledges_nobody() {
    let gate = Arc::new(Gate::default());
    let store = Store::open_with(gate.clone(), |error| {
        assert!(matches!(error, EngineError::Io(_)));
        STOPPED_BY_ENGINE.store(true, Ordering::Release);
    });
    let store = store.await.unwrap();
    store.commit(put("before", "value")).await.unwrap();
    gate.shut.store(true, Ordering::Release);
    gate.broken.store(true, Ordering::Release);
    let waiting: Vec<_> = (0..1_000).map(|_| store.submit(put("key", "value"))).collect();
    gate.shut.store(false, Ordering::Release);
    for ticket in waiting {
        assert!(matches!(ticket.await, Err(StoreError::Closed)));
    }
    assert!(STOPPED_BY_ENGINE.load(Ordering::Acquire));
    assert!(matches!(store.commit(put("key", "value")).await, Err(StoreError::Closed)));
    assert_eq!(store.position(), StreamPosition(1));
}

static STOPPED_BY_PANIC: AtomicBool = AtomicBool::new(false);

struct Panicking;

impl Observer for Panicking {
    fn committed(&self, _: StreamPosition, _: &[Change]) {
        panic!("an observer of this test panics");
    }
}

#[tokio::test]
async fn a_panic_on_the_committers_thread_stops_the_process_and_leaves_nobody_waiting() {
    let store = Store::open_with(Arc::new(MemoryEngine::default()), |_| {
        STOPPED_BY_PANIC.store(true, Ordering::Release);
    });
    let store = store.await.unwrap();
    store.observe(Arc::new(Panicking));
    let mut batch = put("key", "value");
    batch.announce(Change::Timeline(RoomNumber(1)));
    let tickets = [store.submit(batch), store.submit(put("key", "value"))];
    for ticket in tickets {
        assert!(matches!(ticket.await, Err(StoreError::Closed)));
    }
    store.close().await;
    assert!(STOPPED_BY_PANIC.load(Ordering::Acquire));
}
