//! What clients keep on the server for a user, of the whole account or of one room.
//!
//! | table | key | value |
//! | --- | --- | --- |
//! | `account_data` | user number, room number, type | stream position of the last change, JSON |
//! | `account_data_change` | user number, stream position, room number, type | nothing |
//!
//! Room number 0 stands for the account itself: no room has it. Each entry stands once in the index of changes, at
//! its last change, so reading what changed costs what changed. An entry that was deleted stays as an empty object, so
//! that readers are told.

use std::ops::Bound;

use serde_json::value::RawValue;

use crate::batch::{Stamp, StampEncoding};
use crate::key::{Key, KeyReader};
use crate::{
    Batch, Change, Direction, KeyRange, RoomNumber, Store, StoreError, StreamPosition, Table,
    UserNumber,
};

const ACCOUNT_DATA: Table = Table::new(50, "account_data");
const ACCOUNT_DATA_CHANGE: Table = Table::new(51, "account_data_change");

/// Bytes of the position at the front of a value.
const POSITION: usize = 8;

/// How many entries are erased in one commit.
const ERASED_AT_ONCE: usize = 256;

/// Stands for "of no room" in keys.
const GLOBAL: RoomNumber = RoomNumber(0);

/// One entry of a user's account data.
#[derive(Debug, Clone)]
pub struct AccountData {
    /// The room it is of; `None` for the account's own.
    pub room: Option<RoomNumber>,
    /// The event type.
    pub kind: String,
    /// The content, a JSON object.
    pub content: Box<RawValue>,
    /// Where it changed last.
    pub position: StreamPosition,
}

impl AccountData {
    /// The most bytes a content may have.
    pub const MAX_CONTENT: usize = 65_536;

    /// The content of an entry that was deleted. Spec: MSC3391.
    pub const DELETED: &str = "{}";

    /// Whether the entry was deleted.
    pub fn is_deleted(&self) -> bool {
        self.content.get() == Self::DELETED
    }
}

fn key(user: UserNumber, room: Option<RoomNumber>, kind: &str) -> Vec<u8> {
    Key::new().user(user).room(room.unwrap_or(GLOBAL)).last(kind).into_bytes()
}

fn change_key(
    user: UserNumber,
    position: StreamPosition,
    room: Option<RoomNumber>,
    kind: &str,
) -> Vec<u8> {
    let key = Key::new().user(user).position(position);
    key.room(room.unwrap_or(GLOBAL)).last(kind).into_bytes()
}

fn undecodable(table: Table, reason: &str) -> StoreError {
    StoreError::Undecodable { table: table.name(), reason: reason.to_owned() }
}

/// An entry from the room and type of its key, and its value.
fn entry(room: RoomNumber, kind: &str, value: &[u8]) -> Result<AccountData, StoreError> {
    let (position, json) = value
        .split_first_chunk::<POSITION>()
        .ok_or_else(|| undecodable(ACCOUNT_DATA, "shorter than its position"))?;
    let content = std::str::from_utf8(json)
        .ok()
        .and_then(|json| RawValue::from_string(json.to_owned()).ok())
        .ok_or_else(|| undecodable(ACCOUNT_DATA, "not JSON"))?;
    Ok(AccountData {
        room: (room != GLOBAL).then_some(room),
        kind: kind.to_owned(),
        content,
        position: StreamPosition(u64::from_be_bytes(*position)),
    })
}

/// Room and type at the end of a key of either table.
fn room_and_kind(
    table: Table,
    mut reader: KeyReader<'_>,
) -> Result<(RoomNumber, &str), StoreError> {
    let room = reader.u64().map(RoomNumber);
    room.zip(reader.last()).ok_or_else(|| undecodable(table, "not a key"))
}

impl Store {
    /// One entry of a user's account data, of a room or of the account, deleted or not.
    pub async fn account_data(
        &self,
        user: UserNumber,
        room: Option<RoomNumber>,
        kind: &str,
    ) -> Result<Option<AccountData>, StoreError> {
        let found = self.get_bytes(ACCOUNT_DATA, &key(user, room, kind)).await?;
        found.map(|value| entry(room.unwrap_or(GLOBAL), kind, &value)).transpose()
    }

    /// All account data of a user that is not deleted, of the account first and then by room.
    pub async fn all_account_data(&self, user: UserNumber) -> Result<Vec<AccountData>, StoreError> {
        self.account_data_under(Key::new().user(user)).await
    }

