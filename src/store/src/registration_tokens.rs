//! Tokens that let their holders register.
//!
//! | table | key | value |
//! | --- | --- | --- |
//! | `registration_token` | token | [`RegistrationTokenRecord`] |

use ruma::MilliSecondsSinceUnixEpoch;
use serde::{Deserialize, Serialize};

use crate::store::decode;
use crate::{Batch, Direction, KeyRange, Store, StoreError, Table};

const REGISTRATION_TOKEN: Table = Table::new(48, "registration_token");

/// How often and until when a token lets somebody register.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistrationTokenRecord {
    /// How many accounts may be made with it; `None`: any number.
    pub uses_allowed: Option<u64>,
    /// How many accounts were made with it.
    pub uses: u64,
    /// When it stops being valid; `None`: never.
    pub expires_at: Option<MilliSecondsSinceUnixEpoch>,
}

impl Store {
    /// A registration token, whether or not it is still valid.
    pub async fn registration_token(
        &self,
        token: &str,
    ) -> Result<Option<RegistrationTokenRecord>, StoreError> {
        self.get(REGISTRATION_TOKEN, token).await
    }

    /// At most `limit` registration tokens after `after`, in their order as text, valid or not.
    pub async fn registration_tokens(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, RegistrationTokenRecord)>, StoreError> {
        let mut range = KeyRange::prefix([]);
        if let Some(after) = after {
            range.continue_after(after.as_bytes().to_vec(), Direction::Ascending);
        }
        let entries = self.scan(REGISTRATION_TOKEN, range, Direction::Ascending, limit).await?;
        let token = |(key, value): (Vec<u8>, Vec<u8>)| {
            let token = String::from_utf8(key).map_err(|error| StoreError::Undecodable {
                table: REGISTRATION_TOKEN.name(),
                reason: error.to_string(),
            })?;
            Ok((token, decode(REGISTRATION_TOKEN, &value)?))
        };
        entries.into_iter().map(token).collect()
    }
}

impl Batch {
    /// Makes or changes a registration token. Committing fails with [`StoreError::Conflict`] when it is not
    /// `before` any more, so two registrations cannot both take its last use.
    pub fn put_registration_token(
        &mut self,
        token: &str,
        before: Option<&RegistrationTokenRecord>,
        after: &RegistrationTokenRecord,
    ) -> Result<(), StoreError> {
        self.expect(REGISTRATION_TOKEN, token, before)?;
        self.insert(REGISTRATION_TOKEN, token, after)
    }

    /// Deletes a registration token. Committing fails with [`StoreError::Conflict`] when it is not `before` any more.
    pub fn delete_registration_token(
        &mut self,
        token: &str,
        before: &RegistrationTokenRecord,
    ) -> Result<(), StoreError> {
        self.expect(REGISTRATION_TOKEN, token, Some(before))?;
        self.remove(REGISTRATION_TOKEN, token);
        Ok(())
    }
}
