//! Table of rooms' heads.
//!
//! | table | key | value |
//! | --- | --- | --- |
//! | `room_head` | room number | head |
//!
//! Every event changes its room's head, and every commit of an event depends on the head it was built on.

use ruma::{OwnedEventId, RoomVersionId};
use serde::{Deserialize, Serialize};

use crate::key::{Key, KeyReader};
use crate::state_trie::StateRoot;
use crate::store::decode;
use crate::{Batch, Direction, EventNumber, KeyRange, RoomNumber, Store, StoreError, Table};

pub(crate) const ROOM_HEAD: Table = Table::new(14, "room_head");

/// An event that no other follows yet. Spec: server-server API, "forward extremity".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extremity {
    /// Its number.
    pub event: EventNumber,
    /// Its ID.
    pub event_id: OwnedEventId,
    /// Its depth.
    pub depth: u64,
}

/// Whether a room is in the server's directory. Spec: client-server API, "Published room directory".
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Publication {
    /// It is not.
    #[default]
    Private,
    /// It is, as far as strangers can do something with it.
    Published,
}

/// Where a room stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomHead {
    /// The room's version.
    pub version: RoomVersionId,
    /// Its forward extremities: what the next event follows.
    pub extremities: Vec<Extremity>,
    /// Its current state.
    pub state: StateRoot,
    /// How many users are joined.
    pub joined: u64,
    /// How many users are invited.
    pub invited: u64,
    /// Whether it is listed to everybody.
    pub publication: Publication,
}

fn head_key(room: RoomNumber) -> Vec<u8> {
    Key::new().room(room).into_bytes()
}

impl Store {
    /// A room's head; `None` when the room is not on this server.
    pub async fn room_head(&self, room: RoomNumber) -> Result<Option<RoomHead>, StoreError> {
        self.get(ROOM_HEAD, head_key(room)).await
    }

    /// At most `limit` rooms of this server after `after`, in order of room number, with their heads.
    pub async fn room_heads(
        &self,
        after: Option<RoomNumber>,
        limit: usize,
    ) -> Result<Vec<(RoomNumber, RoomHead)>, StoreError> {
        let mut range = KeyRange::prefix([]);
        if let Some(after) = after {
            range.continue_after(head_key(after), Direction::Ascending);
        }
        let head = |(key, value): (Vec<u8>, Vec<u8>)| {
            let room = KeyReader::new(&key).u64().ok_or_else(|| StoreError::Undecodable {
                table: ROOM_HEAD.name(),
                reason: "key too short".to_owned(),
            })?;
            Ok((RoomNumber(room), decode(ROOM_HEAD, &value)?))
        };
        let entries = self.scan(ROOM_HEAD, range, Direction::Ascending, limit).await?;
        entries.into_iter().map(head).collect()
    }
}

impl Batch {
    /// Moves a room's head. Committing fails with [`StoreError::Conflict`] when it is not `before` any more; `None`
    /// is a room that is not there yet.
    pub fn move_room_head(
        &mut self,
        room: RoomNumber,
        before: Option<&RoomHead>,
        after: &RoomHead,
    ) -> Result<(), StoreError> {
        self.expect(ROOM_HEAD, head_key(room), before)?;
        self.insert(ROOM_HEAD, head_key(room), after)
    }
}
