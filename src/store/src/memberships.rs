//! Tables of who is in which room now.
//!
//! | table | key | value |
//! | --- | --- | --- |
//! | `user_room` | user number, room number | membership, stream position |
//! | `forgotten_stay` | user number, room number | stream position of the last departure that was forgotten |
//! | `room_member` | room number, membership, number of the membership event | user number |
//!
//! They follow from the rooms' current state, but for what was forgotten, and are written with it. A room's writer numbers
//! events in the order in which it makes them, so members of one kind stand in the order in which they last stated their
//! membership.

use ruma::events::room::member::MembershipState;
use serde::{Deserialize, Serialize};

use crate::batch::{Slot, Stamp, StampEncoding, encode};
use crate::engine::{Direction, KeyRange};
use crate::key::{Key, KeyReader};
use crate::store::decode;
use crate::{
    Batch, Change, EventNumber, RoomNumber, Store, StoreError, StreamPosition, Table, UserNumber,
};

pub(crate) const USER_ROOM: Table = Table::new(15, "user_room");
pub(crate) const FORGOTTEN_STAY: Table = Table::new(73, "forgotten_stay");
pub(crate) const ROOM_MEMBER: Table = Table::new(16, "room_member");

/// A user's relation to a room. Spec: client-server API, "Room membership".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Membership {
    /// In the room.
    Join,
    /// Invited to it.
    Invite,
    /// Asked to be let in.
    Knock,
    /// Was there, or was invited, and is no more.
    Leave,
    /// Banned from it.
    Ban,
}

impl Membership {
    /// All there are.
    pub const ALL: [Self; 5] = [Self::Join, Self::Invite, Self::Knock, Self::Leave, Self::Ban];

    pub(crate) fn byte(self) -> u8 {
        match self {
            Self::Join => 0,
            Self::Invite => 1,
            Self::Knock => 2,
            Self::Leave => 3,
            Self::Ban => 4,
        }
    }
}

impl Membership {
    /// The specification's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Join => "join",
            Self::Invite => "invite",
            Self::Knock => "knock",
            Self::Leave => "leave",
            Self::Ban => "ban",
        }
    }
}

impl From<&MembershipState> for Membership {
    fn from(state: &MembershipState) -> Self {
        match state {
            MembershipState::Join => Self::Join,
            MembershipState::Invite => Self::Invite,
            MembershipState::Knock => Self::Knock,
            MembershipState::Ban => Self::Ban,
            // The authorisation rules let no other value into a room's state.
            _ => Self::Leave,
        }
    }
}

/// A user's membership in one room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoomMembership {
    /// The room.
    pub room: RoomNumber,
    /// What it is now.
    pub membership: Membership,
    /// The event that made it so. A later change of name or picture is not noted here.
    pub event: EventNumber,
    /// Since when it is so: where the membership last changed to this kind.
    pub since: StreamPosition,
    /// Whether the user wants to see the room no more.
    pub forgotten: Forgotten,
}

/// One of those who have to do with a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoomMember {
    /// Who.
    pub user: UserNumber,
    /// Their membership event in the room's state.
    pub event: EventNumber,
}

/// What a membership event in a room's state says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatedMembership {
    /// The event.
    pub event: EventNumber,
    /// What it says.
    pub membership: Membership,
}

/// How a user's membership event in a room's state changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MembershipChange {
    /// What it was.
    pub before: Option<StatedMembership>,
    /// What it becomes.
    pub after: StatedMembership,
    /// Whether the user wants to see the room no more, where the membership is another than before.
    pub forgotten: Forgotten,
}

/// Whether a room that was left is forgotten. Spec: client-server API, "Leaving rooms".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Forgotten {
    /// It is shown among the left rooms.
    No,
    /// It is not shown.
    Yes,
}

#[derive(Serialize, Deserialize)]
struct Record {
    membership: Membership,
    event: EventNumber,
    forgotten: Forgotten,
}

/// How many rooms one look-up of a user's rooms reads at once.
const PAGE: usize = 1_000;

fn user_room_key(user: UserNumber, room: RoomNumber) -> Vec<u8> {
    Key::new().user(user).room(room).into_bytes()
}

fn room_member_prefix(room: RoomNumber, membership: Membership) -> Key {
    Key::new().room(room).raw(&[membership.byte()])
}

