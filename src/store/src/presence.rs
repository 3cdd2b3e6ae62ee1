//! What users say of their presence, which outlives a restart; who is there does not.
//!
//! | table | key | value |
//! | --- | --- | --- |
//! | `presence_message` | user number | text |

use crate::key::{Key, KeyReader};
use crate::store::decode;
use crate::{Batch, Direction, KeyRange, Store, StoreError, Table, UserNumber};

const PRESENCE_MESSAGE: Table = Table::new(77, "presence_message");

fn key(user: UserNumber) -> Vec<u8> {
    Key::new().user(user).into_bytes()
}

impl Store {
    /// At most `limit` users after `after` who say something of their presence, in the order of their numbers.
    pub async fn presence_messages(
        &self,
        after: Option<UserNumber>,
        limit: usize,
    ) -> Result<Vec<(UserNumber, String)>, StoreError> {
        let mut range = KeyRange::prefix([]);
        if let Some(after) = after {
            range.continue_after(key(after), Direction::Ascending);
        }
        let entries = self.scan(PRESENCE_MESSAGE, range, Direction::Ascending, limit).await?;
        let message = |(key, value): (Vec<u8>, Vec<u8>)| {
            let user = KeyReader::new(&key).u64().map(UserNumber);
            user.map(|user| Ok((user, decode(PRESENCE_MESSAGE, &value)?)))
        };
        entries.into_iter().filter_map(message).collect()
    }
}

impl Batch {
    /// Sets what a user says of their presence; `None`: nothing.
    pub fn set_presence_message(
        &mut self,
        user: UserNumber,
        message: Option<&str>,
    ) -> Result<(), StoreError> {
        let Some(message) = message else {
            self.remove(PRESENCE_MESSAGE, key(user));
            return Ok(());
        };
        self.insert(PRESENCE_MESSAGE, key(user), message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn messages_are_listed_in_pages_until_they_are_taken_back() {
        let store = Store::in_memory().await;
        let mut batch = Batch::new();
        for user in [3, 1, 2] {
            batch.set_presence_message(UserNumber(user), Some("at tea")).unwrap();
        }
        store.commit(batch).await.unwrap();
        let mut batch = Batch::new();
        batch.set_presence_message(UserNumber(2), None).unwrap();
        store.commit(batch).await.unwrap();

        let first = (UserNumber(1), "at tea".to_owned());
        assert_eq!(store.presence_messages(None, 1).await.unwrap(), [first]);
        let last = (UserNumber(3), "at tea".to_owned());
        assert_eq!(store.presence_messages(Some(UserNumber(1)), 9).await.unwrap(), [last]);
    }
}
