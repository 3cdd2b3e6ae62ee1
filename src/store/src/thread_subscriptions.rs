//! Tables of users' subscriptions to threads.
//!
//! | table | key | value |
//! | --- | --- | --- |
//! | `thread_subscription` | user number, room number, root's event ID | stream position of the last change, subscription |
//! | `thread_subscription_change` | user number, stream position | room number, root's event ID |
//! | `thread_subscription_room` | user number, room number | stream position of the last change |
//!
//! Each subscription stands once in the index of changes, at its last change, so reading what changed costs what changed.
//! A subscription that was ended stays, as what ended it decides whether an older event may begin it again.
//! Spec: MSC4306.

use std::ops::Bound;

use ruma::{EventId, OwnedEventId};
use serde::{Deserialize, Serialize};

use crate::batch::{Slot, Stamp, StampEncoding, encode};
use crate::key::{Key, KeyReader};
use crate::store::decode;
use crate::{
    Batch, Change, Direction, KeyRange, RoomNumber, Store, StoreError, StreamPosition, Table,
    UserNumber,
};

const THREAD_SUBSCRIPTION: Table = Table::new(83, "thread_subscription");
const THREAD_SUBSCRIPTION_CHANGE: Table = Table::new(54, "thread_subscription_change");
const THREAD_SUBSCRIPTION_ROOM: Table = Table::new(55, "thread_subscription_room");

/// Whether a user follows a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Subscription {
    /// They said so.
    Manual,
    /// Their client did, because of an event.
    Automatic,
    /// Not any more.
    Ended,
}

/// A user's subscription to a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThreadSubscription {
    /// What it is.
    pub subscription: Subscription,
    /// Since when.
    pub since: StreamPosition,
}

/// A thread to which a user's subscription changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedSubscription {
    /// The room.
    pub room: RoomNumber,
    /// The root of the thread.
    pub root: OwnedEventId,
    /// What the subscription is since then.
    pub changed: ThreadSubscription,
}

fn change_key(user: UserNumber, position: StreamPosition) -> Vec<u8> {
    Key::new().user(user).position(position).into_bytes()
}

fn room_key(user: UserNumber, room: RoomNumber) -> Vec<u8> {
    Key::new().user(user).room(room).into_bytes()
}

fn undecodable(table: Table, reason: &str) -> StoreError {
    StoreError::Undecodable { table: table.name(), reason: reason.to_owned() }
}

fn subscription_key(user: UserNumber, room: RoomNumber, root: &EventId) -> Vec<u8> {
    Key::new().user(user).room(room).last(root.as_str()).into_bytes()
}

impl Store {
    /// A user's subscription to a thread; `None` when there never was one.
    pub async fn thread_subscription(
        &self,
        user: UserNumber,
        room: RoomNumber,
        root: &EventId,
    ) -> Result<Option<ThreadSubscription>, StoreError> {
        let key = subscription_key(user, room, root);
        let Some(bytes) = self.get_bytes(THREAD_SUBSCRIPTION, &key).await? else {
            return Ok(None);
        };
        let (since, subscription) = bytes
            .split_first_chunk::<8>()
            .ok_or_else(|| undecodable(THREAD_SUBSCRIPTION, "too short"))?;
        Ok(Some(ThreadSubscription {
            subscription: decode(THREAD_SUBSCRIPTION, subscription)?,
            since: StreamPosition(u64::from_be_bytes(*since)),
        }))
    }

    /// At most `limit` of a user's subscriptions that changed after `since` up to `until`, the last change first. What
    /// changed again after `until` is left out: it stands further on.
    pub async fn thread_subscription_changes(
        &self,
        user: UserNumber,
        since: StreamPosition,
        until: StreamPosition,
        limit: usize,
    ) -> Result<Vec<ChangedSubscription>, StoreError> {
        let after = |position: StreamPosition| {
            change_key(user, StreamPosition(position.0.saturating_add(1)))
        };
        if since >= until {
            return Ok(Vec::new());
        }
        let (start, end) = (Bound::Included(after(since)), Bound::Excluded(after(until)));
        let range = KeyRange { start, end };
        let table = THREAD_SUBSCRIPTION_CHANGE;
        let mut changes = Vec::new();
        for (_, value) in self.scan(table, range, Direction::Descending, limit).await? {
            let mut reader = KeyReader::new(&value);
            let room = reader.u64().ok_or_else(|| undecodable(table, "too short"))?;
            let root = reader.last().and_then(|root| OwnedEventId::try_from(root).ok());
            let root = root.ok_or_else(|| undecodable(table, "not an event ID"))?;
            let room = RoomNumber(room);
            let found = self.thread_subscription(user, room, &root).await?;
            let found = found.filter(|found| found.since <= until);
            changes.extend(found.map(|changed| ChangedSubscription { room, root, changed }));
        }
        Ok(changes)
    }

