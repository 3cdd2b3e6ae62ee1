//! Spec: client-server API, "Room membership".

use rooms::{MembershipChange, RoomError, Rooms};
use ruma::api::client::knock::knock_room;
use ruma::api::client::membership::{
    ban_user, forget_room, joined_rooms, kick_user, leave_room, unban_user,
};
use ruma::{OwnedRoomId, RoomAliasId, RoomId, RoomOrAliasId};

use crate::{Endpoints, MatrixError, RateClass, Requester, Settings};

pub(super) fn endpoints(endpoints: Endpoints<Rooms>) -> Endpoints<Rooms> {
    endpoints
        .at_with(Settings::default().class(RateClass::Joins), knock)
        .at(leave)
        .at(forget)
        .at(kick)
        .at(ban)
        .at(unban)
        .at(joined)
}

async fn knock(
    rooms: Rooms,
    requester: Requester,
    request: knock_room::v3::Request,
) -> Result<knock_room::v3::Response, MatrixError> {
    let room_id = room_named(&rooms, &request.room_id_or_alias).await?;
    let user = requester.user_id();
    let reason = request.reason.as_deref();
    rooms.change_membership(&room_id, user, user, MembershipChange::Knock, reason).await?;
    Ok(knock_room::v3::Response::new(room_id))
}

/// The room that is meant by an ID or an alias.
pub(super) async fn room_named(
    rooms: &Rooms,
    name: &RoomOrAliasId,
) -> Result<OwnedRoomId, RoomError> {
    if let Ok(room_id) = <&RoomId>::try_from(name) {
        return Ok(room_id.to_owned());
    }
    let alias = <&RoomAliasId>::try_from(name)
        .map_err(|_| RoomError::InvalidParameter("neither room id nor alias".to_owned()))?;
    rooms.room_of_alias(alias).await
}

async fn leave(
    rooms: Rooms,
    requester: Requester,
    request: leave_room::v3::Request,
) -> Result<leave_room::v3::Response, MatrixError> {
    let user = requester.user_id();
    let reason = request.reason.as_deref();
    rooms.change_membership(&request.room_id, user, user, MembershipChange::Leave, reason).await?;
    Ok(leave_room::v3::Response::new())
}

async fn forget(
    rooms: Rooms,
    requester: Requester,
    request: forget_room::v3::Request,
) -> Result<forget_room::v3::Response, MatrixError> {
    rooms.forget(requester.user_id(), &request.room_id).await?;
    Ok(forget_room::v3::Response::new())
}

async fn kick(
    rooms: Rooms,
    requester: Requester,
    request: kick_user::v3::Request,
) -> Result<kick_user::v3::Response, MatrixError> {
    let (user, reason) = (requester.user_id(), request.reason.as_deref());
    let change = MembershipChange::Kick;
    rooms.change_membership(&request.room_id, user, &request.user_id, change, reason).await?;
    Ok(kick_user::v3::Response::new())
}

async fn ban(
    rooms: Rooms,
    requester: Requester,
    request: ban_user::v3::Request,
) -> Result<ban_user::v3::Response, MatrixError> {
    let (user, reason) = (requester.user_id(), request.reason.as_deref());
    let change = MembershipChange::Ban;
    rooms.change_membership(&request.room_id, user, &request.user_id, change, reason).await?;
    Ok(ban_user::v3::Response::new())
}

async fn unban(
    rooms: Rooms,
    requester: Requester,
    request: unban_user::v3::Request,
) -> Result<unban_user::v3::Response, MatrixError> {
    let (user, reason) = (requester.user_id(), request.reason.as_deref());
    let change = MembershipChange::Unban;
    rooms.change_membership(&request.room_id, user, &request.user_id, change, reason).await?;
    Ok(unban_user::v3::Response::new())
}

async fn joined(
    rooms: Rooms,
    requester: Requester,
    _: joined_rooms::v3::Request,
) -> Result<joined_rooms::v3::Response, MatrixError> {
    Ok(joined_rooms::v3::Response::new(rooms.joined_rooms(requester.user_id()).await?))
}
