//! What a client is told when a request fails.

mod accounts;
mod delayed_events;
mod identity;
mod request;
mod rooms;
mod search;
mod sliding_sync;
mod sync;
mod thread_subscriptions;

use std::{error::Error, fmt, time::Duration};

use http::{HeaderValue, StatusCode, header};
use poem::Response;
use ruma::api::{
    client::uiaa::UiaaInfo,
    error::{
        ErrorKind, LimitExceededErrorData, RetryAfter, StandardErrorBody, UnknownTokenErrorData,
    },
};
use serde::Serialize;
use store::StoreError;

/// An error as Matrix sends it: a status, an `errcode` and a sentence for a human.
///
/// Spec: client-server API, "Standard error response".
pub struct MatrixError {
    status: StatusCode,
    body: Box<ErrorBody>,
}

enum ErrorBody {
    Standard(StandardErrorBody),
    /// More authentication is needed before the request is served.
    Uiaa(UiaaInfo),
    /// As a proposal has it.
    Unstable(serde_json::Map<String, serde_json::Value>),
}

impl MatrixError {
    /// An error with `message` as its `error` sentence. The message must hold no secret.
    pub fn new(status: StatusCode, kind: ErrorKind, message: impl Into<String>) -> Self {
        let body = ErrorBody::Standard(StandardErrorBody::new(kind, message.into()));
        Self { status, body: Box::new(body) }
    }

    /// An error of the request itself.
    pub fn bad_request(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, kind, message)
    }

    /// An error of a proposal, whose errcode ruma does not know; `more` are its other keys.
    pub(crate) fn unstable(
        status: StatusCode,
        errcode: &str,
        message: &str,
        mut more: serde_json::Map<String, serde_json::Value>,
    ) -> Self {
        more.insert("errcode".to_owned(), errcode.into());
        more.insert("error".to_owned(), message.into());
        Self { status, body: Box::new(ErrorBody::Unstable(more)) }
    }

    /// `M_FORBIDDEN`.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, ErrorKind::Forbidden, message)
    }

    /// `M_NOT_FOUND`.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, ErrorKind::NotFound, message)
    }

    /// The account is locked; its session is kept. ruma adds that the logout is a soft one.
    /// Spec: client-server API, "Account locking".
    pub fn locked() -> Self {
        let message = "this account is locked";
        Self::new(StatusCode::UNAUTHORIZED, ErrorKind::UserLocked, message)
    }

    /// A fault of ours. The cause is logged here with its sources, once; the client learns nothing about it.
    ///
    /// What does not fit the store is no fault of ours: all that varies in size comes from clients.
    #[track_caller]
    pub fn internal(cause: &(dyn Error + 'static)) -> Self {
        if is_too_large(cause) {
            let message = "an identifier or value is too large";
            return Self::new(StatusCode::PAYLOAD_TOO_LARGE, ErrorKind::TooLarge, message);
        }
        let at = std::panic::Location::caller();
        tracing::error!(cause = %Chain(cause), %at, "request failed on our side");
        Self::concealed()
    }

    /// The answer to a fault of ours that is logged elsewhere.
    pub(crate) fn concealed() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, ErrorKind::Unknown, "internal server error")
    }

    /// The access token belongs to no session, or to one that must get a new token first.
    pub fn unknown_token(message: impl Into<String>, logout: Logout) -> Self {
        let mut data = UnknownTokenErrorData::new();
        data.soft_logout = logout == Logout::Soft;
        Self::new(StatusCode::UNAUTHORIZED, ErrorKind::UnknownToken(data), message)
    }

    /// `M_LIMIT_EXCEEDED`, with the time after which the request is worth trying again.
    pub fn limit_exceeded(wait: Duration) -> Self {
        let mut data = LimitExceededErrorData::new();
        data.retry_after = Some(RetryAfter::Delay(wait));
        let kind = ErrorKind::LimitExceeded(data);
        Self::new(StatusCode::TOO_MANY_REQUESTS, kind, "too many requests")
    }

    fn retry_after(&self) -> Option<HeaderValue> {
        let ErrorBody::Standard(body) = &*self.body else { return None };
        let ErrorKind::LimitExceeded(limit) = &body.kind else { return None };
        match limit.retry_after? {
            // Rounded up: a client that waits the told time must not come too early.
            RetryAfter::Delay(wait) => {
                Some(wait.as_millis().div_ceil(1000).to_string().parse().ok()?)
            }
            RetryAfter::DateTime(_) => None,
        }
    }

    /// The error as a response.
    pub(crate) fn into_response(self) -> Response {
        let mut response = json_response(self.status, &self.body);
        if let Some(value) = self.retry_after() {
            response.headers_mut().insert(header::RETRY_AFTER, value);
        }
        response
    }
}

