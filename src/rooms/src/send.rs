//! Sending messages, setting state, redacting.

use std::sync::Arc;
use std::time::Instant;

use ruma::events::room::canonical_alias::RoomCanonicalAliasEventContent;
use ruma::events::{StateEventType, TimelineEventType};
use ruma::{DeviceId, EventId, OwnedEventId, RoomId, UserId};
use serde_json::value::RawValue;
use store::{EventTransaction, TransactionKey};

use crate::assembly::{Draft, random_localpart};
use crate::cell::RoomCell;
use crate::create::raw;
use crate::{RoomError, Rooms, StoredEvent};

/// A message to send, in a transaction of a device.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// Who sends it.
    pub sender: &'a UserId,
    /// From which device.
    pub device_id: &'a DeviceId,
    /// The transaction's identifier; sending the same again sends nothing new.
    pub transaction_id: &'a str,
    /// Its type.
    pub kind: &'a TimelineEventType,
    /// Its content, a JSON object.
    pub content: &'a RawValue,
    /// The event that it redacts; for `m.room.redaction` only.
    pub redacts: Option<&'a EventId>,
}

impl Rooms {
    /// Sends a message and returns its event ID once it is durable.
    ///
    /// Fails with [`RoomError::Forbidden`] when the sender may not, [`RoomError::DuplicateAnnotation`] for the same
    /// reaction again. Spec: client-server API, `PUT /rooms/{roomId}/send/{eventType}/{txnId}` and `/redact`.
    #[tracing::instrument(skip_all, fields(%room_id))]
    pub async fn send_message(
        &self,
        room_id: &RoomId,
        message: Message<'_>,
    ) -> Result<OwnedEventId, RoomError> {
        let cell = self.cell_of(room_id).await.map_err(not_in_room)?;
        let user = self.store().number_user(message.sender).await?;
        let key = TransactionKey {
            user,
            device_id: message.device_id,
            room: cell.number,
            path: &transaction_path(message.kind, message.redacts),
            transaction_id: message.transaction_id,
        };
        if let Some(event_id) = self.store().transaction(key).await? {
            return Ok(event_id);
        }
        if !message.content.get().starts_with('{') {
            return Err(RoomError::Malformed("the content of an event is an object".to_owned()));
        }
        let draft = Draft {
            sender: message.sender.to_owned(),
            kind: message.kind.clone(),
            content: message.content.to_owned(),
            state_key: None,
            redacts: message.redacts.map(ToOwned::to_owned),
            transaction: Some(EventTransaction {
                device_id: message.device_id.to_owned(),
                transaction_id: message.transaction_id.to_owned(),
            }),
        };
        let events = self
            .append_with(&cell, &[draft], |assembly| {
                let event_id = assembly.events.last().map(|event| event.pdu.event_id.clone());
                if let Some(event_id) = event_id {
                    assembly.batch.create_transaction(key, &event_id)?;
                }
                Ok(())
            })
            .await?;
        self.typing().stop(cell.number, message.sender);
        self.presence().act(user, Instant::now());
        id_of_last(&events)
    }

    /// Sets a room's state and returns the ID of the event that does. Setting what the sender has set already
    /// returns the event that did. Memberships are set as any other state, so that all rules are the room's own.
    ///
    /// Fails with [`RoomError::BadAlias`] for an `m.room.canonical_alias` that names aliases of other rooms, and with
    /// [`RoomError::InviteBlocked`] for an invitation that is not wanted.
    /// Spec: client-server API, `PUT /rooms/{roomId}/state/{eventType}/{stateKey}`.
    #[tracing::instrument(skip_all, fields(%room_id))]
    pub async fn set_state(
        &self,
        room_id: &RoomId,
        sender: &UserId,
        kind: &StateEventType,
        state_key: &str,
        content: Box<RawValue>,
    ) -> Result<OwnedEventId, RoomError> {
        let cell = self.cell_of(room_id).await.map_err(not_in_room)?;
        match self.state_draft(&cell, sender, (kind, state_key), content).await? {
            Ok(draft) => {
                let events = self.append(&cell, &[draft]).await?;
                if *kind == StateEventType::RoomMember {
                    self.after_membership(cell.number, &events).await;
                }
                self.note_activity(sender).await?;
                id_of_last(&events)
            }
            Err(event_id) => Ok(event_id),
        }
    }