    /// Erases all account data of a user, some in each commit.
    pub async fn erase_account_data(&self, user: UserNumber) -> Result<(), StoreError> {
        for page in self.all_account_data(user).await?.chunks(ERASED_AT_ONCE) {
            let mut batch = Batch::new();
            for entry in page {
                batch.erase_account_data(user, entry);
            }
            batch.forget_account_data_size(user);
            self.commit(batch).await?;
        }
        Ok(())
    }

    /// All account data of a user of one room that is not deleted.
    pub async fn room_account_data(
        &self,
        user: UserNumber,
        room: RoomNumber,
    ) -> Result<Vec<AccountData>, StoreError> {
        self.account_data_under(Key::new().user(user).room(room)).await
    }

    /// What changed of a user's account data after `since` up to `until`, in the order of the changes. What changed
    /// again after `until` is left out: it stands further on.
    pub async fn account_data_since(
        &self,
        user: UserNumber,
        since: StreamPosition,
        until: StreamPosition,
    ) -> Result<Vec<AccountData>, StoreError> {
        let bound = |position: StreamPosition| {
            Key::new()
                .user(user)
                .position(StreamPosition(position.0.saturating_add(1)))
                .into_bytes()
        };
        let range =
            KeyRange { start: Bound::Included(bound(since)), end: Bound::Excluded(bound(until)) };
        let changes =
            self.scan(ACCOUNT_DATA_CHANGE, range, Direction::Ascending, usize::MAX).await?;
        let mut entries = Vec::with_capacity(changes.len());
        for (key, _) in changes {
            let mut reader = KeyReader::new(&key);
            let position = reader.u64().and_then(|_| reader.u64()).map(StreamPosition);
            let (room, kind) = room_and_kind(ACCOUNT_DATA_CHANGE, reader)?;
            let room = (room != GLOBAL).then_some(room);
            let found = self.account_data(user, room, kind).await?;
            entries.extend(found.filter(|found| Some(found.position) == position));
        }
        Ok(entries)
    }

    async fn account_data_under(&self, prefix: Key) -> Result<Vec<AccountData>, StoreError> {
        let range = KeyRange::prefix(prefix.into_bytes());
        let entries = self.scan(ACCOUNT_DATA, range, Direction::Ascending, usize::MAX).await?;
        let read = |(key, value): (Vec<u8>, Vec<u8>)| {
            let mut reader = KeyReader::new(&key);
            reader.u64().ok_or_else(|| undecodable(ACCOUNT_DATA, "not a key"))?;
            let (room, kind) = room_and_kind(ACCOUNT_DATA, reader)?;
            entry(room, kind, &value)
        };
        let kept = |read: &Result<AccountData, StoreError>| {
            read.as_ref().map_or(true, |entry| !entry.is_deleted())
        };
        entries.into_iter().map(read).filter(kept).collect()
    }
}

impl Batch {
    /// Sets an entry of a user's account data. `before` is what it is now: committing fails with
    /// [`StoreError::Conflict`] when it is that no more. Fails with [`StoreError::TooLarge`] for a content of more
    /// than [`AccountData::MAX_CONTENT`] bytes.
    pub fn set_account_data(
        &mut self,
        user: UserNumber,
        room: Option<RoomNumber>,
        kind: &str,
        before: Option<&AccountData>,
        content: &RawValue,
    ) -> Result<(), StoreError> {
        if content.get().len() > AccountData::MAX_CONTENT {
            return Err(StoreError::TooLarge(content.get().len()));
        }
        let stored = |position: StreamPosition, content: &RawValue| {
            [&position.0.to_be_bytes(), content.get().as_bytes()].concat()
        };
        let expected = before.map(|before| stored(before.position, &before.content));
        self.expect_bytes(ACCOUNT_DATA, key(user, room, kind), expected);
        if let Some(before) = before {
            self.remove(ACCOUNT_DATA_CHANGE, change_key(user, before.position, room, kind));
        }
        let slot = self.slot();
        let stamp = |offset| Some(Stamp { offset, slot, encoding: StampEncoding::Stream });
        let value = stored(StreamPosition::START, content);
        self.put_stamped(ACCOUNT_DATA, key(user, room, kind), None, value, stamp(0))?;
        let change = change_key(user, StreamPosition::START, room, kind);
        self.put_stamped(ACCOUNT_DATA_CHANGE, change, stamp(8), Vec::new(), None)?;
        self.announce(Change::AccountData(user));
        Ok(())
    }

