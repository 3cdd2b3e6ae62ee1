//! An engine is an ordered map per table whose changes are atomic and stay.

use std::collections::BTreeMap;
use std::ops::Bound;

use store::{Batch, Direction, Engine, EngineKind, Entry, KeyRange, Table, Write, raw};

use crate::on;

const ONE: Table = raw::table(200, "one");
const TWO: Table = raw::table(201, "two");
const LAST: Table = raw::table(255, "last");

fn put(table: Table, key: &[u8], value: &[u8]) -> Write {
    Write { table, key: key.to_vec(), value: Some(value.to_vec()) }
}

fn delete(table: Table, key: &[u8]) -> Write {
    Write { table, key: key.to_vec(), value: None }
}

fn everything() -> KeyRange {
    KeyRange { start: Bound::Unbounded, end: Bound::Unbounded }
}

async fn keys(
    engine: &dyn Engine,
    table: Table,
    range: KeyRange,
    direction: Direction,
) -> Vec<Vec<u8>> {
    let found = engine.scan(table, range, direction, usize::MAX).await.unwrap();
    found.into_iter().map(|(key, _)| key).collect()
}

#[tokio::test]
async fn scans_follow_byte_order_both_ways_and_stay_in_their_table() {
    for kind in on::ALL {
        let folder = tempfile::tempdir().unwrap();
        let engine = on::engine(kind, folder.path());
        let names: [&[u8]; 6] = [b"", b"\0", b"a", b"ab", b"b", b"\xFF\xFF"];
        for table in [ONE, TWO, LAST] {
            let writes: Vec<_> = names.iter().rev().map(|key| put(table, key, b"v")).collect();
            engine.apply(&writes).await.unwrap();
        }
        for table in [ONE, TWO, LAST] {
            let mut expected: Vec<Vec<u8>> = names.iter().map(|key| key.to_vec()).collect();
            let found = keys(&*engine, table, everything(), Direction::Ascending).await;
            assert_eq!(found, expected, "{kind}");
            expected.reverse();
            let found = keys(&*engine, table, everything(), Direction::Descending).await;
            assert_eq!(found, expected, "{kind}");
        }
    }
}

#[tokio::test]
async fn bounds_prefixes_and_limits_hold() {
    for kind in on::ALL {
        let folder = tempfile::tempdir().unwrap();
        let engine = on::engine(kind, folder.path());
        let writes: Vec<_> =
            (0..10_u8).map(|number| put(ONE, &[number / 5, number], b"v")).collect();
        engine.apply(&writes).await.unwrap();

        let within =
            KeyRange { start: Bound::Excluded(vec![0, 1]), end: Bound::Included(vec![1, 6]) };
        let found = keys(&*engine, ONE, within.clone(), Direction::Ascending).await;
        assert_eq!(found, [[0, 2], [0, 3], [0, 4], [1, 5], [1, 6]], "{kind}");
        let found = engine.scan(ONE, within, Direction::Descending, 2).await.unwrap();
        assert_eq!(found, [(vec![1, 6], b"v".to_vec()), (vec![1, 5], b"v".to_vec())], "{kind}");
        let found = keys(&*engine, ONE, KeyRange::prefix([1]), Direction::Ascending).await;
        assert_eq!(found.len(), 5, "{kind}");
        let backwards = KeyRange { start: Bound::Included(vec![1]), end: Bound::Excluded(vec![0]) };
        assert!(keys(&*engine, ONE, backwards, Direction::Descending).await.is_empty(), "{kind}");
    }
}

#[tokio::test]
async fn a_scan_longer_than_a_page_is_complete() {
    for kind in on::ALL {
        let folder = tempfile::tempdir().unwrap();
        let engine = on::engine(kind, folder.path());
        let writes: Vec<_> =
            (0..5_000_u32).map(|number| put(ONE, &number.to_be_bytes(), b"v")).collect();
        engine.load(&writes).await.unwrap();
        for direction in [Direction::Ascending, Direction::Descending] {
            let mut found = keys(&*engine, ONE, everything(), direction).await;
            if direction == Direction::Descending {
                found.reverse();
            }
            let expected: Vec<_> =
                (0..5_000_u32).map(|number| number.to_be_bytes().to_vec()).collect();
            assert_eq!(found, expected, "{kind}");
        }
    }
}

#[tokio::test]
async fn later_writes_of_a_group_win_and_all_survive_reopening() {
    for kind in on::ON_DISK {
        let folder = tempfile::tempdir().unwrap();
        let large = vec![7; Batch::MAX_VALUE];
        {
            let engine = on::engine(kind, folder.path());
            let writes = [
                put(ONE, b"twice", b"1"),
                put(ONE, b"twice", b"2"),
                put(ONE, b"gone", b"1"),
                delete(ONE, b"gone"),
                delete(ONE, b"back"),
                put(ONE, b"back", b""),
                put(TWO, b"twice", &large),
                delete(TWO, b"never"),
            ];
            engine.apply(&writes).await.unwrap();
        }
        let engine = on::engine(kind, folder.path());
        assert_eq!(engine.get(ONE, b"twice").await.unwrap().unwrap(), b"2", "{kind}");
        assert_eq!(engine.get(ONE, b"gone").await.unwrap(), None, "{kind}");
        assert_eq!(engine.get(ONE, b"back").await.unwrap().unwrap(), b"", "{kind}");
        assert_eq!(engine.get(TWO, b"twice").await.unwrap().unwrap(), large, "{kind}");
        let asked = [b"gone".to_vec(), b"twice".to_vec()];
        let found = engine.get_many(ONE, &asked).await.unwrap();
        assert_eq!(found, [None, Some(b"2".to_vec())], "{kind}");
        assert!(engine.disk_bytes().await.unwrap() > 0, "{kind}");
    }
}

