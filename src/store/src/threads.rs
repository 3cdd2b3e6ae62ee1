//! Table of replies in threads, in the order they came.
//!
//! | table | key | value |
//! | --- | --- | --- |
//! | `thread_reply` | room number, timeline position of the reply | event ID of the thread's root |
//!
//! The rows of one thread are many and its latest reply is where it stands among the others, so listing threads means
//! reading rows from the end and passing over those that are not their thread's latest.

use ruma::{EventId, OwnedEventId};

use crate::batch::{Slot, Stamp, StampEncoding, encode};
use crate::engine::{Direction, KeyRange};
use crate::key::{Key, KeyReader};
use crate::store::decode;
use crate::{Batch, RoomNumber, Store, StoreError, Table, TimelinePosition};

pub(crate) const THREAD_REPLY: Table = Table::new(22, "thread_reply");

fn reply_key(room: RoomNumber, position: TimelinePosition) -> Vec<u8> {
    Key::new().room(room).timeline(position).into_bytes()
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
            let position = position.ok_or_else(|| StoreError::Undecodable {
                table: THREAD_REPLY.name(),
                reason: "key too short".to_owned(),
            })?;
            Ok((position, decode(THREAD_REPLY, value)?))
        };
        rows.iter().map(read).collect()
    }
}

impl Batch {
    /// Notes that the event at `slot` replies in the thread of `root`.
    pub fn create_thread_reply(
        &mut self,
        room: RoomNumber,
        root: &EventId,
        slot: Slot,
    ) -> Result<(), StoreError> {
        let key = Key::new().room(room).u64(0).into_bytes();
        let stamp = Stamp { offset: 8, slot, encoding: StampEncoding::Timeline };
        self.put_stamped(THREAD_REPLY, key, Some(stamp), encode(THREAD_REPLY, root)?, None)
    }

    /// Forgets the reply at `position`.
    pub fn remove_thread_reply(&mut self, room: RoomNumber, position: TimelinePosition) {
        self.remove(THREAD_REPLY, reply_key(room, position));
    }
}