    /// Removes an entry of a user whom nobody will tell of it.
    pub(crate) fn erase_account_data(&mut self, user: UserNumber, entry: &AccountData) {
        self.remove(ACCOUNT_DATA, key(user, entry.room, &entry.kind));
        let change = change_key(user, entry.position, entry.room, &entry.kind);
        self.remove(ACCOUNT_DATA_CHANGE, change);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADA: UserNumber = UserNumber(7);
    const ROOM: RoomNumber = RoomNumber(9);

    async fn set(
        store: &Store,
        room: Option<RoomNumber>,
        kind: &str,
        json: &str,
    ) -> StreamPosition {
        let before = store.account_data(ADA, room, kind).await.unwrap();
        let content = RawValue::from_string(json.to_owned()).unwrap();
        let mut batch = Batch::new();
        batch.set_account_data(ADA, room, kind, before.as_ref(), &content).unwrap();
        store.commit(batch).await.unwrap()
    }

    async fn changed(store: &Store, since: StreamPosition, until: StreamPosition) -> Vec<String> {
        let entries = store.account_data_since(ADA, since, until).await.unwrap();
        entries.into_iter().map(|entry| format!("{} {}", entry.kind, entry.content)).collect()
    }

    #[tokio::test]
    async fn a_change_is_told_once_at_its_last_position() {
        let store = Store::in_memory().await;
        let first = set(&store, None, "m.direct", r#"{"a":1}"#).await;
        let second = set(&store, Some(ROOM), "m.tag", "{}").await;
        let third = set(&store, None, "m.direct", r#"{"a":2}"#).await;

        assert!(changed(&store, StreamPosition::START, first).await.is_empty());
        assert_eq!(changed(&store, StreamPosition::START, second).await, ["m.tag {}"]);
        assert_eq!(changed(&store, first, third).await, ["m.tag {}", r#"m.direct {"a":2}"#]);
        assert!(changed(&store, third, third).await.is_empty());
    }

    #[tokio::test]
    async fn account_data_of_the_account_and_of_rooms_stay_apart() {
        let store = Store::in_memory().await;
        set(&store, None, "x", r#"{"of":"account"}"#).await;
        set(&store, Some(ROOM), "x", r#"{"of":"room"}"#).await;

        let all = store.all_account_data(ADA).await.unwrap();
        let rooms: Vec<_> = all.iter().map(|entry| entry.room).collect();
        assert_eq!(rooms, [None, Some(ROOM)]);
        let of_room = store.room_account_data(ADA, ROOM).await.unwrap();
        assert_eq!(of_room.len(), 1);
        assert_eq!(of_room[0].content.get(), r#"{"of":"room"}"#);
        assert!(store.all_account_data(UserNumber(8)).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_deleted_entry_is_told_and_not_listed() {
        let store = Store::in_memory().await;
        let first = set(&store, Some(ROOM), "x", r#"{"a":1}"#).await;
        let second = set(&store, Some(ROOM), "x", AccountData::DELETED).await;

        assert_eq!(changed(&store, first, second).await, ["x {}"]);
        assert!(store.all_account_data(ADA).await.unwrap().is_empty());
        assert!(store.room_account_data(ADA, ROOM).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn an_erased_entry_leaves_nothing() {
        let store = Store::in_memory().await;
        let position = set(&store, None, "x", r#"{"a":1}"#).await;
        let entry = store.account_data(ADA, None, "x").await.unwrap().unwrap();
        let mut batch = Batch::new();
        batch.erase_account_data(ADA, &entry);
        store.commit(batch).await.unwrap();

        assert!(store.account_data(ADA, None, "x").await.unwrap().is_none());
        assert!(changed(&store, StreamPosition::START, position).await.is_empty());
    }

    #[tokio::test]
    async fn of_two_changes_of_the_same_entry_one_is_refused() {
        let store = Store::in_memory().await;
        let content = RawValue::from_string("{}".to_owned()).unwrap();
        let change = || {
            let mut batch = Batch::new();
            batch.set_account_data(ADA, None, "x", None, &content).unwrap();
            store.commit(batch)
        };
        let (one, two) = tokio::join!(change(), change());
        assert!(one.is_ok());
        assert!(matches!(two, Err(StoreError::Conflict)));
    }
}
