//! Looking up a room's state.

use std::sync::Arc;

use ruma::events::StateEventType;
use ruma::events::room::history_visibility::{
    HistoryVisibility, RoomHistoryVisibilityEventContent,
};
use ruma::{RoomId, UserId};
use store::{EventNumber, RoomNumber, StateRoot};

use crate::stay::Stay;
use crate::{RoomError, Rooms, StoredEvent};

impl Rooms {
    /// The event that sets `kind` and `state_key` in the state `root` of a room; `None` when nothing does.
    pub async fn state_at(
        &self,
        room: RoomNumber,
        root: StateRoot,
        kind: &StateEventType,
        state_key: &str,
    ) -> Result<Option<Arc<StoredEvent>>, RoomError> {
        let Some(key) = self.store().state_key_number(kind, state_key).await? else {
            return Ok(None);
        };
        match self.store().state_event(room, root, key).await? {
            Some(number) => self.event(number).await.map(Some),
            None => Ok(None),
        }
    }

    /// The root of a room's current state.
    pub async fn current_state(&self, room: RoomNumber) -> Result<StateRoot, RoomError> {
        let head = self.store().room_head(room).await?;
        let head = head.ok_or_else(|| RoomError::Damaged(format!("room {room} has no head")))?;
        Ok(head.state)
    }

    /// All of a state's events, in no order that means anything.
    pub async fn state_events_at(
        &self,
        room: RoomNumber,
        root: StateRoot,
    ) -> Result<Vec<Arc<StoredEvent>>, RoomError> {
        let numbers = self.store().state_entries(room, root).await?;
        self.events(numbers.into_iter().map(|(_, event)| event)).await
    }

    /// Events by number, in the order given.
    pub async fn events(
        &self,
        numbers: impl IntoIterator<Item = EventNumber>,
    ) -> Result<Vec<Arc<StoredEvent>>, RoomError> {
        let mut events = Vec::new();
        for number in numbers {
            events.push(self.event(number).await?);
        }
        Ok(events)
    }

    /// What a user is to a room now; `None` when they never were anything.
    pub async fn membership_of(
        &self,
        user: &UserId,
        room: RoomNumber,
    ) -> Result<Option<store::RoomMembership>, RoomError> {
        let Some(user) = self.store().user_number(user).await? else { return Ok(None) };
        Ok(self.store().membership(user, room).await?)
    }

    /// The state that a user may see: the current one if they are in the room, that of their departure if they were
    /// in it before, whatever they are to it since. Fails with [`RoomError::NotInRoom`] for others, and
    /// for who forgot the room. Spec: client-server API, "Getting events for a room".
    pub async fn visible_state(
        &self,
        user: &UserId,
        room_id: &RoomId,
    ) -> Result<(RoomNumber, StateRoot), RoomError> {
        let room = self.cell_of(room_id).await.map_err(hide_room)?.number;
        match self.last_stay(user, room).await? {
            Stay::Lasting => Ok((room, self.current_state(room).await?)),
            Stay::Ended(departure, _) => Ok((room, self.state_after(&departure).await?)),
            Stay::Never => Err(RoomError::NotInRoom),
        }
    }

    /// The state that a user may read: what [`Rooms::visible_state`] says, and a world-readable room's for all.
    pub async fn readable_state(
        &self,
        user: &UserId,
        room_id: &RoomId,
    ) -> Result<(RoomNumber, StateRoot), RoomError> {
        match self.visible_state(user, room_id).await {
            Err(RoomError::NotInRoom) => self.open_state(room_id).await,
            outcome => outcome,
        }
    }

    /// The state of a room that is open to the world now. Fails with [`RoomError::NotInRoom`] for others.
    pub(crate) async fn open_state(
        &self,
        room_id: &RoomId,
    ) -> Result<(RoomNumber, StateRoot), RoomError> {
        let room = self.cell_of(room_id).await.map_err(hide_room)?.number;
        let root = self.current_state(room).await?;
        let kind = StateEventType::RoomHistoryVisibility;
        let visibility = self.state_at(room, root, &kind, "").await?;
        let is_open = visibility.is_some_and(|event| {
            let content = event.pdu.content_as::<RoomHistoryVisibilityEventContent>();
            content
                .is_ok_and(|content| content.history_visibility == HistoryVisibility::WorldReadable)
        });
        if is_open { Ok((room, root)) } else { Err(RoomError::NotInRoom) }
    }

    /// Whether what is said in a room is encrypted now.
    pub(crate) async fn is_encrypted(&self, room: RoomNumber) -> Result<bool, RoomError> {
        let root = self.current_state(room).await?;
        Ok(self.state_at(room, root, &StateEventType::RoomEncryption, "").await?.is_some())
    }

    /// The state right after an event.
    pub async fn state_after(&self, event: &StoredEvent) -> Result<StateRoot, RoomError> {
        let record = &event.record;
        let Some((kind, state_key)) = event.pdu.state_entry() else {
            return Ok(record.state_before);
        };
        let key = self.store().number_state_key(&kind, state_key).await?;
        let change = [(key, Some(event.number))];
        // The nodes are in the store since the event was appended; this only walks to the root's name.
        let mut unused = store::Batch::new();
        Ok(self.store().set_state(&mut unused, record.room, record.state_before, &change).await?)
    }
}

/// A room that is not there looks like one that the asker is not in.
fn hide_room(error: RoomError) -> RoomError {
    match error {
        RoomError::UnknownRoom(_) => RoomError::NotInRoom,
        other => other,
    }
}
