//! Who is online. Kept in memory: after a restart everybody is offline until they come back.

mod user;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ruma::{DeviceId, OwnedDeviceId, UserId};
use store::{Membership, RoomMembership, UserNumber};
use tokio::sync::Notify;

use self::user::UserPresence;
pub use self::user::{PresenceState, Status};
use crate::{RoomError, Rooms};

/// Bytes of the longest status message.
pub const LONGEST_MESSAGE: usize = 4_096;

/// How many users are remembered. When there are more, those go who are offline for the longest.
const MOST_USERS: usize = 200_000;

/// Whether it is noted who is online.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tracking {
    /// It is, and shown to who shares a room with them.
    On,
    /// Everybody is offline.
    Off,
}

/// How many changes of presence there were since the process started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct PresencePosition(pub u64);

/// Is told when the presence of a user changes. Called under no lock; must not wait.
pub trait PresenceObserver: Send + Sync {
    /// The presence of `user` changed.
    fn presence_changed(&self, user: UserNumber);
}

/// A user whose presence readers are to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// The user.
    pub user: UserNumber,
    /// Where they last changed or came to a room.
    pub position: PresencePosition,
    /// Where they last changed.
    pub changed: PresencePosition,
}

/// Why readers are to be told of users.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Occasion {
    Change,
    /// They are new to some who are to be told.
    Introduction,
}

/// A user's presence at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// What is shown of them.
    pub status: Status,
    /// How long ago they last did something; `None` when that is not known.
    pub last_active_ago: Option<Duration>,
}

/// The presence of all users. Cheap to clone.
#[derive(Clone)]
pub struct Presence(Arc<Inner>);

struct Inner {
    tracking: Tracking,
    state: Mutex<State>,
    /// Wakes the one timer when it has to look sooner.
    rescheduled: Notify,
}

#[derive(Default)]
struct State {
    position: PresencePosition,
    users: HashMap<UserNumber, Entry>,
    /// Each user once, where readers were last to be told of them.
    changes: BTreeMap<PresencePosition, UserNumber>,
    /// When to look at whom again.
    timers: BTreeSet<(Instant, UserNumber)>,
    observers: Vec<Arc<dyn PresenceObserver>>,
}

#[derive(Default)]
struct Entry {
    presence: UserPresence,
    /// What readers were told.
    told: Status,
    /// Where it stands among the changes.
    position: PresencePosition,
    changed: PresencePosition,
    timer: Option<Instant>,
}

/// A device that waits for news; its user counts as connected until a while after this is dropped.
#[derive(Debug)]
#[must_use]
pub struct Connection {
    presence: Presence,
    user: UserNumber,
    device: OwnedDeviceId,
}

impl Drop for Connection {
    fn drop(&mut self) {
        let now = Instant::now();
        self.presence.change(self.user, now, |user| user.disconnect(&self.device, now));
    }
}

impl std::fmt::Debug for Presence {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Presence").finish_non_exhaustive()
    }
}

