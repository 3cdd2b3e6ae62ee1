//! How far users have read.

use std::time::Instant;

use ruma::events::receipt::ReceiptThread;
use ruma::{EventId, OwnedEventId, RoomId, UserId};
use serde_json::json;
use serde_json::value::to_raw_value;
use store::{Batch, EventIndex, Membership, Receipt, ReceiptKind, RoomNumber, StoreError};

use crate::relations::Relation;
use crate::{RoomError, Rooms, StoredEvent};

/// How often a change is tried again when the same user changes it from elsewhere.
const ATTEMPTS: usize = 20;

/// How many relations are followed to find out whether an event is part of a thread.
/// Spec: client-server API, "Threaded read receipts".
const MOST_HOPS: usize = 3;

/// The type of account data that a read marker is. Spec: client-server API, "Fully read markers".
const FULLY_READ: &str = "m.fully_read";

impl Rooms {
    /// Notes that a user has read a room, or one thread of it, up to an event. A receipt never moves backwards.
    ///
    /// Fails with [`RoomError::NotInRoom`], [`RoomError::UnknownEvent`], and [`RoomError::InvalidParameter`] when
    /// the event is not part of the thread. Spec: client-server API, "Receipts".
    #[tracing::instrument(skip_all, fields(%room_id))]
    pub async fn move_receipt(
        &self,
        user: &UserId,
        room_id: &RoomId,
        kind: ReceiptKind,
        thread: ReceiptThread,
        event_id: &EventId,
    ) -> Result<(), RoomError> {
        let room = self.joined_room(user, room_id).await?;
        let (index, event) = self.event_by_id(room, event_id).await?;
        self.check_thread(&event, &thread).await?;
        let receipt = Receipt {
            user: self.store().number_user(user).await?,
            kind,
            thread,
            event_id: event_id.to_owned(),
            event_position: index.position,
            read_at: self.clock().now(),
        };
        self.presence().act(receipt.user, Instant::now());
        for _ in 0..ATTEMPTS {
            let before = self.store().receipt_before(room, &receipt).await?;
            let stands = before.as_ref().map(|before| before.receipt.event_position);
            if stands.is_some_and(|stands| stands >= receipt.event_position) {
                return Ok(());
            }
            let mut batch = Batch::new();
            let slot = batch.slot();
            batch.move_receipt(room, before.as_ref(), &receipt, slot)?;
            match self.store().commit(batch).await {
                Err(StoreError::Conflict) => {}
                outcome => return outcome.map(|_| ()).map_err(Into::into),
            }
        }
        Err(RoomError::Busy)
    }

    /// Notes where a user has put their read marker. It never moves backwards.
    ///
    /// Fails with [`RoomError::NotInRoom`] and [`RoomError::UnknownEvent`].
    /// Spec: client-server API, "Fully read markers".
    #[tracing::instrument(skip_all, fields(%room_id))]
    pub async fn move_read_marker(
        &self,
        user: &UserId,
        room_id: &RoomId,
        event_id: &EventId,
    ) -> Result<(), RoomError> {
        let room = self.joined_room(user, room_id).await?;
        let (index, _) = self.event_by_id(room, event_id).await?;
        let user = self.store().number_user(user).await?;
        let content = to_raw_value(&json!({ "event_id": event_id }))
            .map_err(|error| RoomError::Damaged(error.to_string()))?;
        for _ in 0..ATTEMPTS {
            let before = self.store().account_data(user, Some(room), FULLY_READ).await?;
            let stands = match &before {
                Some(before) => self.marked_event(room, before.content.get()).await?,
                None => None,
            };
            if stands.is_some_and(|stands| stands.position >= index.position) {
                return Ok(());
            }
            let mut batch = Batch::new();
            batch.set_account_data(user, Some(room), FULLY_READ, before.as_ref(), &content)?;
            match self.store().commit(batch).await {
                Err(StoreError::Conflict) => {}
                outcome => return outcome.map(|_| ()).map_err(Into::into),
            }
        }
        Err(RoomError::Busy)
    }

