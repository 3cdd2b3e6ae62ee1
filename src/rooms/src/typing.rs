//! Who is typing where. Kept in memory only: it is worth nothing after a restart.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ruma::{OwnedUserId, RoomId, UserId};
use store::RoomNumber;
use tokio::sync::Notify;

use crate::{RoomError, Rooms};

/// The longest time one request can keep a user typing.
const LONGEST: Duration = Duration::from_mins(2);

/// The most users of one room that are shown as typing; more are not told apart by anybody.
const MOST_IN_A_ROOM: usize = 100;

/// How many changes of typing there were since the process started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct TypingPosition(pub u64);

/// Is told when the users who type in a room change. Called under no lock; must not wait.
pub trait TypingObserver: Send + Sync {
    /// Who types in `room` changed.
    fn typing_changed(&self, room: RoomNumber);
}

/// Who is typing, in all rooms. Cheap to clone.
#[derive(Clone)]
pub struct Typing(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    /// Wakes the one timer when what it waits for changed.
    rescheduled: Notify,
}

#[derive(Default)]
struct State {
    position: TypingPosition,
    rooms: HashMap<RoomNumber, TypingRoom>,
    observers: Vec<Arc<dyn TypingObserver>>,
}

/// A room in which somebody typed since the process started. Stays when nobody types any more, because readers are
/// still to be told so.
#[derive(Default)]
struct TypingRoom {
    changed: TypingPosition,
    users: BTreeMap<OwnedUserId, Instant>,
}

impl std::fmt::Debug for Typing {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Typing").finish_non_exhaustive()
    }
}

impl Default for Typing {
    fn default() -> Self {
        Self::new()
    }
}

impl Typing {
    /// Nobody types.
    pub fn new() -> Self {
        Self(Arc::new(Inner { state: Mutex::default(), rescheduled: Notify::new() }))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has an observer told of all changes from now on.
    pub fn observe(&self, observer: Arc<dyn TypingObserver>) {
        self.lock().observers.push(observer);
    }

    /// A user types in a room, for `timeout` from `now` on unless they say so again; two minutes at most.
    pub fn start(&self, room: RoomNumber, user: &UserId, now: Instant, timeout: Duration) {
        let until = now + timeout.min(LONGEST);
        let mut state = self.lock();
        let typing = state.rooms.entry(room).or_default();
        if typing.users.len() >= MOST_IN_A_ROOM && !typing.users.contains_key(user) {
            return;
        }
        let is_new = typing.users.insert(user.to_owned(), until).is_none();
        self.0.rescheduled.notify_one();
        if is_new {
            Self::announce(state, &[room]);
        }
    }

    /// A user types no more: they said so, sent a message or left.
    pub fn stop(&self, room: RoomNumber, user: &UserId) {
        let mut state = self.lock();
        let typing = state.rooms.get_mut(&room);
        if typing.is_some_and(|typing| typing.users.remove(user).is_some()) {
            Self::announce(state, &[room]);
        }
    }

    /// Ends what timed out by `now`, and says when the next will; `None` when nobody types.
    fn expire(&self, now: Instant) -> Option<Instant> {
        let mut state = self.lock();
        let mut changed = Vec::new();
        let mut next = None;
        for (room, typing) in &mut state.rooms {
            let before = typing.users.len();
            typing.users.retain(|_, until| *until > now);
            if typing.users.len() < before {
                changed.push(*room);
            }
            next = typing.users.values().copied().chain(next).min();
        }
        Self::announce(state, &changed);
        next
    }

    /// Ends each user's typing when its time is over; runs until it is dropped. One timer serves all rooms.
    pub async fn run(&self) {
        loop {
            let rescheduled = self.0.rescheduled.notified();
            match self.expire(Instant::now()) {
                Some(next) => {
                    // Whichever is first; both lead to another look.
                    let _ = tokio::time::timeout_at(next.into(), rescheduled).await;
                }
                None => rescheduled.await,
            }
        }
    }

    /// Notes that who types in `rooms` changed, and tells observers after the lock is gone.
    fn announce(mut state: MutexGuard<'_, State>, rooms: &[RoomNumber]) {
        for room in rooms {
            state.position.0 += 1;
            let position = state.position;
            if let Some(typing) = state.rooms.get_mut(room) {
                typing.changed = position;
            }
        }
        let observers = state.observers.clone();
        drop(state);
        for room in rooms {
            for observer in &observers {
                observer.typing_changed(*room);
            }
        }
    }

    /// The position of the last change.
    pub fn position(&self) -> TypingPosition {
        self.lock().position
    }

    /// Where who types in a room last changed; `None` when nobody did since the process started.
    pub fn changed(&self, room: RoomNumber) -> Option<TypingPosition> {
        self.lock().rooms.get(&room).map(|typing| typing.changed)
    }

    /// Who types in a room now, in order of user ID.
    pub fn users(&self, room: RoomNumber) -> Vec<OwnedUserId> {
        let state = self.lock();
        state
            .rooms
            .get(&room)
            .map_or_else(Vec::new, |typing| typing.users.keys().cloned().collect())
    }
}

impl Rooms {
    /// A user types in a room they are in, for `timeout` unless they say so again; two minutes at most.
    ///
    /// Fails with [`RoomError::NotInRoom`]. Spec: client-server API, "Typing notifications".
    pub async fn start_typing(
        &self,
        user: &UserId,
        room_id: &RoomId,
        timeout: Duration,
    ) -> Result<(), RoomError> {
        let room = self.joined_room(user, room_id).await?;
        self.typing().start(room, user, Instant::now(), timeout);
        self.note_activity(user).await
    }

