//! What a client is told when syncing fails.

use http::StatusCode;
use ruma::api::error::ErrorKind;
use sync::SyncError;

use crate::MatrixError;

impl From<SyncError> for MatrixError {
    fn from(error: SyncError) -> Self {
        match error {
            SyncError::UnknownPosition => {
                Self::new(StatusCode::BAD_REQUEST, ErrorKind::InvalidParam, error.to_string())
            }
            SyncError::Room(error) => error.into(),
            SyncError::Store(_) | SyncError::Json(_) => Self::internal(&error),
        }
    }
}
