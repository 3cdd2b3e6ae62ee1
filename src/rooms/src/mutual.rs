//! Rooms that two users are both in.

use ruma::{OwnedRoomId, UserId};
use store::{Membership, RoomNumber};

use crate::{RoomError, Rooms};

/// A part of the rooms that two users share.
#[derive(Debug)]
pub struct MutualRooms {
    /// These rooms, in order of first sight.
    pub rooms: Vec<OwnedRoomId>,
    /// How many there are in all.
    pub count: usize,
    /// Where to go on; `None` at the end.
    pub next: Option<RoomNumber>,
}

/// How many rooms are told at once.
const PAGE: usize = 100;

impl Rooms {
    /// The rooms after `from` that both users are joined to.
    ///
    /// Fails with [`RoomError::InvalidParameter`] for a user and themselves.
    /// Spec: client-server API, `GET /mutual_rooms`.
    #[tracing::instrument(skip_all, fields(%user, %other))]
    pub async fn mutual_rooms(
        &self,
        user: &UserId,
        other: &UserId,
        from: Option<RoomNumber>,
    ) -> Result<MutualRooms, RoomError> {
        if user == other {
            let reason = "you share all rooms with yourself".to_owned();
            return Err(RoomError::InvalidParameter(reason));
        }
        let theirs = self.ordered_rooms_of(other).await?;
        let mut shared = self.ordered_rooms_of(user).await?;
        shared.retain(|room| theirs.binary_search(room).is_ok());
        let count = shared.len();
        let rest = shared.into_iter().filter(|room| from.is_none_or(|from| *room > from));
        let mut page: Vec<RoomNumber> = rest.take(PAGE + 1).collect();
        let has_more = page.len() > PAGE;
        page.truncate(PAGE);
        let next = page.last().copied().filter(|_| has_more);
        let mut rooms = Vec::with_capacity(page.len());
        for room in page {
            rooms.extend(self.store().room_id(room).await?);
        }
        Ok(MutualRooms { rooms, count, next })
    }

    /// The rooms that a user is joined to, in order of their numbers.
    async fn ordered_rooms_of(&self, user: &UserId) -> Result<Vec<RoomNumber>, RoomError> {
        let Some(user) = self.store().user_number(user).await? else { return Ok(Vec::new()) };
        let known = self.store().memberships(user).await?.into_iter();
        Ok(known
            .filter(|known| known.membership == Membership::Join)
            .map(|known| known.room)
            .collect())
    }
}
