//! Tables of names and their numbers.
//!
//! | table | key | value |
//! | --- | --- | --- |
//! | `room_number` | room ID | number |
//! | `room_name` | room number | room ID |
//! | `user_number` | user ID | number |
//! | `user_name` | user number | user ID |
//! | `state_key_number` | event type, state key | number |
//! | `state_key_name` | state key number | event type, state key |
//!
//! A pair is written once, both ways in one batch, and never changes. A number is read only when it is durable, unlike
//! other values that never change: of two who name something at once one is refused, whose number nobody may have seen.

use std::sync::Arc;

use quick_cache::sync::Cache;
use ruma::events::StateEventType;
use ruma::{OwnedRoomId, OwnedUserId, RoomId, UserId};

use crate::key::{Key, KeyReader};
use crate::{Batch, RoomNumber, StateKeyNumber, Store, StoreError, Table, UserNumber};

const ROOM_NUMBER: Table = Table::new(1, "room_number");
const ROOM_NAME: Table = Table::immutable(2, "room_name");
const USER_NUMBER: Table = Table::new(3, "user_number");
const USER_NAME: Table = Table::immutable(4, "user_name");
const STATE_KEY_NUMBER: Table = Table::new(5, "state_key_number");
const STATE_KEY_NAME: Table = Table::immutable(6, "state_key_name");

/// How many names, and as many numbers, each kind keeps in memory.
const CACHED: usize = 50_000;

/// The two tables of one kind of name and what is cached of them.
#[derive(Debug)]
struct Names {
    number_of: Table,
    name_of: Table,
    by_name: Cache<Arc<[u8]>, u64>,
    by_number: Cache<u64, Arc<[u8]>>,
}

impl Names {
    fn new(number_of: Table, name_of: Table) -> Self {
        Self { number_of, name_of, by_name: Cache::new(CACHED), by_number: Cache::new(CACHED) }
    }

    fn remember(&self, name: &[u8], number: u64) {
        let name: Arc<[u8]> = Arc::from(name);
        self.by_name.insert(Arc::clone(&name), number);
        self.by_number.insert(number, name);
    }

    /// The number of a name that was seen before.
    async fn number(&self, store: &Store, name: &[u8]) -> Result<Option<u64>, StoreError> {
        if let Some(number) = self.by_name.get(name) {
            return Ok(Some(number));
        }
        let number = store.get(self.number_of, name).await?;
        if let Some(number) = number {
            self.remember(name, number);
        }
        Ok(number)
    }

    /// The number of a name, given to it now if it has none. Durable when this returns.
    async fn number_or_new(&self, store: &Store, name: &[u8]) -> Result<u64, StoreError> {
        loop {
            if let Some(number) = self.number(store, name).await? {
                return Ok(number);
            }
            let number = store.new_number().await?;
            let mut batch = Batch::new();
            batch.insert_new(self.number_of, name, &number)?;
            batch.put(self.name_of, Key::new().u64(number).into_bytes(), name.to_vec())?;
            match store.commit(batch).await {
                Ok(_) => {
                    self.remember(name, number);
                    return Ok(number);
                }
                // Somebody else numbered it in between.
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(error),
            }
        }
    }

    async fn name(&self, store: &Store, number: u64) -> Result<Option<Arc<[u8]>>, StoreError> {
        if let Some(name) = self.by_number.get(&number) {
            return Ok(Some(name));
        }
        let key = Key::new().u64(number);
        let Some(name) = store.get_bytes(self.name_of, key.as_ref()).await? else {
            return Ok(None);
        };
        self.remember(&name, number);
        Ok(Some(Arc::from(name)))
    }

    fn undecodable(&self) -> StoreError {
        StoreError::Undecodable { table: self.name_of.name(), reason: "not a name".to_owned() }
    }
}

/// All kinds of names.
#[derive(Debug)]
pub(crate) struct AllNames {
    rooms: Names,
    users: Names,
    state_keys: Names,
}

impl AllNames {
    pub(crate) fn new() -> Self {
        Self {
            rooms: Names::new(ROOM_NUMBER, ROOM_NAME),
            users: Names::new(USER_NUMBER, USER_NAME),
            state_keys: Names::new(STATE_KEY_NUMBER, STATE_KEY_NAME),
        }
    }
}

fn state_key_name(kind: &StateEventType, state_key: &str) -> Vec<u8> {
    Key::new().text(&kind.to_string()).last(state_key).into_bytes()
}

impl Store {
    /// The number of a room; `None` when it was never seen.
    pub async fn room_number(&self, room: &RoomId) -> Result<Option<RoomNumber>, StoreError> {
        Ok(self.names().rooms.number(self, room.as_bytes()).await?.map(RoomNumber))
    }

    /// The number of a room, given now if it has none.
    pub async fn number_room(&self, room: &RoomId) -> Result<RoomNumber, StoreError> {
        self.names().rooms.number_or_new(self, room.as_bytes()).await.map(RoomNumber)
    }