    /// The event that a read marker points at; `None` when it points at none of the room.
    async fn marked_event(
        &self,
        room: RoomNumber,
        content: &str,
    ) -> Result<Option<EventIndex>, RoomError> {
        #[derive(serde::Deserialize)]
        struct Content {
            event_id: OwnedEventId,
        }
        let Ok(content) = serde_json::from_str::<Content>(content) else { return Ok(None) };
        match self.event_by_id(room, &content.event_id).await {
            Ok((index, _)) => Ok(Some(index)),
            Err(RoomError::UnknownEvent(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The number of a room that a user is in. Fails with [`RoomError::NotInRoom`] when they are not.
    pub async fn joined_room(
        &self,
        user: &UserId,
        room_id: &RoomId,
    ) -> Result<RoomNumber, RoomError> {
        let room = self.store().room_number(room_id).await?.ok_or(RoomError::NotInRoom)?;
        match self.membership_of(user, room).await? {
            Some(known) if known.membership == Membership::Join => Ok(room),
            _ => Err(RoomError::NotInRoom),
        }
    }

    async fn check_thread(
        &self,
        event: &StoredEvent,
        thread: &ReceiptThread,
    ) -> Result<(), RoomError> {
        let wrong = |reason: &str| Err(RoomError::InvalidParameter(reason.to_owned()));
        let fits = match thread {
            ReceiptThread::Unthreaded => true,
            ReceiptThread::Main => self.thread_of(event).await?.is_none(),
            // The root and what else relates to it are in the main timeline, but clients show them with the thread
            // and send receipts for them there.
            ReceiptThread::Thread(root) => {
                *root == event.pdu.event_id || self.relations_up(event).await?.contains(root)
            }
            _ => return wrong("thread_id is neither main nor an event"),
        };
        if fits { Ok(()) } else { wrong("the event is not in this thread") }
    }

    /// The events that an event relates to, one through the other.
    async fn relations_up(&self, event: &StoredEvent) -> Result<Vec<OwnedEventId>, RoomError> {
        let mut parents = Vec::new();
        let mut relation = Relation::of(&event.pdu);
        while let Some(Relation { parent, .. }) = relation.take()
            && parents.len() < MOST_HOPS
        {
            relation = match self.event_by_id(event.record.room, &parent).await {
                Ok((_, parent)) => Relation::of(&parent.pdu),
                Err(RoomError::UnknownEvent(_)) => None,
                Err(error) => return Err(error),
            };
            parents.push(parent);
        }
        Ok(parents)
    }

    /// The root of the thread that an event is part of; `None` for the main timeline.
    /// Spec: client-server API, "Threaded read receipts".
    pub async fn thread_of(&self, event: &StoredEvent) -> Result<Option<OwnedEventId>, RoomError> {
        let Some(mut relation) = Relation::of(&event.pdu) else { return Ok(None) };
        for _ in 0..MOST_HOPS {
            if relation.kind == store::RelationKind::Thread {
                return Ok(Some(relation.parent));
            }
            let parent = match self.event_by_id(event.record.room, &relation.parent).await {
                Ok((_, parent)) => parent,
                Err(RoomError::UnknownEvent(_)) => return Ok(None),
                Err(error) => return Err(error),
            };
            match Relation::of(&parent.pdu) {
                Some(next) => relation = next,
                None => return Ok(None),
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{ada, bo, public_room, rooms_on_memory_store, say, send};

    async fn stands(rooms: &Rooms, room_id: &RoomId) -> Vec<OwnedEventId> {
        let room = rooms.number_of(room_id).await.unwrap();
        let user = rooms.store().number_user(ada()).await.unwrap();
        let receipts = rooms.store().user_receipts(room, user).await.unwrap();
        receipts.into_iter().map(|stored| stored.receipt.event_id).collect()
    }

    #[tokio::test]
    async fn a_receipt_never_moves_backwards() {
        let rooms = rooms_on_memory_store().await;
        let room = public_room(&rooms).await;
        let (first, second) = (say(&rooms, &room, "one").await, say(&rooms, &room, "two").await);
        for event in [&second, &first] {
            let (kind, thread) = (ReceiptKind::Public, ReceiptThread::Unthreaded);
            rooms.move_receipt(ada(), &room, kind, thread, event).await.unwrap();
        }
        assert_eq!(stands(&rooms, &room).await, [second]);
    }

    #[tokio::test]
    async fn a_receipt_belongs_to_the_thread_of_its_event() {
        let rooms = rooms_on_memory_store().await;
        let room = public_room(&rooms).await;
        let root = say(&rooms, &room, "root").await;
        let relation = |kind: &str, event: &EventId| json!({ "rel_type": kind, "event_id": event });
        let reply = json!({ "body": "reply", "m.relates_to": relation("m.thread", &root) });
        let reply = send(&rooms, &room, ada(), "reply", reply).await.unwrap();
        let edit = json!({ "body": "edit", "m.relates_to": relation("m.replace", &reply) });
        let edit = send(&rooms, &room, ada(), "edit", edit).await.unwrap();
        let thread = ReceiptThread::Thread(root.clone());

        for (event, thread, fits) in [
            (&root, ReceiptThread::Main, true),
            (&reply, ReceiptThread::Main, false),
            (&reply, thread.clone(), true),
            (&edit, thread.clone(), true),
            (&edit, ReceiptThread::Unthreaded, true),
            (&reply, ReceiptThread::Thread(edit.clone()), false),
        ] {
            let outcome =
                rooms.move_receipt(ada(), &room, ReceiptKind::Private, thread.clone(), event);
            let outcome = outcome.await;
            assert_eq!(outcome.is_ok(), fits, "{event} in {thread:?}: {outcome:?}");
        }
    }

    #[tokio::test]
    async fn only_who_is_in_a_room_reads_it() {
        let rooms = rooms_on_memory_store().await;
        let room = public_room(&rooms).await;
        let event = say(&rooms, &room, "one").await;
        let (kind, thread) = (ReceiptKind::Public, ReceiptThread::Unthreaded);
        let outcome = rooms.move_receipt(bo(), &room, kind, thread, &event).await;
        assert!(matches!(outcome, Err(RoomError::NotInRoom)));
        let outcome = rooms.move_read_marker(bo(), &room, &event).await;
        assert!(matches!(outcome, Err(RoomError::NotInRoom)));
    }

    #[tokio::test]
    async fn a_read_marker_is_account_data_and_never_moves_backwards() {
        let rooms = rooms_on_memory_store().await;
        let room = public_room(&rooms).await;
        let (first, second) = (say(&rooms, &room, "one").await, say(&rooms, &room, "two").await);
        rooms.move_read_marker(ada(), &room, &second).await.unwrap();
        rooms.move_read_marker(ada(), &room, &first).await.unwrap();

        let number = rooms.number_of(&room).await.unwrap();
        let user = rooms.store().number_user(ada()).await.unwrap();
        let data = rooms.store().account_data(user, Some(number), FULLY_READ).await.unwrap();
        let expected = json!({ "event_id": second }).to_string();
        assert_eq!(data.unwrap().content.get(), expected);
    }
}
