//! A database moves to another engine whole or not at all.

use store::{
    Batch, Direction, EngineError, KeyRange, Store, StoreError, Table, TransferError, engine_in,
    export, import, raw,
};

use crate::on;

const SMALL: Table = raw::table(200, "small");
const LARGE: Table = raw::table(255, "large");

async fn fill(store: &Store) {
    for number in 0..200_u32 {
        let mut batch = Batch::new();
        let key = number.to_be_bytes();
        raw::put(&mut batch, SMALL, &key, key.to_vec()).unwrap();
        raw::put(&mut batch, LARGE, &key, vec![7; 60_000]).unwrap();
        store.commit(batch).await.unwrap();
    }
}

#[tokio::test]
async fn an_export_of_one_engine_is_the_same_database_on_another() {
    let [one, other] = on::ON_DISK;
    for (from, to) in [(one, other), (other, one)] {
        let source = tempfile::tempdir().unwrap();
        assert_eq!(engine_in(source.path()).unwrap(), None);
        let store = on::store(from, source.path()).await;
        fill(&store).await;
        store.close().await;
        drop(store);
        assert_eq!(engine_in(source.path()).unwrap(), Some(from));

        let mut stream = Vec::new();
        let exported = export(&*on::engine(from, source.path()), &mut stream).await.unwrap();
        let target = tempfile::tempdir().unwrap();
        let imported =
            import(&*on::engine(to, target.path()), &mut stream.as_slice()).await.unwrap();
        assert_eq!(imported, exported);

        let store = on::store(to, target.path()).await;
        assert_eq!(store.position().0, 200, "{from} to {to}");
        let all = KeyRange::prefix([]);
        let large = raw::scan(&store, LARGE, all, Direction::Ascending, usize::MAX).await.unwrap();
        assert_eq!(large.len(), 200, "{from} to {to}");
        assert!(large.iter().all(|(_, value)| *value == vec![7; 60_000]), "{from} to {to}");
    }
}

#[tokio::test]
async fn a_damaged_export_is_refused_and_leaves_nothing_that_opens() {
    let source = tempfile::tempdir().unwrap();
    let [kind, _] = on::ON_DISK;
    let store = on::store(kind, source.path()).await;
    fill(&store).await;
    store.close().await;
    drop(store);
    let mut stream = Vec::new();
    export(&*on::engine(kind, source.path()), &mut stream).await.unwrap();

    let mut changed = stream.clone();
    let middle = changed.len() / 2;
    changed[middle] ^= 1;
    for damaged in [&changed[..], &stream[..stream.len() - 1], &stream[..middle]] {
        let target = tempfile::tempdir().unwrap();
        let refused = import(&*on::engine(kind, target.path()), &mut &damaged[..]).await;
        assert!(matches!(refused, Err(TransferError::Damaged)), "{refused:?}");
        let opened = store::open(kind, target.path(), on::OPTIONS).await;
        assert!(
            matches!(opened, Err(StoreError::Engine(EngineError::Corrupt(_)))),
            "an interrupted import was opened"
        );
    }
}

#[tokio::test]
async fn only_an_export_of_a_known_format_goes_into_an_empty_database() {
    let folder = tempfile::tempdir().unwrap();
    let [kind, _] = on::ON_DISK;
    let engine = on::engine(kind, folder.path());
    let refused = import(&*engine, &mut &b"holiday.jpg"[..]).await;
    assert!(matches!(refused, Err(TransferError::NotAnExport)), "{refused:?}");
    let refused = import(&*engine, &mut &b"hearth-store\0\0\0\x09"[..]).await;
    assert!(matches!(refused, Err(TransferError::Format(9))), "{refused:?}");
    let mut empty = Vec::new();
    export(&*engine, &mut empty).await.unwrap();
    import(&*engine, &mut empty.as_slice()).await.unwrap();

    let write = store::Write { table: SMALL, key: vec![1], value: Some(vec![1]) };
    engine.apply(&[write]).await.unwrap();
    let refused = import(&*engine, &mut empty.as_slice()).await;
    assert!(matches!(refused, Err(TransferError::NotEmpty)), "{refused:?}");
}
