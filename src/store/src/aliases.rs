//! Tables of room aliases.
//!
//! | table | key | value |
//! | --- | --- | --- |
//! | `alias` | alias | room ID, creator |
//! | `room_alias` | room ID, alias | nothing |
//!
//! Spec: client-server API, "Room aliases".

use ruma::{OwnedRoomAliasId, OwnedRoomId, OwnedUserId, RoomAliasId, RoomId};
use serde::{Deserialize, Serialize};

use crate::engine::{Direction, KeyRange};
use crate::key::{Key, KeyReader};
use crate::{Batch, Store, StoreError, Table};

const ALIAS: Table = Table::new(20, "alias");
const ROOM_ALIAS: Table = Table::new(21, "room_alias");

/// Where an alias of this server points, and who made it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AliasRecord {
    /// The room.
    pub room_id: OwnedRoomId,
    /// Who may always delete it.
    pub creator: OwnedUserId,
}

fn room_alias_key(room_id: &RoomId, alias: &RoomAliasId) -> Vec<u8> {
    Key::new().text(room_id.as_str()).last(alias.as_str()).into_bytes()
}

impl Store {
    /// The record behind `alias`; `None` when it points nowhere.
    pub async fn alias(&self, alias: &RoomAliasId) -> Result<Option<AliasRecord>, StoreError> {
        self.get(ALIAS, alias.as_bytes()).await
    }

    /// At most `limit` aliases of a room, in their order as text.
    pub async fn aliases_of(
        &self,
        room_id: &RoomId,
        limit: usize,
    ) -> Result<Vec<OwnedRoomAliasId>, StoreError> {
        let range = KeyRange::prefix(Key::new().text(room_id.as_str()).into_bytes());
        let entries = self.scan(ROOM_ALIAS, range, Direction::Ascending, limit).await?;
        let alias = |key: &[u8]| {
            let mut reader = KeyReader::new(key);
            reader.text()?;
            OwnedRoomAliasId::try_from(reader.last()?).ok()
        };
        Ok(entries.iter().filter_map(|(key, _)| alias(key)).collect())
    }
}

impl Batch {
    /// Points a new alias at a room. Committing fails with [`StoreError::Conflict`] when the alias exists, so two
    /// nodes of a cluster cannot both create it.
    pub fn create_alias(
        &mut self,
        alias: &RoomAliasId,
        record: &AliasRecord,
    ) -> Result<(), StoreError> {
        self.insert_new(ALIAS, alias.as_bytes(), record)?;
        self.insert(ROOM_ALIAS, room_alias_key(&record.room_id, alias), &())
    }

    /// Points an alias at another room, in place of what `before` says. The room it points at now is to lose it in the
    /// same batch.
    pub fn repoint_alias(
        &mut self,
        alias: &RoomAliasId,
        room_id: &RoomId,
        before: &AliasRecord,
    ) -> Result<(), StoreError> {
        let record = AliasRecord { room_id: room_id.to_owned(), creator: before.creator.clone() };
        self.insert(ALIAS, alias.as_bytes(), &record)?;
        self.insert(ROOM_ALIAS, room_alias_key(room_id, alias), &())
    }

    /// Removes an alias. Committing fails with [`StoreError::Conflict`] when it is not `record` any more.
    pub fn delete_alias(
        &mut self,
        alias: &RoomAliasId,
        record: &AliasRecord,
    ) -> Result<(), StoreError> {
        self.expect(ALIAS, alias.as_bytes(), Some(record))?;
        self.remove(ALIAS, alias.as_bytes());
        self.remove(ROOM_ALIAS, room_alias_key(&record.room_id, alias));
        Ok(())
    }
}
