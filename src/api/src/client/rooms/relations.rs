//! Spec: client-server API, "Retrieving relationships".

use rooms::{EventShape, RELATION_DEPTH, Reach, RelationsWanted, Rooms};
use ruma::api::Direction;
use ruma::api::client::relations::{
    get_relating_events, get_relating_events_with_rel_type,
    get_relating_events_with_rel_type_and_event_type,
};
use ruma::serde::Raw;
use ruma::{EventId, RoomId, UInt};
use serde_json::value::RawValue;

use super::{token, typed, viewer};
use crate::direction::direction_of;
use crate::{Endpoints, MatrixError, Requester};

const DEFAULT_LIMIT: usize = 5;
const MAX_LIMIT: usize = 100;

pub(super) fn endpoints(endpoints: Endpoints<Rooms>) -> Endpoints<Rooms> {
    // Clients follow relations where they see this or v1.10.
    endpoints.at(all).at(by_relation).at(by_relation_and_type).feature("org.matrix.msc3981")
}

/// What the three requests have in common.
struct Common<'a> {
    room_id: &'a RoomId,
    event_id: &'a EventId,
    from: Option<&'a str>,
    to: Option<&'a str>,
    direction: Direction,
    limit: Option<UInt>,
    rel_type: Option<String>,
    event_type: Option<String>,
    recurse: bool,
}

/// What the three responses have in common.
struct Related<T> {
    chunk: Vec<Raw<T>>,
    next: Option<String>,
    depth: Option<UInt>,
}

async fn related<T>(
    rooms: &Rooms,
    requester: &Requester,
    common: Common<'_>,
) -> Result<Related<T>, MatrixError> {
    let wanted = RelationsWanted {
        rel_type: common.rel_type,
        event_type: common.event_type,
        from: common.from.map(token).transpose()?,
        to: common.to.map(token).transpose()?,
        direction: direction_of(common.direction),
        limit: common
            .limit
            .and_then(|limit| usize::try_from(limit).ok())
            .unwrap_or(DEFAULT_LIMIT)
            .clamp(1, MAX_LIMIT),
        reach: if common.recurse { Reach::Recursive } else { Reach::Direct },
    };
    let page = rooms.related_events(requester.user_id(), common.room_id, common.event_id, wanted);
    let page = page.await?;
    let mut chunk: Vec<Box<RawValue>> = Vec::new();
    for (_, event) in &page.events {
        chunk.push(rooms.client_event(viewer(requester), event, EventShape::Whole).await?);
    }
    let depth = common.recurse.then(|| RELATION_DEPTH.into());
    Ok(Related { chunk: typed(chunk), next: page.next.map(|next| next.to_string()), depth })
}

/// A handler of one of ruma's three requests, which differ in what they name, and whose answers differ in nothing.
macro_rules! handler {
    ($name:ident($endpoint:ident, $request:ident) { $rel_type:expr, $event_type:expr }) => {
        async fn $name(
            rooms: Rooms,
            requester: Requester,
            $request: $endpoint::v1::Request,
        ) -> Result<$endpoint::v1::Response, MatrixError> {
            let common = Common {
                room_id: &$request.room_id,
                event_id: &$request.event_id,
                from: $request.from.as_deref(),
                to: $request.to.as_deref(),
                direction: $request.dir,
                limit: $request.limit,
                rel_type: $rel_type,
                event_type: $event_type,
                recurse: $request.recurse,
            };
            let related = related(&rooms, &requester, common).await?;
            let mut response = $endpoint::v1::Response::new(related.chunk);
            response.next_batch = related.next;
            response.recursion_depth = related.depth;
            Ok(response)
        }
    };
}

handler!(all(get_relating_events, request) { None, None });
handler!(by_relation(get_relating_events_with_rel_type, request) {
    Some(request.rel_type.to_string()), None
});
handler!(by_relation_and_type(get_relating_events_with_rel_type_and_event_type, request) {
    Some(request.rel_type.to_string()), Some(request.event_type.to_string())
});
