//! Tables of replies in threads.
//!
//! | table | key | value |
//! | --- | --- | --- |
//! | `thread_reply` | room number, timeline position of the reply | event ID of the thread's root |
//! | `thread_participant` | room number, root's event ID, user number, timeline position | nothing |
//! | `thread_removal` | room number, root's event ID, stream position of the redaction | timeline position of the reply |
//! | `thread_tally` | room number, root's event ID | how many replies, up to where |
//!
//! The rows of one thread are many and its latest reply is where it stands among the others, so listing threads means
//! reading rows from the end and passing over those that are not their thread's latest.
//!
//! A room's writer cannot keep count: it builds on events that are not durable yet, of which it reads nothing. Who
//! shows a thread counts from the last tally on, and leaves a new one when that was much.

use ruma::{EventId, OwnedEventId};
use serde::{Deserialize, Serialize};

use crate::batch::{Slot, Stamp, StampEncoding, encode};
use crate::engine::{Direction, KeyRange};
use crate::key::{Key, KeyReader};
use crate::store::decode;
use crate::{
    Batch, RoomNumber, Store, StoreError, StreamPosition, Table, TimelinePosition, UserNumber,
};

pub(crate) const THREAD_REPLY: Table = Table::new(22, "thread_reply");
pub(crate) const THREAD_PARTICIPANT: Table = Table::new(30, "thread_participant");
pub(crate) const THREAD_REMOVAL: Table = Table::new(31, "thread_removal");
pub(crate) const THREAD_TALLY: Table = Table::new(32, "thread_tally");

/// How many replies a thread had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThreadTally {
    /// How many there were up to `until`, without those that `as_of` knew to be removed.
    pub count: u64,
    /// The last place that was counted.
    pub until: TimelinePosition,
    /// Removals up to here are taken into account.
    pub as_of: StreamPosition,
}

impl ThreadTally {
    /// Of nothing.
    pub const NONE: Self =
        Self { count: 0, until: TimelinePosition::MIN, as_of: StreamPosition::START };
}

/// A reply that was redacted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThreadRemoval {
    /// When.
    pub at: StreamPosition,
    /// Where it stood.
    pub reply: TimelinePosition,
}

fn reply_key(room: RoomNumber, position: TimelinePosition) -> Vec<u8> {
    Key::new().room(room).timeline(position).into_bytes()
}

fn thread_key(room: RoomNumber, root: &EventId) -> Key {
    Key::new().room(room).text(root.as_str())
}

fn too_short(table: Table) -> StoreError {
    StoreError::Undecodable { table: table.name(), reason: "key too short".to_owned() }
}

impl Store {
    /// At most `limit` replies in threads before `before`, latest first, with the roots of their threads.
    pub async fn thread_replies(
        &self,
        room: RoomNumber,
        before: TimelinePosition,
        limit: usize,
    ) -> Result<Vec<(TimelinePosition, OwnedEventId)>, StoreError> {
        let range = KeyRange {
            start: std::ops::Bound::Included(reply_key(room, TimelinePosition::MIN)),
            end: std::ops::Bound::Excluded(reply_key(room, before)),
        };
        let rows = self.scan(THREAD_REPLY, range, Direction::Descending, limit).await?;
        let read = |(key, value): &(Vec<u8>, Vec<u8>)| {
            let position = key.last_chunk::<8>().and_then(|last| KeyReader::new(last).timeline());
            let position = position.ok_or_else(|| too_short(THREAD_REPLY))?;
            Ok((position, decode(THREAD_REPLY, value)?))
        };
        rows.iter().map(read).collect()
    }

    /// How many replies in a thread are a user's; `limit` if there are more.
    pub async fn thread_replies_of(
        &self,
        room: RoomNumber,
        root: &EventId,
        user: UserNumber,
        limit: usize,
    ) -> Result<usize, StoreError> {
        let range = KeyRange::prefix(thread_key(room, root).user(user).into_bytes());
        Ok(self.scan(THREAD_PARTICIPANT, range, Direction::Ascending, limit).await?.len())
    }

    /// What was last counted of a thread.
    pub async fn thread_tally(
        &self,
        room: RoomNumber,
        root: &EventId,
    ) -> Result<ThreadTally, StoreError> {
        let tally = self.get(THREAD_TALLY, thread_key(room, root).into_bytes()).await?;
        Ok(tally.unwrap_or(ThreadTally::NONE))
    }

    /// At most `limit` replies of a thread that were redacted after `since`, in that order.
    pub async fn thread_removals(
        &self,
        room: RoomNumber,
        root: &EventId,
        since: StreamPosition,
        limit: usize,
    ) -> Result<Vec<ThreadRemoval>, StoreError> {
        let mut range = KeyRange::prefix(thread_key(room, root).into_bytes());
        let since = thread_key(room, root).position(since).into_bytes();
        range.continue_after(since, Direction::Ascending);
        let rows = self.scan(THREAD_REMOVAL, range, Direction::Ascending, limit).await?;
        let read = |(key, value): &(Vec<u8>, Vec<u8>)| {
            let at = key.last_chunk::<8>().map(|at| StreamPosition(u64::from_be_bytes(*at)));
            let at = at.ok_or_else(|| too_short(THREAD_REMOVAL))?;
            Ok(ThreadRemoval { at, reply: decode(THREAD_REMOVAL, value)? })
        };
        rows.iter().map(read).collect()
    }
}

impl Batch {
    /// Notes that the event of `sender` at `slot` replies in the thread of `root`.
    pub fn create_thread_reply(
        &mut self,
        room: RoomNumber,
        root: &EventId,
        sender: UserNumber,
        slot: Slot,
    ) -> Result<(), StoreError> {
        let stamp = |offset| Some(Stamp { offset, slot, encoding: StampEncoding::Timeline });
        let key = Key::new().room(room).u64(0).into_bytes();
        self.put_stamped(THREAD_REPLY, key, stamp(8), encode(THREAD_REPLY, root)?, None)?;
        let key = thread_key(room, root).user(sender).u64(0).into_bytes();
        let offset = key.len() - 8;
        let nothing = encode(THREAD_PARTICIPANT, &())?;
        self.put_stamped(THREAD_PARTICIPANT, key, stamp(offset), nothing, None)
    }

    /// Forgets the reply of `sender` at `position`, which is redacted at `slot`.
    pub fn remove_thread_reply(
        &mut self,
        room: RoomNumber,
        root: &EventId,
        (sender, position): (UserNumber, TimelinePosition),
        slot: Slot,
    ) -> Result<(), StoreError> {
        self.remove(THREAD_REPLY, reply_key(room, position));
        let participant = thread_key(room, root).user(sender).timeline(position);
        self.remove(THREAD_PARTICIPANT, participant.into_bytes());
        let key = thread_key(room, root).u64(0).into_bytes();
        let stamp = Stamp { offset: key.len() - 8, slot, encoding: StampEncoding::Stream };
        let value = encode(THREAD_REMOVAL, &position)?;
        self.put_stamped(THREAD_REMOVAL, key, Some(stamp), value, None)
    }

    /// Leaves a tally for whoever counts next. Which of several is left does not matter: each is true.
    pub fn keep_thread_tally(
        &mut self,
        room: RoomNumber,
        root: &EventId,
        tally: &ThreadTally,
    ) -> Result<(), StoreError> {
        self.insert(THREAD_TALLY, thread_key(room, root).into_bytes(), tally)
    }
}
