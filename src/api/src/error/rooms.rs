//! What a client is told when something in a room fails.

use http::StatusCode;
use rooms::RoomError;
use rooms::presence::PresenceError;
use ruma::api::error::ErrorKind;

use crate::MatrixError;

impl From<RoomError> for MatrixError {
    fn from(error: RoomError) -> Self {
        let (status, kind) = match &error {
            RoomError::UnknownRoom(_)
            | RoomError::UnknownEvent(_)
            | RoomError::UnknownAlias(_)
            | RoomError::NoSuchState => (StatusCode::NOT_FOUND, ErrorKind::NotFound),
            RoomError::NotInRoom | RoomError::Forbidden(_) => {
                (StatusCode::FORBIDDEN, ErrorKind::Forbidden)
            }
            RoomError::GuestsForbidden => (StatusCode::FORBIDDEN, ErrorKind::GuestAccessForbidden),
            RoomError::Malformed(_) => (StatusCode::BAD_REQUEST, ErrorKind::BadJson),
            RoomError::InvalidParameter(_) | RoomError::AliasNotLocal(_) => {
                (StatusCode::BAD_REQUEST, ErrorKind::InvalidParam)
            }
            RoomError::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, ErrorKind::TooLarge),
            RoomError::UnsupportedVersion(_) => {
                (StatusCode::BAD_REQUEST, ErrorKind::UnsupportedRoomVersion)
            }
            RoomError::AliasInUse(_) => (StatusCode::BAD_REQUEST, ErrorKind::RoomInUse),
            RoomError::StillInRoom | RoomError::NoServerNotices => {
                (StatusCode::BAD_REQUEST, ErrorKind::Unknown)
            }
            RoomError::AliasTaken(_) => (StatusCode::CONFLICT, ErrorKind::Unknown),
            RoomError::NoticeInvitation => {
                (StatusCode::FORBIDDEN, ErrorKind::CannotLeaveServerNoticeRoom)
            }
            RoomError::BadAlias(_) => (StatusCode::BAD_REQUEST, ErrorKind::BadAlias),
            RoomError::DuplicateAnnotation => {
                (StatusCode::BAD_REQUEST, ErrorKind::DuplicateAnnotation)
            }
            RoomError::Busy => return Self::limit_exceeded(std::time::Duration::from_secs(1)),
            RoomError::Damaged(_) | RoomError::Store(_) => return Self::internal(&error),
        };
        Self::new(status, kind, error.to_string())
    }
}

impl From<PresenceError> for MatrixError {
    fn from(error: PresenceError) -> Self {
        let (status, kind) = match error {
            PresenceError::NotShared => (StatusCode::FORBIDDEN, ErrorKind::Forbidden),
            PresenceError::MessageTooLong => (StatusCode::BAD_REQUEST, ErrorKind::InvalidParam),
            PresenceError::Room(error) => return error.into(),
        };
        Self::new(status, kind, error.to_string())
    }
}
