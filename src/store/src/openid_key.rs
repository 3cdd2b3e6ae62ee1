//! The key of the server's `OpenID` tokens.
//!
//! | table | key | value |
//! | --- | --- | --- |
//! | `openid_key` | nothing | 32 random bytes |

use crate::{Batch, Store, StoreError, Table};

const OPENID_KEY: Table = Table::new(46, "openid_key");

impl Store {
    /// The key; `None` before it is made.
    pub async fn openid_key(&self) -> Result<Option<[u8; 32]>, StoreError> {
        self.get(OPENID_KEY, []).await
    }
}

impl Batch {
    /// Makes the key. Committing fails with [`StoreError::Conflict`] when there is one.
    pub fn create_openid_key(&mut self, key: &[u8; 32]) -> Result<(), StoreError> {
        self.insert_new(OPENID_KEY, [], key)
    }
}
