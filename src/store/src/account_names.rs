//! Table of the accounts of this server by name.
//!
//! | table | key | value |
//! | --- | --- | --- |
//! | `account_name` | the user ID's local part | user number |
//!
//! The order of keys is that in which administrators list accounts.

use crate::store::decode;
use crate::{Batch, Direction, KeyRange, Store, StoreError, Table, UserNumber};

const ACCOUNT_NAME: Table = Table::new(80, "account_name");

impl Store {
    /// At most `limit` accounts by name, those beyond `beyond` in the given direction.
    pub async fn account_names(
        &self,
        beyond: Option<&str>,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<(String, UserNumber)>, StoreError> {
        let mut range = KeyRange::prefix([]);
        if let Some(beyond) = beyond {
            range.continue_after(beyond.as_bytes().to_vec(), direction);
        }
        let account = |(key, value): (Vec<u8>, Vec<u8>)| {
            let name = String::from_utf8(key).map_err(|error| StoreError::Undecodable {
                table: ACCOUNT_NAME.name(),
                reason: error.to_string(),
            })?;
            Ok((name, decode(ACCOUNT_NAME, &value)?))
        };
        self.scan(ACCOUNT_NAME, range, direction, limit).await?.into_iter().map(account).collect()
    }
}

impl Batch {
    /// Lists a new account under its name.
    pub fn name_account(&mut self, localpart: &str, user: UserNumber) -> Result<(), StoreError> {
        self.insert(ACCOUNT_NAME, localpart, &user)
    }
}
