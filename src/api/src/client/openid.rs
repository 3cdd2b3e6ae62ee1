//! Proofs of who one is, for others than this server. Spec: client-server API, module `OpenID`.

use accounts::Accounts;
use ruma::{
    OwnedServerName, api::client::account::request_openid_token, authentication::TokenType,
};

use crate::{Endpoints, MatrixError, Requester};

/// The maker of proofs.
#[derive(Clone)]
pub struct OpenId {
    accounts: Accounts,
    server_name: OwnedServerName,
}

impl OpenId {
    /// A token by which others learn who the requester is.
    async fn request_token(
        self,
        requester: Requester,
        request: request_openid_token::v3::Request,
    ) -> Result<request_openid_token::v3::Response, MatrixError> {
        requester.must_be(&request.user_id)?;
        let (token, lifetime) = self.accounts.create_openid_token(requester.session()).await?;
        let (token, kind) = (token.into_exposed(), TokenType::Bearer);
        Ok(request_openid_token::v3::Response::new(token, kind, self.server_name, lifetime))
    }
}

/// The endpoint of clients.
pub fn endpoints(accounts: Accounts, server_name: OwnedServerName) -> Endpoints<OpenId> {
    Endpoints::new(OpenId { accounts, server_name }).at(OpenId::request_token)
}
