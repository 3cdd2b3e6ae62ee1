//! Who is in a room, and which rooms a user is in.

use std::sync::Arc;

use ruma::events::TimelineEventType;
use ruma::{OwnedRoomId, OwnedUserId, RoomId, UserId};
use store::{
    Batch, Direction, Forgotten, Membership, RoomNumber, StateRoot, TimelineEntry, TimelinePosition,
};

use crate::tokens::PointInTime;
use crate::{RoomError, Rooms, StoredEvent};

/// How many members are read at once.
const PAGE: usize = 500;

impl Rooms {
    /// The rooms that a user is joined to, in order of first sight.
    pub async fn joined_rooms(&self, user: &UserId) -> Result<Vec<OwnedRoomId>, RoomError> {
        let Some(user) = self.store().user_number(user).await? else { return Ok(Vec::new()) };
        let mut joined = Vec::new();
        for known in self.store().memberships(user).await? {
            if known.membership == Membership::Join
                && let Some(room_id) = self.store().room_id(known.room).await?
            {
                joined.push(room_id);
            }
        }
        Ok(joined)
    }

    /// What a user is or was to all rooms they had to do with, in order of first sight.
    pub async fn memberships_of(
        &self,
        user: &UserId,
    ) -> Result<Vec<(OwnedRoomId, Membership)>, RoomError> {
        let Some(user) = self.store().user_number(user).await? else { return Ok(Vec::new()) };
        let mut all = Vec::new();
        for known in self.store().memberships(user).await? {
            if let Some(room_id) = self.store().room_id(known.room).await? {
                all.push((room_id, known.membership));
            }
        }
        Ok(all)
    }

    /// All users who are joined to a room, in the order in which they last stated that. Fails with [`RoomError::UnknownRoom`].
    pub async fn joined_members(&self, room_id: &RoomId) -> Result<Vec<OwnedUserId>, RoomError> {
        let room = self.number_of(room_id).await?;
        let mut all = Vec::new();
        let mut last = None;
        loop {
            let members = self.store().room_members(room, Membership::Join, last, PAGE).await?;
            let Some(member) = members.last() else { return Ok(all) };
            last = Some(*member);
            for member in &members {
                all.extend(self.store().user_id(member.user).await?);
            }
        }
    }

    /// The number of a room that the user is joined to. Fails with [`RoomError::NotInRoom`].
    pub async fn number_of_joined(
        &self,
        user: &UserId,
        room_id: &RoomId,
    ) -> Result<RoomNumber, RoomError> {
        let room = self.number_of_seen(room_id).await?;
        match self.membership_of(user, room).await? {
            Some(known) if known.membership == Membership::Join => Ok(room),
            _ => Err(RoomError::NotInRoom),
        }
    }

    /// The number of a room. A user who asks for one that is not there learns only that they are not in it, so that
    /// nobody can find out which rooms exist. Fails with [`RoomError::NotInRoom`].
    pub async fn number_of_seen(&self, room_id: &RoomId) -> Result<RoomNumber, RoomError> {
        match self.number_of(room_id).await {
            Err(RoomError::UnknownRoom(_)) => Err(RoomError::NotInRoom),
            outcome => outcome,
        }
    }

    /// The membership events of a state.
    pub async fn member_events(
        &self,
        room: RoomNumber,
        root: StateRoot,
    ) -> Result<Vec<Arc<StoredEvent>>, RoomError> {
        let mut events = self.state_events_at(room, root).await?;
        events.retain(|event| event.pdu.kind == TimelineEventType::RoomMember);
        Ok(events)
    }

    /// The events of a state that are no memberships.
    pub async fn other_state_events(
        &self,
        room: RoomNumber,
        root: StateRoot,
    ) -> Result<Vec<Arc<StoredEvent>>, RoomError> {
        let mut events = self.state_events_at(room, root).await?;
        events.retain(|event| event.pdu.kind != TimelineEventType::RoomMember);
        Ok(events)
    }

    /// The state of a room at a time; `None` when that is before the reader could see any.
    pub async fn state_at_time(
        &self,
        reader: &UserId,
        room: RoomNumber,
        PointInTime(at): PointInTime,
    ) -> Result<Option<StateRoot>, RoomError> {
        let before = TimelinePosition(at.0.saturating_add(1));
        let min = TimelinePosition::MIN;
        let last = self.store().timeline(room, min, before, Direction::Descending, 1).await?;
        let Some(TimelineEntry { position, event }) = last.first().copied() else {
            return Ok(None);
        };
        let event = self.event(event).await?;
        let mut sight = self.sight(reader, room).await?;
        if sight.sees(&event, position).await? {
            return self.state_after(&event).await.map(Some);
        }
        Ok(None)
    }

    /// Takes a room that was left off a user's list.
    ///
    /// Fails with [`RoomError::StillInRoom`] while the user is in it, [`RoomError::NotInRoom`] if they never
    /// were. Spec: client-server API, `POST /rooms/{roomId}/forget`.
    pub async fn forget(&self, user: &UserId, room_id: &RoomId) -> Result<(), RoomError> {
        let room = self.number_of_seen(room_id).await?;
        let number = self.store().number_user(user).await?;
        let known = self.store().membership(number, room).await?.ok_or(RoomError::NotInRoom)?;
        if !matches!(known.membership, Membership::Leave | Membership::Ban) {
            return Err(RoomError::StillInRoom);
        }
        if known.forgotten == Forgotten::Yes {
            return Ok(());
        }
        let mut batch = Batch::new();
        batch.forget_room(number, &known)?;
        match self.store().commit(batch).await {
            Ok(_) => Ok(()),
            Err(store::StoreError::Conflict) => Err(RoomError::Busy),
            Err(error) => Err(error.into()),
        }
    }
}
