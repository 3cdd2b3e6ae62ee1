//! Removing all that the server has of a room.
//!
//! Everything is found by the room's number or by its timeline, in slices, so that a removal that was interrupted goes
//! on where it was. The number itself stays: it means nothing without the rest, and state keys, users and tokens share
//! the sequence.

use crate::engine::{Direction, KeyRange};
use crate::event_times::EVENT_TIME;
use crate::events::{TIMELINE, timeline_entry};
use crate::key::Key;
use crate::memberships::{FORGOTTEN_STAY, ROOM_MEMBER, USER_ROOM, room_member_key};
use crate::receipts::{RECEIPT, RECEIPT_STREAM};
use crate::relations::{ANNOTATION, RELATION};
use crate::room_heads::ROOM_HEAD;
use crate::space_links::SPACE_LINK;
use crate::state_trie::STATE_NODE;
use crate::threads::{THREAD_PARTICIPANT, THREAD_REMOVAL, THREAD_REPLY, THREAD_TALLY};
use crate::unread_tallies::UNREAD_TALLY;
use crate::user_directory::OPEN_ROOM;
use crate::{
    Batch, Change, DirectoryPlace, Membership, RoomHead, RoomMember, RoomNumber, StatedMembership,
    Store, StoreError, Table, TimelineEntry, TimelinePosition,
};

/// The tables whose keys begin with the room's number, without those that lead to others.
const OF_ROOM: [Table; 12] = [
    RELATION,
    ANNOTATION,
    THREAD_REPLY,
    THREAD_PARTICIPANT,
    THREAD_REMOVAL,
    THREAD_TALLY,
    EVENT_TIME,
    RECEIPT,
    RECEIPT_STREAM,
    SPACE_LINK,
    OPEN_ROOM,
    STATE_NODE,
];

/// Rows of a room that nothing else leads to.
#[derive(Debug, Default)]
pub struct RoomRows(Vec<(Table, Vec<u8>)>);

impl RoomRows {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Store {
    /// At most `limit` rows of a room: relations, receipts, state. Its timeline and members are not among them.
    pub async fn room_rows(&self, room: RoomNumber, limit: usize) -> Result<RoomRows, StoreError> {
        let mut rows = Vec::new();
        for table in OF_ROOM {
            let range = KeyRange::prefix(Key::new().room(room).into_bytes());
            let missing = limit - rows.len();
            let found = self.scan(table, range, Direction::Ascending, missing).await?;
            rows.extend(found.into_iter().map(|(key, _)| (table, key)));
            if rows.len() >= limit {
                break;
            }
        }
        Ok(RoomRows(rows))
    }

    /// At most `limit` events of a room's timeline, from its beginning.
    pub async fn first_events(
        &self,
        room: RoomNumber,
        limit: usize,
    ) -> Result<Vec<TimelineEntry>, StoreError> {
        let range = KeyRange::prefix(Key::new().room(room).into_bytes());
        let entries = self.scan(TIMELINE, range, Direction::Ascending, limit).await?;
        entries.iter().map(|(key, value)| timeline_entry(key, value)).collect()
    }
}

impl Batch {
    /// Removes rows of a room.
    pub fn remove_room_rows(&mut self, rows: RoomRows) {
        for (table, key) in rows.0 {
            self.remove(table, key);
        }
    }

    /// Removes what a user was to a room, and what was counted for them there.
    pub fn remove_member(&mut self, room: RoomNumber, membership: Membership, member: RoomMember) {
        let RoomMember { user, event } = member;
        let key = Key::new().user(user).room(room).into_bytes();
        self.remove(USER_ROOM, key.clone());
        self.remove(FORGOTTEN_STAY, key.clone());
        self.remove(UNREAD_TALLY, key);
        self.remove(ROOM_MEMBER, room_member_key(room, StatedMembership { event, membership }));
        self.announce(Change::Membership(room, user));
    }

    /// Removes an event's place in its room's timeline.
    pub fn remove_from_timeline(&mut self, room: RoomNumber, position: TimelinePosition) {
        self.remove(TIMELINE, Key::new().room(room).timeline(position).into_bytes());
    }

    /// Removes a room's head, so that the room is not on this server and not in its directory any more. Committing fails with
    /// [`StoreError::Conflict`] when it is not `before` any more: something happened in the room.
    pub fn remove_room_head(
        &mut self,
        room: RoomNumber,
        before: &RoomHead,
    ) -> Result<(), StoreError> {
        let key = Key::new().room(room).into_bytes();
        self.expect(ROOM_HEAD, key.clone(), Some(before))?;
        self.remove(ROOM_HEAD, key);
        self.unlist_room(DirectoryPlace { joined: before.joined, room });
        Ok(())
    }
}
