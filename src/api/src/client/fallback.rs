//! Pages for clients that do not know how to log in or authenticate here. They stand alone: no other page, script or
//! picture is loaded. Spec: client-server API, "Login Fallback" and "Fallback".

mod page;
mod response;

use accounts::{Accounts, SingleSignOn, StageOutcome};
use ruma::api::{
    IncomingRequest,
    client::{
        session::login_fallback,
        uiaa::{AuthData, AuthType, Dummy, RegistrationToken, get_uiaa_fallback_page},
    },
    error::DeserializationError,
};
use serde::Deserialize;

use super::single_sign_on::SignOn;
use crate::{Endpoints, MatrixError, RateClass, Settings, stand_in::stand_in};

pub(super) use self::page::{Page, escaped};
pub use self::response::PageResponse;

/// The pages.
#[derive(Clone)]
pub struct Fallback {
    accounts: Accounts,
    sign_on: SignOn,
}

/// [`login_fallback::Request`], whose answer in ruma has no policy. What it takes is read by the page itself.
pub struct LoginPage(());

stand_in!(LoginPage, login_fallback::Request => PageResponse);

/// [`get_uiaa_fallback_page::v3::Request`], whose answer in ruma has no policy.
pub struct StagePage(get_uiaa_fallback_page::v3::Request);

stand_in!(StagePage, get_uiaa_fallback_page::v3::Request);

impl IncomingRequest for StagePage {
    type EndpointError = ruma::api::error::Error;
    type OutgoingResponse = PageResponse;

    fn try_from_http_request_inner(
        request: http::Request<&[u8]>,
        path_args: &[&str],
    ) -> Result<Self, DeserializationError> {
        get_uiaa_fallback_page::v3::Request::try_from_http_request_inner(request, path_args)
            .map(Self)
    }
}

mod try_stage {
    //! What the page of a stage sends.

    use ruma::api::{auth_scheme::NoAccessToken, client::uiaa::AuthType, metadata, request};

    use super::PageResponse;

    metadata! {
        method: POST,
        rate_limited: true,
        authentication: NoAccessToken,
        history: {
            1.0 => "/_matrix/client/r0/auth/{auth_type}/fallback/web",
            1.1 => "/_matrix/client/v3/auth/{auth_type}/fallback/web",
        }
    }

    #[request]
    pub(crate) struct Request {
        #[ruma_api(path)]
        pub(crate) auth_type: AuthType,
        #[ruma_api(raw_body)]
        pub(crate) form: Vec<u8>,
    }

    pub(crate) type Response = PageResponse;
}

/// The fields of a stage's form.
#[derive(Deserialize)]
struct StageForm {
    session: String,
    token: Option<String>,
}

impl Fallback {
    /// Logs in, whatever way.
    async fn login(self, (): (), _: LoginPage) -> Result<PageResponse, MatrixError> {
        Ok(Page::login(self.accounts.identity_providers()).into())
    }

    /// Shows a stage of an authentication that is under way.
    async fn stage(
        self,
        (): (),
        StagePage(request): StagePage,
    ) -> Result<PageResponse, MatrixError> {
        let (stage, session) = (&request.auth_type, request.session.as_str());
        if !self.accounts.has_stage(session, stage) {
            return Err(unknown_stage());
        }
        if *stage == AuthType::Sso {
            return self.sign_on.stage(session).await?.ok_or_else(unknown_stage);
        }
        let page = Page::stage(stage, session, None).ok_or_else(unknown_stage)?;
        Ok(page.into())
    }

    /// Tries a stage.
    async fn try_stage(
        self,
        (): (),
        request: try_stage::Request,
    ) -> Result<PageResponse, MatrixError> {
        let form: StageForm = serde_html_form::from_bytes(&request.form).map_err(|error| {
            MatrixError::bad_request(ruma::api::error::ErrorKind::InvalidParam, error.to_string())
        })?;
        let stage = request.auth_type;
        let auth = answer(&stage, &form).ok_or_else(unknown_stage)?;
        let page = match self.accounts.try_stage(&auth).await? {
            StageOutcome::Completed => Page::done(),
            StageOutcome::Failed(reason) => {
                Page::stage(&stage, &form.session, Some(reason)).ok_or_else(unknown_stage)?
            }
            StageOutcome::UnknownSession => return Err(unknown_stage()),
        };
        Ok(page.into())
    }
}

fn unknown_stage() -> MatrixError {
    MatrixError::not_found("no authentication with this stage is under way")
}

/// What a form says; `None` for a stage that has no page.
fn answer(stage: &AuthType, form: &StageForm) -> Option<AuthData> {
    let session = Some(form.session.clone());
    match stage {
        AuthType::Dummy => {
            let mut dummy = Dummy::new();
            dummy.session = session;
            Some(AuthData::Dummy(dummy))
        }
        AuthType::RegistrationToken => {
            let token = form.token.as_deref().unwrap_or_default().trim();
            let mut token = RegistrationToken::new(token.to_owned());
            token.session = session;
            Some(AuthData::RegistrationToken(token))
        }
        _ => None,
    }
}

/// The endpoints of the pages.
pub fn endpoints(accounts: Accounts, sign_on: SingleSignOn) -> Endpoints<Fallback> {
    // A token could be guessed here.
    let form = Settings::default().class(RateClass::Login).raw_body().body_limit(16 * 1024);
    // A page that has somebody sign on is kept in mind for a while.
    let stage = Settings::default().class(RateClass::Default);
    Endpoints::new(Fallback { accounts, sign_on: SignOn::new(sign_on) })
        .at(Fallback::login)
        .at_with(stage, Fallback::stage)
        .at_with(form, Fallback::try_stage)
}
