//! Table of the rooms that this server lists to everybody.
//!
//! | table | key | value |
//! | --- | --- | --- |
//! | `published_room` | joined members, most first; room number | what is told of the room, as JSON |
//!
//! It follows from the rooms' state and from what their heads say about publishing, and is written with them.
//! Spec: client-server API, "Published room directory".

use std::ops::Bound;

use ruma::directory::PublicRoomsChunk;

use crate::engine::{Direction, KeyRange};
use crate::key::{Key, KeyReader};
use crate::{Batch, RoomNumber, Store, StoreError, Table};

const PUBLISHED_ROOM: Table = Table::new(23, "published_room");

/// Where a room stands in the directory: the larger comes first, the one that was seen first of equals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DirectoryPlace {
    /// How many users are joined.
    pub joined: u64,
    /// The room.
    pub room: RoomNumber,
}

impl DirectoryPlace {
    fn key(self) -> Vec<u8> {
        Key::new().u64(u64::MAX - self.joined).room(self.room).into_bytes()
    }

    fn of_key(key: &[u8]) -> Option<Self> {
        let mut reader = KeyReader::new(key);
        let (joined, room) = reader.u64().zip(reader.u64())?;
        Some(Self { joined: u64::MAX - joined, room: RoomNumber(room) })
    }
}

fn undecodable(reason: String) -> StoreError {
    StoreError::Undecodable { table: PUBLISHED_ROOM.name(), reason }
}

impl Store {
    /// At most `limit` listed rooms beyond `from`, which is left out: those after it when ascending, those before it,
    /// nearest first, when descending. Without it, from that end of the directory.
    pub async fn published_rooms(
        &self,
        from: Option<DirectoryPlace>,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<(DirectoryPlace, PublicRoomsChunk)>, StoreError> {
        let mut range = KeyRange { start: Bound::Unbounded, end: Bound::Unbounded };
        if let Some(from) = from {
            range.continue_after(from.key(), direction);
        }
        let entries = self.scan(PUBLISHED_ROOM, range, direction, limit).await?;
        let read = |(key, value): (Vec<u8>, Vec<u8>)| {
            let place = DirectoryPlace::of_key(&key);
            let place = place.ok_or_else(|| undecodable("not a key".to_owned()))?;
            let room =
                serde_json::from_slice(&value).map_err(|error| undecodable(error.to_string()))?;
            Ok((place, room))
        };
        entries.into_iter().map(read).collect()
    }
}

impl Batch {
    /// Lists a room, in place of what stands there.
    pub fn list_room(
        &mut self,
        place: DirectoryPlace,
        room: &PublicRoomsChunk,
    ) -> Result<(), StoreError> {
        let json = serde_json::to_vec(room).map_err(|error| undecodable(error.to_string()))?;
        self.put(PUBLISHED_ROOM, place.key(), json)
    }

    /// Takes a room off the directory; one that is not there is off already.
    pub fn unlist_room(&mut self, place: DirectoryPlace) {
        self.remove(PUBLISHED_ROOM, place.key());
    }
}

#[cfg(test)]
mod tests {
    use ruma::directory::PublicRoomsChunkInit;
    use ruma::{RoomId, uint};

    use super::*;

    fn place(joined: u64, room: u64) -> DirectoryPlace {
        DirectoryPlace { joined, room: RoomNumber(room) }
    }

    async fn directory() -> Store {
        let store = Store::in_memory().await;
        let mut batch = Batch::new();
        for place in [place(2, 7), place(300, 9), place(2, 8), place(1, 1)] {
            let room = PublicRoomsChunkInit {
                num_joined_members: uint!(2),
                room_id: RoomId::parse(format!("!{}:hearth.test", place.room)).unwrap(),
                world_readable: false,
                guest_can_join: false,
            };
            batch.list_room(place, &room.into()).unwrap();
        }
        store.commit(batch).await.unwrap();
        store
    }

    #[tokio::test]
    async fn the_largest_room_comes_first_and_the_older_of_equals() {
        let store = directory().await;
        let rooms = store.published_rooms(None, Direction::Ascending, 10).await.unwrap();
        let numbers: Vec<_> = rooms.iter().map(|(place, _)| place.room.0).collect();
        assert_eq!(numbers, [9, 7, 8, 1]);
        assert_eq!(rooms[0].1.room_id, "!9:hearth.test");
    }

    #[tokio::test]
    async fn the_directory_is_read_both_ways_from_a_place() {
        let store = directory().await;
        let from = Some(place(2, 8));
        for (direction, expected) in
            [(Direction::Ascending, vec![1]), (Direction::Descending, vec![7, 9])]
        {
            let rooms = store.published_rooms(from, direction, 10).await.unwrap();
            let numbers: Vec<_> = rooms.iter().map(|(place, _)| place.room.0).collect();
            assert_eq!(numbers, expected);
        }
    }
}
