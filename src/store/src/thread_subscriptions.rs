//! Table of users' subscriptions to threads.
//!
//! | table | key | value |
//! | --- | --- | --- |
//! | `thread_subscription` | user number, room number, root's event ID | stream position of the last change, subscription |
//!
//! A subscription that was ended stays, as what ended it decides whether an older event may begin it again.
//! Spec: MSC4306.

use ruma::EventId;
use serde::{Deserialize, Serialize};

use crate::batch::{Slot, Stamp, StampEncoding, encode};
use crate::key::Key;
use crate::store::decode;
use crate::{Batch, RoomNumber, Store, StoreError, StreamPosition, Table, UserNumber};

const THREAD_SUBSCRIPTION: Table = Table::new(83, "thread_subscription");

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
        let (since, subscription) =
            bytes.split_first_chunk::<8>().ok_or_else(|| StoreError::Undecodable {
                table: THREAD_SUBSCRIPTION.name(),
                reason: "too short".to_owned(),
            })?;
        Ok(Some(ThreadSubscription {
            subscription: decode(THREAD_SUBSCRIPTION, subscription)?,
            since: StreamPosition(u64::from_be_bytes(*since)),
        }))
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
        let before = before.map(|before| bytes(before.since, before.subscription)).transpose()?;
        self.expect_bytes(THREAD_SUBSCRIPTION, key.clone(), before);
        let stamp = Stamp { offset: 0, slot, encoding: StampEncoding::Stream };
        let value = bytes(StreamPosition::START, after)?;
        self.put_stamped(THREAD_SUBSCRIPTION, key, None, value, Some(stamp))
    }
}
