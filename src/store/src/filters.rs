//! Sync filters that clients stored.
//!
//! | table | key | value |
//! | --- | --- | --- |
//! | `filter` | user number, filter ID | JSON |
//!
//! A filter is named by its content, so a client that stores the same one with every start adds nothing.

use sha2::{Digest, Sha256};

use crate::key::Key;
use crate::{Batch, Store, StoreError, Table, UserNumber};

const FILTER: Table = Table::immutable(52, "filter");

/// Bytes of the hash that name a filter among those of one user.
const ID: usize = 16;

fn key(user: UserNumber, filter_id: &str) -> Vec<u8> {
    Key::new().user(user).last(filter_id).into_bytes()
}

impl Store {
    /// A user's filter, as JSON.
    pub async fn filter(
        &self,
        user: UserNumber,
        filter_id: &str,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        self.get_bytes(FILTER, &key(user, filter_id)).await
    }
}

impl Batch {
    /// Stores a filter, and says its ID: lowercase hexadecimal digits.
    pub fn put_filter(&mut self, user: UserNumber, json: Vec<u8>) -> Result<String, StoreError> {
        let hash: [u8; 32] = Sha256::digest(&json).into();
        let name = hash.first_chunk::<ID>().map_or(0, |name| u128::from_be_bytes(*name));
        let filter_id = format!("{name:032x}");
        self.put(FILTER, key(user, &filter_id), json)?;
        Ok(filter_id)
    }
}
