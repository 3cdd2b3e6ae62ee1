//! Who may administrate the server.

use accounts::{Role, Session};
use ruma::{
    UserId,
    api::auth_scheme::{AccessToken, AuthScheme, SendAccessToken},
};

use crate::{Authentication, Caller, Incoming, MatrixError, Requester};

/// Authentication by the access token of a server administrator. Others get `M_FORBIDDEN`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct AdminToken;

impl AuthScheme for AdminToken {
    type Input<'a> = SendAccessToken<'a>;
    type AddAuthenticationError = <AccessToken as AuthScheme>::AddAuthenticationError;
    type Output = <AccessToken as AuthScheme>::Output;
    type ExtractAuthenticationError = <AccessToken as AuthScheme>::ExtractAuthenticationError;

    fn add_authentication<T: AsRef<[u8]>>(
        request: &mut http::Request<T>,
        input: SendAccessToken<'_>,
    ) -> Result<(), Self::AddAuthenticationError> {
        AccessToken::add_authentication(request, input)
    }

    fn extract_authentication<T>(
        request: &http::Request<T>,
    ) -> Result<String, Self::ExtractAuthenticationError> {
        AccessToken::extract_authentication(request)
    }
}

/// A server administrator who sends a request.
#[derive(Clone, Debug)]
pub(crate) struct Administrator(Requester);

impl Administrator {
    /// The administrator's user ID.
    pub(crate) fn user_id(&self) -> &UserId {
        self.0.user_id()
    }

    /// The administrator's session.
    pub(crate) fn session(&self) -> &Session {
        self.0.session()
    }
}

impl Caller for Administrator {
    fn session(&self) -> Option<&Session> {
        Some(self.0.session())
    }
}

impl Authentication for AdminToken {
    type Caller = Administrator;

    const NEEDS_SESSION: bool = true;

    const CHANGES_ARE_LIMITED: bool = false;

    async fn caller(incoming: &Incoming) -> Result<Administrator, MatrixError> {
        let requester = AccessToken::caller(incoming).await?;
        match requester.session().role {
            Role::Admin => Ok(Administrator(requester)),
            Role::User => Err(MatrixError::forbidden("you are not a server administrator")),
        }
    }
}
