//! What can go wrong in a room.

use federation::identity::IdentityError;
use protocol::InvalidThirdPartyId;
use protocol::auth::AuthError;
use protocol::event_builder::BuildError;
use ruma::{
    OwnedEventId, OwnedRoomAliasId, OwnedRoomId, OwnedServerName, OwnedUserId, RoomVersionId,
};
use store::StoreError;

/// Why something in a room did not happen.
#[derive(Debug, thiserror::Error)]
pub enum RoomError {
    /// The room is not known here.
    #[error("unknown room {0}")]
    UnknownRoom(OwnedRoomId),
    /// The event is not known here, or not to be seen by who asks.
    #[error("unknown event {0}")]
    UnknownEvent(OwnedEventId),
    /// There is no event at the time asked for, or none to be seen by who asks.
    #[error("there is no event in that direction")]
    NoEventThen,
    /// There is no such state.
    #[error("the room has no such state")]
    NoSuchState,
    /// Who asks is not in the room, and had to be.
    #[error("you are not in this room")]
    NotInRoom,
    /// The room cannot be forgotten while its member is in it.
    #[error("you must leave a room before you forget it")]
    StillInRoom,
    /// The room's rules do not allow it.
    #[error("{0}")]
    Forbidden(String),
    /// The events that a new room was to begin with do not allow each other.
    #[error("{0}")]
    InvalidRoomState(String),
    /// What was to begin a thread relates to another event itself.
    #[error("no thread begins at an event that relates to another")]
    NestedThread,
    /// A guest may not join the room.
    #[error("guests may not join this room")]
    GuestsForbidden,
    /// What was sent makes no sense as an event of its type.
    #[error("{0}")]
    Malformed(String),
    /// A parameter makes no sense.
    #[error("{0}")]
    InvalidParameter(String),
    /// The event would be larger than events may be.
    #[error("{field} is larger than {limit} bytes or entries")]
    TooLarge {
        /// What is too large.
        field: &'static str,
        /// The limit.
        limit: usize,
    },
    /// This server knows no such room version.
    #[error("room version {0} is not supported")]
    UnsupportedVersion(RoomVersionId),
    /// The alias points at a room already.
    #[error("{0} already points at a room")]
    AliasTaken(OwnedRoomAliasId),
    /// The alias that a new room was to have points at another room already.
    #[error("{0} is in use")]
    AliasInUse(OwnedRoomAliasId),
    /// The alias points nowhere.
    #[error("{0} points at no room")]
    UnknownAlias(OwnedRoomAliasId),
    /// The alias belongs to another server.
    #[error("{0} belongs to another server")]
    AliasNotLocal(OwnedRoomAliasId),
    /// An alias in `m.room.canonical_alias` does not point at the room.
    #[error("{0} does not point at this room")]
    BadAlias(OwnedRoomAliasId),
    /// The user reacted to that event in that way already.
    #[error("you have reacted in this way already")]
    DuplicateAnnotation,
    /// An administrator of the server lets nobody join the room.
    #[error("this room is blocked on this server")]
    Blocked,
    /// What a redacted event said is gone.
    #[error("the content of this event was redacted and is erased")]
    ContentErased(std::time::Duration),
    /// There is other long work on the room or user.
    #[error("other work on the same is under way")]
    TaskOpen,
    /// No event is old enough.
    #[error("there is no event to be removed")]
    NothingToPurge,
    /// The room is that of the server's notices, which nobody refuses.
    #[error("you cannot reject this invitation: the server speaks to you in this room")]
    NoticeInvitation,
    /// The server is not to send notices.
    #[error("server notices are not enabled on this server")]
    NoServerNotices,
    /// The user wants no invitation by who invites.
    #[error("{0} does not accept your invitation")]
    InviteBlocked(OwnedUserId),
    /// The user is named by a third-party id, and the identity server is not trusted to say who that is.
    #[error("the identity server {0} is not trusted here")]
    IdentityServerNotTrusted(String),
    /// The third-party id is none.
    #[error(transparent)]
    ThirdPartyId(#[from] InvalidThirdPartyId),
    /// The identity server did not do its part.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// Another server would have to be asked, and is not reached from here.
    #[error("{0} cannot be reached")]
    Unreachable(OwnedServerName),
    /// The room was written to by others again and again while this was tried.
    #[error("the room is too busy")]
    Busy,
    /// What is stored contradicts itself.
    #[error("the stored room is damaged: {0}")]
    Damaged(String),
    /// The store failed.
    #[error("the room store failed")]
    Store(#[from] StoreError),
}

impl From<AuthError> for RoomError {
    fn from(error: AuthError) -> Self {
        match error {
            AuthError::Malformed(reason) => Self::Malformed(reason),
            AuthError::NotAllowed(reason) => Self::Forbidden(reason),
        }
    }
}

impl From<BuildError> for RoomError {
    fn from(error: BuildError) -> Self {
        match error {
            BuildError::UnknownVersion(version) => Self::UnsupportedVersion(version),
            BuildError::TooLarge { field, limit } => Self::TooLarge { field, limit },
            BuildError::NotCanonical => Self::Malformed(error.to_string()),
            BuildError::RoomId
            | BuildError::EventId(_)
            | BuildError::Pdu(_)
            | BuildError::NoIdLocalpart => Self::Damaged(error.to_string()),
        }
    }
}
