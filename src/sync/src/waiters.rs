//! Requests that wait for something new.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rooms::presence::share_a_room;
use store::{RoomNumber, UserNumber};
use tokio::sync::Notify;

use crate::memberships::UserRooms;

/// How many requests of one user wait at once. Clients have one or two of each device; each takes memory, and time in
/// which all who wait are looked at.
const MOST_OF_USER: usize = 100;

/// How many requests wait.
const WAITING: &str = "hearth_sync_waiting";
/// How many had to answer because their user asked so often.
const SUPERSEDED: &str = "hearth_sync_superseded_total";

/// All waiting requests, by user.
#[derive(Debug, Default)]
pub(crate) struct Waiters(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    next_id: u64,
    /// Each user's, those that wait longest first.
    users: HashMap<UserNumber, Vec<Waiter>>,
    /// Those that look into a room from outside, by that room.
    watchers: HashMap<RoomNumber, Vec<(u64, Arc<Bell>)>>,
}

#[derive(Debug)]
struct Waiter {
    id: u64,
    interest: Interest,
    bell: Arc<Bell>,
}

/// What a request waits for.
#[derive(Debug)]
enum Interest {
    /// What happens to its user and in their rooms.
    Own(Arc<UserRooms>),
    /// What happens in one room, whoever is in it.
    Room(RoomNumber),
}

/// What wakes one request.
#[derive(Debug, Default)]
struct Bell {
    rung: Notify,
    superseded: AtomicBool,
}

/// Why a request was woken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wake {
    /// There may be something new.
    News,
    /// Others of its user wait in its place.
    Superseded,
}

/// A request's place among those that wait. Leaves it when dropped, as when the client hangs up.
#[derive(Debug)]
pub(crate) struct Waiting<'a> {
    waiters: &'a Waiters,
    user: UserNumber,
    id: u64,
    bell: Arc<Bell>,
}

impl Waiters {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Registers a request of a user who is in `rooms`. Whatever is published from now on wakes it.
    pub(crate) fn register(&self, user: UserNumber, rooms: Arc<UserRooms>) -> Waiting<'_> {
        self.enter(user, Interest::Own(rooms))
    }

    /// Registers a request of a user that waits for what happens in `room`.
    pub(crate) fn watch(&self, user: UserNumber, room: RoomNumber) -> Waiting<'_> {
        self.enter(user, Interest::Room(room))
    }

    /// Gives a request its place, if need be that of the user's request that has waited longest.
    fn enter(&self, user: UserNumber, interest: Interest) -> Waiting<'_> {
        let bell = Arc::new(Bell::default());
        let mut inner = self.lock();
        let id = inner.next_id;
        inner.next_id += 1;
        if let Interest::Room(room) = interest {
            inner.watchers.entry(room).or_default().push((id, Arc::clone(&bell)));
        }
        let of_user = inner.users.entry(user).or_default();
        let oldest = (of_user.len() >= MOST_OF_USER).then(|| of_user.remove(0));
        of_user.push(Waiter { id, interest, bell: Arc::clone(&bell) });
        if let Some(oldest) = oldest {
            inner.forget(&oldest);
            oldest.bell.supersede();
            metrics::counter!(SUPERSEDED).increment(1);
        }
        metrics::gauge!(WAITING).increment(1);
        Waiting { waiters: self, user, id, bell }
    }

    /// Wakes the requests that wait for what happens in `room`.
    pub(crate) fn wake_watchers(&self, room: RoomNumber) {
        for (_, bell) in self.lock().watchers.get(&room).into_iter().flatten() {
            bell.rung.notify_one();
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
            waiter.wake_if(|_| true);
        }
    }

    /// Wakes the requests of all users who are in `room`, by looking at each of them.
    pub(crate) fn wake_all_in(&self, room: RoomNumber) {
        for waiter in self.lock().users.values().flatten() {
            waiter.wake_if(|rooms| rooms.is_joined(room));
        }
    }

    /// Wakes the requests of a user, and of all who are in a room with them, by looking at each.
    pub(crate) fn wake_who_shares(&self, user: UserNumber, rooms: &UserRooms) {
        for (other, waiters) in &self.lock().users {
            for waiter in waiters {
                waiter.wake_if(|own| *other == user || share_a_room(&own.rooms, &rooms.rooms));
            }
        }
    }
}