    /// A user types no more. Fails with [`RoomError::NotInRoom`].
    pub async fn stop_typing(&self, user: &UserId, room_id: &RoomId) -> Result<(), RoomError> {
        let room = self.joined_room(user, room_id).await?;
        self.typing().stop(room, user);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use ruma::user_id;

    use super::*;

    const KITCHEN: RoomNumber = RoomNumber(1);
    const ATTIC: RoomNumber = RoomNumber(2);

    #[test]
    fn typing_ends_when_its_time_is_over() {
        let typing = Typing::new();
        let now = Instant::now();
        typing.start(KITCHEN, user_id!("@ada:hearth.test"), now, Duration::from_secs(10));
        typing.start(KITCHEN, user_id!("@bo:hearth.test"), now, Duration::from_secs(20));

        assert_eq!(typing.expire(now), Some(now + Duration::from_secs(10)));
        let next = typing.expire(now + Duration::from_secs(10));

        assert_eq!(next, Some(now + Duration::from_secs(20)));
        assert_eq!(typing.users(KITCHEN), [user_id!("@bo:hearth.test")]);
    }

    #[test]
    fn only_a_change_moves_the_position_and_only_that_of_its_room() {
        let typing = Typing::new();
        let now = Instant::now();
        let ada = user_id!("@ada:hearth.test");
        typing.start(KITCHEN, ada, now, Duration::from_secs(10));
        let first = typing.changed(KITCHEN);
        typing.start(KITCHEN, ada, now, Duration::from_secs(20));
        typing.stop(ATTIC, ada);

        assert_eq!(typing.changed(KITCHEN), first);
        assert_eq!(typing.changed(ATTIC), None);
        typing.stop(KITCHEN, ada);
        assert!(typing.changed(KITCHEN) > first);
        assert_eq!(typing.changed(KITCHEN), Some(typing.position()));
        assert!(typing.users(KITCHEN).is_empty());
    }

    #[test]
    fn nobody_types_longer_than_two_minutes_by_one_request() {
        let typing = Typing::new();
        let now = Instant::now();
        typing.start(KITCHEN, user_id!("@ada:hearth.test"), now, Duration::MAX);

        assert_eq!(typing.expire(now + Duration::from_secs(121)), None);
        assert!(typing.users(KITCHEN).is_empty());
    }

    #[tokio::test]
    async fn the_timer_ends_typing_that_began_while_it_slept() {
        let typing = Typing::new();
        let timer = typing.clone();
        let timer = tokio::spawn(async move { timer.run().await });
        tokio::task::yield_now().await;
        let ada = user_id!("@ada:hearth.test");
        typing.start(KITCHEN, ada, Instant::now(), Duration::from_millis(20));
        for _ in 0..200 {
            if typing.users(KITCHEN).is_empty() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(typing.users(KITCHEN).is_empty());
        timer.abort();
    }
}
