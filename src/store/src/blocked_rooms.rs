//! Table of rooms that nobody of this server may join.
//!
//! | table | key | value |
//! | --- | --- | --- |
//! | `blocked_room` | room ID | the administrator who blocked it |
//!
//! By room ID, because a room may be blocked before this server has seen it.

use ruma::{OwnedUserId, RoomId, UserId};

use crate::{Batch, Store, StoreError, Table};

const BLOCKED_ROOM: Table = Table::new(34, "blocked_room");

impl Store {
    /// Who blocked a room; `None` when it is not blocked.
    pub async fn room_block(&self, room_id: &RoomId) -> Result<Option<OwnedUserId>, StoreError> {
        self.get(BLOCKED_ROOM, room_id.as_bytes()).await
    }
}

impl Batch {
    /// Blocks a room.
    pub fn block_room(&mut self, room_id: &RoomId, admin: &UserId) -> Result<(), StoreError> {
        self.insert(BLOCKED_ROOM, room_id.as_bytes(), admin)
    }

    /// Lets people join a room again.
    pub fn unblock_room(&mut self, room_id: &RoomId) {
        self.remove(BLOCKED_ROOM, room_id.as_bytes());
    }
}
