//! Who somebody is that shows a token. Spec: server-server API, `OpenID`.

use accounts::Accounts;
use ruma::api::federation::openid::get_openid_userinfo;

use crate::{Endpoints, MatrixError};

/// The reader of tokens.
#[derive(Clone)]
pub struct OpenId {
    accounts: Accounts,
}

impl OpenId {
    /// Whose token it is.
    async fn userinfo(
        self,
        (): (),
        request: get_openid_userinfo::v1::Request,
    ) -> Result<get_openid_userinfo::v1::Response, MatrixError> {
        let user_id = self.accounts.openid_user(&request.access_token).await?;
        Ok(get_openid_userinfo::v1::Response::new(user_id))
    }
}

/// The endpoint of those who are shown a token.
pub fn endpoints(accounts: Accounts) -> Endpoints<OpenId> {
    Endpoints::new(OpenId { accounts }).at(OpenId::userinfo)
}