pub(crate) fn room_member_key(room: RoomNumber, stated: StatedMembership) -> Vec<u8> {
    room_member_prefix(room, stated.membership).event(stated.event).into_bytes()
}

fn read_membership(key: &[u8], value: &[u8]) -> Result<RoomMembership, StoreError> {
    let damaged =
        || StoreError::Undecodable { table: USER_ROOM.name(), reason: "too short".to_owned() };
    let mut reader = KeyReader::new(key);
    let room = reader.u64().and_then(|_user| reader.u64()).ok_or_else(damaged)?;
    let (since, record) = value.split_first_chunk::<8>().ok_or_else(damaged)?;
    let Record { membership, event, forgotten } = decode(USER_ROOM, record)?;
    let since = StreamPosition(u64::from_be_bytes(*since));
    Ok(RoomMembership { room: RoomNumber(room), membership, event, since, forgotten })
}

fn read_member(key: &[u8], value: &[u8]) -> Result<RoomMember, StoreError> {
    let damaged =
        || StoreError::Undecodable { table: ROOM_MEMBER.name(), reason: "too short".to_owned() };
    let event = key.last_chunk::<8>().ok_or_else(damaged)?;
    let event = EventNumber(u64::from_be_bytes(*event));
    Ok(RoomMember { user: decode(ROOM_MEMBER, value)?, event })
}

impl Store {
    /// A user's membership in a room; `None` when they never had any.
    pub async fn membership(
        &self,
        user: UserNumber,
        room: RoomNumber,
    ) -> Result<Option<RoomMembership>, StoreError> {
        let key = user_room_key(user, room);
        let value = self.get_bytes(USER_ROOM, &key).await?;
        value.map(|value| read_membership(&key, &value)).transpose()
    }

    /// Up to where a user forgot a room, whatever they are to it since; `None` when they never did.
    pub async fn forgotten_stay(
        &self,
        user: UserNumber,
        room: RoomNumber,
    ) -> Result<Option<StreamPosition>, StoreError> {
        let value = self.get_bytes(FORGOTTEN_STAY, &user_room_key(user, room)).await?;
        let position = value.and_then(|value| KeyReader::new(&value).u64());
        Ok(position.map(StreamPosition))
    }

    /// All rooms a user has or had to do with, in order of room number.
    pub async fn memberships(&self, user: UserNumber) -> Result<Vec<RoomMembership>, StoreError> {
        let mut all = Vec::new();
        let mut range = KeyRange::prefix(Key::new().user(user).into_bytes());
        loop {
            let page = self.scan(USER_ROOM, range.clone(), Direction::Ascending, PAGE).await?;
            for (key, value) in &page {
                all.push(read_membership(key, value)?);
            }
            match page.into_iter().next_back() {
                Some((last, _)) if all.len().is_multiple_of(PAGE) => {
                    range.start = std::ops::Bound::Excluded(last);
                }
                _ => return Ok(all),
            }
        }
    }

    /// At most `limit` rooms a user has or had to do with, those with numbers after `after`.
    pub async fn memberships_after(
        &self,
        user: UserNumber,
        after: RoomNumber,
        limit: usize,
    ) -> Result<Vec<RoomMembership>, StoreError> {
        let mut range = KeyRange::prefix(Key::new().user(user).into_bytes());
        range.start = std::ops::Bound::Excluded(user_room_key(user, after));
        let page = self.scan(USER_ROOM, range, Direction::Ascending, limit).await?;
        page.iter().map(|(key, value)| read_membership(key, value)).collect()
    }

    /// At most `limit` users with a membership in a room after `after`, in the order in which they last stated it: who
    /// changes their name moves to the end.
    pub async fn room_members(
        &self,
        room: RoomNumber,
        membership: Membership,
        after: Option<RoomMember>,
        limit: usize,
    ) -> Result<Vec<RoomMember>, StoreError> {
        let mut range = KeyRange::prefix(room_member_prefix(room, membership).into_bytes());
        if let Some(RoomMember { event, .. }) = after {
            let last = room_member_key(room, StatedMembership { event, membership });
            range.start = std::ops::Bound::Excluded(last);
        }
        let entries = self.scan(ROOM_MEMBER, range, Direction::Ascending, limit).await?;
        entries.iter().map(|(key, value)| read_member(key, value)).collect()
    }
}

