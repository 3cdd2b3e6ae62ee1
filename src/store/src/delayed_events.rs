//! Tables of events that are to be sent later. Spec: MSC4140.
//!
//! | table | key | value |
//! | --- | --- | --- |
//! | `delayed_event` | delay ID | event |
//! | `delayed_due` | when it is due, delay ID | nothing |
//! | `delayed_of_user` | user number, 0, delay ID | nothing |
//! | `delayed_of_user` | user number, 1, device ID, room number, type, transaction ID | delay ID |
//! | `delayed_state` | room number, state key number, delay ID | user number |
//!
//! The rows of one event are written and removed together.

use ruma::events::{StateEventType, TimelineEventType};
use ruma::{MilliSecondsSinceUnixEpoch, OwnedEventId};
use serde::{Deserialize, Serialize};

use crate::engine::{Direction, KeyRange};
use crate::key::{Key, KeyReader};
use crate::store::decode;
use crate::{
    Batch, EventTransaction, RoomNumber, StateKeyNumber, Store, StoreError, Table, UserNumber,
};

const DELAYED_STATE: Table = Table::new(84, "delayed_state");
const DELAYED_EVENT: Table = Table::new(85, "delayed_event");
const DELAYED_DUE: Table = Table::new(86, "delayed_due");
const DELAYED_OF_USER: Table = Table::new(87, "delayed_of_user");

/// An event that is to be sent later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DelayedEvent {
    /// Who sends it.
    pub user: UserNumber,
    /// Where to.
    pub room: RoomNumber,
    /// Its type.
    pub kind: String,
    /// Its state key and the number of that; `None` for a message.
    pub state: Option<(StateKeyNumber, String)>,
    /// Its content, as JSON.
    pub content: String,
    /// The event that it redacts.
    pub redacts: Option<OwnedEventId>,
    /// The transaction in which it was sent.
    pub transaction: Option<EventTransaction>,
    /// For how many milliseconds it is held back.
    pub delay: u64,
    /// Since when, in milliseconds since 1970.
    pub running_since: u64,
}

impl DelayedEvent {
    /// When it is to be sent.
    pub fn due(&self) -> u64 {
        self.running_since.saturating_add(self.delay)
    }

    /// Its type, as that of any event.
    pub fn event_type(&self) -> TimelineEventType {
        TimelineEventType::from(self.kind.as_str())
    }

    /// Its type, as that of a state event.
    pub fn state_type(&self) -> StateEventType {
        StateEventType::from(self.kind.as_str())
    }

    fn transaction_key(&self) -> Option<Vec<u8>> {
        let transaction = self.transaction.as_ref()?;
        Some(transaction_key(self.user, self.room, &self.kind, transaction))
    }
}

fn transaction_key(
    user: UserNumber,
    room: RoomNumber,
    kind: &str,
    transaction: &EventTransaction,
) -> Vec<u8> {
    let EventTransaction { device_id, transaction_id } = transaction;
    let key = Key::new().user(user).raw(&[1]).text(device_id.as_str());
    key.room(room).text(kind).last(transaction_id).into_bytes()
}

fn due_key(event: &DelayedEvent, id: &str) -> Vec<u8> {
    Key::new().u64(event.due()).last(id).into_bytes()
}

fn user_key(user: UserNumber) -> Key {
    Key::new().user(user).raw(&[0])
}

fn state_key(room: RoomNumber, state: StateKeyNumber) -> Key {
    Key::new().room(room).u64(state.0)
}

fn damaged(table: Table) -> StoreError {
    StoreError::Undecodable { table: table.name(), reason: "not a delay ID".to_owned() }
}

impl Store {
    /// An event that waits.
    pub async fn delayed_event(&self, id: &str) -> Result<Option<DelayedEvent>, StoreError> {
        self.get(DELAYED_EVENT, id).await
    }

    /// The delay IDs of at most `limit` events and when they are due, the first first.
    pub async fn delayed_due(&self, limit: usize) -> Result<Vec<(u64, String)>, StoreError> {
        let range = KeyRange::prefix(Vec::new());
        let rows = self.scan(DELAYED_DUE, range, Direction::Ascending, limit).await?;
        let read = |(key, _): &(Vec<u8>, Vec<u8>)| {
            let mut reader = KeyReader::new(key);
            let due = reader.u64().zip(reader.last().map(ToOwned::to_owned));
            due.ok_or_else(|| damaged(DELAYED_DUE))
        };
        rows.iter().map(read).collect()
    }

