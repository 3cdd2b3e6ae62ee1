//! Who may open a data folder.

use store::{EngineError, StoreError, open, open_engine};

use crate::on;

#[test]
fn a_folder_in_use_is_refused_and_free_again_afterwards() {
    for kind in on::ON_DISK {
        let folder = tempfile::tempdir().unwrap();
        let engine = on::engine(kind, folder.path());
        let second = open_engine(kind, folder.path(), on::OPTIONS);
        assert!(matches!(second, Err(EngineError::Locked(_))), "{kind}: {second:?}");
        drop(engine);
        on::engine(kind, folder.path());
    }
}

#[tokio::test]
async fn a_folder_of_another_engine_is_refused_and_left_alone() {
    let [one, other] = on::ON_DISK;
    for (kind, wrong) in [(one, other), (other, one)] {
        let folder = tempfile::tempdir().unwrap();
        on::store(kind, folder.path()).await.close().await;
        let refused = open(wrong, folder.path(), on::OPTIONS).await.unwrap_err();
        let StoreError::Engine(refused) = refused else { panic!("{refused:?}") };
        assert!(refused.to_string().contains(&format!("holds a database of the engine {kind}")));
        assert!(!folder.path().join(wrong.name()).exists());
        on::store(kind, folder.path()).await;
    }
}

#[test]
fn a_creation_that_was_interrupted_is_made_again() {
    for kind in on::ON_DISK {
        let folder = tempfile::tempdir().unwrap();
        let unfinished = folder.path().join(format!("{kind}.creating"));
        std::fs::create_dir(&unfinished).unwrap();
        std::fs::write(unfinished.join("conf"), b"half").unwrap();
        on::engine(kind, folder.path());
        assert!(!unfinished.exists());
    }
}

#[test]
fn a_folder_without_its_database_is_never_filled_anew() {
    for kind in on::ON_DISK {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(kind.name())).unwrap();
        std::fs::write(folder.path().join(kind.name()).join("holiday.jpg"), b"ours").unwrap();
        let refused = open_engine(kind, folder.path(), on::OPTIONS);
        assert!(matches!(refused, Err(EngineError::Corrupt(_))), "{kind}: {refused:?}");
        let left = std::fs::read_dir(folder.path().join(kind.name())).unwrap().count();
        assert_eq!(left, 1, "{kind} wrote into a folder that is not its own");
    }
}
