//! Whom a user ignores. Spec: client-server API, "Ignoring Users".

use std::collections::HashSet;

use rooms::ignored_users;
use ruma::OwnedUserId;
use store::{Store, StoreError, StreamPosition, UserNumber};

/// The type of account data that holds the list.
const IGNORED_USERS: &str = "m.ignored_user_list";

/// Whom a user ignores, and since when it is just those.
#[derive(Debug, Default)]
pub(crate) struct Ignored {
    pub(crate) users: HashSet<OwnedUserId>,
    pub(crate) changed: StreamPosition,
}

impl Ignored {
    /// Reads the list of a user. What is no list ignores nobody.
    pub(crate) async fn of(store: &Store, user: UserNumber) -> Result<Self, StoreError> {
        let Some(stored) = store.account_data(user, None, IGNORED_USERS).await? else {
            return Ok(Self::default());
        };
        let users = ignored_users(&stored.content).into_iter().collect();
        Ok(Self { users, changed: stored.position })
    }
}
