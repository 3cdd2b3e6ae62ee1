//! Table of how far unread events were counted.
//!
//! | table | key | value |
//! | --- | --- | --- |
//! | `unread_tally` | user number, room number | tally |
//!
//! A tally follows from events, receipts and push rules, and is kept only so that not everything is counted again
//! after a restart. It may be older than what follows from them now, never newer.

use protocol::push::LegacyMentions;
use ruma::OwnedEventId;
use serde::{Deserialize, Serialize};

use crate::key::Key;
use crate::{
    Batch, RoomNumber, Store, StoreError, StreamPosition, Table, TimelinePosition, UserNumber,
};

pub(crate) const UNREAD_TALLY: Table = Table::new(72, "unread_tally");

/// An event that notifies its reader, who has not read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnreadEvent {
    /// Where it stands.
    pub position: TimelinePosition,
    /// The root of its thread; `None` for the main timeline.
    pub thread: Option<OwnedEventId>,
    /// Whether it stands out.
    pub highlight: bool,
}

/// What events are judged by besides themselves. When it changes, all are judged anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TallyBasis {
    /// Where the reader's push rules changed last.
    pub rules: StreamPosition,
    /// Since when the reader is in the room.
    pub joined: StreamPosition,
    /// How many members the room has, as far as the rules tell rooms apart by that.
    pub members: u64,
    /// Whether the server's rules search messages for names.
    pub legacy_mentions: LegacyMentions,
    /// Where the reader's subscriptions to threads of the room changed last; `None`: they never had any anywhere.
    pub subscriptions: Option<StreamPosition>,
}

/// The unread events of a reader in a room, as of a position.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnreadTally {
    /// Events up to here are in it; receipts may have moved since.
    pub until: StreamPosition,
    /// What they were judged by.
    pub basis: TallyBasis,
    /// The unread events, oldest first.
    pub events: Vec<UnreadEvent>,
    /// They last became others no later than here. Not kept: who reads a tally does not know what was told of it.
    #[serde(skip)]
    pub changed: StreamPosition,
}

fn key(user: UserNumber, room: RoomNumber) -> Vec<u8> {
    Key::new().user(user).room(room).into_bytes()
}

impl Store {
    /// The last tally that was kept of a reader in a room.
    pub async fn unread_tally(
        &self,
        user: UserNumber,
        room: RoomNumber,
    ) -> Result<Option<UnreadTally>, StoreError> {
        self.get(UNREAD_TALLY, key(user, room)).await
    }
}

impl Batch {
    /// Keeps a tally. Fails with [`StoreError::TooLarge`] for one of thousands of events.
    pub fn put_unread_tally(
        &mut self,
        user: UserNumber,
        room: RoomNumber,
        tally: &UnreadTally,
    ) -> Result<(), StoreError> {
        self.insert(UNREAD_TALLY, key(user, room), tally)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_tally_is_read_as_it_was_kept() {
        let store = Store::in_memory().await;
        let (user, room) = (UserNumber(1), RoomNumber(2));
        let (rules, joined) = (StreamPosition(3), StreamPosition(4));
        let legacy_mentions = LegacyMentions::Found;
        let basis = TallyBasis { rules, joined, members: 2, legacy_mentions, subscriptions: None };
        let event = UnreadEvent { position: TimelinePosition(5), thread: None, highlight: true };
        let tally = UnreadTally {
            until: StreamPosition(6),
            basis,
            events: vec![event],
            changed: StreamPosition::START,
        };
        let mut batch = Batch::new();
        batch.put_unread_tally(user, room, &tally).unwrap();
        store.commit(batch).await.unwrap();

        assert_eq!(store.unread_tally(user, room).await.unwrap(), Some(tally));
        assert_eq!(store.unread_tally(user, RoomNumber(3)).await.unwrap(), None);
    }
}