impl Presence {
    /// Everybody is offline.
    pub fn new(tracking: Tracking) -> Self {
        let (state, rescheduled) = (Mutex::default(), Notify::new());
        Self(Arc::new(Inner { tracking, state, rescheduled }))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has an observer told of all changes from now on.
    pub fn observe(&self, observer: Arc<dyn PresenceObserver>) {
        self.lock().observers.push(observer);
    }

    /// A user says how they are, from one of their devices.
    pub fn set(
        &self,
        user: UserNumber,
        device: &DeviceId,
        state: PresenceState,
        message: Option<String>,
        now: Instant,
    ) {
        self.change(user, now, |user| user.set(device, state, message, now));
    }

    /// A device begins to wait for news. Who is [`PresenceState::Offline`] is not seen to do so.
    pub fn connect(
        &self,
        user: UserNumber,
        device: &DeviceId,
        state: PresenceState,
        now: Instant,
    ) -> Option<Connection> {
        if state == PresenceState::Offline || self.0.tracking == Tracking::Off {
            return None;
        }
        self.change(user, now, |user| user.connect(device, state, now));
        Some(Connection { presence: self.clone(), user, device: device.to_owned() })
    }

    /// A user does something that tells they are there.
    pub fn act(&self, user: UserNumber, now: Instant) {
        self.change(user, now, |user| user.act(now));
    }

    /// A user has come to a room: those in it are to be told of their presence.
    pub fn introduce(&self, user: UserNumber) {
        let state = self.lock();
        if state.users.get(&user).is_some_and(|entry| entry.told != Status::default()) {
            Self::announce(state, &[user], Occasion::Introduction);
        }
    }

    fn change(&self, user: UserNumber, now: Instant, change: impl FnOnce(&mut UserPresence)) {
        if self.0.tracking == Tracking::Off {
            return;
        }
        let mut state = self.lock();
        change(&mut state.users.entry(user).or_default().presence);
        let first = state.timers.first().copied();
        let is_news = state.look(user, now);
        if !is_news {
            state.forget_unless_told(user);
        }
        let is_sooner = state.timers.first().copied() != first;
        if is_news {
            Self::announce(state, &[user], Occasion::Change);
        } else {
            drop(state);
        }
        if is_sooner {
            self.0.rescheduled.notify_one();
        }
    }

    /// Looks at those whose time has come, and says when the next one's will; `None` when there is nobody.
    fn tick(&self, now: Instant) -> Option<Instant> {
        let mut state = self.lock();
        let mut changed = Vec::new();
        while let Some(&(time, user)) = state.timers.first()
            && time <= now
        {
            if state.look(user, now) {
                changed.push(user);
            }
        }
        let next = state.timers.first().map(|(time, _)| *time);
        Self::announce(state, &changed, Occasion::Change);
        next
    }

    /// Notes when users become idle or go; runs until it is dropped. One timer serves all users.
    pub async fn run(&self) {
        loop {
            let rescheduled = self.0.rescheduled.notified();
            match self.tick(Instant::now()) {
                Some(next) => {
                    // Whichever is first; both lead to another look.
                    let _ = tokio::time::timeout_at(next.into(), rescheduled).await;
                }
                None => rescheduled.await,
            }
        }
    }

    /// Gives the changes of `users` their positions, and tells observers after the lock is gone.
    fn announce(mut state: MutexGuard<'_, State>, users: &[UserNumber], occasion: Occasion) {
        if users.is_empty() {
            return;
        }
        for user in users {
            state.note_change(*user, occasion);
        }
        if state.users.len() > MOST_USERS {
            state.forget();
        }
        let observers = state.observers.clone();
        drop(state);
        for user in users {
            for observer in &observers {
                observer.presence_changed(*user);
            }
        }
    }

    /// The position of the last change.
    pub fn position(&self) -> PresencePosition {
        self.lock().position
    }

    /// The users who are to be told of after `since` up to `until`, the latest first; after nothing, all that are
    /// remembered.
    pub fn changes(&self, since: Option<PresencePosition>, until: PresencePosition) -> Vec<Change> {
        if since.is_some_and(|since| since >= until) {
            return Vec::new();
        }
        let start = since.map_or(Bound::Unbounded, Bound::Excluded);
        let state = self.lock();
        let changes = state.changes.range((start, Bound::Included(until)));
        let changed = |user| state.users.get(user).map(|entry| entry.changed).unwrap_or_default();
        changes
            .rev()
            .map(|(position, user)| Change {
                user: *user,
                position: *position,
                changed: changed(user),
            })
            .collect()
    }

    /// A user's presence now.
    pub fn of(&self, user: UserNumber, now: Instant) -> Seen {
        let state = self.lock();
        let Some(entry) = state.users.get(&user) else { return Seen::default() };
        let last_active = entry.presence.last_active();
        Seen {
            status: entry.presence.status(now),
            last_active_ago: last_active.map(|active| now.saturating_duration_since(active)),
        }
    }
}

impl State {
    /// Whether a user's status is another than readers were told; sets the timer for the next look.
    fn look(&mut self, user: UserNumber, now: Instant) -> bool {
        let Some(entry) = self.users.get_mut(&user) else { return false };
        let next = entry.presence.next_look(now);
        let is_due = entry.timer.is_some_and(|timer| timer <= now);
        // A timer that comes too early just leads to another look: activity need not move it each time.
        let is_early_enough =
            entry.timer.is_some_and(|timer| next.is_none_or(|next| timer <= next));
        if is_due || !is_early_enough {
            if let Some(timer) = entry.timer.take() {
                self.timers.remove(&(timer, user));
            }
            if let Some(next) = next {
                entry.timer = Some(next);
                self.timers.insert((next, user));
            }
        }
        let status = entry.presence.status(now);
        let is_news = status != entry.told;
        entry.told = status;
        is_news
    }

