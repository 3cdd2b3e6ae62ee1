//! Spec: client-server API, "Getting events for a room", `/members` and `/joined_members`.

use std::collections::BTreeMap;

use rooms::tokens::PointInTime;
use rooms::{EventShape, RoomError, Rooms};
use ruma::api::client::membership::{get_member_events, joined_members};
use ruma::api::error::DeserializationError;
use ruma::api::{IncomingRequest, response};
use ruma::events::room::member::{MembershipState, RoomMemberEventContent};
use ruma::{OwnedMxcUri, OwnedUserId};
use serde::Serialize;

use super::{typed, viewer};
use crate::stand_in::stand_in;
use crate::{Endpoints, MatrixError, Requester};

pub(super) fn endpoints(endpoints: Endpoints<Rooms>) -> Endpoints<Rooms> {
    endpoints.at(members).at(joined)
}

async fn members(
    rooms: Rooms,
    requester: Requester,
    request: get_member_events::v3::Request,
) -> Result<get_member_events::v3::Response, MatrixError> {
    let (room, mut root) = rooms.visible_state(requester.user_id(), &request.room_id).await?;
    if let Some(at) = &request.at {
        let at = at.parse::<PointInTime>();
        let at = at.map_err(|error| RoomError::InvalidParameter(error.to_string()))?;
        root = rooms.state_at_time(requester.user_id(), room, at).await?.unwrap_or(root);
    }
    let wanted = |membership: &MembershipState| match (&request.membership, &request.not_membership)
    {
        (None, None) => true,
        (Some(wanted), None) => wanted == membership,
        (None, Some(unwanted)) => unwanted != membership,
        // Spec: "the two parameters create an 'or' condition".
        (Some(wanted), Some(unwanted)) => wanted == membership || unwanted != membership,
    };
    let mut chunk = Vec::new();
    for event in rooms.member_events(room, root).await? {
        let content = event.pdu.content_as::<RoomMemberEventContent>();
        if content.is_ok_and(|content| wanted(&content.membership)) {
            let shape = EventShape::Whole;
            chunk.push(rooms.client_event(viewer(&requester), &event, shape).await?);
        }
    }
    Ok(get_member_events::v3::Response::new(typed(chunk)))
}

/// [`joined_members::v3::Request`], answered with [`JoinedMembers`].
struct JoinedMembersRequest(joined_members::v3::Request);

stand_in!(JoinedMembersRequest, joined_members::v3::Request);

impl IncomingRequest for JoinedMembersRequest {
    type EndpointError = <joined_members::v3::Request as IncomingRequest>::EndpointError;
    type OutgoingResponse = JoinedMembers;

    fn try_from_http_request_inner(
        request: http::Request<&[u8]>,
        path_args: &[&str],
    ) -> Result<Self, DeserializationError> {
        joined_members::v3::Request::try_from_http_request_inner(request, path_args).map(Self)
    }
}

/// What [`joined_members::v3::Response`] says, with `null` for what a member does not have: ruma leaves it out, and
/// clients and tests want it said.
#[response]
struct JoinedMembers {
    joined: BTreeMap<OwnedUserId, JoinedMember>,
}

/// The name and picture of a member.
#[derive(Clone, Debug, Serialize)]
struct JoinedMember {
    display_name: Option<String>,
    avatar_url: Option<OwnedMxcUri>,
}

async fn joined(
    rooms: Rooms,
    requester: Requester,
    JoinedMembersRequest(request): JoinedMembersRequest,
) -> Result<JoinedMembers, MatrixError> {
    let room = rooms.number_of_joined(requester.user_id(), &request.room_id).await?;
    let root = rooms.current_state(room).await?;
    let mut joined = BTreeMap::new();
    for event in rooms.member_events(room, root).await? {
        let shown = rooms.after_redaction(&event).await?;
        let Ok(content) = shown.content_as::<RoomMemberEventContent>() else { continue };
        let user = event.pdu.state_key.as_deref().and_then(|user| OwnedUserId::try_from(user).ok());
        if let (MembershipState::Join, Some(user)) = (&content.membership, user) {
            let member =
                JoinedMember { display_name: content.displayname, avatar_url: content.avatar_url };
            joined.insert(user, member);
        }
    }
    Ok(JoinedMembers { joined })
}