impl Batch {
    /// Sets a user's membership in a room, as of the event at `slot`. Where it is the same as before, only their place
    /// among the members changes.
    pub fn set_membership(
        &mut self,
        user: UserNumber,
        room: RoomNumber,
        change: MembershipChange,
        slot: Slot,
    ) -> Result<(), StoreError> {
        let MembershipChange { before, after, forgotten } = change;
        if let Some(before) = before {
            self.remove(ROOM_MEMBER, room_member_key(room, before));
        }
        self.insert(ROOM_MEMBER, room_member_key(room, after), &user)?;
        if before.is_some_and(|before| before.membership == after.membership) {
            return Ok(());
        }
        let StatedMembership { event, membership } = after;
        let record = Record { membership, event, forgotten };
        let mut value = vec![0; 8];
        let stamp = Stamp { offset: 0, slot, encoding: StampEncoding::Stream };
        if forgotten == Forgotten::Yes {
            let key = user_room_key(user, room);
            self.put_stamped(FORGOTTEN_STAY, key, None, value.clone(), Some(stamp))?;
        }
        value.extend(encode(USER_ROOM, &record)?);
        self.put_stamped(USER_ROOM, user_room_key(user, room), None, value, Some(stamp))?;
        self.announce(Change::Membership(room, user));
        Ok(())
    }

    /// Marks a room that was left as forgotten, with what the user saw of it until then. Committing fails with
    /// [`StoreError::Conflict`] when the membership is not `known` any more.
    pub fn forget_room(
        &mut self,
        user: UserNumber,
        known: &RoomMembership,
    ) -> Result<(), StoreError> {
        let key = user_room_key(user, known.room);
        self.expect_bytes(USER_ROOM, key.clone(), Some(record_bytes(known)?));
        let forgotten = RoomMembership { forgotten: Forgotten::Yes, ..*known };
        self.announce(Change::Membership(known.room, user));
        self.put(FORGOTTEN_STAY, key.clone(), known.since.0.to_be_bytes().to_vec())?;
        self.put(USER_ROOM, key, record_bytes(&forgotten)?)
    }
}

/// The stored form of a membership whose position is known.
fn record_bytes(known: &RoomMembership) -> Result<Vec<u8>, StoreError> {
    let RoomMembership { membership, event, forgotten, .. } = *known;
    let mut value = known.since.0.to_be_bytes().to_vec();
    value.extend(encode(USER_ROOM, &Record { membership, event, forgotten })?);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const ROOM: RoomNumber = RoomNumber(7);

    /// Reads a list of members in pages of two.
    async fn listed(store: &Store, membership: Membership) -> Vec<RoomMember> {
        let (mut all, mut last) = (Vec::new(), None);
        loop {
            let page = store.room_members(ROOM, membership, last, 2).await.unwrap();
            let Some(member) = page.last() else { return all };
            last = Some(*member);
            all.extend(page);
        }
    }

    /// States memberships one after another, and looks at all lists after each.
    async fn check(stated: Vec<(u64, usize)>) {
        let store = Store::in_memory().await;
        let mut model: BTreeMap<UserNumber, StatedMembership> = BTreeMap::new();
        for (number, (user, membership)) in (1..).zip(stated) {
            let (user, membership) = (UserNumber(user), Membership::ALL[membership]);
            let after = StatedMembership { event: EventNumber(number), membership };
            let before = model.insert(user, after);
            let mut batch = Batch::new();
            let slot = batch.slot();
            let change = MembershipChange { before, after, forgotten: Forgotten::No };
            batch.set_membership(user, ROOM, change, slot).unwrap();
            store.commit(batch).await.unwrap();

            for membership in Membership::ALL {
                let mut wanted: Vec<_> = model
                    .iter()
                    .filter(|(_, stated)| stated.membership == membership)
                    .map(|(user, stated)| RoomMember { user: *user, event: stated.event })
                    .collect();
                wanted.sort_by_key(|member| member.event);
                assert_eq!(listed(&store, membership).await, wanted, "{membership:?}");
            }
            for (user, stated) in &model {
                let known = store.membership(*user, ROOM).await.unwrap().unwrap();
                assert_eq!(known.membership, stated.membership);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(50))]

        #[test]
        fn members_are_listed_in_the_order_of_their_membership_events(
            stated in vec((1..6_u64, 0..5_usize), 1..30),
        ) {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            runtime.block_on(check(stated));
        }
    }
}
