//! Who is typing where. Kept in memory only: it is worth nothing after a restart.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
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

/// How many rooms are remembered in which nobody types any more. When there are more, those go that are silent for the
/// longest.
const MOST_SILENT: usize = 100_000;

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
    /// When whose typing ends.
    ends: BTreeSet<(Instant, RoomNumber, OwnedUserId)>,
    /// The rooms in which nobody types any more, by their last change: readers are still to be told so.
    silent: BTreeMap<TypingPosition, RoomNumber>,
    /// What is not remembered changed no later than here.
    floor: TypingPosition,
    observers: Vec<Arc<dyn TypingObserver>>,
}

/// A room in which somebody types, or did.
#[derive(Default)]
struct TypingRoom {
    changed: TypingPosition,
    users: BTreeMap<OwnedUserId, Instant>,
}

impl State {
    /// Has a user type until a time; whether they did not before. Does nothing when too many do.
    fn set(&mut self, room: RoomNumber, user: &UserId, until: Instant) -> bool {
        let typing = self.rooms.entry(room).or_default();
        if typing.users.len() >= MOST_IN_A_ROOM && !typing.users.contains_key(user) {
            return false;
        }
        let before = typing.users.insert(user.to_owned(), until);
        if let Some(before) = before {
            self.ends.remove(&(before, room, user.to_owned()));
        }
        self.ends.insert((until, room, user.to_owned()));
        before.is_none()
    }

    /// Has a user type no more; whether they did.
    fn end(&mut self, room: RoomNumber, user: &UserId) -> bool {
        let typing = self.rooms.get_mut(&room);
        let Some(until) = typing.and_then(|typing| typing.users.remove(user)) else { return false };
        self.ends.remove(&(until, room, user.to_owned()));
        true
    }

    fn note_change(&mut self, room: RoomNumber) {
        self.position.0 += 1;
        let Some(typing) = self.rooms.get_mut(&room) else { return };
        self.silent.remove(&typing.changed);
        typing.changed = self.position;
        if typing.users.is_empty() {
            self.silent.insert(self.position, room);
        }
        while self.silent.len() > MOST_SILENT
            && let Some((changed, room)) = self.silent.pop_first()
        {
            self.rooms.remove(&room);
            self.floor = changed;
        }
    }

    /// Whether a reader is to be told who types in a room.
    fn is_news(&self, room: RoomNumber, seen: Option<TypingPosition>) -> bool {
        let known = self.rooms.get(&room);
        match seen {
            Some(seen) => known.map_or(self.floor, |typing| typing.changed) > seen,
            None => known.is_some_and(|typing| !typing.users.is_empty()),
        }
    }
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
        let is_new = state.set(room, user, until);
        if state.ends.first().is_some_and(|(first, ..)| *first == until) {
            self.0.rescheduled.notify_one();
        }
        if is_new {
            Self::announce(state, &[room]);
        }
    }

    /// A user types no more: they said so, sent a message or left.
    pub fn stop(&self, room: RoomNumber, user: &UserId) {
        let mut state = self.lock();
        if state.end(room, user) {
            Self::announce(state, &[room]);
        }
    }

    /// Ends what timed out by `now`, and says when the next will; `None` when nobody types.
    fn expire(&self, now: Instant) -> Option<Instant> {
        let mut state = self.lock();
        let mut changed = Vec::new();
        while let Some((until, room, user)) = state.ends.first().cloned()
            && until <= now
        {
            state.end(room, &user);
            changed.push(room);
        }
        changed.dedup();
        let next = state.ends.first().map(|(until, ..)| *until);
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
            state.note_change(*room);
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

    /// Whether a reader who has `seen` what changed up to there is to be told who types in a room; who has seen nothing
    /// takes it that nobody does.
    pub fn is_news(&self, room: RoomNumber, seen: Option<TypingPosition>) -> bool {
        self.lock().is_news(room, seen)
    }

    /// Those of `rooms` of which a reader is to be told who types there.
    pub fn news(
        &self,
        rooms: impl Iterator<Item = RoomNumber>,
        seen: Option<TypingPosition>,
    ) -> HashSet<RoomNumber> {
        let state = self.lock();
        let is_quiet = match seen {
            Some(seen) => seen >= state.position,
            None => state.ends.is_empty(),
        };
        if is_quiet {
            return HashSet::new();
        }
        rooms.filter(|room| state.is_news(*room, seen)).collect()
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
        let first = typing.position();
        typing.start(KITCHEN, ada, now, Duration::from_secs(20));
        typing.stop(ATTIC, ada);

        assert_eq!(typing.position(), first);
        assert!(!typing.is_news(KITCHEN, Some(first)));
        assert!(typing.is_news(KITCHEN, None), "somebody types");
        typing.stop(KITCHEN, ada);
        assert!(typing.is_news(KITCHEN, Some(first)));
        assert!(!typing.is_news(KITCHEN, Some(typing.position())));
        assert!(!typing.is_news(KITCHEN, None), "nobody does");
        let both = || [KITCHEN, ATTIC].into_iter();
        assert_eq!(typing.news(both(), Some(first)), HashSet::from([KITCHEN]));
        assert!(typing.news(both(), Some(typing.position())).is_empty());
    }

    #[test]
    fn who_types_on_ends_later_and_is_kept_once() {
        let typing = Typing::new();
        let (now, ada) = (Instant::now(), user_id!("@ada:hearth.test"));
        typing.start(KITCHEN, ada, now, Duration::from_secs(10));
        typing.start(KITCHEN, ada, now, Duration::from_secs(20));

        assert_eq!(
            typing.expire(now + Duration::from_secs(10)),
            Some(now + Duration::from_secs(20))
        );
        assert_eq!(typing.users(KITCHEN), [ada]);
        assert_eq!(typing.expire(now + Duration::from_secs(20)), None);
        assert!(typing.lock().ends.is_empty());
    }

    #[test]
    fn rooms_that_are_silent_longest_are_forgotten_and_count_as_changed() {
        let typing = Typing::new();
        let (now, ada) = (Instant::now(), user_id!("@ada:hearth.test"));
        typing.start(KITCHEN, ada, now, Duration::from_secs(10));
        let seen = typing.position();
        for room in 2..=MOST_SILENT as u64 + 2 {
            typing.start(RoomNumber(room), ada, now, Duration::from_secs(10));
            typing.stop(RoomNumber(room), ada);
        }

        assert_eq!(typing.users(KITCHEN), [ada], "where somebody types is kept");
        assert_eq!(typing.lock().silent.len(), MOST_SILENT);
        assert_eq!(typing.lock().rooms.len(), MOST_SILENT + 1);
        assert!(typing.is_news(ATTIC, Some(seen)), "what is forgotten may be news");
        assert!(!typing.is_news(ATTIC, Some(typing.position())));
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