    /// The delay IDs of at most `limit` events of a user, after `after`.
    pub async fn delayed_events_of(
        &self,
        user: UserNumber,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, StoreError> {
        let prefix = user_key(user);
        let mut range = KeyRange::prefix(prefix.clone().into_bytes());
        if let Some(after) = after {
            range.continue_after(prefix.last(after).into_bytes(), Direction::Ascending);
        }
        let rows = self.scan(DELAYED_OF_USER, range, Direction::Ascending, limit).await?;
        let read = |(key, _): &(Vec<u8>, Vec<u8>)| {
            let id = key.get(9..).and_then(|id| str::from_utf8(id).ok());
            id.map(ToOwned::to_owned).ok_or_else(|| damaged(DELAYED_OF_USER))
        };
        rows.iter().map(read).collect()
    }

    /// The delay ID of the waiting event that a transaction made.
    pub async fn delayed_in_transaction(
        &self,
        user: UserNumber,
        room: RoomNumber,
        kind: &str,
        transaction: &EventTransaction,
    ) -> Result<Option<String>, StoreError> {
        self.get(DELAYED_OF_USER, transaction_key(user, room, kind, transaction)).await
    }

    /// The delay IDs of at most `limit` events that would set a piece of a room's state, with their senders.
    pub async fn delayed_states(
        &self,
        room: RoomNumber,
        state: StateKeyNumber,
        limit: usize,
    ) -> Result<Vec<(String, UserNumber)>, StoreError> {
        let range = KeyRange::prefix(state_key(room, state).into_bytes());
        let rows = self.scan(DELAYED_STATE, range, Direction::Ascending, limit).await?;
        let read = |(key, value): &(Vec<u8>, Vec<u8>)| {
            let id = key.get(16..).and_then(|id| str::from_utf8(id).ok());
            let id = id.map(ToOwned::to_owned).ok_or_else(|| damaged(DELAYED_STATE))?;
            Ok((id, decode(DELAYED_STATE, value)?))
        };
        rows.iter().map(read).collect()
    }
}

impl Batch {
    /// Has an event wait. Committing fails with [`StoreError::Conflict`] when its transaction made one already.
    pub fn create_delayed_event(
        &mut self,
        id: &str,
        event: &DelayedEvent,
    ) -> Result<(), StoreError> {
        self.insert_new(DELAYED_EVENT, id, event)?;
        self.insert(DELAYED_DUE, due_key(event, id), &())?;
        self.insert(DELAYED_OF_USER, user_key(event.user).last(id).into_bytes(), &())?;
        if let Some(key) = event.transaction_key() {
            self.insert_new(DELAYED_OF_USER, key, id)?;
        }
        if let Some((state, _)) = &event.state {
            let key = state_key(event.room, *state).last(id).into_bytes();
            self.insert(DELAYED_STATE, key, &event.user)?;
        }
        Ok(())
    }

    /// Has an event wait from `running_since` on. Committing fails with [`StoreError::Conflict`] when it is not as
    /// `known` any more.
    pub fn restart_delayed_event(
        &mut self,
        id: &str,
        known: &DelayedEvent,
        running_since: MilliSecondsSinceUnixEpoch,
    ) -> Result<(), StoreError> {
        let after = DelayedEvent { running_since: running_since.get().into(), ..known.clone() };
        self.expect(DELAYED_EVENT, id, Some(known))?;
        self.insert(DELAYED_EVENT, id, &after)?;
        self.remove(DELAYED_DUE, due_key(known, id));
        self.insert(DELAYED_DUE, due_key(&after, id), &())
    }

    /// Forgets an event that waited. Committing fails with [`StoreError::Conflict`] when it is not as `known` any
    /// more.
    pub fn remove_delayed_event(
        &mut self,
        id: &str,
        known: &DelayedEvent,
    ) -> Result<(), StoreError> {
        self.expect(DELAYED_EVENT, id, Some(known))?;
        self.remove(DELAYED_EVENT, id);
        self.remove(DELAYED_DUE, due_key(known, id));
        self.remove(DELAYED_OF_USER, user_key(known.user).last(id).into_bytes());
        if let Some(key) = known.transaction_key() {
            self.remove(DELAYED_OF_USER, key);
        }
        if let Some((state, _)) = &known.state {
            self.remove(DELAYED_STATE, state_key(known.room, *state).last(id).into_bytes());
        }
        Ok(())
    }
}
