//! Tokens that let their holders register.
//!
//! | table | key | value |
//! | --- | --- | --- |
//! | `registration_token` | token | [`RegistrationTokenRecord`] |

use ruma::MilliSecondsSinceUnixEpoch;
use serde::{Deserialize, Serialize};

use crate::{Batch, Store, StoreError, Table};

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
}