#[tokio::test]
async fn a_group_larger_than_any_file_of_an_engine_is_kept_whole() {
    for kind in on::ON_DISK {
        let folder = tempfile::tempdir().unwrap();
        for round in 0..3_u8 {
            let engine = on::engine(kind, folder.path());
            let mut writes = Vec::new();
            for number in 0..400_u16 {
                let value: Vec<u8> = (0..60_000_u32)
                    .map(|index| index.wrapping_mul(index ^ 0x4D).to_be_bytes()[2] ^ round)
                    .collect();
                writes.push(put(ONE, &number.to_be_bytes(), &value));
            }
            engine.apply(&writes).await.unwrap();
            drop(engine);
            let engine = on::engine(kind, folder.path());
            let found =
                engine.scan(ONE, everything(), Direction::Ascending, usize::MAX).await.unwrap();
            let written = writes.into_iter().map(|write| (write.key, write.value.unwrap()));
            assert!(found == written.collect::<Vec<_>>(), "{kind}");
        }
    }
}

mod model {
    use proptest::prelude::*;

    use super::*;

    type Model = BTreeMap<(u8, Vec<u8>), Vec<u8>>;

    fn table() -> impl Strategy<Value = Table> {
        prop_oneof![Just(ONE), Just(TWO), Just(LAST)]
    }

    fn key() -> impl Strategy<Value = Vec<u8>> {
        proptest::collection::vec(prop_oneof![Just(0_u8), Just(1), Just(0x7F), Just(0xFF)], 0..5)
    }

    fn value() -> impl Strategy<Value = Vec<u8>> {
        (any::<u8>(), prop_oneof![0..20_usize, 1_000..3_000_usize])
            .prop_map(|(byte, length)| vec![byte; length])
    }

    fn write() -> impl Strategy<Value = Write> {
        (table(), key(), proptest::option::weighted(0.7, value()))
            .prop_map(|(table, key, value)| Write { table, key, value })
    }

    fn bound() -> impl Strategy<Value = Bound<Vec<u8>>> {
        prop_oneof![
            key().prop_map(Bound::Included),
            key().prop_map(Bound::Excluded),
            Just(Bound::Unbounded)
        ]
    }

    #[derive(Debug, Clone)]
    enum Step {
        Apply(Vec<Write>),
        Reopen,
        Get(Table, Vec<u8>),
        Scan(Table, KeyRange, Direction, usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        let direction = prop_oneof![Just(Direction::Ascending), Just(Direction::Descending)];
        prop_oneof![
            10 => proptest::collection::vec(write(), 1..40).prop_map(Step::Apply),
            1 => Just(Step::Reopen),
            10 => (table(), key()).prop_map(|(table, key)| Step::Get(table, key)),
            10 => (table(), bound(), bound(), direction, 0..50_usize).prop_map(
                |(table, start, end, direction, limit)| {
                    Step::Scan(table, KeyRange { start, end }, direction, limit)
                }
            ),
        ]
    }

    fn expected(model: &Model, table: Table, range: &KeyRange) -> Vec<Entry> {
        let inside = |key: &[u8]| {
            let after_start = match &range.start {
                Bound::Included(start) => key >= start.as_slice(),
                Bound::Excluded(start) => key > start.as_slice(),
                Bound::Unbounded => true,
            };
            let before_end = match &range.end {
                Bound::Included(end) => key <= end.as_slice(),
                Bound::Excluded(end) => key < end.as_slice(),
                Bound::Unbounded => true,
            };
            after_start && before_end
        };
        let own = model.iter().filter(|((id, key), _)| *id == table.id() && inside(key));
        own.map(|((_, key), value)| (key.clone(), value.clone())).collect()
    }

    fn run(kind: EngineKind, steps: Vec<Step>) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let mut engine = on::engine(kind, folder.path());
        let mut model = Model::new();
        for step in steps {
            match step {
                Step::Apply(writes) => {
                    runtime.block_on(engine.apply(&writes)).unwrap();
                    for Write { table, key, value } in writes {
                        match value {
                            Some(value) => model.insert((table.id(), key), value),
                            None => model.remove(&(table.id(), key)),
                        };
                    }
                }
                Step::Reopen if kind == EngineKind::Memory => {}
                Step::Reopen => {
                    drop(engine);
                    engine = on::engine(kind, folder.path());
                }
                Step::Get(table, key) => {
                    let found = runtime.block_on(engine.get(table, &key)).unwrap();
                    assert_eq!(found.as_ref(), model.get(&(table.id(), key)));
                }
                Step::Scan(table, range, direction, limit) => {
                    let mut expected = expected(&model, table, &range);
                    if direction == Direction::Descending {
                        expected.reverse();
                    }
                    expected.truncate(limit);
                    let found = runtime.block_on(engine.scan(table, range, direction, limit));
                    assert_eq!(found.unwrap(), expected);
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]

        #[test]
        fn memory_behaves_as_a_map(steps in proptest::collection::vec(step(), 1..60)) {
            run(EngineKind::Memory, steps);
        }

        #[test]
        fn sled_behaves_as_a_map(steps in proptest::collection::vec(step(), 1..60)) {
            run(EngineKind::Sled, steps);
        }

        #[test]
        fn fjall_behaves_as_a_map(steps in proptest::collection::vec(step(), 1..60)) {
            run(EngineKind::Fjall, steps);
        }
    }
}