/// Whether an invalid token can be replaced without losing the device.
/// Spec: client-server API, "Soft logout".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Logout {
    /// The session is gone.
    Hard,
    /// The session is there, its access token expired.
    Soft,
}

impl From<UiaaInfo> for MatrixError {
    /// Spec: client-server API, "User-interactive API in the REST API".
    fn from(info: UiaaInfo) -> Self {
        Self { status: StatusCode::UNAUTHORIZED, body: Box::new(ErrorBody::Uiaa(info)) }
    }
}

impl Serialize for ErrorBody {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Standard(body) => body.serialize(serializer),
            Self::Uiaa(info) => info.serialize(serializer),
            Self::Unstable(body) => body.serialize(serializer),
        }
    }
}

/// A JSON response; one that cannot be serialised is a fault of ours.
pub(crate) fn json_response(status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(json) => Response::builder()
            .status(status)
            .header(header::CONTENT_TYPE, "application/json")
            .body(json),
        Err(error) => {
            tracing::error!(%error, "response does not serialise");
            Response::builder().status(StatusCode::INTERNAL_SERVER_ERROR).finish()
        }
    }
}

impl fmt::Debug for MatrixError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let json = serde_json::to_string(&self.body).map_err(|_| fmt::Error)?;
        write!(f, "{} {json}", self.status.as_u16())
    }
}

/// Whether the store refused a key or a value for its size.
fn is_too_large(cause: &(dyn Error + 'static)) -> bool {
    causes(cause).filter_map(|error| error.downcast_ref()).any(StoreError::is_too_large)
}

/// An error and its sources. A cycle of them is nobody's intention, but must not hang the server.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let mut next = Some(error);
    let causes = std::iter::from_fn(move || {
        let error = next?;
        next = error.source();
        Some(error)
    });
    causes.take(16)
}

/// An error and its sources in one line.
struct Chain<'a>(&'a (dyn Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        causes(self.0).skip(1).try_for_each(|source| write!(f, ": {source}"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    async fn parts(error: MatrixError) -> (StatusCode, Option<String>, Value) {
        let response = error.into_response();
        let wait = response.header("retry-after").map(ToOwned::to_owned);
        let status = response.status();
        let body = response.into_body().into_vec().await.unwrap();
        (status, wait, serde_json::from_slice(&body).unwrap())
    }

    #[tokio::test]
    async fn a_limit_names_the_wait_in_milliseconds_and_in_seconds_rounded_up() {
        let (status, wait, body) =
            parts(MatrixError::limit_exceeded(Duration::from_millis(1200))).await;

        assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(wait.as_deref(), Some("2"));
        assert_eq!(body["errcode"], "M_LIMIT_EXCEEDED");
        assert_eq!(body["retry_after_ms"], 1200);
    }

    #[tokio::test]
    async fn an_internal_error_tells_the_client_nothing() {
        let cause = std::io::Error::other("secret path");

        let (status, _, body) = parts(MatrixError::internal(&cause)).await;

        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(body, json!({ "errcode": "M_UNKNOWN", "error": "internal server error" }));
    }

    #[tokio::test]
    async fn what_does_not_fit_the_store_is_the_clients_fault() {
        let cause = ::rooms::RoomError::Store(StoreError::TooLongKey(3_000));

        let (status, _, body) = parts(MatrixError::internal(&cause)).await;

        assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(body["errcode"], "M_TOO_LARGE");
    }

    #[tokio::test]
    async fn a_soft_logout_is_said_so() {
        let (status, _, soft) = parts(MatrixError::unknown_token("expired", Logout::Soft)).await;
        let (_, _, hard) = parts(MatrixError::unknown_token("unknown", Logout::Hard)).await;

        assert_eq!(status, StatusCode::UNAUTHORIZED);
        assert_eq!(soft["soft_logout"], true);
        assert_ne!(hard["soft_logout"], true);
    }

    #[tokio::test]
    async fn a_user_interactive_answer_is_its_own_body() {
        let mut info = UiaaInfo::new(vec![]);
        info.session = Some("abc".to_owned());

        let (status, _, body) = parts(info.into()).await;

        assert_eq!(status, StatusCode::UNAUTHORIZED);
        assert_eq!(body, json!({ "flows": [], "session": "abc" }));
    }
}
