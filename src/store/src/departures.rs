//! Who is to be seen out of rooms by the server itself: work that outlives a restart.
//!
//! | table | key | value |
//! | --- | --- | --- |
//! | `departing_user` | user number | nothing |
//! | `closed_room` | room number | nothing |
//!
//! A departing user leaves all rooms; a closed room is left by all guests. An entry is written with what causes it and
//! removed when the work is done.

use crate::key::{Key, KeyReader};
use crate::{Batch, Change, Direction, KeyRange, RoomNumber, Store, StoreError, Table, UserNumber};

const DEPARTING_USER: Table = Table::new(47, "departing_user");
const CLOSED_ROOM: Table = Table::new(49, "closed_room");

impl Store {
    /// At most `limit` users who are to leave all their rooms.
    pub async fn departing_users(&self, limit: usize) -> Result<Vec<UserNumber>, StoreError> {
        Ok(self.work_in(DEPARTING_USER, limit).await?.into_iter().map(UserNumber).collect())
    }

    /// At most `limit` rooms that all guests are to leave.
    pub async fn closed_rooms(&self, limit: usize) -> Result<Vec<RoomNumber>, StoreError> {
        Ok(self.work_in(CLOSED_ROOM, limit).await?.into_iter().map(RoomNumber).collect())
    }

    async fn work_in(&self, table: Table, limit: usize) -> Result<Vec<u64>, StoreError> {
        let range = KeyRange::prefix(Vec::new());
        let entries = self.scan(table, range, Direction::Ascending, limit).await?;
        Ok(entries.iter().filter_map(|(key, _)| KeyReader::new(key).u64()).collect())
    }
}

impl Batch {
    /// Has a user leave all rooms.
    pub fn begin_departure(&mut self, user: UserNumber) -> Result<(), StoreError> {
        self.announce(Change::Departures);
        self.insert(DEPARTING_USER, Key::new().user(user).into_bytes(), &())
    }

    /// Notes that a user has left all rooms.
    pub fn end_departure(&mut self, user: UserNumber) {
        self.remove(DEPARTING_USER, Key::new().user(user).into_bytes());
    }

    /// Has all guests leave a room.
    pub fn close_to_guests(&mut self, room: RoomNumber) -> Result<(), StoreError> {
        self.announce(Change::Departures);
        self.insert(CLOSED_ROOM, Key::new().room(room).into_bytes(), &())
    }

    /// Notes that all guests have left a room.
    pub fn closed_to_guests(&mut self, room: RoomNumber) {
        self.remove(CLOSED_ROOM, Key::new().room(room).into_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_is_listed_until_it_is_done() {
        let store = Store::in_memory().await;
        let mut batch = Batch::new();
        for user in [3, 1, 2] {
            batch.begin_departure(UserNumber(user)).unwrap();
        }
        batch.close_to_guests(RoomNumber(7)).unwrap();
        store.commit(batch).await.unwrap();
        assert_eq!(store.departing_users(2).await.unwrap(), [UserNumber(1), UserNumber(2)]);
        assert_eq!(store.closed_rooms(2).await.unwrap(), [RoomNumber(7)]);

        let mut batch = Batch::new();
        batch.end_departure(UserNumber(1));
        batch.closed_to_guests(RoomNumber(7));
        store.commit(batch).await.unwrap();

        assert_eq!(store.departing_users(9).await.unwrap(), [UserNumber(2), UserNumber(3)]);
        assert!(store.closed_rooms(9).await.unwrap().is_empty());
    }
}