    /// The ID of a numbered room.
    pub async fn room_id(&self, room: RoomNumber) -> Result<Option<OwnedRoomId>, StoreError> {
        let Some(name) = self.names().rooms.name(self, room.0).await? else { return Ok(None) };
        let text =
            std::str::from_utf8(&name).ok().and_then(|name| OwnedRoomId::try_from(name).ok());
        text.map(Some).ok_or_else(|| self.names().rooms.undecodable())
    }

    /// The number of a user; `None` when they were never seen.
    pub async fn user_number(&self, user: &UserId) -> Result<Option<UserNumber>, StoreError> {
        Ok(self.names().users.number(self, user.as_bytes()).await?.map(UserNumber))
    }

    /// The number of a user, given now if they have none.
    pub async fn number_user(&self, user: &UserId) -> Result<UserNumber, StoreError> {
        self.names().users.number_or_new(self, user.as_bytes()).await.map(UserNumber)
    }

    /// The ID of a numbered user.
    pub async fn user_id(&self, user: UserNumber) -> Result<Option<OwnedUserId>, StoreError> {
        let Some(name) = self.names().users.name(self, user.0).await? else { return Ok(None) };
        let text =
            std::str::from_utf8(&name).ok().and_then(|name| OwnedUserId::try_from(name).ok());
        text.map(Some).ok_or_else(|| self.names().users.undecodable())
    }

    /// The number of a state key; `None` when no event ever had it.
    pub async fn state_key_number(
        &self,
        kind: &StateEventType,
        state_key: &str,
    ) -> Result<Option<StateKeyNumber>, StoreError> {
        let name = state_key_name(kind, state_key);
        Ok(self.names().state_keys.number(self, &name).await?.map(StateKeyNumber))
    }

    /// The number of a state key, given now if it has none.
    pub async fn number_state_key(
        &self,
        kind: &StateEventType,
        state_key: &str,
    ) -> Result<StateKeyNumber, StoreError> {
        let name = state_key_name(kind, state_key);
        self.names().state_keys.number_or_new(self, &name).await.map(StateKeyNumber)
    }

    /// Whether a number stands for a state key of this event type.
    pub async fn is_state_key_of(
        &self,
        number: StateKeyNumber,
        kind: &StateEventType,
    ) -> Result<bool, StoreError> {
        let name = self.names().state_keys.name(self, number.0).await?;
        let prefix = Key::new().text(&kind.to_string());
        Ok(name.is_some_and(|name| name.starts_with(prefix.as_ref())))
    }

    /// The event type and state key behind a number.
    pub async fn state_key(
        &self,
        number: StateKeyNumber,
    ) -> Result<Option<(StateEventType, String)>, StoreError> {
        let Some(name) = self.names().state_keys.name(self, number.0).await? else {
            return Ok(None);
        };
        let mut reader = KeyReader::new(&name);
        let kind = reader.text().map(StateEventType::from);
        let pair = kind.and_then(|kind| Some((kind, reader.last()?.to_owned())));
        pair.map(Some).ok_or_else(|| self.names().state_keys.undecodable())
    }
}

#[cfg(test)]
mod tests {
    use ruma::{room_id, user_id};

    use super::*;

    #[tokio::test]
    async fn a_name_keeps_its_number_and_a_number_its_name() {
        let store = Store::in_memory().await;
        let ada = store.number_user(user_id!("@ada:hearth.test")).await.unwrap();
        let bo = store.number_user(user_id!("@bo:hearth.test")).await.unwrap();

        assert_ne!(ada, bo);
        assert_eq!(store.number_user(user_id!("@ada:hearth.test")).await.unwrap(), ada);
        assert_eq!(store.user_id(bo).await.unwrap().unwrap(), "@bo:hearth.test");
        assert_eq!(store.user_number(user_id!("@cy:hearth.test")).await.unwrap(), None);
    }

    #[tokio::test]
    async fn names_seen_by_many_at_once_get_one_number() {
        let store = Store::in_memory().await;
        let room = room_id!("!kitchen:hearth.test");
        let all = (0..50).map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.number_room(room).await.unwrap() })
        });
        let mut numbers = Vec::new();
        for one in all.collect::<Vec<_>>() {
            numbers.push(one.await.unwrap());
        }
        assert!(numbers.iter().all(|number| *number == numbers[0]));
    }

    #[tokio::test]
    async fn state_keys_with_separators_stay_apart() {
        let store = Store::in_memory().await;
        let one = store.number_state_key(&"m.a".into(), "b").await.unwrap();
        let two = store.number_state_key(&"m.ab".into(), "").await.unwrap();
        assert_ne!(one, two);
        assert_eq!(store.state_key(one).await.unwrap().unwrap(), ("m.a".into(), "b".to_owned()));
    }
}
