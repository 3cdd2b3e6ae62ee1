//! Table of which rooms a room names as its children and parents.
//!
//! | table | key | value |
//! | --- | --- | --- |
//! | `space_link` | room number, kind of link, the other room's ID | event number |
//!
//! It follows from the rooms' current state and is written with it, so that reading a space does not walk through
//! all of its state. Spec: client-server API, "Spaces".

use ruma::{OwnedRoomId, RoomId};

use crate::engine::{Direction, KeyRange};
use crate::key::{Key, KeyReader};
use crate::store::decode;
use crate::{Batch, EventNumber, RoomNumber, Store, StoreError, Table};

pub(crate) const SPACE_LINK: Table = Table::new(24, "space_link");

/// What another room is to a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpaceLink {
    /// `m.space.child`.
    Child,
    /// `m.space.parent`.
    Parent,
}

fn prefix(room: RoomNumber, link: SpaceLink) -> Key {
    let byte = match link {
        SpaceLink::Child => 0,
        SpaceLink::Parent => 1,
    };
    Key::new().room(room).raw(&[byte])
}

impl Store {
    /// At most `limit` rooms that a room has a link to, in order of their ID, each with the event that says so. What
    /// the event says may be that there is no such link any more.
    pub async fn space_links(
        &self,
        room: RoomNumber,
        link: SpaceLink,
        limit: usize,
    ) -> Result<Vec<(OwnedRoomId, EventNumber)>, StoreError> {
        let prefix = prefix(room, link).into_bytes();
        let start = prefix.len();
        let entries =
            self.scan(SPACE_LINK, KeyRange::prefix(prefix), Direction::Ascending, limit).await?;
        let mut links = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            let other = KeyReader::new(&key[start..]).last().map(OwnedRoomId::try_from);
            let Some(Ok(other)) = other else {
                let reason = "not a room id".to_owned();
                return Err(StoreError::Undecodable { table: SPACE_LINK.name(), reason });
            };
            links.push((other, decode(SPACE_LINK, &value)?));
        }
        Ok(links)
    }
}

impl Batch {
    /// Notes the event that says what `other` is to a room.
    pub fn set_space_link(
        &mut self,
        room: RoomNumber,
        link: SpaceLink,
        other: &RoomId,
        event: EventNumber,
    ) -> Result<(), StoreError> {
        self.insert(SPACE_LINK, prefix(room, link).last(other.as_str()).into_bytes(), &event)
    }
}

#[cfg(test)]
mod tests {
    use ruma::room_id;

    use super::*;

    #[tokio::test]
    async fn children_and_parents_stay_apart_and_the_last_event_counts() {
        let store = Store::in_memory().await;
        let (space, attic, cellar) =
            (RoomNumber(7), room_id!("!attic:hearth.test"), room_id!("!cellar:hearth.test"));
        for (link, other, event) in [
            (SpaceLink::Child, cellar, 1),
            (SpaceLink::Child, attic, 2),
            (SpaceLink::Parent, attic, 3),
            (SpaceLink::Child, cellar, 4),
        ] {
            let mut batch = Batch::new();
            batch.set_space_link(space, link, other, EventNumber(event)).unwrap();
            store.commit(batch).await.unwrap();
        }
        let children = store.space_links(space, SpaceLink::Child, 10).await.unwrap();
        let expected = [(attic.to_owned(), EventNumber(2)), (cellar.to_owned(), EventNumber(4))];
        assert_eq!(children, expected);
        let parents = store.space_links(space, SpaceLink::Parent, 10).await.unwrap();
        assert_eq!(parents, [(attic.to_owned(), EventNumber(3))]);
        assert!(store.space_links(RoomNumber(8), SpaceLink::Child, 10).await.unwrap().is_empty());
    }
}
