//! What local users tell of themselves.
//!
//! | table | key | value |
//! | --- | --- | --- |
//! | `profile` | user number | JSON object of all fields |

use ruma::profile::UserProfile;

use crate::key::Key;
use crate::{Batch, Store, StoreError, Table, UserNumber};

const PROFILE: Table = Table::new(53, "profile");

/// Bytes of the largest profile. Spec: client-server API, "Profiles".
const MAX_PROFILE: usize = 65_536;

fn key(user: UserNumber) -> Vec<u8> {
    Key::new().user(user).into_bytes()
}

fn undecodable(error: &serde_json::Error) -> StoreError {
    StoreError::Undecodable { table: PROFILE.name(), reason: error.to_string() }
}

fn encode(profile: &UserProfile) -> Result<Option<Vec<u8>>, StoreError> {
    if profile.iter().next().is_none() {
        return Ok(None);
    }
    serde_json::to_vec(profile).map(Some).map_err(|error| undecodable(&error))
}

impl Store {
    /// The profile of a local user; empty when they told nothing.
    pub async fn profile(&self, user: UserNumber) -> Result<UserProfile, StoreError> {
        let Some(json) = self.get_bytes(PROFILE, &key(user)).await? else {
            return Ok(UserProfile::new());
        };
        serde_json::from_slice(&json).map_err(|error| undecodable(&error))
    }
}

impl Batch {
    /// Sets a user's profile. Committing fails with [`StoreError::Conflict`] when it is not `before` any more; fails
    /// with [`StoreError::TooLarge`] for one of more than 64 KiB.
    pub fn set_profile(
        &mut self,
        user: UserNumber,
        before: &UserProfile,
        after: &UserProfile,
    ) -> Result<(), StoreError> {
        self.expect_bytes(PROFILE, key(user), encode(before)?);
        if let Some(json) = encode(after)? {
            if json.len() > MAX_PROFILE {
                return Err(StoreError::TooLarge(json.len()));
            }
            return self.put(PROFILE, key(user), json);
        }
        self.remove(PROFILE, key(user));
        Ok(())
    }
}
