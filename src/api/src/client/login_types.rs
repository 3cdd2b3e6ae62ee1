//! The answer that says how one may log in, as ruma has it but for what a provider does not have, which is left out instead
//! of `null`. Spec: client-server API, `GET /login`.

use accounts::IdentityProvider;
use ruma::{
    OwnedMxcUri,
    api::{client::session::get_login_types::v3 as get_login_types, response},
};
use serde::Serialize;

use crate::stand_in::stand_in;

/// [`get_login_types::Request`].
pub(crate) struct LoginTypesRequest(());

stand_in!(LoginTypesRequest, get_login_types::Request => LoginTypes);

/// How one may log in.
#[response]
pub(crate) struct LoginTypes {
    pub(super) flows: Vec<LoginType>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type")]
pub(super) enum LoginType {
    #[serde(rename = "m.login.password")]
    Password,
    #[serde(rename = "m.login.token")]
    Token {
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        get_login_token: bool,
    },
    #[serde(rename = "m.login.sso")]
    SingleSignOn { identity_providers: Vec<Provider> },
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Provider {
    id: String,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    icon: Option<OwnedMxcUri>,
    #[serde(skip_serializing_if = "Option::is_none")]
    brand: Option<String>,
}

impl From<&IdentityProvider> for Provider {
    fn from(provider: &IdentityProvider) -> Self {
        let IdentityProvider { id, name, icon, brand, .. } = provider.clone();
        Self { id, name, icon, brand }
    }
}
