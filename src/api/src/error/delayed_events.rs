//! What a client is told when an event is not delayed. Spec: MSC4140.

use http::StatusCode;
use rooms::DelayError;
use serde_json::{Map, Value};

use crate::MatrixError;

impl From<DelayError> for MatrixError {
    fn from(error: DelayError) -> Self {
        let message = error.to_string();
        match error {
            DelayError::TooLong(longest) => {
                let longest = u64::try_from(longest.as_millis()).unwrap_or(u64::MAX);
                let mut more = unstable_errcode("M_MAX_DELAY_EXCEEDED");
                more.insert("org.matrix.msc4140.max_delay".to_owned(), longest.into());
                Self::unstable(StatusCode::BAD_REQUEST, "M_UNKNOWN", &message, more)
            }
            DelayError::TooMany => {
                let more = unstable_errcode("M_MAX_DELAYED_EVENTS_EXCEEDED");
                Self::unstable(StatusCode::BAD_REQUEST, "M_UNKNOWN", &message, more)
            }
            DelayError::Unknown => Self::not_found(message),
            DelayError::Room(error) => error.into(),
        }
    }
}

/// The errcode of the proposal stands beside a known one, as clients expect it.
fn unstable_errcode(errcode: &str) -> Map<String, Value> {
    let key = "org.matrix.msc4140.errcode".to_owned();
    Map::from_iter([(key, errcode.into())])
}
