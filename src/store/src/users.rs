//! Accounts of this server.
//!
//! | table | key | value |
//! | --- | --- | --- |
//! | `user` | user number | [`UserRecord`] |
//!
//! Users of other servers have a number and no record.

use std::fmt;

use ruma::MilliSecondsSinceUnixEpoch;
use serde::{Deserialize, Serialize};

use crate::key::Key;
use crate::{Batch, Change, Store, StoreError, Table, UserNumber};

const USER: Table = Table::new(40, "user");

/// An account of this server.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserRecord {
    /// The password's hash as a PHC string; `None` for an account that cannot log in with a password.
    pub password_hash: Option<String>,
    /// What the user may do on the server.
    pub role: Role,
    /// Whether the account can be used.
    pub status: UserStatus,
    /// When the account was made.
    pub created_at: MilliSecondsSinceUnixEpoch,
}

/// What a user may do on the server beyond what rooms let them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// Nothing special.
    User,
    /// Everything, through the admin API.
    Admin,
}

/// Whether an account can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum UserStatus {
    /// It can.
    Active,
    /// It never can again, and its name is not given to anybody else.
    Deactivated,
}

impl fmt::Debug for UserRecord {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("UserRecord")
            .field("role", &self.role)
            .field("status", &self.status)
            .field("created_at", &self.created_at)
            .finish_non_exhaustive()
    }
}

fn key(user: UserNumber) -> Key {
    Key::new().user(user)
}

impl Store {
    /// The account of a user; `None` for users of other servers and names nobody has.
    pub async fn user(&self, user: UserNumber) -> Result<Option<UserRecord>, StoreError> {
        self.get(USER, key(user)).await
    }
}

impl Batch {
    /// Makes an account. Committing fails with [`StoreError::Conflict`] when the user has one.
    pub fn create_user(&mut self, user: UserNumber, record: &UserRecord) -> Result<(), StoreError> {
        self.insert_new(USER, key(user).into_bytes(), record)
    }

    /// Changes an account. Committing fails with [`StoreError::Conflict`] when it is not `before` any more.
    pub fn change_user(
        &mut self,
        user: UserNumber,
        before: &UserRecord,
        after: &UserRecord,
    ) -> Result<(), StoreError> {
        self.expect(USER, key(user).into_bytes(), Some(before))?;
        self.insert(USER, key(user).into_bytes(), after)?;
        self.announce(Change::Sessions(user));
        Ok(())
    }
}
