//! Stored filters. Spec: client-server API, "Filtering".

use accounts::Accounts;
use ruma::api::client::filter::{create_filter, get_filter};

use crate::{Endpoints, MatrixError, Requester};

/// Filters.
#[derive(Clone)]
pub struct Filters {
    accounts: Accounts,
}

impl Filters {
    /// Stores a filter.
    async fn create_filter(
        self,
        requester: Requester,
        request: create_filter::v3::Request,
    ) -> Result<create_filter::v3::Response, MatrixError> {
        requester.must_be(&request.user_id)?;
        let id = self.accounts.create_filter(requester.session(), &request.filter).await?;
        Ok(create_filter::v3::Response::new(id))
    }

    /// A stored filter.
    async fn filter(
        self,
        requester: Requester,
        request: get_filter::v3::Request,
    ) -> Result<get_filter::v3::Response, MatrixError> {
        requester.must_be(&request.user_id)?;
        let filter = self.accounts.filter(requester.session(), &request.filter_id).await?;
        Ok(get_filter::v3::Response::new(filter))
    }
}

/// The endpoints of filters.
pub fn endpoints(accounts: Accounts) -> Endpoints<Filters> {
    Endpoints::new(Filters { accounts }).at(Filters::create_filter).at(Filters::filter)
}