    /// Where a user's subscriptions to threads of a room last changed, at the start if they never did; `None` for a user
    /// who never subscribed to any thread.
    pub async fn thread_subscriptions_changed(
        &self,
        user: UserNumber,
        room: RoomNumber,
    ) -> Result<Option<StreamPosition>, StoreError> {
        let table = THREAD_SUBSCRIPTION_ROOM;
        if let Some(bytes) = self.get_bytes(table, &room_key(user, room)).await? {
            let bytes = bytes.try_into().map_err(|_| undecodable(table, "not a position"))?;
            return Ok(Some(StreamPosition(u64::from_be_bytes(bytes))));
        }
        let range = KeyRange::prefix(Key::new().user(user).into_bytes());
        let any = self.scan(table, range, Direction::Ascending, 1).await?;
        Ok((!any.is_empty()).then_some(StreamPosition::START))
    }
}

impl Batch {
    /// Changes a user's subscription to a thread. Committing fails with [`StoreError::Conflict`] when it is not
    /// `before` any more.
    pub fn set_thread_subscription(
        &mut self,
        (user, room): (UserNumber, RoomNumber),
        root: &EventId,
        before: Option<&ThreadSubscription>,
        after: Subscription,
        slot: Slot,
    ) -> Result<(), StoreError> {
        let key = subscription_key(user, room, root);
        let bytes = |since: StreamPosition, subscription: Subscription| {
            let encoded = encode(THREAD_SUBSCRIPTION, &subscription)?;
            Ok::<_, StoreError>([since.0.to_be_bytes().as_slice(), encoded.as_slice()].concat())
        };
        if let Some(before) = before {
            self.remove(THREAD_SUBSCRIPTION_CHANGE, change_key(user, before.since));
        }
        let before = before.map(|before| bytes(before.since, before.subscription)).transpose()?;
        self.expect_bytes(THREAD_SUBSCRIPTION, key.clone(), before);
        let stamp = |offset| Some(Stamp { offset, slot, encoding: StampEncoding::Stream });
        let value = bytes(StreamPosition::START, after)?;
        self.put_stamped(THREAD_SUBSCRIPTION, key, None, value, stamp(0))?;
        let (key, at) = (change_key(user, StreamPosition::START), size_of::<UserNumber>());
        let thread = Key::new().room(room).last(root.as_str()).into_bytes();
        self.put_stamped(THREAD_SUBSCRIPTION_CHANGE, key, stamp(at), thread, None)?;
        let (key, position) = (room_key(user, room), StreamPosition::START.0.to_be_bytes());
        self.put_stamped(THREAD_SUBSCRIPTION_ROOM, key, None, position.to_vec(), stamp(0))?;
        self.announce(Change::ThreadSubscription(user));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use ruma::event_id;

    use super::*;

    const ADA: UserNumber = UserNumber(1);
    const KITCHEN: RoomNumber = RoomNumber(1);
    const ATTIC: RoomNumber = RoomNumber(2);

    async fn set(
        store: &Store,
        room: RoomNumber,
        root: &EventId,
        after: Subscription,
    ) -> StreamPosition {
        let before = store.thread_subscription(ADA, room, root).await.unwrap();
        let mut batch = Batch::new();
        let slot = batch.slot();
        batch.set_thread_subscription((ADA, room), root, before.as_ref(), after, slot).unwrap();
        store.commit(batch).await.unwrap()
    }

    async fn changes(
        store: &Store,
        since: StreamPosition,
        limit: usize,
    ) -> Vec<(u64, String, Subscription)> {
        let until = store.position();
        let found = store.thread_subscription_changes(ADA, since, until, limit).await.unwrap();
        let short = |found: ChangedSubscription| {
            (found.room.0, found.root.to_string(), found.changed.subscription)
        };
        found.into_iter().map(short).collect()
    }

    #[tokio::test]
    async fn a_subscription_stands_among_the_changes_once_at_its_last() {
        let store = Store::in_memory().await;
        let (tea, cake) = (event_id!("$tea"), event_id!("$cake"));
        let first = set(&store, KITCHEN, tea, Subscription::Automatic).await;
        set(&store, ATTIC, cake, Subscription::Manual).await;
        set(&store, KITCHEN, tea, Subscription::Ended).await;

        let all = changes(&store, StreamPosition::START, 10).await;
        let tea = (1, "$tea".to_owned(), Subscription::Ended);
        assert_eq!(all, [tea.clone(), (2, "$cake".to_owned(), Subscription::Manual)]);
        assert_eq!(changes(&store, StreamPosition::START, 1).await, [tea]);
        assert_eq!(changes(&store, first, 10).await.len(), 2);
        assert!(changes(&store, store.position(), 10).await.is_empty());
        let until_first = store.thread_subscription_changes(ADA, StreamPosition::START, first, 10);
        assert!(until_first.await.unwrap().is_empty(), "it changed again later");
    }

    #[tokio::test]
    async fn who_never_subscribed_is_told_from_who_did_elsewhere() {
        let store = Store::in_memory().await;
        let changed = || async { store.thread_subscriptions_changed(ADA, KITCHEN).await.unwrap() };
        assert_eq!(changed().await, None);
        set(&store, ATTIC, event_id!("$cake"), Subscription::Manual).await;
        assert_eq!(changed().await, Some(StreamPosition::START));
        let position = set(&store, KITCHEN, event_id!("$tea"), Subscription::Manual).await;
        assert_eq!(changed().await, Some(position));
    }
}
