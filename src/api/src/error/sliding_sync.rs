//! What a client is told when simplified sliding sync fails.

use http::StatusCode;
use ruma::api::error::ErrorKind;
use sync::SlidingError;

use crate::MatrixError;

impl From<SlidingError> for MatrixError {
    fn from(error: SlidingError) -> Self {
        let kind = match error {
            SlidingError::UnknownPosition => ErrorKind::UnknownPos,
            SlidingError::TooManyLists
            | SlidingError::NameTooLong
            | SlidingError::TooManyEvents => ErrorKind::InvalidParam,
            SlidingError::Sync(error) => return error.into(),
        };
        Self::new(StatusCode::BAD_REQUEST, kind, error.to_string())
    }
}
