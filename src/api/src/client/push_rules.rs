//! Push rules. Spec: client-server API, "Push Rules".

use accounts::Accounts;
use ruma::{
    api::client::push::{get_pushrules_all, get_pushrules_global_scope},
    push::Ruleset,
};

use crate::{Endpoints, MatrixError, Requester};

/// Push rules.
#[derive(Clone)]
pub struct PushRules {
    accounts: Accounts,
}

impl PushRules {
    /// All of the requester's rules.
    async fn all(
        self,
        requester: Requester,
        _: get_pushrules_all::v3::Request,
    ) -> Result<get_pushrules_all::v3::Response, MatrixError> {
        Ok(get_pushrules_all::v3::Response::new(self.rules(&requester).await?))
    }

    /// All of the requester's rules again: there is no scope but the global one.
    async fn global(
        self,
        requester: Requester,
        _: get_pushrules_global_scope::v3::Request,
    ) -> Result<get_pushrules_global_scope::v3::Response, MatrixError> {
        Ok(get_pushrules_global_scope::v3::Response::new(self.rules(&requester).await?))
    }

    async fn rules(&self, requester: &Requester) -> Result<Ruleset, MatrixError> {
        let rules = self.accounts.push_rules(requester.session()).await;
        rules.map_err(|error| MatrixError::internal(&error))
    }
}

/// The endpoints of push rules.
pub fn endpoints(accounts: Accounts) -> Endpoints<PushRules> {
    Endpoints::new(PushRules { accounts }).at(PushRules::all).at(PushRules::global)
}
