//! What a client is told when an identity server does not do its part.

use federation::identity::IdentityError;
use http::StatusCode;
use ruma::api::error::ErrorKind;
use serde_json::Map;

use crate::MatrixError;

impl From<&IdentityError> for MatrixError {
    fn from(error: &IdentityError) -> Self {
        let (status, kind) = match error {
            // ruma does not know the errcode. Spec: identity service API, "Terms of service".
            IdentityError::TermsNotSigned => {
                let (status, message) = (StatusCode::FORBIDDEN, error.to_string());
                return Self::unstable(status, "M_TERMS_NOT_SIGNED", &message, Map::new());
            }
            // No errcode of a bad access token: clients would end the session here, which is good.
            IdentityError::Unauthorized => (StatusCode::FORBIDDEN, ErrorKind::Forbidden),
            IdentityError::InUse => (StatusCode::BAD_REQUEST, ErrorKind::ThreepidInUse),
            IdentityError::MediumNotSupported => {
                (StatusCode::BAD_REQUEST, ErrorKind::ThreepidMediumNotSupported)
            }
            IdentityError::Unreachable(_)
            | IdentityError::Nonsense
            | IdentityError::Failed(_)
            | IdentityError::InvalidPepper => {
                tracing::info!(cause = ?error, "an identity server failed");
                (StatusCode::BAD_GATEWAY, ErrorKind::Unknown)
            }
        };
        Self::new(status, kind, error.to_string())
    }
}
