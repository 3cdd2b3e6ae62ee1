//! Filters that clients stored and name by their IDs.

use quick_cache::sync::Cache;
use ruma::UserId;
use ruma::api::client::filter::FilterDefinition;
use store::UserNumber;

use crate::{Sync, SyncError};

/// How many filters are kept in memory.
const KEPT: usize = 10_000;

/// Filters as they were last read; they never change.
#[derive(Debug)]
pub(crate) struct StoredFilters(Cache<(UserNumber, String), FilterDefinition>);

impl StoredFilters {
    pub(crate) fn new() -> Self {
        Self(Cache::new(KEPT))
    }
}

impl Sync {
    /// A filter that a user stored; `None` when there is none of that ID.
    pub async fn stored_filter(
        &self,
        user_id: &UserId,
        id: &str,
    ) -> Result<Option<FilterDefinition>, SyncError> {
        let store = self.0.rooms.store();
        let user = store.number_user(user_id).await?;
        let key = (user, id.to_owned());
        if let Some(known) = self.0.filters.0.get(&key) {
            return Ok(Some(known));
        }
        let Some(json) = store.filter(user, id).await? else { return Ok(None) };
        let filter: FilterDefinition = serde_json::from_slice(&json)?;
        self.0.filters.0.insert(key, filter.clone());
        Ok(Some(filter))
    }
}
