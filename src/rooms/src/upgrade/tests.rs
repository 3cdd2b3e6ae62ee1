//! An upgrade happens wholly or not at all.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use ruma::room_alias_id;
use store::{Change, Observer, StreamPosition};

use super::*;
use crate::Preset;
use crate::testing::{ada, public_room, rooms_on_memory_store, say, wish};

/// In which rooms something was said, commit by commit.
#[derive(Debug, Default)]
struct Commits(Mutex<Vec<HashSet<RoomNumber>>>);

impl Observer for Commits {
    fn committed(&self, _: StreamPosition, changes: &[Change]) {
        let timeline = |change: &Change| match change {
            Change::Timeline(room) => Some(*room),
            _ => None,
        };
        let rooms: HashSet<_> = changes.iter().filter_map(timeline).collect();
        if !rooms.is_empty() {
            self.0.lock().unwrap().push(rooms);
        }
    }
}

async fn space(rooms: &Rooms) -> OwnedRoomId {
    let mut wish = wish(Preset::PublicChat, RoomVersionId::V12);
    wish.creation_content.insert("type".to_owned(), json!("m.space"));
    rooms.create_room(ada(), wish).await.unwrap()
}

async fn upgraded(rooms: &Rooms, old: &RoomId) -> OwnedRoomId {
    rooms.upgrade(ada(), old, RoomVersionId::V11, &[]).await.unwrap()
}

#[tokio::test]
async fn the_new_room_and_the_tombstone_are_one_commit() {
    let rooms = rooms_on_memory_store().await;
    let old = public_room(&rooms).await;
    let commits = Arc::new(Commits::default());
    rooms.store().observe(Arc::clone(&commits) as Arc<dyn Observer>);

    let new = upgraded(&rooms, &old).await;

    let (old_room, new_room) =
        (rooms.number_of(&old).await.unwrap(), rooms.number_of(&new).await.unwrap());
    let commits = commits.0.lock().unwrap().clone();
    assert_eq!(commits, [HashSet::from([old_room, new_room])]);
    let root = rooms.current_state(old_room).await.unwrap();
    let tombstone = rooms.state_at(old_room, root, &StateEventType::RoomTombstone, "").await;
    let tombstone: Value = tombstone.unwrap().unwrap().pdu.content_as().unwrap();
    assert_eq!(tombstone["replacement_room"], new.as_str());
}

#[tokio::test]
async fn an_upgrade_that_is_refused_leaves_no_room_behind() {
    let rooms = rooms_on_memory_store().await;
    let old = public_room(&rooms).await;
    crate::testing::join(&rooms, &old, crate::testing::bo()).await.unwrap();
    let position = rooms.store().position();
    let bo = crate::testing::bo();
    let refused = rooms.upgrade(bo, &old, RoomVersionId::V11, &[]).await;
    assert!(matches!(refused, Err(RoomError::Forbidden(_))), "{refused:?}");
    assert_eq!(rooms.store().position(), position, "nothing was committed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_said_meanwhile_stands_in_its_way_as_little_as_aliases_that_change() {
    let rooms = rooms_on_memory_store().await;
    let old = public_room(&rooms).await;
    let talk = {
        let (rooms, old) = (rooms.clone(), old.clone());
        tokio::spawn(async move {
            for number in 0..50 {
                say(&rooms, &old, &number.to_string()).await;
            }
        })
    };
    let naming = {
        let (rooms, old) = (rooms.clone(), old.clone());
        tokio::spawn(async move {
            for _ in 0..20 {
                let alias = room_alias_id!("#kitchen:hearth.test");
                // It may lead to the new room already.
                let _taken = rooms.create_alias(ada(), alias, &old).await;
                let _gone = rooms.delete_alias(ada(), alias).await;
            }
        })
    };
    let new = upgraded(&rooms, &old).await;
    talk.await.unwrap();
    naming.await.unwrap();

    let room = rooms.number_of(&new).await.unwrap();
    let root = rooms.current_state(room).await.unwrap();
    let create = rooms.state_at(room, root, &StateEventType::RoomCreate, "").await.unwrap();
    let create: Value = create.unwrap().pdu.content_as().unwrap();
    assert_eq!(create["predecessor"]["room_id"], old.as_str());
}

#[tokio::test]
async fn what_was_done_of_an_upgrade_is_not_done_again() {
    let rooms = rooms_on_memory_store().await;
    let (space, old) = (space(&rooms).await, public_room(&rooms).await);
    let via = json!({ "via": ["hearth.test"] });
    let link = async |from: &RoomId, kind: StateEventType, to: &RoomId| {
        rooms.set_state(from, ada(), &kind, to.as_str(), raw(&via)).await.unwrap();
    };
    link(&space, StateEventType::SpaceChild, &old).await;
    link(&old, StateEventType::SpaceParent, &space).await;
    let new = upgraded(&rooms, &old).await;
    assert!(rooms.store().open_upgrades(1).await.unwrap().is_empty());
    let children =
        async || rooms.children_of(rooms.number_of(&space).await.unwrap()).await.unwrap();
    assert_eq!(children().await, std::slice::from_ref(&new));

    let number = async |room: &RoomId| rooms.number_of(room).await.unwrap();
    let user = rooms.store().number_user(ada()).await.unwrap();
    let open = OpenUpgrade { old: number(&old).await, new: number(&new).await, user };
    let mut batch = store::Batch::new();
    batch.open_upgrade(open).unwrap();
    let position = rooms.store().commit(batch).await.unwrap();
    rooms.complete_upgrade(open).await.unwrap();

    assert_eq!(children().await, [new]);
    assert_eq!(rooms.store().position().0, position.0 + 1, "it was closed, and nothing else");
    assert!(rooms.store().open_upgrades(1).await.unwrap().is_empty());
}
