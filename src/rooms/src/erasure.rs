//! What a user who left for good had erased. Spec: client-server API, `POST /account/deactivate`, `erase`.

use ruma::UserId;
use ruma::events::TimelineEventType;

use crate::membership::of;
use crate::{RoomError, Rooms, StoredEvent};

impl Rooms {
    /// Whether an event is shown redacted to `viewer`, because its sender had it erased before they came.
    ///
    /// Who could see it before the erasure still sees it: they are in the room, or are out of it, as they were then, or
    /// were in it when the event was sent. State other than memberships is the room's own and stays.
    pub(crate) async fn is_erased_for(
        &self,
        viewer: &UserId,
        event: &StoredEvent,
    ) -> Result<bool, RoomError> {
        let (sender, kind) = (&event.pdu.sender, &event.pdu.kind);
        let is_rooms_own = event.pdu.state_key.is_some() && *kind != TimelineEventType::RoomMember;
        if is_rooms_own || sender == viewer || sender.server_name() != self.server_name() {
            return Ok(false);
        }
        let Some(erased) = self.store().erasure(sender).await? else { return Ok(false) };
        let room = event.record.room;
        let known = self.membership_of(viewer, room).await?;
        if known.is_some_and(|known| known.since <= erased) {
            return Ok(false);
        }
        let kind = ruma::events::StateEventType::RoomMember;
        let root = event.record.state_before;
        let then = self.state_at(room, root, &kind, viewer.as_str()).await?;
        Ok(then.and_then(|then| of(&then.pdu)) != Some(store::Membership::Join))
    }
}

#[cfg(test)]
mod tests {
    use ruma::{OwnedEventId, OwnedRoomId, user_id};
    use serde_json::{Value, json};
    use store::Batch;

    use super::*;
    use crate::testing::{bo, join, public_room, rooms_on_memory_store, send};
    use crate::{EventShape, Viewer};

    async fn content(
        rooms: &Rooms,
        room: &OwnedRoomId,
        event: &OwnedEventId,
        user_id: &UserId,
    ) -> Value {
        let room = rooms.number_of(room).await.unwrap();
        let (_, event) = rooms.event_by_id(room, event).await.unwrap();
        let viewer = Viewer { user_id, device_id: None };
        let shown = rooms.client_event(viewer, &event, EventShape::Whole).await.unwrap();
        serde_json::from_str::<Value>(shown.get()).unwrap()["content"].clone()
    }

    #[tokio::test]
    async fn an_erased_event_is_shown_to_who_could_see_it_and_pruned_for_who_came_later() {
        let rooms = rooms_on_memory_store().await;
        let room = public_room(&rooms).await;
        let (early, late) = (user_id!("@cy:hearth.test"), user_id!("@di:hearth.test"));
        join(&rooms, &room, bo()).await.unwrap();
        let said = send(&rooms, &room, bo(), "1", json!({ "body": "tea?" })).await.unwrap();
        join(&rooms, &room, early).await.unwrap();

        let mut batch = Batch::new();
        let slot = batch.slot();
        batch.erase_user(bo(), slot).unwrap();
        rooms.store().commit(batch).await.unwrap();
        join(&rooms, &room, late).await.unwrap();

        let whole = json!({ "body": "tea?" });
        assert_eq!(content(&rooms, &room, &said, crate::testing::ada()).await, whole);
        assert_eq!(content(&rooms, &room, &said, early).await, whole);
        assert_eq!(content(&rooms, &room, &said, late).await, json!({}));
    }
}
