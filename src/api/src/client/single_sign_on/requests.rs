//! What browsers send. Parameters that are missing are found by the handlers, so that a server without providers says that
//! instead.

use http::Request;
use ruma::api::{
    IncomingRequest,
    client::session::{SsoRedirectAction, sso_login, sso_login_with_provider},
    error::DeserializationError,
};
use serde::Deserialize;

use crate::{client::fallback::PageResponse, stand_in::stand_in};

/// What a client wants of signing on.
#[derive(Deserialize)]
pub(super) struct Wish {
    /// Where it wants its user back.
    #[serde(rename = "redirectUrl")]
    pub(super) redirect_url: Option<String>,
    pub(super) action: Option<SsoRedirectAction>,
}

impl Wish {
    fn of(request: &Request<&[u8]>) -> Result<Self, DeserializationError> {
        Ok(serde_html_form::from_str(request.uri().query().unwrap_or_default())?)
    }
}

/// [`sso_login::v3::Request`], which may be answered with a page.
pub(crate) struct Start(pub(super) Wish);

stand_in!(Start, sso_login::v3::Request);

impl IncomingRequest for Start {
    type EndpointError = ruma::api::error::Error;
    type OutgoingResponse = PageResponse;

    fn try_from_http_request_inner(
        request: Request<&[u8]>,
        _: &[&str],
    ) -> Result<Self, DeserializationError> {
        Wish::of(&request).map(Self)
    }
}

/// [`sso_login_with_provider::v3::Request`], which may be answered with a page.
pub(crate) struct StartAt {
    pub(super) provider: String,
    pub(super) wish: Wish,
}

stand_in!(StartAt, sso_login_with_provider::v3::Request);

impl IncomingRequest for StartAt {
    type EndpointError = ruma::api::error::Error;
    type OutgoingResponse = PageResponse;

    fn try_from_http_request_inner(
        request: Request<&[u8]>,
        path_args: &[&str],
    ) -> Result<Self, DeserializationError> {
        let provider = path_args.first().copied().unwrap_or_default().to_owned();
        Ok(Self { provider, wish: Wish::of(&request)? })
    }
}

pub(super) mod callback {
    //! What a provider sends a browser back with, to the path of Synapse's that providers know already.

    use http::header::COOKIE;
    use ruma::api::{auth_scheme::NoAccessToken, metadata, request};

    use crate::client::fallback::PageResponse;

    metadata! {
        method: GET,
        rate_limited: true,
        authentication: NoAccessToken,
        path: "/_synapse/client/oidc/callback",
    }

    #[request]
    pub(crate) struct Request {
        #[ruma_api(query)]
        pub(crate) state: Option<String>,
        #[ruma_api(query)]
        pub(crate) code: Option<String>,
        #[ruma_api(query)]
        pub(crate) error: Option<String>,
        #[ruma_api(query)]
        pub(crate) iss: Option<String>,
        #[ruma_api(header = COOKIE)]
        pub(crate) cookie: Option<String>,
    }

    pub(crate) type Response = PageResponse;
}

pub(super) mod username {
    //! What the form sends in which somebody new chooses a name.

    use http::header::COOKIE;
    use ruma::api::{auth_scheme::NoAccessToken, metadata, request};

    use crate::client::fallback::PageResponse;

    metadata! {
        method: POST,
        rate_limited: true,
        authentication: NoAccessToken,
        path: "/_synapse/client/oidc/username",
    }

    #[request]
    pub(crate) struct Request {
        #[ruma_api(header = COOKIE)]
        pub(crate) cookie: Option<String>,
        #[ruma_api(raw_body)]
        pub(crate) form: Vec<u8>,
    }

    pub(crate) type Response = PageResponse;
}
