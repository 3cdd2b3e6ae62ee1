//! Signing on elsewhere, in a browser. Spec: client-server API, "SSO client login/authentication".

mod cookie;
mod pages;
mod requests;

use accounts::{
    Action, ClientUrl, Departure, IdentityProvider, ProviderAnswer, SignOnError, SignedOn,
    SingleSignOn, Trust,
};
use http::StatusCode;
use ruma::api::{client::session::SsoRedirectAction, error::ErrorKind};
use serde::Deserialize;

use self::cookie::Cookies;
use self::requests::{Start, StartAt, Wish, callback, username};
use super::fallback::{Page, PageResponse};
use crate::{Endpoints, MatrixError, RateClass, Settings};

/// Signing on.
#[derive(Clone)]
pub struct SignOn {
    sign_on: SingleSignOn,
    cookies: Cookies,
}

/// The fields of the form in which somebody new chooses a name.
#[derive(Deserialize)]
struct NameForm {
    form: String,
    username: String,
}

impl SignOn {
    /// Signing on as `sign_on` does it, in browsers.
    pub(super) fn new(sign_on: SingleSignOn) -> Self {
        let cookies = Cookies::of(sign_on.callback());
        Self { sign_on, cookies }
    }

    /// Sends a browser to the provider, or has it choose among several.
    async fn start(self, (): (), Start(wish): Start) -> Result<PageResponse, MatrixError> {
        let providers = self.providers()?;
        let client = client_of(&wish)?;
        match providers {
            [provider] => {
                let provider = provider.id.clone();
                self.depart(&provider, client, &wish).await
            }
            several => Ok(Page::choice(several, &wish).into()),
        }
    }

    /// Sends a browser to a provider.
    async fn start_at(self, (): (), request: StartAt) -> Result<PageResponse, MatrixError> {
        let known = self.providers()?.iter().any(|provider| provider.id == request.provider);
        if !known {
            return Err(MatrixError::not_found("there is no such identity provider"));
        }
        let client = client_of(&request.wish)?;
        self.depart(&request.provider, client, &request.wish).await
    }

    async fn depart(
        &self,
        provider: &str,
        client: ClientUrl,
        wish: &Wish,
    ) -> Result<PageResponse, MatrixError> {
        let action = match wish.action {
            Some(SsoRedirectAction::Register) => Action::Register,
            _ => Action::LogIn,
        };
        match self.sign_on.begin(provider, client, action).await {
            Ok(Departure { url, browser }) => {
                Ok(PageResponse::to(url).with_cookie(self.cookies.set(&browser)))
            }
            Err(error) => failure(&error),
        }
    }

    /// Takes a browser back from the provider.
    async fn finish(self, (): (), request: callback::Request) -> Result<PageResponse, MatrixError> {
        self.providers()?;
        let browser = Cookies::get(request.cookie.as_deref());
        let answer = ProviderAnswer {
            state: request.state.unwrap_or_default(),
            code: request.code,
            error: request.error,
            issuer: request.iss,
        };
        match self.sign_on.finish(answer, browser).await {
            Ok(SignedOn::ToClient(way)) if way.trust == Trust::Trusted => {
                Ok(PageResponse::to(way.url).with_cookie(self.cookies.clear()))
            }
            Ok(outcome) => Ok(self.page(&outcome)),
            Err(error) => failure(&error),
        }
    }

    /// Gives somebody new the name that they chose.
    async fn choose_name(
        self,
        (): (),
        request: username::Request,
    ) -> Result<PageResponse, MatrixError> {
        self.providers()?;
        let form: NameForm = serde_html_form::from_bytes(&request.form).map_err(|error| {
            MatrixError::bad_request(ErrorKind::InvalidParam, error.to_string())
        })?;
        let browser = Cookies::get(request.cookie.as_deref());
        match self.sign_on.choose_name(&form.form, form.username.trim(), browser).await {
            // Also to a client that is trusted: what answers a form may not lead to another site.
            Ok(outcome) => Ok(self.page(&outcome)),
            Err(error) => failure(&error),
        }
    }

    fn page(&self, outcome: &SignedOn) -> PageResponse {
        match outcome {
            SignedOn::ToClient(way) => {
                PageResponse::from(Page::to_client(way)).with_cookie(self.cookies.clear())
            }
            SignedOn::StageCompleted => {
                PageResponse::from(Page::done()).with_cookie(self.cookies.clear())
            }
            SignedOn::NameWanted(wanted) => Page::name(wanted).into(),
        }
    }

    /// Asks whether somebody who is to complete the stage of an authentication knows of it.
    pub(super) async fn stage(&self, session: &str) -> Result<Option<PageResponse>, MatrixError> {
        match self.sign_on.stage_question(session).await {
            Ok(None) => Ok(None),
            Ok(Some(question)) => {
                let cookie = self.cookies.set(&question.browser);
                Ok(Some(PageResponse::from(Page::question(&question)).with_cookie(cookie)))
            }
            Err(error) => failure(&error).map(Some),
        }
    }

    /// Where people may sign on; a server that has nothing of it does not know these endpoints.
    fn providers(&self) -> Result<&[IdentityProvider], MatrixError> {
        let providers = self.sign_on.providers();
        if providers.is_empty() {
            let message = "nobody signs on elsewhere here";
            return Err(MatrixError::new(StatusCode::NOT_FOUND, ErrorKind::Unrecognized, message));
        }
        Ok(providers)
    }
}

fn client_of(wish: &Wish) -> Result<ClientUrl, MatrixError> {
    let text = wish.redirect_url.as_deref().ok_or_else(|| {
        MatrixError::bad_request(ErrorKind::MissingParam, "redirectUrl is missing")
    })?;
    ClientUrl::parse(text).ok_or_else(|| {
        MatrixError::bad_request(ErrorKind::InvalidParam, "redirectUrl is no URL of a client")
    })
}

/// What a browser is shown when somebody did not sign on.
fn failure(error: &SignOnError) -> Result<PageResponse, MatrixError> {
    let status = match error {
        SignOnError::UnknownProvider => return Err(MatrixError::not_found(error.to_string())),
        SignOnError::Store(_) => return Err(MatrixError::internal(error)),
        SignOnError::NotUnderWay => StatusCode::BAD_REQUEST,
        SignOnError::Provider { .. } => StatusCode::BAD_GATEWAY,
        SignOnError::Refused { .. }
        | SignOnError::NoAccount
        | SignOnError::Deactivated
        | SignOnError::Locked
        | SignOnError::OtherAccount => StatusCode::FORBIDDEN,
    };
    Ok(PageResponse::from(Page::failure(&error.to_string())).with_status(status))
}

/// The endpoints of signing on.
pub fn endpoints(sign_on: SingleSignOn) -> Endpoints<SignOn> {
    // Each start is kept for a while, and names could be tried.
    let start = Settings::default().class(RateClass::Login);
    let form = Settings::default().class(RateClass::Registration).raw_body().body_limit(16 * 1024);
    Endpoints::new(SignOn::new(sign_on))
        .at_with(start, SignOn::start)
        .at_with(start, SignOn::start_at)
        .at(SignOn::finish)
        .at_with(form, SignOn::choose_name)
}
