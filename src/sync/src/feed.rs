//! From the store's commits to the requests that wait for them.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use rooms::presence::PresenceObserver;
use rooms::typing::TypingObserver;
use store::{Change, Observer, RoomNumber, StreamPosition, UserNumber};
use tokio::sync::Notify;

use crate::heads::Heads;

/// Notes what is committed and typed. The committer's thread is held up for no more than that: waking is done by
/// whoever takes the [`News`].
#[derive(Debug)]
pub(crate) struct Feed {
    pub(crate) heads: Heads,
    /// Committed, but not yet to be seen by readers.
    committed: Mutex<News>,
    /// To be seen by readers, who are not woken yet.
    published: Mutex<News>,
    arrived: Notify,
    /// Whose presence changed. It comes more often than all else and concerns more, so nothing else waits behind it.
    presence: Mutex<HashSet<UserNumber>>,
    presence_arrived: Notify,
}

/// Where something new is.
#[derive(Debug, Default)]
pub(crate) struct News {
    pub(crate) rooms: HashSet<RoomNumber>,
    pub(crate) users: HashSet<UserNumber>,
    /// Whose membership in which room changed.
    pub(crate) memberships: HashSet<(RoomNumber, UserNumber)>,
}

impl News {
    fn add(&mut self, change: Change) {
        match change {
            // A private receipt is news to its owner only, but that is not told here.
            Change::Timeline(room) | Change::Receipt(room, _) => {
                self.rooms.insert(room);
            }
            // The others in the room are told of the event that made it so.
            Change::Membership(room, user) => {
                self.users.insert(user);
                self.memberships.insert((room, user));
            }
            Change::AccountData(user)
            | Change::ThreadSubscription(user)
            | Change::ToDevice(user) => {
                self.users.insert(user);
            }
            Change::Sessions(_) | Change::Departures | Change::Removal => {}
        }
    }

    fn is_empty(&self) -> bool {
        self.rooms.is_empty() && self.users.is_empty() && self.memberships.is_empty()
    }
}

fn lock<T>(news: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    news.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Feed {
    pub(crate) fn new() -> Self {
        Self {
            heads: Heads::new(StreamPosition::START),
            committed: Mutex::default(),
            published: Mutex::default(),
            arrived: Notify::new(),
            presence: Mutex::default(),
            presence_arrived: Notify::new(),
        }
    }

    /// Waits for news and takes all there is.
    pub(crate) async fn news(&self) -> News {
        loop {
            let news = std::mem::take(&mut *lock(&self.published));
            if !news.is_empty() {
                return news;
            }
            self.arrived.notified().await;
        }
    }
}

impl Feed {
    /// Waits until somebody's presence changes, and takes all whose did.
    pub(crate) async fn presence_news(&self) -> HashSet<UserNumber> {
        loop {
            let users = std::mem::take(&mut *lock(&self.presence));
            if !users.is_empty() {
                return users;
            }
            self.presence_arrived.notified().await;
        }
    }
}

impl Observer for Feed {
    fn committed(&self, position: StreamPosition, changes: &[Change]) {
        self.heads.note(position, changes);
        let mut committed = lock(&self.committed);
        for change in changes {
            committed.add(*change);
        }
    }

    fn published(&self, _: StreamPosition) {
        let news = std::mem::take(&mut *lock(&self.committed));
        if news.is_empty() {
            return;
        }
        let mut published = lock(&self.published);
        published.rooms.extend(news.rooms);
        published.users.extend(news.users);
        published.memberships.extend(news.memberships);
        drop(published);
        self.arrived.notify_one();
    }
}

impl TypingObserver for Feed {
    fn typing_changed(&self, room: RoomNumber) {
        lock(&self.published).rooms.insert(room);
        self.arrived.notify_one();
    }
}

impl PresenceObserver for Feed {
    fn presence_changed(&self, user: UserNumber) {
        lock(&self.presence).insert(user);
        self.presence_arrived.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn news_waits_until_readers_can_see_it() {
        let feed = Feed::new();
        feed.committed(StreamPosition(1), &[Change::Timeline(RoomNumber(7))]);
        assert!(lock(&feed.published).is_empty());

        feed.published(StreamPosition(1));

        assert!(feed.news().await.rooms.contains(&RoomNumber(7)));
        assert!(lock(&feed.published).is_empty());
    }
}
