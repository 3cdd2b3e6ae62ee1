//! What there was before `/sync`. Spec: client-server API, the deprecated `/events` and `/initialSync`, and "Room
//! previews".

use std::time::Duration;

use rooms::{EventShape, Rooms, Viewer};
use ruma::RoomId;
use ruma::api::client::peeking::get_current_state::v3::{
    PaginationChunk, Request as RoomRequest, Response as RoomResponse,
};
use ruma::api::error::ErrorKind;
use ruma::events::room::member::MembershipState;
use ruma::serde::Raw;
use serde_json::value::RawValue;
use store::Membership;
use sync::{Archived, EventStream, RoomSnapshot, Sync, SyncError, SyncToken};

use super::rooms::visibility_of;
use crate::{EdgeBuilder, Endpoints, MatrixError, Requester, Settings, Shutdown};

/// How many events of a room a client gets that names no limit.
const DEFAULT_LIMIT: u32 = 10;

/// What the handlers work with.
#[derive(Clone)]
struct OldSync {
    rooms: Rooms,
    sync: Sync,
    shutdown: Shutdown,
}

mod events {
    //! `GET /events`, of the reader's rooms or of one.

    use std::time::Duration;

    use ruma::OwnedRoomId;
    use ruma::api::auth_scheme::AccessToken;
    use ruma::api::{metadata, request, response};
    use serde_json::value::RawValue;

    metadata! {
        method: GET,
        rate_limited: false,
        authentication: AccessToken,
        history: {
            1.0 => "/_matrix/client/r0/events",
            1.1 => "/_matrix/client/v3/events",
        }
    }

    #[request]
    pub(super) struct Request {
        #[ruma_api(query)]
        pub(super) from: Option<String>,
        #[ruma_api(query)]
        #[serde(with = "ruma::serde::duration::opt_ms", default)]
        pub(super) timeout: Option<Duration>,
        #[ruma_api(query)]
        pub(super) room_id: Option<OwnedRoomId>,
    }

    #[response]
    pub(super) struct Response {
        pub(super) start: String,
        pub(super) end: String,
        pub(super) chunk: Vec<Box<RawValue>>,
    }
}

mod event {
    //! `GET /events/{eventId}`.

    use ruma::OwnedEventId;
    use ruma::api::auth_scheme::AccessToken;
    use ruma::api::{metadata, request, response};
    use serde_json::value::RawValue;

    metadata! {
        method: GET,
        rate_limited: false,
        authentication: AccessToken,
        history: {
            1.0 => "/_matrix/client/r0/events/{event_id}",
            1.1 => "/_matrix/client/v3/events/{event_id}",
        }
    }

    #[request]
    pub(super) struct Request {
        #[ruma_api(path)]
        pub(super) event_id: OwnedEventId,
    }

    #[response]
    pub(super) struct Response {
        #[ruma_api(body)]
        pub(super) event: Box<RawValue>,
    }
}

mod initial_sync {
    //! `GET /initialSync`.

    use ruma::api::auth_scheme::AccessToken;
    use ruma::api::client::room::Visibility;
    use ruma::api::{metadata, request, response};
    use ruma::events::presence::PresenceEvent;
    use ruma::events::room::member::MembershipState;
    use ruma::serde::Raw;
    use ruma::{OwnedRoomId, UInt};
    use serde::Serialize;
    use serde_json::value::RawValue;

    metadata! {
        method: GET,
        rate_limited: false,
        authentication: AccessToken,
        history: {
            1.0 => "/_matrix/client/r0/initialSync",
            1.1 => "/_matrix/client/v3/initialSync",
        }
    }

    #[request]
    pub(super) struct Request {
        #[ruma_api(query)]
        pub(super) limit: Option<UInt>,
        #[ruma_api(query)]
        #[serde(default)]
        pub(super) archived: bool,
    }

    #[response]
    pub(super) struct Response {
        pub(super) end: String,
        pub(super) presence: Vec<Raw<PresenceEvent>>,
        pub(super) rooms: Vec<RoomInfo>,
        pub(super) account_data: Vec<Box<RawValue>>,
    }

    #[derive(Clone, Debug, Serialize)]
    pub(super) struct RoomInfo {
        pub(super) room_id: OwnedRoomId,
        pub(super) membership: Option<MembershipState>,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub(super) invite: Option<Box<RawValue>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub(super) messages: Option<Messages>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        pub(super) state: Vec<Box<RawValue>>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        pub(super) account_data: Vec<Box<RawValue>>,
        pub(super) visibility: Visibility,
    }

    #[derive(Clone, Debug, Serialize)]
    pub(super) struct Messages {
        #[serde(skip_serializing_if = "Option::is_none")]
        pub(super) start: Option<String>,
        pub(super) end: String,
        pub(super) chunk: Vec<Box<RawValue>>,
    }
}

