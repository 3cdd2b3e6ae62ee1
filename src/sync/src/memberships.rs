//! Who is in which room, in memory.

use std::sync::Arc;

use quick_cache::Weighter;
use quick_cache::sync::Cache;
use store::{
    Membership, RoomMembership, RoomNumber, Store, StoreError, StreamPosition, UserNumber,
};

use crate::heads::Heads;

/// How many memberships are kept, over all users.
const USER_ROOMS: u64 = 500_000;
/// How many members are kept, over all rooms.
const ROOM_MEMBERS: u64 = 1_000_000;

/// The rooms of a user, as of a position.
#[derive(Debug)]
pub(crate) struct UserRooms {
    /// Everything up to here is in it.
    pub(crate) as_of: StreamPosition,
    /// In order of room number.
    pub(crate) rooms: Vec<RoomMembership>,
}

impl UserRooms {
    /// Whether the user is joined to `room`.
    pub(crate) fn is_joined(&self, room: RoomNumber) -> bool {
        let found = self.rooms.binary_search_by_key(&room, |membership| membership.room);
        found.is_ok_and(|index| self.rooms[index].membership == Membership::Join)
    }
}

/// The joined members of a room, as of a position.
#[derive(Debug)]
pub(crate) struct RoomMembers {
    as_of: StreamPosition,
    users: Vec<UserNumber>,
    /// There are more than those.
    more: bool,
}

#[derive(Debug, Clone)]
struct ByLength;

impl Weighter<UserNumber, Arc<UserRooms>> for ByLength {
    fn weight(&self, _: &UserNumber, rooms: &Arc<UserRooms>) -> u64 {
        1 + rooms.rooms.len() as u64
    }
}

impl Weighter<RoomNumber, Arc<RoomMembers>> for ByLength {
    fn weight(&self, _: &RoomNumber, members: &Arc<RoomMembers>) -> u64 {
        1 + members.users.len() as u64
    }
}

/// Memberships as they were last read. An entry is used only while nothing changed since it was read.
#[derive(Debug)]
pub(crate) struct Memberships {
    users: Cache<UserNumber, Arc<UserRooms>, ByLength>,
    rooms: Cache<RoomNumber, Arc<RoomMembers>, ByLength>,
}

impl Memberships {
    pub(crate) fn new() -> Self {
        Self {
            users: Cache::with_weighter(10_000, USER_ROOMS, ByLength),
            rooms: Cache::with_weighter(10_000, ROOM_MEMBERS, ByLength),
        }
    }

    /// The rooms of a user, with everything in it that was published before the call.
    pub(crate) async fn of_user(
        &self,
        store: &Store,
        heads: &Heads,
        user: UserNumber,
    ) -> Result<Arc<UserRooms>, StoreError> {
        if let Some(known) = self.users.get(&user)
            && heads.user(user).memberships <= known.as_of
        {
            return Ok(known);
        }
        // Read before the scan: what is committed during it may be in it or not, and counts as not.
        let as_of = store.position();
        let rooms = Arc::new(UserRooms { as_of, rooms: store.memberships(user).await? });
        self.users.insert(user, Arc::clone(&rooms));
        Ok(rooms)
    }

    /// The joined members of a room; `None` when there are more than `most`.
    pub(crate) async fn of_room(
        &self,
        store: &Store,
        heads: &Heads,
        room: RoomNumber,
        most: usize,
    ) -> Result<Option<Arc<RoomMembers>>, StoreError> {
        let known = self.rooms.get(&room);
        let known = known.filter(|known| heads.room(room).members <= known.as_of);
        if let Some(known) = known
            && (!known.more || known.users.len() > most)
        {
            return Ok(Some(known).filter(|known| !known.more && known.users.len() <= most));
        }
        let as_of = store.position();
        let limit = most.saturating_add(1);
        let members = store.room_members(room, Membership::Join, None, limit).await?;
        let users: Vec<_> = members.into_iter().map(|member| member.user).collect();
        let members = Arc::new(RoomMembers { as_of, more: users.len() > most, users });
        self.rooms.insert(room, Arc::clone(&members));
        Ok(Some(members).filter(|members| !members.more))
    }
}

impl RoomMembers {
    /// The members.
    pub(crate) fn users(&self) -> &[UserNumber] {
        &self.users
    }
}
