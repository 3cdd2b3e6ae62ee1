//! A room's writer: who holds it may append to the room.

use std::sync::Arc;

use ruma::{OwnedRoomId, RoomId, RoomVersionId};
use store::{RoomHead, RoomNumber, Store};
use tokio::sync::Mutex;

use crate::{RoomError, Rooms};

/// What of a room is kept in memory for writing.
#[derive(Debug)]
pub(crate) struct RoomCell {
    pub(crate) number: RoomNumber,
    pub(crate) room_id: OwnedRoomId,
    pub(crate) version: RoomVersionId,
    pub(crate) writer: Mutex<Writer>,
}

/// The room's head with everything that was handed to the store, durable or not.
///
/// When a commit is refused, all that were built on it are refused too, by their precondition on the head. The head
/// is then read from the store again; the generation tells those who come late that this was done.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    head: Option<RoomHead>,
    generation: u64,
}

impl Writer {
    /// The head to build on, and the generation it belongs to.
    pub(crate) async fn current(
        &mut self,
        store: &Store,
        room: RoomNumber,
    ) -> Result<(RoomHead, u64), RoomError> {
        if self.head.is_none() {
            self.head = store.room_head(room).await?;
        }
        let head = self.head.clone();
        let head = head.ok_or_else(|| RoomError::Damaged(format!("room {room} has no head")))?;
        Ok((head, self.generation))
    }

    /// The head after a batch that was just submitted.
    pub(crate) fn advance(&mut self, head: RoomHead) {
        self.head = Some(head);
    }

    /// Forgets a head of `generation`: something it was built on was refused.
    pub(crate) fn refused(&mut self, generation: u64) {
        if self.generation == generation {
            self.generation += 1;
            self.head = None;
        }
    }
}

impl Rooms {
    /// The cell of a room; `None` when the room is not on this server.
    pub(crate) async fn cell(&self, room: RoomNumber) -> Result<Option<Arc<RoomCell>>, RoomError> {
        if let Some(cell) = self.cells().get(&room) {
            return Ok(Some(cell));
        }
        let Some(head) = self.store().room_head(room).await? else { return Ok(None) };
        let room_id = self.store().room_id(room).await?;
        let room_id =
            room_id.ok_or_else(|| RoomError::Damaged(format!("room {room} has no id")))?;
        let cell =
            RoomCell { number: room, room_id, version: head.version, writer: Mutex::default() };
        // Two who come at once must end up with the same writer.
        let made = self.cells().get_or_insert_with(&room, || Ok::<_, RoomError>(Arc::new(cell)))?;
        Ok(Some(made))
    }

    /// The cell of a room by ID. Fails with [`RoomError::UnknownRoom`] when the room is not on this server.
    pub(crate) async fn cell_of(&self, room_id: &RoomId) -> Result<Arc<RoomCell>, RoomError> {
        let unknown = || RoomError::UnknownRoom(room_id.to_owned());
        let room = self.store().room_number(room_id).await?.ok_or_else(unknown)?;
        self.cell(room).await?.ok_or_else(unknown)
    }

    /// The number of a room that is on this server. Fails with [`RoomError::UnknownRoom`] when it is not.
    pub async fn number_of(&self, room_id: &RoomId) -> Result<RoomNumber, RoomError> {
        Ok(self.cell_of(room_id).await?.number)
    }
}
