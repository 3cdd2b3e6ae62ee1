//! Errors of requests that ruma could not parse.

use http::StatusCode;
use ruma::api::error::{DeserializationError, ErrorKind, FromHttpRequestError};

use crate::{MatrixError, body::is_json};

impl MatrixError {
    /// The error for a request that does not parse; `body` is the request's body.
    ///
    /// ruma's types tell a JSON value of the wrong type before they have seen the whole body, so a body that is
    /// no JSON at all is recognised by reading it again: only a failed request pays for that.
    pub(crate) fn unparsable(error: &FromHttpRequestError, body: &[u8]) -> Self {
        let error = match error {
            FromHttpRequestError::Deserialization(error) => error,
            // The route was found by its method.
            other => return Self::internal(other),
        };
        match error {
            DeserializationError::Json(error) => {
                if is_json(body) {
                    Self::bad_request(ErrorKind::BadJson, error.to_string())
                } else {
                    Self::not_json()
                }
            }
            DeserializationError::Query(error) => {
                let message = error.to_string();
                let missing = message.starts_with("missing field");
                let kind = if missing { ErrorKind::MissingParam } else { ErrorKind::InvalidParam };
                Self::bad_request(kind, message)
            }
            other => Self::bad_request(ErrorKind::InvalidParam, other.to_string()),
        }
    }

    /// The body is not JSON.
    pub(crate) fn not_json() -> Self {
        Self::bad_request(ErrorKind::NotJson, "the body is not JSON")
    }

    /// The error for a body that is not a JSON object.
    pub(crate) fn not_an_object(body: &[u8]) -> Self {
        if is_json(body) {
            Self::bad_request(ErrorKind::BadJson, "the body is not a JSON object")
        } else {
            Self::not_json()
        }
    }

    /// The body nests deeper than is taken from anybody.
    pub(crate) fn nested() -> Self {
        Self::bad_request(ErrorKind::BadJson, "the body nests too deep")
    }

    /// The body is larger than the endpoint takes.
    pub(crate) fn too_large(limit: usize) -> Self {
        let message = format!("the body is larger than {limit} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, ErrorKind::TooLarge, message)
    }
}
