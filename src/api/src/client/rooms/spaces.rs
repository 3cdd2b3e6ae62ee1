//! Spec: client-server API, "Spaces", and `GET /room_summary/{roomIdOrAlias}`.

use rooms::{Children, Hierarchy, HierarchyToken, RoomError, Rooms};
use ruma::UInt;
use ruma::api::client::room::get_summary;
use ruma::api::client::space::SpaceHierarchyRoomsChunk;
use ruma::api::client::space::get_hierarchy;
use ruma::events::room::member::MembershipState;
use ruma::serde::Raw;
use store::Membership;

use super::membership::room_named;
use crate::{Endpoints, MatrixError, RateClass, Requester, Settings};

/// How many rooms a page has when the request does not say, and at most.
const DEFAULT_LIMIT: usize = 50;
const MAX_LIMIT: usize = 100;
/// How deep a walk goes when the request does not say, and at most.
const DEFAULT_DEPTH: usize = 10;
const MAX_DEPTH: usize = 20;

pub(super) fn endpoints(endpoints: Endpoints<Rooms>) -> Endpoints<Rooms> {
    endpoints.at(hierarchy).at_with(Settings::default().class(RateClass::Default), summary)
}

async fn hierarchy(
    rooms: Rooms,
    requester: Requester,
    request: get_hierarchy::v1::Request,
) -> Result<get_hierarchy::v1::Response, MatrixError> {
    let wanted = Hierarchy {
        user: requester.user_id(),
        root: &request.room_id,
        from: from(&request)?,
        limit: limit(request.limit)?,
    };
    let page = rooms.hierarchy(wanted).await?;
    let mut response = get_hierarchy::v1::Response::new();
    let chunk = page.rooms.into_iter().map(|room| {
        let children = room.children.into_iter().map(Raw::from_json).collect();
        SpaceHierarchyRoomsChunk::new(room.summary, children)
    });
    response.rooms = chunk.collect();
    response.next_batch = page.next.map(|token| token.to_string());
    Ok(response)
}

/// Where to go on. A request that goes on says the same as the first one.
fn from(request: &get_hierarchy::v1::Request) -> Result<HierarchyToken, RoomError> {
    let max_depth = request.max_depth.map_or(DEFAULT_DEPTH, |depth| number(depth).min(MAX_DEPTH));
    let children = if request.suggested_only { Children::Suggested } else { Children::All };
    let Some(from) = &request.from else {
        return Ok(HierarchyToken { shown: 0, max_depth, children });
    };
    let invalid = |reason: &str| RoomError::InvalidParameter(reason.to_owned());
    let token: HierarchyToken =
        from.parse().map_err(|_| invalid("from is no token of this walk"))?;
    if (max_depth, children) != (token.max_depth, token.children) {
        return Err(invalid("max_depth and suggested_only must be those of the first request"));
    }
    Ok(token)
}

fn limit(limit: Option<UInt>) -> Result<usize, RoomError> {
    match limit.map(number) {
        None => Ok(DEFAULT_LIMIT),
        Some(0) => Err(RoomError::InvalidParameter("limit is greater than zero".to_owned())),
        Some(limit) => Ok(limit.min(MAX_LIMIT)),
    }
}

fn number(value: UInt) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

async fn summary(
    rooms: Rooms,
    requester: Option<Requester>,
    request: get_summary::v1::Request,
) -> Result<get_summary::v1::Response, MatrixError> {
    let room_id = room_named(&rooms, &request.room_id_or_alias).await?;
    let user = requester.as_ref().map(Requester::user_id);
    let (summary, membership) = rooms.summary(user, &room_id).await?;
    let mut response = get_summary::v1::Response::new(summary);
    response.membership = membership.map(|membership| match membership {
        Membership::Join => MembershipState::Join,
        Membership::Invite => MembershipState::Invite,
        Membership::Knock => MembershipState::Knock,
        Membership::Leave => MembershipState::Leave,
        Membership::Ban => MembershipState::Ban,
    });
    Ok(response)
}
