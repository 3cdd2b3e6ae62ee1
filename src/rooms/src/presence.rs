//! Who is online. Kept in memory, but for what users say of it: after a restart everybody is offline until they come
//! back.

mod order;
mod user;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use ruma::{DeviceId, OwnedDeviceId, UserId};
use store::{Batch, Membership, RoomMembership, StoreError, UserNumber};
use tokio::sync::Notify;

pub use self::order::{Change, PresencePosition, Seen};
use self::order::{MOST_USERS, Occasion, State};
use self::user::UserPresence;
pub use self::user::{PresenceState, Status};
use crate::{RoomError, Rooms};

/// Bytes of the longest status message.
pub const LONGEST_MESSAGE: usize = 4_096;

/// How many users' messages are read at once.
const PAGE: usize = 1_000;

/// Whether it is noted who is online.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tracking {
    /// It is, and shown to who shares a room with them.
    On,
    /// Everybody is offline.
    Off,
}

/// Is told when the presence of a user changes. Called under no lock; must not wait.
pub trait PresenceObserver: Send + Sync {
    /// The presence of `user` changed.
    fn presence_changed(&self, user: UserNumber);
}

/// The presence of all users. Cheap to clone.
#[derive(Clone)]
pub struct Presence(Arc<Inner>);

struct Inner {
    tracking: Tracking,
    state: Mutex<State>,
    observers: Mutex<Vec<Arc<dyn PresenceObserver>>>,
    /// Wakes the one timer when it has to look sooner.
    rescheduled: Notify,
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
        let (state, observers, rescheduled) = (Mutex::default(), Mutex::default(), Notify::new());
        Self(Arc::new(Inner { tracking, state, observers, rescheduled }))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn observers(&self) -> MutexGuard<'_, Vec<Arc<dyn PresenceObserver>>> {
        self.0.observers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has an observer told of all changes from now on.
    pub fn observe(&self, observer: Arc<dyn PresenceObserver>) {
        self.observers().push(observer);
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

    /// A user calls themselves otherwise, or has another picture: who was told of their presence is told again.
    /// Spec: client-server API, "Events on Change of Profile Information".
    pub fn rename(&self, user: UserNumber) {
        self.tell_again(user, Occasion::Change);
    }

    /// A user has come to a room: those in it are to be told of their presence.
    pub fn introduce(&self, user: UserNumber) {
        self.tell_again(user, Occasion::Introduction);
    }

    fn tell_again(&self, user: UserNumber, occasion: Occasion) {
        let mut state = self.lock();
        if state.is_told_of(user) {
            state.note(&[user], occasion);
            drop(state);
            self.announce(&[user]);
        }
    }

    fn change(&self, user: UserNumber, now: Instant, change: impl FnOnce(&mut UserPresence)) {
        if self.0.tracking == Tracking::Off {
            return;
        }
        let mut state = self.lock();
        let first = state.next_look();
        let is_news = state.change(user, now, change);
        let is_sooner = state.next_look() != first;
        drop(state);
        if is_news {
            self.announce(&[user]);
        }
        if is_sooner {
            self.0.rescheduled.notify_one();
        }
    }

    /// Looks at those whose time has come, and says when the next one's will; `None` when there is nobody.
    fn tick(&self, now: Instant) -> Option<Instant> {
        let mut state = self.lock();
        let changed = state.look_at_those_due(now);
        let next = state.next_look();
        drop(state);
        self.announce(&changed);
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

    /// Tells observers that users changed, under no lock.
    fn announce(&self, users: &[UserNumber]) {
        let observers = self.observers().clone();
        for user in users {
            for observer in &observers {
                observer.presence_changed(*user);
            }
        }
    }

    /// The position of the last change.
    pub fn position(&self) -> PresencePosition {
        self.lock().position()
    }

    /// The users who are to be told of after `since` up to `until`, the latest first; after nothing, all that are
    /// remembered.
    pub fn changes(&self, since: Option<PresencePosition>, until: PresencePosition) -> Vec<Change> {
        self.lock().changes(since, until)
    }

    /// What is to be told up to `until` of some users, the latest first.
    pub fn changes_of(&self, users: &[UserNumber], until: PresencePosition) -> Vec<Change> {
        self.lock().changes_of(users, until)
    }

    /// Of how many users there is something to tell.
    pub fn remembered(&self) -> usize {
        self.lock().len()
    }

    /// A user's presence now.
    pub fn of(&self, user: UserNumber, now: Instant) -> Seen {
        self.lock().of(user, now)
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
        self.keep_message(user, message.as_deref()).await.map_err(RoomError::from)?;
        self.presence().set(user, device, state, message, Instant::now());
        Ok(())
    }

    /// Writes down what a user says of their presence, if it is something else than before.
    async fn keep_message(
        &self,
        user: UserNumber,
        message: Option<&str>,
    ) -> Result<(), StoreError> {
        let presence = self.presence();
        let known = presence.of(user, Instant::now()).status.message;
        if presence.0.tracking == Tracking::Off || known.as_deref() == message {
            return Ok(());
        }
        let mut batch = Batch::new();
        batch.set_presence_message(user, message)?;
        self.store().commit(batch).await.map(drop)
    }

    /// Recalls what users said of their presence before the server was started.
    pub async fn recall_presence(&self) -> Result<(), StoreError> {
        let (presence, now) = (self.presence(), Instant::now());
        let mut last = None;
        for _ in 0..MOST_USERS / PAGE {
            let page = self.store().presence_messages(last, PAGE).await?;
            let Some((user, _)) = page.last() else { break };
            last = Some(*user);
            for (user, message) in page {
                presence.change(user, now, |user| user.recall(message));
            }
        }
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
    use std::time::Duration;

    use super::*;

    const ADA: UserNumber = UserNumber(1);

    fn phone() -> &'static DeviceId {
        "PHONE".into()
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
        assert!(presence.lock().next_look().is_none());
    }

    #[test]
    fn when_presence_is_off_everybody_is_offline() {
        let (presence, now) = (Presence::new(Tracking::Off), Instant::now());
        presence.set(ADA, phone(), PresenceState::Online, None, now);
        assert!(presence.connect(ADA, phone(), PresenceState::Online, now).is_none());
        assert_eq!(presence.of(ADA, now), Seen::default());
        assert_eq!(presence.position(), PresencePosition::default());
    }
}
