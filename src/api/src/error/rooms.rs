//! What a client is told when something in a room fails.

use http::StatusCode;
use protocol::InvalidThirdPartyId;
use rooms::RoomError;
use rooms::presence::PresenceError;
use ruma::api::error::ErrorKind;
use serde_json::json;

use crate::MatrixError;

/// Spec: MSC2815.
fn content_erased(error: &RoomError, kept: std::time::Duration) -> MatrixError {
    let kept = u64::try_from(kept.as_millis()).unwrap_or(u64::MAX);
    let kind = serde_json::from_value(json!({
        "errcode": "FI.MAU.MSC2815_UNREDACTED_CONTENT_DELETED",
        "fi.mau.msc2815.content_keep_ms": kept,
    }));
    let kind = kind.unwrap_or(ErrorKind::NotFound);
    MatrixError::new(StatusCode::NOT_FOUND, kind, error.to_string())
}

impl From<RoomError> for MatrixError {
    fn from(error: RoomError) -> Self {
        let (status, kind) = match &error {
            RoomError::UnknownRoom(_)
            | RoomError::UnknownEvent(_)
            | RoomError::UnknownAlias(_)
            | RoomError::NothingToPurge
            | RoomError::NoEventThen
            | RoomError::NoSuchState => (StatusCode::NOT_FOUND, ErrorKind::NotFound),
            RoomError::NotInRoom | RoomError::Blocked | RoomError::Forbidden(_) => {
                (StatusCode::FORBIDDEN, ErrorKind::Forbidden)
            }
            RoomError::GuestsForbidden => (StatusCode::FORBIDDEN, ErrorKind::GuestAccessForbidden),
            RoomError::Malformed(_) => (StatusCode::BAD_REQUEST, ErrorKind::BadJson),
            RoomError::InvalidParameter(_)
            | RoomError::AliasNotLocal(_)
            | RoomError::ThirdPartyId(InvalidThirdPartyId::Address) => {
                (StatusCode::BAD_REQUEST, ErrorKind::InvalidParam)
            }
            RoomError::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, ErrorKind::TooLarge),
            RoomError::UnsupportedVersion(_) => {
                (StatusCode::BAD_REQUEST, ErrorKind::UnsupportedRoomVersion)
            }
            RoomError::AliasInUse(_) => (StatusCode::BAD_REQUEST, ErrorKind::RoomInUse),
            RoomError::StillInRoom
            | RoomError::NoServerNotices
            | RoomError::NestedThread
            | RoomError::TaskOpen => (StatusCode::BAD_REQUEST, ErrorKind::Unknown),
            RoomError::InvalidRoomState(_) => {
                (StatusCode::BAD_REQUEST, ErrorKind::InvalidRoomState)
            }
            RoomError::AliasTaken(_) => (StatusCode::CONFLICT, ErrorKind::Unknown),
            RoomError::ContentErased(kept) => return content_erased(&error, *kept),
            RoomError::NoticeInvitation => {
                (StatusCode::FORBIDDEN, ErrorKind::CannotLeaveServerNoticeRoom)
            }
            RoomError::BadAlias(_) => (StatusCode::BAD_REQUEST, ErrorKind::BadAlias),
            RoomError::DuplicateAnnotation => {
                (StatusCode::BAD_REQUEST, ErrorKind::DuplicateAnnotation)
            }
            RoomError::InviteBlocked(_) => (StatusCode::FORBIDDEN, ErrorKind::InviteBlocked),
            RoomError::IdentityServerNotTrusted(_) => {
                (StatusCode::FORBIDDEN, ErrorKind::ServerNotTrusted)
            }
            RoomError::ThirdPartyId(InvalidThirdPartyId::Medium) => {
                (StatusCode::BAD_REQUEST, ErrorKind::ThreepidMediumNotSupported)
            }
            RoomError::Identity(error) => return error.into(),
            RoomError::Unreachable(_) => (StatusCode::BAD_GATEWAY, ErrorKind::Unknown),
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