impl Inner {
    /// Takes a request out of the list of those that watch its room.
    fn forget(&mut self, waiter: &Waiter) {
        let Interest::Room(room) = waiter.interest else { return };
        let Some(watchers) = self.watchers.get_mut(&room) else { return };
        watchers.retain(|(id, _)| *id != waiter.id);
        if watchers.is_empty() {
            self.watchers.remove(&room);
        }
    }
}

impl Waiter {
    /// Wakes a request that waits for its user's rooms, if they are such.
    fn wake_if(&self, are_such: impl FnOnce(&UserRooms) -> bool) {
        if matches!(&self.interest, Interest::Own(rooms) if are_such(rooms)) {
            self.bell.rung.notify_one();
        }
    }
}

impl Bell {
    fn supersede(&self) {
        self.superseded.store(true, Ordering::Release);
        self.rung.notify_one();
    }
}

impl Waiting<'_> {
    /// Returns once there was something new since the registration or the last return, or the request lost its place.
    pub(crate) async fn woken(&self) -> Wake {
        self.bell.rung.notified().await;
        if self.bell.superseded.load(Ordering::Acquire) { Wake::Superseded } else { Wake::News }
    }

    /// Notes that the user is in other rooms now.
    pub(crate) fn update(&self, rooms: &Arc<UserRooms>) {
        let mut inner = self.waiters.lock();
        let waiter = inner
            .users
            .get_mut(&self.user)
            .and_then(|waiters| waiters.iter_mut().find(|waiter| waiter.id == self.id));
        if let Some(waiter) = waiter {
            waiter.interest = Interest::Own(Arc::clone(rooms));
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        metrics::gauge!(WAITING).decrement(1);
        let mut inner = self.waiters.lock();
        let Some(of_user) = inner.users.get_mut(&self.user) else { return };
        let place = of_user.iter().position(|waiter| waiter.id == self.id);
        let waiter = place.map(|place| of_user.remove(place));
        if of_user.is_empty() {
            inner.users.remove(&self.user);
        }
        if let Some(waiter) = waiter {
            inner.forget(&waiter);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use store::StreamPosition;

    use super::*;

    const ADA: UserNumber = UserNumber(1);
    const BO: UserNumber = UserNumber(2);
    const ROOM: RoomNumber = RoomNumber(3);

    fn no_rooms() -> Arc<UserRooms> {
        Arc::new(UserRooms { as_of: StreamPosition::START, rooms: Vec::new() })
    }

    #[test]
    fn one_more_than_may_wait_takes_the_place_of_the_oldest_of_its_user() {
        let waiters = Waiters::default();
        let other = waiters.register(BO, no_rooms());
        let oldest = waiters.watch(ADA, ROOM);
        let mut younger: Vec<_> =
            (1..MOST_OF_USER).map(|_| waiters.register(ADA, no_rooms())).collect();
        assert_eq!(oldest.woken().now_or_never(), None);

        younger.push(waiters.watch(ADA, ROOM));

        assert_eq!(oldest.woken().now_or_never(), Some(Wake::Superseded));
        assert!(younger.iter().all(|waiting| waiting.woken().now_or_never().is_none()));
        assert_eq!(other.woken().now_or_never(), None);
        assert_eq!(waiters.lock().watchers[&ROOM].len(), 1);
        drop(oldest);
        assert_eq!(waiters.lock().users[&ADA].len(), MOST_OF_USER);
        waiters.wake([&ADA]);
        let woken = younger.iter().filter_map(|waiting| waiting.woken().now_or_never());
        assert_eq!(woken.collect::<Vec<_>>(), [Wake::News; MOST_OF_USER - 1], "but who watches");
        waiters.wake_watchers(ROOM);
        let last = younger.last().unwrap();
        assert_eq!(last.woken().now_or_never(), Some(Wake::News));
    }

    #[test]
    fn who_is_gone_takes_no_place() {
        let waiters = Waiters::default();
        drop((waiters.watch(ADA, ROOM), waiters.register(ADA, no_rooms())));
        let inner = waiters.lock();
        assert!(inner.users.is_empty() && inner.watchers.is_empty(), "{inner:?}");
    }
}
