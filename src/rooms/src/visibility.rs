//! Who may see which events.

use std::sync::Arc;

use ruma::events::StateEventType;
use ruma::events::room::history_visibility::{
    HistoryVisibility, RoomHistoryVisibilityEventContent,
};
use ruma::{EventId, UserId};
use store::{Membership, RoomNumber, StateRoot, TimelineEntry, TimelinePosition};

use crate::{RoomError, Rooms, StoredEvent, membership};

/// What one reader may see of one room. Made once for a page of events: neighbours mostly share their state.
///
/// Spec: client-server API, "Room history visibility".
#[derive(Debug)]
pub struct Sight<'a> {
    rooms: &'a Rooms,
    reader: &'a UserId,
    room: RoomNumber,
    /// Up to where the reader sees what those in the room saw; `None` if they were never in it.
    until: Option<TimelinePosition>,
    /// The last state looked at, with what it says.
    last: Option<(StateRoot, HistoryVisibility, Option<Membership>)>,
}

impl Rooms {
    /// What `reader` may see of a room. Fails with [`RoomError::NotInRoom`] for who may see nothing that is said in
    /// it now: they were never in it and it is not open to the world.
    pub async fn sight<'a>(
        &'a self,
        reader: &'a UserId,
        room: RoomNumber,
    ) -> Result<Sight<'a>, RoomError> {
        let sight = self.sight_of_anybody(reader, room).await?;
        if sight.until.is_some() || self.is_world_readable(room).await? {
            return Ok(sight);
        }
        Err(RoomError::NotInRoom)
    }

    /// As [`Rooms::sight`], also for who was never in the room. They see what was said while it was open to the world.
    pub async fn sight_of_anybody<'a>(
        &'a self,
        reader: &'a UserId,
        room: RoomNumber,
    ) -> Result<Sight<'a>, RoomError> {
        let until = self.last_stay(reader, room).await?.end();
        Ok(Sight { rooms: self, reader, room, until, last: None })
    }

    /// Up to where a user who sees an event also sees what was said of it later: who left does not learn what came
    /// after.
    pub(crate) async fn sees_until(
        &self,
        user: &UserId,
        room: RoomNumber,
    ) -> Result<TimelinePosition, RoomError> {
        let until = self.last_stay(user, room).await?.end();
        if until != Some(TimelinePosition::MAX) && self.is_world_readable(room).await? {
            return Ok(TimelinePosition::MAX);
        }
        Ok(until.unwrap_or(TimelinePosition::MIN))
    }

    async fn is_world_readable(&self, room: RoomNumber) -> Result<bool, RoomError> {
        let root = self.current_state(room).await?;
        let kind = StateEventType::RoomHistoryVisibility;
        let visibility = self.state_at(room, root, &kind, "").await?;
        let visibility = visibility.map(|event| visibility_in(&event));
        Ok(visibility == Some(HistoryVisibility::WorldReadable))
    }

    /// An event of any room that a reader may see. Fails with [`RoomError::UnknownEvent`] for others, there or not.
    /// Spec: client-server API, `GET /events/{eventId}`.
    pub async fn visible_event(
        &self,
        reader: &UserId,
        event_id: &EventId,
    ) -> Result<Arc<StoredEvent>, RoomError> {
        let unknown = || RoomError::UnknownEvent(event_id.to_owned());
        let index = self.store().event_index(event_id).await?.ok_or_else(unknown)?;
        let event = self.event(index.number).await?;
        let mut sight = self.sight_of_anybody(reader, event.record.room).await?;
        if sight.sees(&event, index.position).await? { Ok(event) } else { Err(unknown()) }
    }

    /// An event of a room that a reader may see, and where it stands.
    ///
    /// Fails with [`RoomError::UnknownEvent`] for others, there or not, and with [`RoomError::NotInRoom`] where the
    /// reader could see none. Spec: client-server API, `GET /rooms/{roomId}/event/{eventId}`.
    pub async fn visible_event_of(
        &self,
        reader: &UserId,
        room: RoomNumber,
        event_id: &EventId,
    ) -> Result<(TimelinePosition, Arc<StoredEvent>), RoomError> {
        match self.event_by_id(room, event_id).await {
            Ok((index, event)) => {
                let mut sight = self.sight_of_anybody(reader, room).await?;
                if sight.sees(&event, index.position).await? {
                    return Ok((index.position, event));
                }
            }
            Err(RoomError::UnknownEvent(_)) => {}
            Err(error) => return Err(error),
        }
        self.sight(reader, room).await?;
        Err(RoomError::UnknownEvent(event_id.to_owned()))
    }
}

