//! Listing a room's threads.

use ruma::{RoomId, UserId};
use store::{Direction, RelationKind, RelationRange, RoomNumber, TimelineEntry, TimelinePosition};

use crate::tokens::PaginationToken;
use crate::{Page, Placed, RoomError, Rooms, StoredEvent};

/// Which threads are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ThreadsOf {
    /// All.
    Everybody,
    /// Those that the reader began or replied in.
    Reader,
}

/// How many replies are looked at for one page, and how many of one thread for its participants.
const MAX_LOOKED_AT: usize = 2_000;

impl Rooms {
    /// A page of the roots of a room's threads, that with the latest reply first, as `reader` may see them.
    ///
    /// Fails with [`RoomError::NotInRoom`]. Spec: client-server API, `GET /rooms/{roomId}/threads`.
    pub async fn threads(
        &self,
        reader: &UserId,
        room_id: &RoomId,
        of: ThreadsOf,
        from: Option<PaginationToken>,
        limit: usize,
    ) -> Result<Page, RoomError> {
        let room = self.number_of_seen(room_id).await?;
        let mut sight = self.sight(reader, room).await?;
        let before = from.map_or(TimelinePosition::MAX, |from| above(from.0));
        let replies = self.store().thread_replies(room, before, MAX_LOOKED_AT).await?;
        let mut is_cut = replies.len() == MAX_LOOKED_AT;
        let mut events: Vec<Placed> = Vec::new();
        let mut last = None;
        for (position, root) in replies {
            if events.len() == limit {
                is_cut = true;
                break;
            }
            last = Some(position);
            if self.latest_reply(room, &root).await? != Some(position) {
                continue;
            }
            let found = match self.event_by_id(room, &root).await {
                Err(RoomError::UnknownEvent(_)) => continue,
                outcome => outcome?,
            };
            let (index, event) = found;
            let is_wanted = of == ThreadsOf::Everybody || self.takes_part(reader, &event).await?;
            if is_wanted && sight.sees(&event, index.position).await? {
                let entry = TimelineEntry { position: index.position, event: index.number };
                events.push((entry, event));
            }
        }
        let next = last.filter(|_| is_cut).map(PaginationToken::before);
        Ok(Page { events, next })
    }

    async fn latest_reply(
        &self,
        room: RoomNumber,
        root: &ruma::EventId,
    ) -> Result<Option<TimelinePosition>, RoomError> {
        let range = range(Direction::Descending, 1);
        let latest = self.store().relations(room, root, range).await?;
        Ok(latest.first().map(|reply| reply.position))
    }

    /// Whether a user began a thread or replied in it.
    async fn takes_part(&self, user: &UserId, root: &StoredEvent) -> Result<bool, RoomError> {
        if root.pdu.sender == user {
            return Ok(true);
        }
        let Some(user) = self.store().user_number(user).await? else { return Ok(false) };
        let range = range(Direction::Ascending, MAX_LOOKED_AT);
        let replies = self.store().relations(root.record.room, &root.pdu.event_id, range).await?;
        Ok(replies.iter().any(|reply| reply.sender == user))
    }
}

fn range(direction: Direction, limit: usize) -> RelationRange {
    let (after, before) = (TimelinePosition::MIN, TimelinePosition::MAX);
    RelationRange { kind: RelationKind::Thread, after, before, direction, limit }
}

fn above(position: TimelinePosition) -> TimelinePosition {
    TimelinePosition(position.0.saturating_add(1))
}
