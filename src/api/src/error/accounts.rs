//! What clients are told when something fails with their account.

use std::time::Duration;

use accounts::{
    AccountDataError, AdministrationError, AuthenticationError, DeactivationError, DeviceError,
    ExternalIdError, FilterError, InteractiveAuthError, LoginError, LoginTokenError,
    ModerationError, NewDeviceError, OpenIdError, PasswordChangeError, PasswordError, ProfileError,
    PushRuleError, PusherError, RefreshError, RegistrationError, RegistrationTokenError,
    SharedSecretError, ToDeviceError,
};
use http::StatusCode;
use protocol::push::PutRuleError;
use ruma::api::error::ErrorKind;

use crate::{Logout, MatrixError};

/// How long to wait where too many passwords are being checked.
const BUSY: Duration = Duration::from_secs(2);

impl From<AuthenticationError> for MatrixError {
    fn from(error: AuthenticationError) -> Self {
        match &error {
            AuthenticationError::UnknownToken => {
                Self::unknown_token(error.to_string(), Logout::Hard)
            }
            AuthenticationError::Expired => Self::unknown_token(error.to_string(), Logout::Soft),
            AuthenticationError::Store(_) => Self::internal(&error),
        }
    }
}

impl MatrixError {
    /// The account is closed.
    fn deactivated() -> Self {
        let message = "the account is deactivated";
        Self::new(StatusCode::FORBIDDEN, ErrorKind::UserDeactivated, message)
    }
}

impl From<PasswordError> for MatrixError {
    fn from(error: PasswordError) -> Self {
        match &error {
            PasswordError::Length => Self::bad_request(ErrorKind::WeakPassword, error.to_string()),
            PasswordError::Busy => Self::limit_exceeded(BUSY),
            PasswordError::TooManyGuesses(wait) => Self::limit_exceeded(*wait),
            PasswordError::Failed(_) => Self::internal(&error),
        }
    }
}

impl From<LoginError> for MatrixError {
    fn from(error: LoginError) -> Self {
        match error {
            LoginError::WrongPassword | LoginError::WrongToken => {
                Self::forbidden(error.to_string())
            }
            LoginError::Deactivated => Self::deactivated(),
            LoginError::Locked => Self::locked(),
            LoginError::Password(error) => error.into(),
            LoginError::Store(_) => Self::internal(&error),
        }
    }
}

impl From<PasswordChangeError> for MatrixError {
    fn from(error: PasswordChangeError) -> Self {
        match error {
            PasswordChangeError::UnknownUser => Self::not_found(error.to_string()),
            PasswordChangeError::Auth(error) => error.into(),
            PasswordChangeError::Password(error) => error.into(),
            PasswordChangeError::Store(_) => Self::internal(&error),
        }
    }
}

impl From<RefreshError> for MatrixError {
    fn from(error: RefreshError) -> Self {
        match &error {
            RefreshError::UnknownToken => Self::unknown_token(error.to_string(), Logout::Hard),
            RefreshError::Locked => Self::locked(),
            RefreshError::Store(_) => Self::internal(&error),
        }
    }
}

impl From<InteractiveAuthError> for MatrixError {
    fn from(error: InteractiveAuthError) -> Self {
        match error {
            InteractiveAuthError::Required(info) => (*info).into(),
            InteractiveAuthError::OtherUser | InteractiveAuthError::UnknownIdentifier => {
                Self::forbidden(error.to_string())
            }
            InteractiveAuthError::Deactivated => Self::deactivated(),
            InteractiveAuthError::Locked => Self::locked(),
            InteractiveAuthError::Password(error) => error.into(),
            InteractiveAuthError::Store(_) => Self::internal(&error),
        }
    }
}

impl From<RegistrationError> for MatrixError {
    fn from(error: RegistrationError) -> Self {
        let kind = match error {
            RegistrationError::Disabled
            | RegistrationError::TokenUsedUp
            | RegistrationError::NotThatGuest => return Self::forbidden(error.to_string()),
            RegistrationError::NoGuests => {
                let kind = ErrorKind::GuestAccessForbidden;
                return Self::new(StatusCode::FORBIDDEN, kind, error.to_string());
            }
            RegistrationError::ExternalId(error) => return error.into(),
            RegistrationError::Password(error) => return error.into(),
            RegistrationError::Auth(error) => return error.into(),
            RegistrationError::Store(_) => return Self::internal(&error),
            RegistrationError::Username(_) => ErrorKind::InvalidUsername,
            RegistrationError::Taken(_) => ErrorKind::UserInUse,
            RegistrationError::NoPassword => ErrorKind::MissingParam,
        };
        Self::bad_request(kind, error.to_string())
    }
}

