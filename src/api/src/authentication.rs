//! Who sends a request.

use std::sync::Arc;

use accounts::{Accounts, Origin, Session};
use futures_util::future::BoxFuture;
use http::StatusCode;
use ruma::{
    DeviceId, UserId,
    api::{
        auth_scheme::{
            AccessToken, AccessTokenOptional, AppserviceTokenOptional, AuthScheme, NoAccessToken,
            NoAuthentication, extract_bearer_or_query_token,
        },
        error::ErrorKind,
    },
};

use crate::{MatrixError, incoming::Incoming, standing::Standing};

/// A user's session whose access token came with the request.
#[derive(Clone, Debug)]
pub struct Requester(Arc<Session>);

impl Requester {
    /// The user on whose behalf the request is.
    pub fn user_id(&self) -> &UserId {
        &self.0.user_id
    }

    /// The device the request comes from.
    pub fn device_id(&self) -> &DeviceId {
        &self.0.device_id
    }

    /// The session itself.
    pub fn session(&self) -> &Session {
        &self.0
    }

    /// Fails unless the path names the requester: nobody sees or changes what is somebody else's own.
    pub(crate) fn must_be(&self, user_id: &UserId) -> Result<(), MatrixError> {
        if user_id == self.user_id() {
            return Ok(());
        }
        Err(MatrixError::forbidden("this is another user's"))
    }

    /// Fails for a user who is suspended: they do nothing that others see.
    /// Spec: client-server API, "Account suspension".
    pub(crate) fn must_not_be_suspended(&self) -> Result<(), MatrixError> {
        Standing::EVERYBODY.without_suspended().check(&self.0)
    }

    /// Fails for a guest. Spec: client-server API, "Guest Access".
    pub(crate) fn must_not_be_guest(&self) -> Result<(), MatrixError> {
        Standing::EVERYBODY.without_guests().check(&self.0)
    }
}

/// Knows access tokens. A trait, so that the edge is tested on its own.
pub trait Authenticator: Send + Sync {
    /// The session behind an access token of a request from `origin`; an error with the status and errcode the
    /// client is to get.
    fn session<'a>(
        &'a self,
        token: &'a str,
        origin: Origin<'a>,
    ) -> BoxFuture<'a, Result<Arc<Session>, MatrixError>>;
}

impl Authenticator for Accounts {
    fn session<'a>(
        &'a self,
        token: &'a str,
        origin: Origin<'a>,
    ) -> BoxFuture<'a, Result<Arc<Session>, MatrixError>> {
        Box::pin(async move { Ok(self.authenticate(token, Some(origin)).await?) })
    }
}

/// Shared by all requests.
pub(crate) type DynAuthenticator = Arc<dyn Authenticator>;

/// What a handler receives for an endpoint's authentication scheme.
pub trait Authentication: AuthScheme {
    /// The handler's second argument.
    type Caller: Caller;

    /// Whether nobody is served without a session.
    const NEEDS_SESSION: bool = false;

    /// Whether requests that change something are rate limited even where the specification does not say so: nobody
    /// may fill the disk at the speed of the network.
    const CHANGES_ARE_LIMITED: bool = true;

    /// Reads and checks the credentials of a request.
    fn caller(
        incoming: &Incoming,
    ) -> impl Future<Output = Result<Self::Caller, MatrixError>> + Send;
}

/// Whoever sends a request.
pub trait Caller: Send + 'static {
    /// The session whose standing and rate limits count; `None` leaves the limits of the address.
    fn session(&self) -> Option<&Session>;
}

impl Caller for Requester {
    fn session(&self) -> Option<&Session> {
        Some(&self.0)
    }
}

impl Caller for Option<Requester> {
    fn session(&self) -> Option<&Session> {
        self.as_ref().map(Requester::session)
    }
}

impl Caller for () {
    fn session(&self) -> Option<&Session> {
        None
    }
}

impl Authentication for AccessToken {
    type Caller = Requester;

    const NEEDS_SESSION: bool = true;

    async fn caller(incoming: &Incoming) -> Result<Requester, MatrixError> {
        optional_requester(incoming).await?.ok_or_else(missing_token)
    }
}

impl Authentication for AccessTokenOptional {
    type Caller = Option<Requester>;

    async fn caller(incoming: &Incoming) -> Result<Option<Requester>, MatrixError> {
        optional_requester(incoming).await
    }
}

impl Authentication for NoAccessToken {
    type Caller = ();

    async fn caller(_: &Incoming) -> Result<(), MatrixError> {
        Ok(())
    }
}

impl Authentication for NoAuthentication {
    type Caller = ();

    async fn caller(_: &Incoming) -> Result<(), MatrixError> {
        Ok(())
    }
}

/// Registration and login, which application services may send with their token: none is registered, so
/// everybody is a user without a session here.
impl Authentication for AppserviceTokenOptional {
    type Caller = ();

    async fn caller(_: &Incoming) -> Result<(), MatrixError> {
        Ok(())
    }
}

async fn optional_requester(incoming: &Incoming) -> Result<Option<Requester>, MatrixError> {
    // A header of another scheme carries no access token, and neither does an unreadable one.
    let Ok(token) = extract_bearer_or_query_token(incoming.head()) else {
        return Err(missing_token());
    };
    match token {
        Some(token) => {
            let session = incoming.authenticator().session(&token, incoming.origin()).await?;
            Ok(Some(Requester(session)))
        }
        None => Ok(None),
    }
}

pub(crate) fn missing_token() -> MatrixError {
    MatrixError::new(StatusCode::UNAUTHORIZED, ErrorKind::MissingToken, "no access token was sent")
}
