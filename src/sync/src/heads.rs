//! Where each room and user last changed, in memory.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use store::{Change, RoomNumber, StreamPosition, UserNumber};

/// How many rooms, and as many users, are remembered one by one.
const REMEMBERED: usize = 200_000;

/// Where a room last changed; a change is never after this position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RoomChanges {
    /// Its timeline.
    pub(crate) timeline: StreamPosition,
    /// Its receipts.
    pub(crate) receipts: StreamPosition,
    /// Who is in it.
    pub(crate) members: StreamPosition,
}

/// Where what belongs to a user last changed; a change is never after this position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct UserChanges {
    /// The rooms they are in.
    pub(crate) memberships: StreamPosition,
    /// Their account data.
    pub(crate) account_data: StreamPosition,
    /// Their subscriptions to threads.
    pub(crate) thread_subscriptions: StreamPosition,
    /// The messages to their devices.
    pub(crate) to_device: StreamPosition,
}

/// The last changes of all rooms and users since the process started.
///
/// What is not remembered changed no later than a *floor*, so "nothing is new" is known for sure from memory; "there
/// may be something new" sends the reader to the store.
#[derive(Debug)]
pub(crate) struct Heads(RwLock<Inner>);

#[derive(Debug)]
struct Inner {
    floor: StreamPosition,
    rooms: HashMap<RoomNumber, RoomChanges>,
    users: HashMap<UserNumber, UserChanges>,
}

impl Inner {
    fn room(&mut self, room: RoomNumber) -> &mut RoomChanges {
        let floor = self.floor;
        self.rooms.entry(room).or_insert_with(|| RoomChanges::at(floor))
    }

    fn user(&mut self, user: UserNumber) -> &mut UserChanges {
        let floor = self.floor;
        self.users.entry(user).or_insert_with(|| UserChanges::at(floor))
    }
}

impl RoomChanges {
    fn at(position: StreamPosition) -> Self {
        Self { timeline: position, receipts: position, members: position }
    }
}

impl UserChanges {
    fn at(position: StreamPosition) -> Self {
        Self {
            memberships: position,
            account_data: position,
            thread_subscriptions: position,
            to_device: position,
        }
    }
}

impl Heads {
    /// Nothing is known but that it changed no later than `floor`.
    pub(crate) fn new(floor: StreamPosition) -> Self {
        Self(RwLock::new(Inner { floor, rooms: HashMap::new(), users: HashMap::new() }))
    }

    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing that is not remembered changed after `position`.
    pub(crate) fn raise_floor(&self, position: StreamPosition) {
        let mut inner = self.write();
        inner.floor = inner.floor.max(position);
    }

    /// Notes the changes of a commit.
    pub(crate) fn note(&self, position: StreamPosition, changes: &[Change]) {
        let mut inner = self.write();
        if inner.rooms.len() > REMEMBERED || inner.users.len() > REMEMBERED {
            inner.rooms.clear();
            inner.users.clear();
            inner.floor = position;
        }
        for change in changes {
            match *change {
                Change::Timeline(room) => inner.room(room).timeline = position,
                Change::Membership(room, user) => {
                    inner.room(room).members = position;
                    inner.user(user).memberships = position;
                }
                Change::Receipt(room, _) => inner.room(room).receipts = position,
                Change::AccountData(user) => inner.user(user).account_data = position,
                Change::ThreadSubscription(user) => {
                    inner.user(user).thread_subscriptions = position;
                }
                Change::ToDevice(user) => inner.user(user).to_device = position,
                Change::Sessions(_) | Change::Departures | Change::Removal => {}
            }
        }
    }

    /// Where a room last changed.
    pub(crate) fn room(&self, room: RoomNumber) -> RoomChanges {
        let inner = self.read();
        inner.rooms.get(&room).copied().unwrap_or_else(|| RoomChanges::at(inner.floor))
    }

    /// Where each of `rooms` last changed.
    pub(crate) fn rooms(&self, rooms: impl Iterator<Item = RoomNumber>) -> Vec<RoomChanges> {
        let inner = self.read();
        let floor = RoomChanges::at(inner.floor);
        rooms.map(|room| inner.rooms.get(&room).copied().unwrap_or(floor)).collect()
    }

    /// Where a user last changed.
    pub(crate) fn user(&self, user: UserNumber) -> UserChanges {
        let inner = self.read();
        inner.users.get(&user).copied().unwrap_or_else(|| UserChanges::at(inner.floor))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: RoomNumber = RoomNumber(1);
    const ADA: UserNumber = UserNumber(2);

    #[test]
    fn what_was_never_seen_changed_no_later_than_the_floor() {
        let heads = Heads::new(StreamPosition(10));
        heads.note(StreamPosition(12), &[Change::Receipt(ROOM, ADA)]);

        let room = heads.room(ROOM);
        assert_eq!((room.receipts, room.timeline), (StreamPosition(12), StreamPosition(10)));
        assert_eq!(heads.user(ADA).memberships, StreamPosition(10));
    }

    #[test]
    fn a_membership_changes_its_room_and_its_user() {
        let heads = Heads::new(StreamPosition::START);
        heads.note(StreamPosition(5), &[Change::Membership(ROOM, ADA)]);

        assert_eq!(heads.room(ROOM).members, StreamPosition(5));
        assert_eq!(heads.user(ADA).memberships, StreamPosition(5));
        assert_eq!(heads.user(ADA).account_data, StreamPosition::START);
    }

    #[test]
    fn forgetting_raises_the_floor_over_everything_forgotten() {
        let heads = Heads::new(StreamPosition::START);
        for room in 0..=REMEMBERED as u64 {
            heads.note(StreamPosition(room + 1), &[Change::Timeline(RoomNumber(room))]);
        }
        let last = StreamPosition(REMEMBERED as u64 + 2);
        heads.note(last, &[Change::Timeline(RoomNumber(0))]);

        assert_eq!(heads.room(RoomNumber(7)).timeline, last);
    }
}
