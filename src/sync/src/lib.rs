//! What a reader has not seen yet.
//!
//! [`Sync`] answers "what changed for this user between two positions, in these rooms" from where each room and user
//! last changed, kept in memory, and from the store's indexes. `/sync` is the first view of it.

mod client_state;
mod ephemeral;
mod event_fields;
mod feed;
mod filter;
mod heads;
mod ignored;
mod invited;
mod joined;
mod judge;
mod lazy_members;
mod left;
mod memberships;
mod notifications;
mod old_sync;
mod other_state;
mod presence;
mod reader;
mod relation_filter;
mod sized_cache;
mod sliding;
mod state;
mod stored_filters;
mod summary;
mod timeline;
mod to_device;
mod token;
mod unread;
mod v2;
mod waiters;

use std::sync::Arc;

use rooms::{RoomError, Rooms};
use store::{Membership, RoomNumber, StoreError, UserNumber};

use crate::feed::Feed;
use crate::lazy_members::SentMembers;
use crate::memberships::Memberships;
use crate::other_state::OtherStates;
use crate::sliding::Sliding;
use crate::stored_filters::StoredFilters;
use crate::to_device::Received;
use crate::unread::Counter;
use crate::waiters::Waiters;

pub use filter::EventFilter;
pub use notifications::{Notification, Notifications, NotificationsWanted, Only};
pub use old_sync::{Archived, EventStream, RoomSnapshot, Snapshot};
pub use relation_filter::RelationFilter;
pub use sliding::{
    Hero, List, ListAnswer, ListFilters, RequiredState, RoomAnswer, RoomConfig, SlidingAnswer,
    SlidingError, SlidingRequest, SlidingToken, Wanted,
};
pub use token::{Epoch, InvalidToken, MemoryPosition, SyncToken};
pub use v2::{DeviceMessages, Extent, Place, SyncRequest};

/// Tells readers what is new. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Sync(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    rooms: Rooms,
    epoch: Epoch,
    feed: Arc<Feed>,
    waiters: Waiters,
    memberships: Memberships,
    sent_members: SentMembers,
    other_states: OtherStates,
    unread: Counter,
    filters: StoredFilters,
    sliding: Sliding,
    received: Received,
}

/// Why a reader was not told what is new.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// The token names a position that the store has not reached: it is another server's, or the store was put back
    /// to an older state.
    #[error("unknown position")]
    UnknownPosition,
    /// A room could not be read.
    #[error(transparent)]
    Room(#[from] RoomError),
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
    /// What is to be sent cannot be written as JSON.
    #[error("an event does not serialise")]
    Json(#[from] serde_json::Error),
}

impl Sync {
    /// Begins to watch the store, who types and who is online. `epoch` must differ from one run of the process to the next.
    pub fn new(rooms: Rooms, epoch: Epoch) -> Self {
        let feed = Arc::new(Feed::new());
        rooms.store().observe(Arc::clone(&feed) as Arc<dyn store::Observer>);
        // After that: what was committed before the feed began to watch is no later than this.
        feed.heads.raise_floor(rooms.store().position());
        rooms.typing().observe(Arc::clone(&feed) as Arc<dyn ::rooms::typing::TypingObserver>);
        rooms.presence().observe(Arc::clone(&feed) as Arc<dyn ::rooms::presence::PresenceObserver>);
        Self(Arc::new(Inner {
            rooms,
            epoch,
            feed,
            waiters: Waiters::default(),
            memberships: Memberships::new(),
            sent_members: SentMembers::new(),
            other_states: OtherStates::new(),
            unread: Counter::new(),
            filters: StoredFilters::new(),
            sliding: Sliding::new(),
            received: Received::new(),
        }))
    }

    /// Wakes waiting requests when there is news for them, and ends typing and presence when their time is over;
    /// runs until it is dropped.
    pub async fn run(&self) {
        let rooms = &self.0.rooms;
        let (typing, presence) = (rooms.typing().run(), rooms.presence().run());
        tokio::join!(self.wake(), self.wake_for_presence(), typing, presence);
    }

    async fn wake(&self) {
        loop {
            let news = self.0.feed.news().await;
            self.0.waiters.wake(&news.users);
            for room in news.rooms {
                log_failure(self.wake_members(room).await);
            }
            for (room, user) in news.memberships {
                log_failure(self.introduce(room, user).await);
            }
        }
    }

    async fn wake_for_presence(&self) {
        loop {
            for user in self.0.feed.presence_news().await {
                log_failure(self.wake_who_shares(user).await);
                // Each looks at all who wait; what is more urgent gets its turn.
                tokio::task::yield_now().await;
            }
        }
    }

    /// Has those in a room told of the presence of who came to it.
    async fn introduce(&self, room: RoomNumber, user: UserNumber) -> Result<(), StoreError> {
        let rooms = &self.0.rooms;
        let known = rooms.store().membership(user, room).await?;
        if known.is_some_and(|known| known.membership == Membership::Join) {
            rooms.presence().introduce(user);
        }
        Ok(())
    }

    /// Wakes those who wait and share a room with a user.
    async fn wake_who_shares(&self, user: UserNumber) -> Result<(), StoreError> {
        let Inner { rooms, waiters, memberships, feed, .. } = &*self.0;
        if waiters.len() > 0 {
            let theirs = memberships.of_user(rooms.store(), &feed.heads, user).await?;
            waiters.wake_who_shares(user, &theirs);
        }
        Ok(())
    }

    /// Wakes those who wait and are in a room, going through the smaller of the two.
    async fn wake_members(&self, room: RoomNumber) -> Result<(), StoreError> {
        let Inner { rooms, waiters, memberships, feed, .. } = &*self.0;
        waiters.wake_watchers(room);
        let waiting = waiters.len();
        if waiting == 0 {
            return Ok(());
        }
        match memberships.of_room(rooms.store(), &feed.heads, room, waiting).await? {
            Some(members) => waiters.wake(members.users()),
            None => waiters.wake_all_in(room),
        }
        Ok(())
    }
}

/// Those who were not woken wake at their timeouts.
fn log_failure(outcome: Result<(), StoreError>) {
    if let Err(error) = outcome {
        tracing::error!(error = &error as &dyn std::error::Error, "waking failed");
    }
}
