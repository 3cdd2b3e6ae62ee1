//! Filters that clients stored and name by their IDs.

use std::sync::Arc;

use ruma::UserId;
use ruma::api::client::filter::FilterDefinition;
use store::UserNumber;

use crate::sized_cache::SizedCache;
use crate::{Sync, SyncError};

/// How many bytes of filters are kept in memory.
const KEPT: usize = 16 << 20;
/// What a filter takes in memory: most of it is the same for all.
const TYPICAL: usize = 1_500;
const PER_BYTE: usize = 3;

/// Filters as they were last read; they never change.
#[derive(Debug)]
pub(crate) struct StoredFilters(SizedCache<(UserNumber, String), FilterDefinition>);

impl StoredFilters {
    pub(crate) fn new() -> Self {
        Self(SizedCache::new(KEPT, TYPICAL))
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
            return Ok(Some(FilterDefinition::clone(&known)));
        }
        let Some(json) = store.filter(user, id).await? else { return Ok(None) };
        let filter: FilterDefinition = serde_json::from_slice(&json)?;
        let size = TYPICAL + json.len() * PER_BYTE;
        self.0.filters.0.insert(key, Arc::new(filter.clone()), size);
        Ok(Some(filter))
    }
}