    /// What sets a room's state, or the ID of the event with which the sender has set the same already.
    pub(crate) async fn state_draft(
        &self,
        cell: &RoomCell,
        sender: &UserId,
        (kind, state_key): (&StateEventType, &str),
        content: Box<RawValue>,
    ) -> Result<Result<Draft, OwnedEventId>, RoomError> {
        let root = self.current_state(cell.number).await?;
        if let Some(event) = self.state_at(cell.number, root, kind, state_key).await?
            && event.pdu.sender == sender
            && same_json(&self.after_redaction(&event).await?.content, &content)
        {
            return Ok(Err(event.pdu.event_id.clone()));
        }
        if *kind == StateEventType::RoomCanonicalAlias {
            self.check_canonical_alias(cell.number, &cell.room_id, root, &content).await?;
        }
        let content = if *kind == StateEventType::RoomMember {
            let room = cell.number;
            raw(&self.checked_member_content(room, root, sender, state_key, &content).await?)
        } else {
            content
        };
        let kind = TimelineEventType::from(kind.to_string());
        let state_key = Some(state_key.to_owned());
        Ok(Ok(Draft::new(sender.to_owned(), kind, state_key, content)))
    }

    /// Every alias that a canonical alias event names for the first time must point at the room.
    async fn check_canonical_alias(
        &self,
        room: store::RoomNumber,
        room_id: &RoomId,
        root: store::StateRoot,
        content: &RawValue,
    ) -> Result<(), RoomError> {
        let parse = |json: &str| serde_json::from_str::<RoomCanonicalAliasEventContent>(json);
        let new =
            parse(content.get()).map_err(|error| RoomError::InvalidParameter(error.to_string()))?;
        let kind = StateEventType::RoomCanonicalAlias;
        let old = self.state_at(room, root, &kind, "").await?;
        let old = match old {
            Some(event) => parse(self.after_redaction(&event).await?.content.get()).ok(),
            None => None,
        };
        let known: Vec<_> =
            old.iter().flat_map(|old| old.alias.iter().chain(&old.alt_aliases)).collect();
        for alias in new.alias.iter().chain(&new.alt_aliases) {
            if known.contains(&alias) {
                continue;
            }
            let record = self.store().alias(alias).await?;
            if record.is_none_or(|record| record.room_id != room_id) {
                return Err(RoomError::BadAlias(alias.clone()));
            }
        }
        Ok(())
    }
}

/// What tells a transaction from others of the same name.
/// Spec: client-server API, "Transaction identifiers": "and the path of the HTTP request is the same".
pub(crate) fn transaction_path(kind: &TimelineEventType, redacts: Option<&EventId>) -> String {
    match redacts {
        Some(redacts) => format!("{kind}/{redacts}"),
        None => kind.to_string(),
    }
}

/// A transaction's identifier that nobody used before, for who has no other reason to name it.
pub fn unique_transaction_id() -> String {
    random_localpart()
}

/// To a sender, a room that is not there looks like one they are not in.
fn not_in_room(error: RoomError) -> RoomError {
    match error {
        RoomError::UnknownRoom(_) => RoomError::NotInRoom,
        other => other,
    }
}

fn id_of_last(events: &[Arc<StoredEvent>]) -> Result<OwnedEventId, RoomError> {
    let last =
        events.last().ok_or_else(|| RoomError::Damaged("nothing was appended".to_owned()))?;
    Ok(last.pdu.event_id.clone())
}