impl From<DeactivationError> for MatrixError {
    fn from(error: DeactivationError) -> Self {
        match error {
            DeactivationError::UnknownUser => Self::not_found(error.to_string()),
            DeactivationError::Auth(error) => error.into(),
            DeactivationError::Store(_) => Self::internal(&error),
        }
    }
}

impl From<LoginTokenError> for MatrixError {
    fn from(error: LoginTokenError) -> Self {
        match error {
            LoginTokenError::Disabled => {
                Self::bad_request(ErrorKind::Unrecognized, error.to_string())
            }
            LoginTokenError::Auth(error) => error.into(),
        }
    }
}

impl From<OpenIdError> for MatrixError {
    fn from(error: OpenIdError) -> Self {
        match &error {
            OpenIdError::UnknownToken => Self::unknown_token(error.to_string(), Logout::Hard),
            OpenIdError::Store(_) => Self::internal(&error),
        }
    }
}

impl From<ModerationError> for MatrixError {
    fn from(error: ModerationError) -> Self {
        match &error {
            ModerationError::NotAdmin | ModerationError::Oneself | ModerationError::OtherAdmin => {
                Self::forbidden(error.to_string())
            }
            ModerationError::NotLocal => {
                Self::bad_request(ErrorKind::InvalidParam, error.to_string())
            }
            ModerationError::UnknownUser => Self::not_found(error.to_string()),
            ModerationError::Store(_) => Self::internal(&error),
        }
    }
}

impl From<ExternalIdError> for MatrixError {
    /// Statuses and codes are Synapse's, whose tools read them.
    fn from(error: ExternalIdError) -> Self {
        let (status, kind) = match &error {
            ExternalIdError::UnknownUser => (StatusCode::NOT_FOUND, ErrorKind::NotFound),
            ExternalIdError::InUse => (StatusCode::CONFLICT, ErrorKind::Unknown),
            ExternalIdError::Length | ExternalIdError::TooMany => {
                (StatusCode::BAD_REQUEST, ErrorKind::InvalidParam)
            }
            ExternalIdError::Store(_) => return Self::internal(&error),
        };
        Self::new(status, kind, error.to_string())
    }
}

impl From<SharedSecretError> for MatrixError {
    /// Statuses and codes are Synapse's, whose tools read them.
    fn from(error: SharedSecretError) -> Self {
        match error {
            SharedSecretError::Disabled
            | SharedSecretError::UnknownNonce
            | SharedSecretError::ZeroByte(_) => {
                Self::bad_request(ErrorKind::Unknown, error.to_string())
            }
            SharedSecretError::WrongMac => {
                Self::new(StatusCode::FORBIDDEN, ErrorKind::Unknown, error.to_string())
            }
            SharedSecretError::Registration(error) => error.into(),
        }
    }
}

impl From<AdministrationError> for MatrixError {
    fn from(error: AdministrationError) -> Self {
        match &error {
            AdministrationError::UnknownUser => Self::not_found(error.to_string()),
            AdministrationError::Deactivated => {
                Self::bad_request(ErrorKind::UserDeactivated, error.to_string())
            }
            AdministrationError::Store(_) => Self::internal(&error),
        }
    }
}

impl From<RegistrationTokenError> for MatrixError {
    fn from(error: RegistrationTokenError) -> Self {
        match &error {
            RegistrationTokenError::Malformed
            | RegistrationTokenError::Exists
            | RegistrationTokenError::Expired => {
                Self::bad_request(ErrorKind::InvalidParam, error.to_string())
            }
            RegistrationTokenError::NotFound => Self::not_found(error.to_string()),
            RegistrationTokenError::Store(_) => Self::internal(&error),
        }
    }
}

impl From<NewDeviceError> for MatrixError {
    fn from(error: NewDeviceError) -> Self {
        match error {
            NewDeviceError::Id | NewDeviceError::Name => {
                Self::bad_request(ErrorKind::InvalidParam, error.to_string())
            }
        }
    }
}

