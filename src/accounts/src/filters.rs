//! Filters that clients store to name them in `/sync`. Spec: client-server API, "Filtering".

use ruma::api::client::filter::{EventFormat, FilterDefinition};
use store::{Batch, StoreError};

use crate::{Accounts, Session};

/// What can go wrong with filters.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    /// The user stored no filter with this ID.
    #[error("there is no such filter")]
    NotFound,
    /// It asks for events in a form that nobody knows.
    #[error("event_format is client or federation")]
    UnknownFormat,
    /// The filter is larger than 64 KiB.
    #[error("the filter is too large")]
    TooLarge,
    /// The filter cannot be written as JSON, or what is stored is none.
    #[error("the filter is damaged")]
    Json(#[from] serde_json::Error),
    /// The store failed.
    #[error("filter store failed")]
    Store(#[from] StoreError),
}

/// Refuses what ruma lets pass for other versions of the specification.
pub fn check_filter(filter: &FilterDefinition) -> Result<(), FilterError> {
    match filter.event_format {
        EventFormat::Client | EventFormat::Federation => Ok(()),
        _ => Err(FilterError::UnknownFormat),
    }
}

impl Accounts {
    /// Stores a filter and says its ID, the same for the same filter.
    pub async fn create_filter(
        &self,
        session: &Session,
        filter: &FilterDefinition,
    ) -> Result<String, FilterError> {
        check_filter(filter)?;
        let json = serde_json::to_vec(filter)?;
        let mut batch = Batch::new();
        let id = batch.put_filter(session.user, json).map_err(|error| match error {
            StoreError::TooLarge(_) => FilterError::TooLarge,
            error => error.into(),
        })?;
        if self.store().filter(session.user, &id).await?.is_none() {
            self.store().commit(batch).await?;
        }
        Ok(id)
    }

    /// A filter of the session's user.
    pub async fn filter(
        &self,
        session: &Session,
        id: &str,
    ) -> Result<FilterDefinition, FilterError> {
        let json = self.store().filter(session.user, id).await?.ok_or(FilterError::NotFound)?;
        Ok(serde_json::from_slice(&json)?)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::accounts;

    #[tokio::test]
    async fn a_filter_is_kept_for_its_user_under_one_id() {
        let (accounts, _) = accounts().await;
        let (ada, bo) = (accounts.with_user("ada").await, accounts.with_user("bo").await);
        let ada = accounts.authenticate(ada.access_token.expose(), None).await.unwrap();
        let bo = accounts.authenticate(bo.access_token.expose(), None).await.unwrap();
        let json = json!({ "room": { "timeline": { "limit": 10 } } });
        let filter: FilterDefinition = serde_json::from_value(json.clone()).unwrap();

        let id = accounts.create_filter(&ada, &filter).await.unwrap();

        assert_eq!(accounts.create_filter(&ada, &filter).await.unwrap(), id);
        let found = accounts.filter(&ada, &id).await.unwrap();
        assert_eq!(serde_json::to_value(found).unwrap(), json);
        assert!(matches!(accounts.filter(&bo, &id).await, Err(FilterError::NotFound)));
    }
}
