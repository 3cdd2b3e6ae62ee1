//! Of whom readers are to be told, in the order in which it came about.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::time::{Duration, Instant};

use store::UserNumber;

use super::user::{PresenceState, Status, UserPresence};

/// How many users are remembered. When there are more, those go who are offline for the longest.
pub(super) const MOST_USERS: usize = 200_000;

/// How many changes of presence there were since the process started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct PresencePosition(pub u64);

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
pub(super) enum Occasion {
    /// They changed.
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

/// What is known of all users.
#[derive(Default)]
pub(super) struct State {
    position: PresencePosition,
    users: HashMap<UserNumber, Entry>,
    /// Each user once, where readers were last to be told of them.
    changes: BTreeMap<PresencePosition, UserNumber>,
    /// When to look at whom again.
    timers: BTreeSet<(Instant, UserNumber)>,
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

impl State {
    /// The position of the last change.
    pub(super) fn position(&self) -> PresencePosition {
        self.position
    }

    /// When to look at somebody next; `None`: at nobody.
    pub(super) fn next_look(&self) -> Option<Instant> {
        self.timers.first().map(|(time, _)| *time)
    }

    /// Whether there is anything to tell of a user.
    pub(super) fn is_told_of(&self, user: UserNumber) -> bool {
        self.users.get(&user).is_some_and(|entry| entry.told != Status::default())
    }

    /// Changes what is known of a user; whether readers are to be told.
    pub(super) fn change(
        &mut self,
        user: UserNumber,
        now: Instant,
        change: impl FnOnce(&mut UserPresence),
    ) -> bool {
        change(&mut self.users.entry(user).or_default().presence);
        let is_news = self.look(user, now);
        if is_news {
            self.note(&[user], Occasion::Change);
        } else {
            self.forget_unless_told(user);
        }
        is_news
    }

    /// Looks at those whose time has come: of whom readers are to be told.
    pub(super) fn look_at_those_due(&mut self, now: Instant) -> Vec<UserNumber> {
        let mut changed = Vec::new();
        while let Some(&(time, user)) = self.timers.first()
            && time <= now
        {
            if self.look(user, now) {
                changed.push(user);
            }
        }
        self.note(&changed, Occasion::Change);
        changed
    }

    /// Gives what is to be told of users its place.
    pub(super) fn note(&mut self, users: &[UserNumber], occasion: Occasion) {
        for user in users {
            self.note_one(*user, occasion);
        }
        if self.users.len() > MOST_USERS {
            self.forget();
        }
    }

    /// The users who are to be told of after `since` up to `until`, the latest first; after nothing, all.
    pub(super) fn changes(
        &self,
        since: Option<PresencePosition>,
        until: PresencePosition,
    ) -> Vec<Change> {
        if since.is_some_and(|since| since >= until) {
            return Vec::new();
        }
        let start = since.map_or(Bound::Unbounded, Bound::Excluded);
        let changes = self.changes.range((start, Bound::Included(until)));
        changes.rev().filter_map(|(_, user)| self.change_of(*user)).collect()
    }

    /// Of how many users there is something to tell.
    pub(super) fn len(&self) -> usize {
        self.changes.len()
    }

    /// What is to be told up to `until` of some users, the latest first.
    pub(super) fn changes_of(&self, users: &[UserNumber], until: PresencePosition) -> Vec<Change> {
        let known = users.iter().filter_map(|user| self.change_of(*user));
        let mut changes: Vec<_> = known
            .filter(|change| {
                PresencePosition::default() < change.position && change.position <= until
            })
            .collect();
        changes.sort_unstable_by_key(|change| Reverse(change.position));
        changes
    }

    /// What is to be told of a user; `None` when nothing is.
    fn change_of(&self, user: UserNumber) -> Option<Change> {
        let entry = self.users.get(&user)?;
        Some(Change { user, position: entry.position, changed: entry.changed })
    }

    /// A user's presence now.
    pub(super) fn of(&self, user: UserNumber, now: Instant) -> Seen {
        let Some(entry) = self.users.get(&user) else { return Seen::default() };
        let last_active = entry.presence.last_active();
        Seen {
            status: entry.presence.status(now),
            last_active_ago: last_active.map(|active| now.saturating_duration_since(active)),
        }
    }

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

    fn note_one(&mut self, user: UserNumber, occasion: Occasion) {
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

#[cfg(test)]
mod tests {
    use PresenceState::{Offline, Online, Unavailable};
    use ruma::DeviceId;

    use super::*;

    const ADA: UserNumber = UserNumber(1);
    const BO: UserNumber = UserNumber(2);

    fn phone() -> &'static DeviceId {
        "PHONE".into()
    }

    fn set(state: &mut State, user: UserNumber, to: PresenceState, now: Instant) {
        state.change(user, now, |user| user.set(phone(), to, None, now));
    }

    fn users(changes: &[Change]) -> Vec<UserNumber> {
        changes.iter().map(|change| change.user).collect()
    }

    #[test]
    fn a_user_stands_once_among_the_changes_where_they_last_changed() {
        let (mut state, now) = (State::default(), Instant::now());
        set(&mut state, ADA, Online, now);
        let after_ada = state.position();
        set(&mut state, BO, Online, now);
        set(&mut state, ADA, Unavailable, now);
        let until = state.position();

        assert_eq!(users(&state.changes(None, until)), [ADA, BO]);
        assert_eq!(users(&state.changes(Some(after_ada), until)), [ADA, BO]);
        assert!(state.changes(Some(until), until).is_empty());
        state.note(&[BO], Occasion::Introduction);
        let introduced = state.changes(Some(until), state.position());
        assert_eq!(users(&introduced), [BO]);
        assert!(introduced[0].changed < until, "they did not change");
    }

    #[test]
    fn what_is_to_be_told_of_some_users_is_the_same_as_of_all() {
        let (mut state, now) = (State::default(), Instant::now());
        set(&mut state, ADA, Online, now);
        set(&mut state, BO, Online, now);
        let until = state.position();
        assert_eq!(state.changes_of(&[ADA, BO, UserNumber(3)], until), state.changes(None, until));
        assert_eq!(users(&state.changes_of(&[ADA], until)), [ADA]);
        set(&mut state, ADA, Unavailable, now);
        assert!(state.changes_of(&[ADA], until).is_empty(), "they changed again");
    }

    #[test]
    fn who_was_never_online_is_not_remembered() {
        let (mut state, now) = (State::default(), Instant::now());
        state.change(ADA, now, |user| user.act(now));
        set(&mut state, BO, Offline, now);
        assert!(state.users.is_empty());
    }

    #[test]
    fn who_is_offline_longest_is_forgotten_first() {
        let (mut state, now) = (State::default(), Instant::now());
        set(&mut state, ADA, Online, now);
        for number in 10..=MOST_USERS as u64 + 10 {
            let message = Some("away".to_owned());
            state.change(UserNumber(number), now, |user| user.set(phone(), Offline, message, now));
        }
        assert!(state.users.len() <= MOST_USERS);
        assert!(state.users.contains_key(&ADA), "who is online is kept");
        assert!(!state.users.contains_key(&UserNumber(10)));
        assert_eq!(state.users.len(), state.changes.len());
    }
}