impl From<DeviceError> for MatrixError {
    fn from(error: DeviceError) -> Self {
        match error {
            DeviceError::NotFound => Self::not_found(error.to_string()),
            DeviceError::NameTooLong => {
                Self::bad_request(ErrorKind::InvalidParam, error.to_string())
            }
            DeviceError::Auth(error) => error.into(),
            DeviceError::Store(_) => Self::internal(&error),
        }
    }
}

impl From<ProfileError> for MatrixError {
    fn from(error: ProfileError) -> Self {
        let kind = match &error {
            ProfileError::UnknownUser(_) => return Self::not_found(error.to_string()),
            ProfileError::Store(_) => return Self::internal(&error),
            ProfileError::FieldTooLong => ErrorKind::KeyTooLarge,
            ProfileError::FieldName | ProfileError::ValueTooLong(_) => ErrorKind::InvalidParam,
            ProfileError::WrongType(_) => ErrorKind::BadJson,
            ProfileError::TooLarge => ErrorKind::ProfileTooLarge,
        };
        Self::bad_request(kind, error.to_string())
    }
}

impl From<PushRuleError> for MatrixError {
    fn from(error: PushRuleError) -> Self {
        let (status, kind) = match &error {
            PushRuleError::NotFound => (StatusCode::NOT_FOUND, ErrorKind::NotFound),
            // The specification's example of a place that is not there.
            PushRuleError::Put(PutRuleError::UnknownNeighbour(_)) => {
                (StatusCode::BAD_REQUEST, ErrorKind::Unknown)
            }
            PushRuleError::ServerDefault
            | PushRuleError::Put(
                PutRuleError::ReservedId | PutRuleError::ReservedKind | PutRuleError::InvalidId,
            ) => (StatusCode::BAD_REQUEST, ErrorKind::InvalidParam),
            PushRuleError::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, ErrorKind::TooLarge),
            PushRuleError::Json(_) | PushRuleError::Store(_) => return Self::internal(&error),
        };
        Self::new(status, kind, error.to_string())
    }
}

impl From<ToDeviceError> for MatrixError {
    fn from(error: ToDeviceError) -> Self {
        match error {
            ToDeviceError::NoObject => Self::bad_request(ErrorKind::BadJson, error.to_string()),
            ToDeviceError::TooLarge => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, ErrorKind::TooLarge, error.to_string())
            }
            ToDeviceError::Store(_) => Self::internal(&error),
        }
    }
}

impl From<PusherError> for MatrixError {
    fn from(error: PusherError) -> Self {
        let (status, kind) = match &error {
            PusherError::AppId
            | PusherError::Pushkey
            | PusherError::Gateway
            | PusherError::Kind
            | PusherError::TooMany => (StatusCode::BAD_REQUEST, ErrorKind::InvalidParam),
            PusherError::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, ErrorKind::TooLarge),
            PusherError::LoggedOut => return Self::unknown_token(error.to_string(), Logout::Hard),
            PusherError::Json(_) | PusherError::Store(_) => return Self::internal(&error),
        };
        Self::new(status, kind, error.to_string())
    }
}

impl From<AccountDataError> for MatrixError {
    fn from(error: AccountDataError) -> Self {
        let (status, kind) = match &error {
            AccountDataError::NotFound => (StatusCode::NOT_FOUND, ErrorKind::NotFound),
            AccountDataError::Reserved(_) => (StatusCode::METHOD_NOT_ALLOWED, ErrorKind::BadJson),
            AccountDataError::KindTooLong | AccountDataError::TagTooLong => {
                (StatusCode::BAD_REQUEST, ErrorKind::InvalidParam)
            }
            AccountDataError::TooLarge | AccountDataError::Full => {
                (StatusCode::PAYLOAD_TOO_LARGE, ErrorKind::TooLarge)
            }
            AccountDataError::Json(_) | AccountDataError::Store(_) => {
                return Self::internal(&error);
            }
        };
        Self::new(status, kind, error.to_string())
    }
}

impl From<FilterError> for MatrixError {
    fn from(error: FilterError) -> Self {
        match &error {
            FilterError::NotFound => Self::not_found(error.to_string()),
            FilterError::UnknownFormat => Self::bad_request(ErrorKind::BadJson, error.to_string()),
            FilterError::TooLarge => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, ErrorKind::TooLarge, error.to_string())
            }
            FilterError::Json(_) | FilterError::Store(_) => Self::internal(&error),
        }
    }
}
