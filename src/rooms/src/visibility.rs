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
    /// Whether the reader is in the room now, and since when or until when they were.
    now: Standing,
    /// The last state looked at, with what it says.
    last: Option<(StateRoot, HistoryVisibility, Option<Membership>)>,
}

/// How the reader stands to the room now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// In it.
    Joined,
    /// Not in it any more, since this position.
    LeftAt(TimelinePosition),
    /// Never in it.
    Outside,
}

impl Rooms {
    /// What `reader` may see of a room. Fails with [`RoomError::NotInRoom`] for who may see nothing at all: they
    /// were never in it and it is not open to the world.
    pub async fn sight<'a>(
        &'a self,
        reader: &'a UserId,
        room: RoomNumber,
    ) -> Result<Sight<'a>, RoomError> {
        let known = self.membership_of(reader, room).await?;
        let now = match known.map(|known| (known.membership, known)) {
            Some((Membership::Join, _)) => Standing::Joined,
            Some((Membership::Leave | Membership::Ban, known)) => {
                Standing::LeftAt(TimelinePosition::from(known.since))
            }
            _ => Standing::Outside,
        };
        let mut sight = Sight { rooms: self, reader, room, now, last: None };
        if now == Standing::Joined {
            return Ok(sight);
        }
        let root = self.current_state(room).await?;
        let (visibility, _) = sight.look_at(root).await?;
        let was_in = now != Standing::Outside && sight.was_in().await?;
        if was_in || visibility == HistoryVisibility::WorldReadable {
            return Ok(sight);
        }
        Err(RoomError::NotInRoom)
    }

    /// Up to where a user who sees an event also sees what was said of it later: who left does not learn what came
    /// after.
    pub(crate) async fn sees_until(
        &self,
        user: &UserId,
        room: RoomNumber,
    ) -> Result<TimelinePosition, RoomError> {
        let known = self.membership_of(user, room).await?;
        let left =
            known.filter(|known| matches!(known.membership, Membership::Leave | Membership::Ban));
        let Some(left) = left else { return Ok(TimelinePosition::MAX) };
        let root = self.current_state(room).await?;
        let kind = StateEventType::RoomHistoryVisibility;
        let visibility = self.state_at(room, root, &kind, "").await?;
        let visibility = visibility.map(|event| visibility_in(&event));
        Ok(match visibility {
            Some(HistoryVisibility::WorldReadable) => TimelinePosition::MAX,
            _ => TimelinePosition::from(left.since),
        })
    }
}

impl Rooms {
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
        let sight = self.sight(reader, event.record.room).await;
        let mut sight = sight.map_err(|error| match error {
            RoomError::NotInRoom => unknown(),
            other => other,
        })?;
        if sight.sees(&event, index.position).await? { Ok(event) } else { Err(unknown()) }
    }
}

impl Sight<'_> {
    /// Whether the reader may see an event that stands at `position`.
    pub async fn sees(
        &mut self,
        event: &StoredEvent,
        position: TimelinePosition,
    ) -> Result<bool, RoomError> {
        let (mut visibility, mut member) = self.look_at(event.record.state_before).await?;
        // Of an event that changes either, the more generous side counts: who joins sees their own join.
        if let Some((kind, state_key)) = event.pdu.state_entry() {
            if kind == StateEventType::RoomMember && state_key == self.reader.as_str() {
                let after = membership::of(&event.pdu);
                if member != Some(Membership::Join) {
                    member = after;
                }
            } else if kind == StateEventType::RoomHistoryVisibility {
                visibility = more_open(visibility, visibility_in(event));
            }
        }
        Ok(match (visibility, member) {
            (HistoryVisibility::WorldReadable, _)
            | (_, Some(Membership::Join))
            | (HistoryVisibility::Invited, Some(Membership::Invite)) => true,
            (HistoryVisibility::Shared, _) => match self.now {
                Standing::Joined => true,
                Standing::LeftAt(departure) => position <= departure,
                Standing::Outside => false,
            },
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

    /// Whether the reader was joined before they left.
    async fn was_in(&self) -> Result<bool, RoomError> {
        let room_id = self.rooms.store().room_id(self.room).await?;
        let room_id = room_id.ok_or_else(|| RoomError::Damaged("room without id".to_owned()))?;
        match self.rooms.visible_state(self.reader, &room_id).await {
            Ok(_) => Ok(true),
            Err(RoomError::NotInRoom) => Ok(false),
            Err(error) => Err(error),
        }
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

/// The visibility that an event states; what is not understood counts as shared.
pub(crate) fn visibility_in(event: &StoredEvent) -> HistoryVisibility {
    let content = event.pdu.content_as::<RoomHistoryVisibilityEventContent>();
    content.map_or(HistoryVisibility::Shared, |content| content.history_visibility)
}

fn more_open(one: HistoryVisibility, other: HistoryVisibility) -> HistoryVisibility {
    let rank = |visibility: &HistoryVisibility| match visibility {
        HistoryVisibility::WorldReadable => 3,
        HistoryVisibility::Invited => 1,
        HistoryVisibility::Joined => 0,
        _ => 2,
    };
    if rank(&one) >= rank(&other) { one } else { other }
}