impl OldSync {
    /// What is new in the requester's rooms, or in one they look into.
    async fn events(
        self,
        requester: Requester,
        request: events::Request,
    ) -> Result<events::Response, MatrixError> {
        let from = request.from.as_deref().map(token).transpose()?;
        let from = from.unwrap_or_else(|| self.sync.now());
        let timeout = request.timeout.unwrap_or(Duration::ZERO);
        let room = request.room_id.as_deref();
        let stream = |timeout| stream(&self.sync, &requester, room, from, timeout);
        let EventStream { end, chunk } = self.shutdown.cut_short(timeout, stream).await?;
        Ok(events::Response { start: from.to_string(), end, chunk })
    }

    /// One event.
    async fn event(
        self,
        requester: Requester,
        request: event::Request,
    ) -> Result<event::Response, MatrixError> {
        let event = self.rooms.visible_event(requester.user_id(), &request.event_id).await?;
        let shape = EventShape::Whole;
        let event = self.rooms.client_event(viewer(&requester), &event, shape).await?;
        Ok(event::Response { event })
    }

    /// All of the requester's rooms.
    async fn initial_sync(
        self,
        requester: Requester,
        request: initial_sync::Request,
    ) -> Result<initial_sync::Response, MatrixError> {
        let limit = request.limit.unwrap_or_else(|| DEFAULT_LIMIT.into());
        let archived = if request.archived { Archived::Included } else { Archived::LeftOut };
        let (user, device) = (requester.user_id(), requester.device_id());
        let snapshot = self.sync.snapshot(user, device, limit, archived, None).await?;
        let rooms = snapshot.rooms.into_iter().map(|room| room_info(room, &snapshot.end));
        Ok(initial_sync::Response {
            rooms: rooms.collect(),
            end: snapshot.end,
            presence: snapshot.presence,
            account_data: snapshot.account_data,
        })
    }

    /// One room, also from outside.
    async fn room(
        self,
        requester: Requester,
        request: RoomRequest,
    ) -> Result<RoomResponse, MatrixError> {
        let (viewer, device) = (viewer(&requester), requester.device_id());
        let room = &request.room_id;
        let limit = DEFAULT_LIMIT.into();
        let (room, end) = self.sync.room_snapshot(viewer, device, room, limit).await?;
        let mut response = RoomResponse::new(room.room_id);
        let mut messages = PaginationChunk::new(typed(room.messages), end);
        messages.start = room.start;
        response.messages = Some(messages);
        response.membership = room.membership.map(membership);
        response.visibility = Some(visibility_of(room.publication));
        response.state = typed(room.state);
        response.account_data = typed(room.account_data);
        Ok(response)
    }
}

async fn stream(
    sync: &Sync,
    requester: &Requester,
    room: Option<&RoomId>,
    from: SyncToken,
    timeout: Duration,
) -> Result<EventStream, SyncError> {
    match room {
        Some(room) => sync.peek(viewer(requester), room, from, timeout).await,
        None => sync.events(requester.user_id(), requester.device_id(), from, timeout).await,
    }
}

fn room_info(room: RoomSnapshot, end: &str) -> initial_sync::RoomInfo {
    let is_invite = room.membership == Some(Membership::Invite);
    let messages =
        initial_sync::Messages { start: room.start, end: end.to_owned(), chunk: room.messages };
    initial_sync::RoomInfo {
        room_id: room.room_id,
        membership: room.membership.map(membership),
        invite: room.invite,
        messages: Some(messages).filter(|_| !is_invite),
        state: room.state,
        account_data: room.account_data,
        visibility: visibility_of(room.publication),
    }
}

fn membership(membership: Membership) -> MembershipState {
    match membership {
        Membership::Join => MembershipState::Join,
        Membership::Invite => MembershipState::Invite,
        Membership::Knock => MembershipState::Knock,
        Membership::Leave => MembershipState::Leave,
        Membership::Ban => MembershipState::Ban,
    }
}

fn viewer(requester: &Requester) -> Viewer<'_> {
    Viewer { user_id: requester.user_id(), device_id: Some(requester.device_id()) }
}

fn typed<T>(events: Vec<Box<RawValue>>) -> Vec<Raw<T>> {
    events.into_iter().map(Raw::from_json).collect()
}

fn token(from: &str) -> Result<SyncToken, MatrixError> {
    let invalid =
        |_| MatrixError::bad_request(ErrorKind::InvalidParam, "from is not a token of this server");
    from.parse().map_err(invalid)
}

/// The endpoints of the event stream.
pub fn endpoints(all: EdgeBuilder, rooms: &Rooms, sync: &Sync, shutdown: &Shutdown) -> EdgeBuilder {
    let (rooms, sync, shutdown) = (rooms.clone(), sync.clone(), shutdown.clone());
    let old = OldSync { rooms, sync, shutdown };
    let endpoints = Endpoints::new(old)
        .at_with(Settings::default().long_poll(), OldSync::events)
        .at(OldSync::event)
        .at(OldSync::initial_sync)
        .at(OldSync::room);
    all.with(endpoints)
}
