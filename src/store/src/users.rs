//! Accounts of this server.
//!
//! | table | key | value |
//! | --- | --- | --- |
//! | `user` | user number | [`UserRecord`] |
//! | `erased_user` | user ID | stream position of the erasure |
//!
//! Users of other servers have a number and no record. Erasures are found by user ID, because that is what an event
//! names its sender by.

use std::fmt;

use ruma::{MilliSecondsSinceUnixEpoch, UserId};
use serde::{Deserialize, Serialize};

use crate::batch::{Stamp, StampEncoding};
use crate::key::Key;
use crate::{Batch, Change, Slot, Store, StoreError, StreamPosition, Table, UserNumber};

const USER: Table = Table::new(40, "user");
const ERASED_USER: Table = Table::new(41, "erased_user");

/// An account of this server.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserRecord {
    /// The password's hash as a PHC string; `None` for an account that cannot log in with a password.
    pub password_hash: Option<String>,
    /// What the user may do on the server.
    pub role: Role,
    /// Whether somebody registered it, or it is a guest's.
    pub kind: UserKind,
    /// Whether the account can be used.
    pub status: UserStatus,
    /// What an administrator took from the user, for as long as they like.
    pub restrictions: Restrictions,
    /// When the account was made.
    pub created_at: MilliSecondsSinceUnixEpoch,
}

/// What kind of account it is. Spec: client-server API, "Guest Access".
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum UserKind {
    /// One that somebody registered.
    #[default]
    Registered,
    /// A guest's: without a password, and good for a part of the API only.
    Guest,
}

/// What an administrator took from a user. Both may hold at once, and both can be taken back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restrictions {
    /// The account cannot be used at all; its sessions are kept. Spec: client-server API, "Account locking".
    pub locked: bool,
    /// The user reads and does nothing that others see. Spec: client-server API, "Account suspension".
    pub suspended: bool,
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
    /// It cannot, unless an administrator opens it again; its name is not given to anybody else.
    Deactivated,
}

impl fmt::Debug for UserRecord {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("UserRecord")
            .field("role", &self.role)
            .field("kind", &self.kind)
            .field("status", &self.status)
            .field("restrictions", &self.restrictions)
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

    /// Since when what a user sent is erased; `None` when it is not.
    pub async fn erasure(&self, user_id: &UserId) -> Result<Option<StreamPosition>, StoreError> {
        let Some(bytes) = self.get_bytes(ERASED_USER, user_id.as_bytes()).await? else {
            return Ok(None);
        };
        let position = <[u8; 8]>::try_from(&bytes[..]).map_err(|_| StoreError::Undecodable {
            table: ERASED_USER.name(),
            reason: "not a position".to_owned(),
        })?;
        Ok(Some(StreamPosition(u64::from_be_bytes(position))))
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

    /// Marks what a user sent as erased from `slot` on. Spec: client-server API, `POST /account/deactivate`.
    pub fn erase_user(&mut self, user_id: &UserId, slot: Slot) -> Result<(), StoreError> {
        let stamp = Stamp { offset: 0, slot, encoding: StampEncoding::Stream };
        self.put_stamped(ERASED_USER, user_id.as_bytes().to_vec(), None, vec![0; 8], Some(stamp))
    }

    /// Takes the mark of [`Batch::erase_user`] back.
    pub fn restore_user(&mut self, user_id: &UserId) {
        self.remove(ERASED_USER, user_id.as_bytes().to_vec());
    }
}