fn same_json(one: &RawValue, other: &RawValue) -> bool {
    let parse = |raw: &RawValue| serde_json::from_str::<serde_json::Value>(raw.get()).ok();
    one.get() == other.get() || parse(one) == parse(other)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use store::{Direction, TimelinePosition};

    use super::*;
    use crate::testing::{ada, bo, public_room, rooms_on_memory_store, say, send};

    #[tokio::test]
    async fn the_same_transaction_sends_once() {
        let rooms = rooms_on_memory_store().await;
        let room = public_room(&rooms).await;
        let content = json!({ "body": "tea?" });
        let first = send(&rooms, &room, ada(), "1", content.clone()).await.unwrap();
        assert_eq!(send(&rooms, &room, ada(), "1", content.clone()).await.unwrap(), first);
        assert_ne!(send(&rooms, &room, ada(), "2", content).await.unwrap(), first);
    }

    #[tokio::test]
    async fn the_same_transaction_sent_by_many_at_once_sends_once() {
        let rooms = rooms_on_memory_store().await;
        let room = public_room(&rooms).await;
        let tasks: Vec<_> = (0..20)
            .map(|_| {
                let (rooms, room) = (rooms.clone(), room.clone());
                let content = json!({ "body": "tea?" });
                tokio::spawn(async move { send(&rooms, &room, ada(), "1", content).await.unwrap() })
            })
            .collect();
        let mut ids = Vec::new();
        for task in tasks {
            ids.push(task.await.unwrap());
        }
        ids.dedup();
        assert_eq!(ids.len(), 1);
    }

    #[tokio::test]
    async fn many_senders_at_once_make_one_chain_of_events() {
        let rooms = rooms_on_memory_store().await;
        let room = public_room(&rooms).await;
        let tasks: Vec<_> = (0..64)
            .map(|number| {
                let (rooms, room) = (rooms.clone(), room.clone());
                tokio::spawn(async move { say(&rooms, &room, &number.to_string()).await })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        let number = rooms.number_of(&room).await.unwrap();
        let (min, max) = (TimelinePosition::MIN, TimelinePosition::MAX);
        let entries = rooms.store().timeline(number, min, max, Direction::Ascending, 100);
        let numbers: Vec<_> = entries.await.unwrap().iter().map(|entry| entry.event).collect();
        let events = rooms.events(numbers).await.unwrap();
        for pair in events.windows(2) {
            assert_eq!(pair[1].pdu.prev_events, [pair[0].pdu.event_id.clone()]);
        }
        assert_eq!(events.iter().filter(|event| event.pdu.state_key.is_none()).count(), 64);
    }

    #[tokio::test]
    async fn who_is_not_in_the_room_sends_nothing() {
        let rooms = rooms_on_memory_store().await;
        let room = public_room(&rooms).await;
        let refused = send(&rooms, &room, bo(), "1", json!({ "body": "tea?" })).await;
        assert!(matches!(refused, Err(RoomError::Forbidden(_))), "{refused:?}");
    }

    #[tokio::test]
    async fn setting_the_same_state_again_changes_nothing() {
        let rooms = rooms_on_memory_store().await;
        let room = public_room(&rooms).await;
        let set = |topic: &str| {
            let content = crate::create::raw(&json!({ "topic": topic }));
            let (rooms, room) = (rooms.clone(), room.clone());
            let kind = StateEventType::RoomTopic;
            async move { rooms.set_state(&room, ada(), &kind, "", content).await.unwrap() }
        };
        let first = set("tea").await;
        assert_eq!(set("tea").await, first);
        assert_ne!(set("milk").await, first);
    }

    #[tokio::test]
    async fn the_same_reaction_is_given_once_until_it_is_redacted() {
        let rooms = rooms_on_memory_store().await;
        let room = public_room(&rooms).await;
        let tea = say(&rooms, &room, "tea").await;
        let relates = json!({ "rel_type": "m.annotation", "event_id": tea, "key": "👍" });
        let like = |transaction: &'static str| {
            send(&rooms, &room, ada(), transaction, json!({ "m.relates_to": relates.clone() }))
        };
        let first = like("a").await.unwrap();
        assert!(matches!(like("b").await, Err(RoomError::DuplicateAnnotation)));
        let message = Message {
            sender: ada(),
            device_id: <&DeviceId>::from("PHONE"),
            transaction_id: "c",
            kind: &TimelineEventType::RoomRedaction,
            content: &crate::create::raw(&json!({})),
            redacts: Some(&first),
        };
        rooms.send_message(&room, message).await.unwrap();
        like("d").await.unwrap();
    }
}
