//! Table of the rooms in which the server speaks to its users.
//!
//! | table | key | value |
//! | --- | --- | --- |
//! | `notice_room` | user number | room ID |
//!
//! Spec: client-server API, "Server Notices".

use ruma::{OwnedRoomId, RoomId};

use crate::key::Key;
use crate::{Batch, Store, StoreError, Table, UserNumber};

const NOTICE_ROOM: Table = Table::new(81, "notice_room");

fn key(user: UserNumber) -> Vec<u8> {
    Key::new().user(user).into_bytes()
}

impl Store {
    /// The room in which the server speaks to a user; `None` when it never did.
    pub async fn notice_room(&self, user: UserNumber) -> Result<Option<OwnedRoomId>, StoreError> {
        self.get(NOTICE_ROOM, key(user)).await
    }
}

impl Batch {
    /// Sets the room in which the server speaks to a user. Committing fails with [`StoreError::Conflict`] when it is
    /// not `before` any more, so that two notices at once end up in one room.
    pub fn set_notice_room(
        &mut self,
        user: UserNumber,
        before: Option<&RoomId>,
        after: &RoomId,
    ) -> Result<(), StoreError> {
        self.expect(NOTICE_ROOM, key(user), before)?;
        self.insert(NOTICE_ROOM, key(user), after)
    }
}
