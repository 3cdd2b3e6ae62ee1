//! How much account data clients keep, by user.
//!
//! | table | key | value |
//! | --- | --- | --- |
//! | `account_data_size` | user number | KiB of all entries that clients wrote |
//!
//! Each entry counts in whole KiB and with one at least, deleted or not. So the sum changes seldom, and changes of a user's
//! entries seldom meet.

use crate::key::Key;
use crate::{Batch, Store, StoreError, Table, UserNumber};

const ACCOUNT_DATA_SIZE: Table = Table::new(75, "account_data_size");

fn key(user: UserNumber) -> Vec<u8> {
    Key::new().user(user).into_bytes()
}

impl Store {
    /// How many KiB of account data the clients of a user keep.
    pub async fn account_data_kib(&self, user: UserNumber) -> Result<u64, StoreError> {
        Ok(self.get(ACCOUNT_DATA_SIZE, &key(user)).await?.unwrap_or_default())
    }
}

impl Batch {
    /// Notes how many KiB of account data the clients of a user keep from now on. Committing fails with
    /// [`StoreError::Conflict`] when it is not `before` any more.
    pub fn count_account_data(
        &mut self,
        user: UserNumber,
        before: u64,
        after: u64,
    ) -> Result<(), StoreError> {
        self.expect(ACCOUNT_DATA_SIZE, key(user), Some(&before).filter(|before| **before > 0))?;
        if after == 0 {
            self.remove(ACCOUNT_DATA_SIZE, key(user));
            return Ok(());
        }
        self.insert(ACCOUNT_DATA_SIZE, key(user), &after)
    }

    /// Forgets how much account data there was of a user whose entries are erased.
    pub(crate) fn forget_account_data_size(&mut self, user: UserNumber) {
        self.remove(ACCOUNT_DATA_SIZE, key(user));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADA: UserNumber = UserNumber(7);

    #[tokio::test]
    async fn the_size_changes_only_from_what_it_is() {
        let store = Store::in_memory().await;
        let count = async |before, after| {
            let mut batch = Batch::new();
            batch.count_account_data(ADA, before, after).unwrap();
            store.commit(batch).await
        };
        count(0, 3).await.unwrap();
        assert!(matches!(count(0, 1).await, Err(StoreError::Conflict)));
        count(3, 2).await.unwrap();
        assert_eq!(store.account_data_kib(ADA).await.unwrap(), 2);
        count(2, 0).await.unwrap();
        assert_eq!(store.account_data_kib(ADA).await.unwrap(), 0);
        count(0, 1).await.unwrap();
    }
}
