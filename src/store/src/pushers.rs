//! Tables of pushers.
//!
//! | table | key | value |
//! | --- | --- | --- |
//! | `pusher` | user number, app ID, pushkey | [`PusherRecord`] |
//! | `pusher_user` | app ID, pushkey, user number | nothing |
//!
//! The second finds the other users of an app on a device that changed hands.

use ruma::OwnedDeviceId;
use serde::{Deserialize, Serialize};

use crate::engine::{Direction, KeyRange};
use crate::key::{Key, KeyReader};
use crate::store::decode;
use crate::{Batch, Store, StoreError, Table, UserNumber};

const PUSHER: Table = Table::new(64, "pusher");
const PUSHER_USER: Table = Table::new(65, "pusher_user");

/// What names a pusher of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PusherKey<'a> {
    /// The application.
    pub app_id: &'a str,
    /// Where its device is found by the push gateway.
    pub pushkey: &'a str,
}

/// A pusher of a local user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PusherRecord {
    /// The device that set it; they go together.
    pub device_id: OwnedDeviceId,
    /// The application.
    pub app_id: String,
    /// Where its device is found by the push gateway.
    pub pushkey: String,
    /// The pusher as its client wrote it.
    pub json: String,
}

impl PusherRecord {
    /// What names it.
    pub fn key(&self) -> PusherKey<'_> {
        PusherKey { app_id: &self.app_id, pushkey: &self.pushkey }
    }
}

fn pusher_key(user: UserNumber, key: PusherKey<'_>) -> Vec<u8> {
    Key::new().user(user).text(key.app_id).last(key.pushkey).into_bytes()
}

fn user_prefix(key: PusherKey<'_>) -> Key {
    Key::new().text(key.app_id).text(key.pushkey)
}

impl Store {
    /// A user's pushers, at most `limit`, in order of app ID and pushkey.
    pub async fn pushers(
        &self,
        user: UserNumber,
        limit: usize,
    ) -> Result<Vec<PusherRecord>, StoreError> {
        let range = KeyRange::prefix(Key::new().user(user).into_bytes());
        let entries = self.scan(PUSHER, range, Direction::Ascending, limit).await?;
        entries.iter().map(|(_, value)| decode(PUSHER, value)).collect()
    }

    /// The users who have a pusher of this name, at most `limit`.
    pub async fn users_of_pusher(
        &self,
        key: PusherKey<'_>,
        limit: usize,
    ) -> Result<Vec<UserNumber>, StoreError> {
        let prefix = user_prefix(key).into_bytes();
        let range = KeyRange::prefix(prefix.clone());
        let entries = self.scan(PUSHER_USER, range, Direction::Ascending, limit).await?;
        let user = |(key, _): &(Vec<u8>, Vec<u8>)| {
            let number = key.get(prefix.len()..).and_then(|rest| KeyReader::new(rest).u64());
            number.map(UserNumber).ok_or_else(|| StoreError::Undecodable {
                table: PUSHER_USER.name(),
                reason: "not a key".to_owned(),
            })
        };
        entries.iter().map(user).collect()
    }
}

impl Batch {
    /// Makes or changes a pusher.
    pub fn put_pusher(
        &mut self,
        user: UserNumber,
        record: &PusherRecord,
    ) -> Result<(), StoreError> {
        self.insert(PUSHER, pusher_key(user, record.key()), record)?;
        self.insert(PUSHER_USER, user_prefix(record.key()).user(user).into_bytes(), &())
    }

    /// Deletes a pusher; one that does not exist is gone already.
    pub fn delete_pusher(&mut self, user: UserNumber, key: PusherKey<'_>) {
        self.remove(PUSHER, pusher_key(user, key));
        self.remove(PUSHER_USER, user_prefix(key).user(user).into_bytes());
    }
}

#[cfg(test)]
mod tests {
    use ruma::owned_device_id;

    use super::*;

    fn pusher(pushkey: &str) -> PusherRecord {
        PusherRecord {
            device_id: owned_device_id!("PHONE"),
            app_id: "org.example.app".to_owned(),
            pushkey: pushkey.to_owned(),
            json: "{}".to_owned(),
        }
    }

    #[tokio::test]
    async fn pushers_are_found_by_user_and_by_name() {
        let store = Store::in_memory().await;
        let (ada, bo) = (UserNumber(1), UserNumber(2));
        let mut batch = Batch::new();
        for (user, key) in [(ada, "a"), (ada, "ab"), (bo, "a")] {
            batch.put_pusher(user, &pusher(key)).unwrap();
        }
        store.commit(batch).await.unwrap();

        assert_eq!(store.pushers(ada, 9).await.unwrap(), [pusher("a"), pusher("ab")]);
        assert_eq!(store.pushers(ada, 1).await.unwrap(), [pusher("a")]);
        let users = store.users_of_pusher(pusher("a").key(), 9).await.unwrap();
        assert_eq!(users, [ada, bo]);

        let mut batch = Batch::new();
        batch.delete_pusher(ada, pusher("a").key());
        store.commit(batch).await.unwrap();
        assert_eq!(store.pushers(ada, 9).await.unwrap(), [pusher("ab")]);
        assert_eq!(store.users_of_pusher(pusher("a").key(), 9).await.unwrap(), [bo]);
    }
}