impl Sight<'_> {
    pub(crate) fn room(&self) -> RoomNumber {
        self.room
    }

    pub(crate) fn reader(&self) -> &UserId {
        self.reader
    }

    /// Whether the reader may see an event that stands at `position`.
    pub async fn sees(
        &mut self,
        event: &StoredEvent,
        position: TimelinePosition,
    ) -> Result<bool, RoomError> {
        let (visibility, member) = self.look_at(event.record.state_before).await?;
        let time = if self.until.is_some_and(|until| position <= until) {
            Time::WhileThere
        } else {
            Time::Afterwards
        };
        if allows(&visibility, member, time) {
            return Ok(true);
        }
        // Of an event that changes either, both sides count: who joins sees their own join.
        Ok(match event.pdu.state_entry() {
            Some((StateEventType::RoomMember, state_key)) if state_key == self.reader.as_str() => {
                allows(&visibility, membership::of(&event.pdu), time)
            }
            Some((StateEventType::RoomHistoryVisibility, "")) => {
                allows(&visibility_in(event), member, time)
            }
            _ => false,
        })
    }

    /// The entries whose events the reader may see, with their events.
    pub async fn visible(
        &mut self,
        entries: Vec<TimelineEntry>,
    ) -> Result<Vec<(TimelineEntry, std::sync::Arc<StoredEvent>)>, RoomError> {
        let mut seen = Vec::with_capacity(entries.len());
        for entry in entries {
            let event = self.rooms.event(entry.event).await?;
            if self.sees(&event, entry.position).await? {
                seen.push((entry, event));
            }
        }
        Ok(seen)
    }

    /// What a state says: the history visibility, and the reader's membership.
    async fn look_at(
        &mut self,
        root: StateRoot,
    ) -> Result<(HistoryVisibility, Option<Membership>), RoomError> {
        if let Some((known, visibility, member)) = &self.last
            && *known == root
        {
            return Ok((visibility.clone(), *member));
        }
        let kind = StateEventType::RoomHistoryVisibility;
        let event = self.rooms.state_at(self.room, root, &kind, "").await?;
        let visibility = event.map_or(HistoryVisibility::Shared, |event| visibility_in(&event));
        let kind = StateEventType::RoomMember;
        let member = self.rooms.state_at(self.room, root, &kind, self.reader.as_str()).await?;
        let member = member.and_then(|event| membership::of(&event.pdu));
        self.last = Some((root, visibility.clone(), member));
        Ok((visibility, member))
    }
}

/// Where an event stands, as seen by a reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Time {
    /// Not after they were in the room for the last time.
    WhileThere,
    /// After that, or they were never there.
    Afterwards,
}

/// Whether a reader who had this membership at an event sees it.
fn allows(visibility: &HistoryVisibility, member: Option<Membership>, time: Time) -> bool {
    *visibility == HistoryVisibility::WorldReadable
        || (time == Time::WhileThere
            && match member {
                Some(Membership::Join) => true,
                Some(Membership::Invite) => *visibility != HistoryVisibility::Joined,
                _ => *visibility == HistoryVisibility::Shared,
            })
}

/// The visibility that an event states; what is not understood counts as shared.
pub(crate) fn visibility_in(event: &StoredEvent) -> HistoryVisibility {
    let content = event.pdu.content_as::<RoomHistoryVisibilityEventContent>();
    match content.map(|content| content.history_visibility) {
        Ok(
            known @ (HistoryVisibility::WorldReadable
            | HistoryVisibility::Invited
            | HistoryVisibility::Joined),
        ) => known,
        _ => HistoryVisibility::Shared,
    }
}

#[cfg(test)]
mod tests;
