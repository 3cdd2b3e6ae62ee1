//! What a client is told when a subscription to a thread does not change. Spec: MSC4306.

use http::StatusCode;
use rooms::SubscriptionError;

use crate::MatrixError;

impl From<SubscriptionError> for MatrixError {
    fn from(error: SubscriptionError) -> Self {
        let message = error.to_string();
        match error {
            SubscriptionError::NotSubscribed => Self::not_found(message),
            SubscriptionError::NotInThread => Self::unstable(
                StatusCode::BAD_REQUEST,
                "IO.ELEMENT.MSC4306.M_NOT_IN_THREAD",
                &message,
                serde_json::Map::new(),
            ),
            SubscriptionError::Unsubscribed => Self::unstable(
                StatusCode::CONFLICT,
                "IO.ELEMENT.MSC4306.M_CONFLICTING_UNSUBSCRIPTION",
                &message,
                serde_json::Map::new(),
            ),
            SubscriptionError::Room(error) => error.into(),
        }
    }
}