    fn note_change(&mut self, user: UserNumber, occasion: Occasion) {
        let Some(entry) = self.users.get_mut(&user) else { return };
        self.changes.remove(&entry.position);
        self.position.0 += 1;
        entry.position = self.position;
        if occasion == Occasion::Change {
            entry.changed = self.position;
        }
        self.changes.insert(self.position, user);
    }

    /// Forgets a user of whom readers were never told anything.
    fn forget_unless_told(&mut self, user: UserNumber) {
        let entry = self.users.get(&user);
        if entry.is_some_and(|entry| entry.changed == PresencePosition::default()) {
            let timer = self.users.remove(&user).and_then(|entry| entry.timer);
            timer.map(|timer| self.timers.remove(&(timer, user)));
        }
    }

    /// Forgets users who are offline, the longest first, until there is room again.
    fn forget(&mut self) {
        let surplus = self.users.len().saturating_sub(MOST_USERS / 4 * 3);
        let is_offline = |user: &UserNumber| {
            let entry = self.users.get(user);
            entry.is_some_and(|entry| entry.told.state == PresenceState::Offline)
        };
        let offline = self.changes.iter().filter(|(_, user)| is_offline(user));
        let gone: Vec<_> =
            offline.take(surplus).map(|(position, user)| (*position, *user)).collect();
        for (position, user) in gone {
            self.changes.remove(&position);
            if let Some(timer) = self.users.remove(&user).and_then(|entry| entry.timer) {
                self.timers.remove(&(timer, user));
            }
        }
    }
}

/// What can go wrong with presence.
#[derive(Debug, thiserror::Error)]
pub enum PresenceError {
    /// The asker shares no room with the user.
    #[error("you share no room with this user")]
    NotShared,
    /// The status message is longer than [`LONGEST_MESSAGE`].
    #[error("a status message has at most {LONGEST_MESSAGE} bytes")]
    MessageTooLong,
    /// The rooms could not be read.
    #[error(transparent)]
    Room(#[from] RoomError),
}

impl Rooms {
    /// A user says how they are, from one of their devices.
    ///
    /// Fails with [`PresenceError::MessageTooLong`].
    /// Spec: client-server API, `PUT /presence/{userId}/status`.
    #[tracing::instrument(skip_all, fields(%user))]
    pub async fn set_presence(
        &self,
        user: &UserId,
        device: &DeviceId,
        state: PresenceState,
        message: Option<String>,
    ) -> Result<(), PresenceError> {
        if message.as_ref().is_some_and(|message| message.len() > LONGEST_MESSAGE) {
            return Err(PresenceError::MessageTooLong);
        }
        let user = self.store().number_user(user).await.map_err(RoomError::from)?;
        self.presence().set(user, device, state, message, Instant::now());
        Ok(())
    }

    /// The presence of a user as `asker` may see it.
    ///
    /// Fails with [`PresenceError::NotShared`] when they share no room, also when there is no such user.
    /// Spec: client-server API, `GET /presence/{userId}/status`.
    pub async fn presence_of(&self, asker: &UserId, user: &UserId) -> Result<Seen, PresenceError> {
        let store = self.store();
        let number = store.user_number(user).await.map_err(RoomError::from)?;
        let number = number.ok_or(PresenceError::NotShared)?;
        if asker != user {
            let asker = store.number_user(asker).await.map_err(RoomError::from)?;
            let own = store.memberships(asker).await.map_err(RoomError::from)?;
            let theirs = store.memberships(number).await.map_err(RoomError::from)?;
            if !share_a_room(&own, &theirs) {
                return Err(PresenceError::NotShared);
            }
        }
        Ok(self.presence().of(number, Instant::now()))
    }

