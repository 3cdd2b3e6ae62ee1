//! Rooms that an administrator blocked: nobody of this server joins them.

use ruma::{OwnedUserId, RoomId, UserId};
use store::Batch;

use crate::{RoomError, Rooms};

/// Whether a room is to be blocked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Block {
    /// Nobody may join it any more. Who is in it stays.
    On,
    /// It may be joined as its rules say.
    Off,
}

impl Rooms {
    /// Blocks a room, which need not be known here, or lets people join it again.
    #[tracing::instrument(skip_all, fields(%admin, %room_id, ?block))]
    pub async fn block_room(
        &self,
        admin: &UserId,
        room_id: &RoomId,
        block: Block,
    ) -> Result<(), RoomError> {
        let mut batch = Batch::new();
        match block {
            Block::On => batch.block_room(room_id, admin)?,
            Block::Off => batch.unblock_room(room_id),
        }
        self.store().commit(batch).await?;
        tracing::info!("room block changed");
        Ok(())
    }

    /// The administrator who blocked a room; `None` when it is not blocked.
    pub async fn room_block(&self, room_id: &RoomId) -> Result<Option<OwnedUserId>, RoomError> {
        Ok(self.store().room_block(room_id).await?)
    }

    /// Fails with [`RoomError::Blocked`] for a room that nobody may join.
    pub(crate) async fn check_not_blocked(&self, room_id: &RoomId) -> Result<(), RoomError> {
        match self.store().room_block(room_id).await? {
            Some(_) => Err(RoomError::Blocked),
            None => Ok(()),
        }
    }
}
