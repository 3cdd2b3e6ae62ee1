//! Tables of who is in which room now.
//!
//! | table | key | value |
//! | --- | --- | --- |
//! | `user_room` | user number, room number | membership, stream position |
//! | `room_member` | room number, membership, user number | nothing |
//!
//! Both follow from the rooms' current state and are written with it.

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

/// How a user's membership in a room changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MembershipChange {
    /// What it was in the room's state.
    pub before: Option<Membership>,
    /// What it becomes.
    pub after: Membership,
    /// Whether the user wants to see the room no more.
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

    /// At most `limit` users with a membership in a room after `after`, in order of user number.
    pub async fn room_members(
        &self,
        room: RoomNumber,
        membership: Membership,
        after: Option<UserNumber>,
        limit: usize,
    ) -> Result<Vec<UserNumber>, StoreError> {
        let prefix = room_member_prefix(room, membership);
        let mut range = KeyRange::prefix(prefix.clone().into_bytes());
        if let Some(after) = after {
            range.start = std::ops::Bound::Excluded(prefix.user(after).into_bytes());
        }
        let entries = self.scan(ROOM_MEMBER, range, Direction::Ascending, limit).await?;
        Ok(entries
            .iter()
            .filter_map(|(key, _)| key.last_chunk::<8>())
            .map(|user| UserNumber(u64::from_be_bytes(*user)))
            .collect())
    }
}

impl Batch {
    /// Sets a user's membership in a room, as of the event at `slot`.
    pub fn set_membership(
        &mut self,
        user: UserNumber,
        room: RoomNumber,
        change: MembershipChange,
        event: EventNumber,
        slot: Slot,
    ) -> Result<(), StoreError> {
        let MembershipChange { before, after, forgotten } = change;
        let record = Record { membership: after, event, forgotten };
        let mut value = vec![0; 8];
        value.extend(encode(USER_ROOM, &record)?);
        let stamp = Stamp { offset: 0, slot, encoding: StampEncoding::Stream };
        self.put_stamped(USER_ROOM, user_room_key(user, room), None, value, Some(stamp))?;
        if let Some(before) = before {
            self.remove(ROOM_MEMBER, room_member_prefix(room, before).user(user).into_bytes());
        }
        self.insert(ROOM_MEMBER, room_member_prefix(room, after).user(user).into_bytes(), &())?;
        self.announce(Change::Membership(room, user));
        Ok(())
    }

    /// Marks a room that was left as forgotten. Committing fails with [`StoreError::Conflict`] when the membership
    /// is not `known` any more.
    pub fn forget_room(
        &mut self,
        user: UserNumber,
        known: &RoomMembership,
    ) -> Result<(), StoreError> {
        let key = user_room_key(user, known.room);
        self.expect_bytes(USER_ROOM, key.clone(), Some(record_bytes(known)?));
        let forgotten = RoomMembership { forgotten: Forgotten::Yes, ..*known };
        self.announce(Change::Membership(known.room, user));
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