    /// Notes that a user did something that tells they are there.
    pub(crate) async fn note_activity(&self, user: &UserId) -> Result<(), RoomError> {
        let user = self.store().number_user(user).await?;
        self.presence().act(user, Instant::now());
        Ok(())
    }
}

/// Whether two users, given their memberships in order of room number, are joined to one room.
pub fn share_a_room(one: &[RoomMembership], other: &[RoomMembership]) -> bool {
    let (mut one, mut other) = (one.iter().peekable(), other.iter().peekable());
    while let (Some(left), Some(right)) = (one.peek(), other.peek()) {
        match left.room.cmp(&right.room) {
            std::cmp::Ordering::Less => drop(one.next()),
            std::cmp::Ordering::Greater => drop(other.next()),
            std::cmp::Ordering::Equal => {
                if [left, right].iter().all(|known| known.membership == Membership::Join) {
                    return true;
                }
                one.next();
                other.next();
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADA: UserNumber = UserNumber(1);
    const BO: UserNumber = UserNumber(2);

    fn phone() -> &'static DeviceId {
        "PHONE".into()
    }

    fn users(changes: &[Change]) -> Vec<UserNumber> {
        changes.iter().map(|change| change.user).collect()
    }

    #[test]
    fn a_user_stands_once_among_the_changes_where_they_last_changed() {
        let (presence, now) = (Presence::new(Tracking::On), Instant::now());
        presence.set(ADA, phone(), PresenceState::Online, None, now);
        let after_ada = presence.position();
        presence.set(BO, phone(), PresenceState::Online, None, now);
        presence.set(ADA, phone(), PresenceState::Unavailable, None, now);
        let until = presence.position();

        assert_eq!(users(&presence.changes(None, until)), [ADA, BO]);
        assert_eq!(users(&presence.changes(Some(after_ada), until)), [ADA, BO]);
        assert!(presence.changes(Some(until), until).is_empty());
        presence.introduce(BO);
        let introduced = presence.changes(Some(until), presence.position());
        assert_eq!(users(&introduced), [BO]);
        assert!(introduced[0].changed < until, "they did not change");
    }

    #[test]
    fn activity_of_who_is_active_is_no_news() {
        let (presence, now) = (Presence::new(Tracking::On), Instant::now());
        let connection = presence.connect(ADA, phone(), PresenceState::Online, now);
        let before = presence.position();
        let later = now + Duration::from_secs(10);
        presence.act(ADA, later);

        assert_eq!(presence.position(), before);
        assert_eq!(presence.of(ADA, later).last_active_ago, Some(Duration::ZERO));
        drop(connection);
    }

    #[test]
    fn time_alone_makes_users_idle_and_then_offline() {
        let (presence, now) = (Presence::new(Tracking::On), Instant::now());
        presence.set(ADA, phone(), PresenceState::Online, None, now);
        let mut seen = Vec::new();
        let mut next = presence.tick(now);
        while let Some(time) = next {
            next = presence.tick(time);
            seen.push(presence.of(ADA, time).status.state);
        }
        assert_eq!(
            seen.first(),
            Some(&PresenceState::Offline),
            "nothing keeps the phone connected"
        );
        assert!(presence.lock().timers.is_empty());
    }

    #[test]
    fn who_was_never_online_is_not_remembered() {
        let (presence, now) = (Presence::new(Tracking::On), Instant::now());
        presence.act(ADA, now);
        presence.set(BO, phone(), PresenceState::Offline, None, now);
        assert!(presence.lock().users.is_empty());
    }

    #[test]
    fn when_presence_is_off_everybody_is_offline() {
        let (presence, now) = (Presence::new(Tracking::Off), Instant::now());
        presence.set(ADA, phone(), PresenceState::Online, None, now);
        assert!(presence.connect(ADA, phone(), PresenceState::Online, now).is_none());
        assert_eq!(presence.of(ADA, now), Seen::default());
        assert_eq!(presence.position(), PresencePosition::default());
    }

    #[test]
    fn who_is_offline_longest_is_forgotten_first() {
        let (presence, now) = (Presence::new(Tracking::On), Instant::now());
        presence.set(ADA, phone(), PresenceState::Online, None, now);
        for number in 10..=MOST_USERS as u64 + 10 {
            let message = Some("away".to_owned());
            presence.set(UserNumber(number), phone(), PresenceState::Offline, message, now);
        }
        let state = presence.lock();
        assert!(state.users.len() <= MOST_USERS);
        assert!(state.users.contains_key(&ADA), "who is online is kept");
        assert!(!state.users.contains_key(&UserNumber(10)));
        assert_eq!(state.users.len(), state.changes.len());
    }
}
