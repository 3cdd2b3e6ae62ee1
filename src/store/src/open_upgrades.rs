//! Table of rooms that were replaced, of which something is still to be done in other places.
//!
//! | table | key | value |
//! | --- | --- | --- |
//! | `open_upgrade` | number of the old room | number of the new room, number of who replaced it |
//!
//! An entry is written in the commit that makes the new room and closes the old one, and removed when the rest is done.

use crate::engine::{Direction, KeyRange};
use crate::key::{Key, KeyReader};
use crate::store::decode;
use crate::{Batch, RoomNumber, Store, StoreError, Table, UserNumber};

const OPEN_UPGRADE: Table = Table::new(74, "open_upgrade");

/// A room that was replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenUpgrade {
    /// The room.
    pub old: RoomNumber,
    /// The room that took its place.
    pub new: RoomNumber,
    /// Who replaced it.
    pub user: UserNumber,
}

impl Store {
    /// At most `limit` upgrades that are not done, in order of the old rooms' numbers.
    pub async fn open_upgrades(&self, limit: usize) -> Result<Vec<OpenUpgrade>, StoreError> {
        let range = KeyRange::prefix(Vec::new());
        let entries = self.scan(OPEN_UPGRADE, range, Direction::Ascending, limit).await?;
        let upgrades = entries.iter().map(|(key, value)| {
            let damaged = || StoreError::Undecodable {
                table: OPEN_UPGRADE.name(),
                reason: "not a key".to_owned(),
            };
            let old = RoomNumber(KeyReader::new(key).u64().ok_or_else(damaged)?);
            let (new, user) = decode(OPEN_UPGRADE, value)?;
            Ok(OpenUpgrade { old, new, user })
        });
        upgrades.collect()
    }
}

impl Batch {
    /// Notes that a room is replaced, and that the rest is to be done.
    pub fn open_upgrade(&mut self, upgrade: OpenUpgrade) -> Result<(), StoreError> {
        let OpenUpgrade { old, new, user } = upgrade;
        self.insert(OPEN_UPGRADE, Key::new().room(old).into_bytes(), &(new, user))
    }

    /// Notes that all is done.
    pub fn close_upgrade(&mut self, old: RoomNumber) {
        self.remove(OPEN_UPGRADE, Key::new().room(old).into_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_upgrade_is_open_until_it_is_closed() {
        let store = Store::in_memory().await;
        let upgrade =
            |old| OpenUpgrade { old: RoomNumber(old), new: RoomNumber(9), user: UserNumber(1) };
        let mut batch = Batch::new();
        for old in [3, 1, 2] {
            batch.open_upgrade(upgrade(old)).unwrap();
        }
        store.commit(batch).await.unwrap();
        assert_eq!(store.open_upgrades(2).await.unwrap(), [upgrade(1), upgrade(2)]);

        let mut batch = Batch::new();
        batch.close_upgrade(RoomNumber(1));
        store.commit(batch).await.unwrap();

        assert_eq!(store.open_upgrades(9).await.unwrap(), [upgrade(2), upgrade(3)]);
    }
}
