//! Who is online, from what devices do, with one timer for all users.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use ruma::{DeviceId, OwnedDeviceId};
use store::UserNumber;
use tokio::sync::Notify;

use super::order::{Change, Occasion, PresencePosition, Seen, State};
use super::user::{PresenceState, UserPresence};

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

    /// Whether it is noted who is online.
    pub(super) fn tracking(&self) -> Tracking {
        self.0.tracking
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

    pub(super) fn change(
        &self,
        user: UserNumber,
        now: Instant,
        change: impl FnOnce(&mut UserPresence),
    ) {
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
