//! Requests that wait for something new.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rooms::presence::share_a_room;
use store::{RoomNumber, UserNumber};
use tokio::sync::Notify;

use crate::memberships::UserRooms;

/// All waiting requests, by user.
#[derive(Debug, Default)]
pub(crate) struct Waiters(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    next_id: u64,
    users: HashMap<UserNumber, Vec<Waiter>>,
    /// Requests that look into a room from outside.
    watchers: HashMap<RoomNumber, Vec<(u64, Arc<Notify>)>>,
}

#[derive(Debug)]
struct Waiter {
    id: u64,
    rooms: Arc<UserRooms>,
    woken: Arc<Notify>,
}

/// A request's place among those that wait. Leaves it when dropped, as when the client hangs up.
#[derive(Debug)]
pub(crate) struct Waiting<'a> {
    waiters: &'a Waiters,
    user: UserNumber,
    id: u64,
    woken: Arc<Notify>,
}

/// A request that waits for what happens in a room, whoever is in it. Leaves its place when dropped.
#[derive(Debug)]
pub(crate) struct Watch<'a> {
    waiters: &'a Waiters,
    room: RoomNumber,
    id: u64,
    changed: Arc<Notify>,
}

impl Waiters {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Registers a request of a user who is in `rooms`. Whatever is published from now on wakes it.
    pub(crate) fn register(&self, user: UserNumber, rooms: Arc<UserRooms>) -> Waiting<'_> {
        let woken = Arc::new(Notify::new());
        let mut inner = self.lock();
        let id = inner.next_id;
        inner.next_id += 1;
        let waiter = Waiter { id, rooms, woken: Arc::clone(&woken) };
        inner.users.entry(user).or_default().push(waiter);
        Waiting { waiters: self, user, id, woken }
    }

    /// Registers a request that waits for what happens in `room`.
    pub(crate) fn watch(&self, room: RoomNumber) -> Watch<'_> {
        let changed = Arc::new(Notify::new());
        let mut inner = self.lock();
        let id = inner.next_id;
        inner.next_id += 1;
        inner.watchers.entry(room).or_default().push((id, Arc::clone(&changed)));
        Watch { waiters: self, room, id, changed }
    }

    /// Wakes the requests that wait for what happens in `room`.
    pub(crate) fn wake_watchers(&self, room: RoomNumber) {
        let inner = self.lock();
        for (_, changed) in inner.watchers.get(&room).into_iter().flatten() {
            changed.notify_one();
        }
    }

    /// How many users wait.
    pub(crate) fn len(&self) -> usize {
        self.lock().users.len()
    }

    /// Wakes the requests of some users.
    pub(crate) fn wake<'a>(&self, users: impl IntoIterator<Item = &'a UserNumber>) {
        let inner = self.lock();
        for waiter in users.into_iter().filter_map(|user| inner.users.get(user)).flatten() {
            waiter.woken.notify_one();
        }
    }

    /// Wakes the requests of all users who are in `room`, by looking at each of them.
    pub(crate) fn wake_all_in(&self, room: RoomNumber) {
        for waiter in self.lock().users.values().flatten() {
            if waiter.rooms.is_joined(room) {
                waiter.woken.notify_one();
            }
        }
    }

    /// Wakes the requests of a user, and of all who are in a room with them, by looking at each.
    pub(crate) fn wake_who_shares(&self, user: UserNumber, rooms: &UserRooms) {
        for (other, waiters) in &self.lock().users {
            for waiter in waiters {
                if *other == user || share_a_room(&waiter.rooms.rooms, &rooms.rooms) {
                    waiter.woken.notify_one();
                }
            }
        }
    }
}

impl Waiting<'_> {
    /// Returns once there was something new since the registration or the last return.
    pub(crate) async fn woken(&self) {
        self.woken.notified().await;
    }

    /// Notes that the user is in other rooms now.
    pub(crate) fn update(&self, rooms: &Arc<UserRooms>) {
        let mut inner = self.waiters.lock();
        let waiter = inner
            .users
            .get_mut(&self.user)
            .and_then(|waiters| waiters.iter_mut().find(|waiter| waiter.id == self.id));
        if let Some(waiter) = waiter {
            waiter.rooms = Arc::clone(rooms);
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut inner = self.waiters.lock();
        let Some(waiters) = inner.users.get_mut(&self.user) else { return };
        waiters.retain(|waiter| waiter.id != self.id);
        if waiters.is_empty() {
            inner.users.remove(&self.user);
        }
    }
}

impl Watch<'_> {
    /// Returns once something happened since the registration or the last return.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        let mut inner = self.waiters.lock();
        let Some(watchers) = inner.watchers.get_mut(&self.room) else { return };
        watchers.retain(|(id, _)| *id != self.id);
        if watchers.is_empty() {
            inner.watchers.remove(&self.room);
        }
    }
}
