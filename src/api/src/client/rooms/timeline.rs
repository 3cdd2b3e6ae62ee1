//! Spec: client-server API, "Getting events for a room": `/messages`, `/event`, `/context`.

use std::collections::HashSet;
use std::sync::Arc;

use rooms::tokens::PaginationToken;
use rooms::{Asker, EventShape, Placed, RoomError, Rooms, StoredEvent, Stretch};
use ruma::OwnedUserId;
use ruma::api::client::context::get_context;
use ruma::api::client::filter::{LazyLoadOptions, RoomEventFilter};
use ruma::api::client::message::get_message_events;
use ruma::api::client::room::get_room_event;
use ruma::api::error::DeserializationError;
use ruma::api::{Direction, IncomingRequest};
use ruma::events::{AnyStateEvent, AnyTimelineEvent, StateEventType};
use ruma::serde::Raw;
use serde_json::value::RawValue;
use store::{RoomNumber, StateRoot, TimelinePosition};
use sync::EventFilter;

use super::messages_request::MessagesRequest;
use super::{token, typed, viewer};
use crate::direction::direction_of;
use crate::stand_in::stand_in;
use crate::{Endpoints, MatrixError, Requester};

/// The most events of one answer.
const MAX_LIMIT: usize = 1_000;

pub(super) fn endpoints(endpoints: Endpoints<Rooms>) -> Endpoints<Rooms> {
    let endpoints = endpoints.at(messages).at(event).at(context);
    endpoints.feature("fi.mau.msc2815").feature("org.matrix.msc3874")
}

async fn messages(
    rooms: Rooms,
    requester: Requester,
    MessagesRequest { request, relations }: MessagesRequest,
) -> Result<get_message_events::v3::Response, MatrixError> {
    let reader = requester.user_id();
    let room = rooms.number_of_seen(&request.room_id).await?;
    let from = match (&request.from, request.dir) {
        (Some(from), _) => token(from)?,
        (None, Direction::Forward) => PaginationToken::after(TimelinePosition::MIN),
        (None, Direction::Backward) => rooms.end_of_timeline(),
    };
    let stretch = Stretch {
        from,
        to: request.to.as_deref().map(token).transpose()?,
        direction: direction_of(request.dir),
        limit: limit_of(request.limit),
    };
    let filter = EventFilter::new(&request.filter, &request.room_id);
    let wanted = |event: &StoredEvent| filter.covers(&event.pdu) && relations.covers(&event.pdu);
    let page = rooms.page(&mut rooms.sight(reader, room).await?, stretch, wanted).await?;
    let mut response = get_message_events::v3::Response::new();
    response.start = from.to_string();
    response.end = page.next.map(|next| next.to_string());
    response.state = match page.events.first() {
        Some((_, event)) => {
            let root = event.record.state_before;
            let state = lazy_members(&rooms, &requester, room, root, &request.filter, &page.events);
            typed(state.await?)
        }
        None => Vec::new(),
    };
    response.chunk = typed(shown(&rooms, &requester, events(&page.events)).await?);
    Ok(response)
}

async fn event(
    rooms: Rooms,
    requester: Requester,
    EventRequest { request, content }: EventRequest,
) -> Result<get_room_event::v3::Response, MatrixError> {
    let hidden = || RoomError::UnknownEvent(request.event_id.clone());
    let found = visible_event(&rooms, &requester, &request.room_id, &request.event_id).await;
    let (_, (_, event)) = found.map_err(|error| match error {
        RoomError::NotInRoom | RoomError::UnknownRoom(_) => hidden(),
        other => other,
    })?;
    let viewer = viewer(&requester);
    let event = match content {
        RedactedContent::Hidden => rooms.client_event(viewer, &event, EventShape::Whole).await?,
        RedactedContent::Shown => {
            let is_admin = requester.session().role == accounts::Role::Admin;
            let asker = if is_admin { Asker::Administrator } else { Asker::Member };
            rooms.unredacted_event(viewer, &event, asker).await?
        }
    };
    Ok(get_room_event::v3::Response::new(ruma::serde::Raw::from_json(event)))
}

/// [`get_room_event::v3::Request`], with whether it asks for what the event said before it was redacted.
/// Spec: MSC2815.
struct EventRequest {
    request: get_room_event::v3::Request,
    content: RedactedContent,
}

/// What of a redacted event is asked for.
enum RedactedContent {
    /// What is left.
    Hidden,
    /// What it said.
    Shown,
}

stand_in!(EventRequest, get_room_event::v3::Request);

impl IncomingRequest for EventRequest {
    type EndpointError = <get_room_event::v3::Request as IncomingRequest>::EndpointError;
    type OutgoingResponse = get_room_event::v3::Response;

    fn try_from_http_request_inner(
        request: http::Request<&[u8]>,
        path_args: &[&str],
    ) -> Result<Self, DeserializationError> {
        let wanted = "fi.mau.msc2815.include_unredacted_content=true";
        let query = request.uri().query().unwrap_or_default();
        let is_wanted = query.split('&').any(|parameter| parameter == wanted);
        let content = if is_wanted { RedactedContent::Shown } else { RedactedContent::Hidden };
        let request = get_room_event::v3::Request::try_from_http_request_inner(request, path_args)?;
        Ok(Self { request, content })
    }
}

/// An event that the requester may see. Fails with [`RoomError::UnknownEvent`] for others, there or not.
async fn visible_event(
    rooms: &Rooms,
    requester: &Requester,
    room_id: &ruma::RoomId,
    event_id: &ruma::EventId,
) -> Result<(RoomNumber, Placed), RoomError> {
    let room = rooms.number_of(room_id).await?;
    let (position, event) = rooms.visible_event_of(requester.user_id(), room, event_id).await?;
    let entry = store::TimelineEntry { position, event: event.number };
    Ok((room, (entry, event)))
}

async fn context(
    rooms: Rooms,
    requester: Requester,
    ContextRequest(request): ContextRequest,
) -> Result<ContextResponse, MatrixError> {
    let reader = requester.user_id();
    let (room, placed) =
        visible_event(&rooms, &requester, &request.room_id, &request.event_id).await?;
    let limit = limit_of(request.limit);
    let position = placed.0.position;
    let filter = EventFilter::new(&request.filter, &request.room_id);
    let stretch = |from, direction, limit| Stretch { from, to: None, direction, limit };
    let before =
        stretch(PaginationToken::before(position), store::Direction::Descending, limit / 2);
    let after =
        stretch(PaginationToken::after(position), store::Direction::Ascending, limit.div_ceil(2));
    let wanted = |event: &StoredEvent| filter.covers(&event.pdu);
    // Also who was never in the room: they see what was said while it was open to the world.
    let mut sight = rooms.sight_of_anybody(reader, room).await?;
    let before = rooms.page(&mut sight, before, wanted).await?.events;
    let after = rooms.page(&mut sight, after, wanted).await?.events;

    let last = after.last().unwrap_or(&placed).1.clone();
    let root = rooms.state_after(&last).await?;
    let all: Vec<Placed> = before.iter().chain([&placed]).chain(&after).cloned().collect();
    let state = if request.filter.lazy_load_options.is_disabled() {
        let state = rooms.state_events_at(room, root).await?;
        covered(&rooms, &requester, state, &filter).await?
    } else {
        let members = lazy_members(&rooms, &requester, room, root, &request.filter, &all);
        let others = rooms.other_state_events(room, root).await?;
        let mut state = members.await?;
        state.extend(covered(&rooms, &requester, others, &filter).await?);
        state
    };
    let first = before.last().unwrap_or(&placed).0.position;
    let end = after.last().unwrap_or(&placed).0.position;
    Ok(ContextResponse {
        start: PaginationToken::before(first).to_string(),
        end: PaginationToken::after(end).to_string(),
        events_before: typed(shown(&rooms, &requester, events(&before)).await?),
        event: typed(shown(&rooms, &requester, events(&[placed])).await?).pop(),
        events_after: typed(shown(&rooms, &requester, events(&after)).await?),
        state: typed(state),
    })
}

/// [`get_context::v3::Request`], answered with lists that are there even when they are empty, as clients expect.
struct ContextRequest(get_context::v3::Request);

stand_in!(ContextRequest, get_context::v3::Request);

impl IncomingRequest for ContextRequest {
    type EndpointError = <get_context::v3::Request as IncomingRequest>::EndpointError;
    type OutgoingResponse = ContextResponse;

    fn try_from_http_request_inner(
        request: http::Request<&[u8]>,
        path_args: &[&str],
    ) -> Result<Self, DeserializationError> {
        get_context::v3::Request::try_from_http_request_inner(request, path_args).map(Self)
    }
}

/// What [`get_context::v3::Response`] says.
#[ruma::api::response]
struct ContextResponse {
    start: String,
    end: String,
    events_before: Vec<Raw<AnyTimelineEvent>>,
    event: Option<Raw<AnyTimelineEvent>>,
    events_after: Vec<Raw<AnyTimelineEvent>>,
    state: Vec<Raw<AnyStateEvent>>,
}

fn limit_of(limit: ruma::UInt) -> usize {
    usize::try_from(limit).unwrap_or(MAX_LIMIT).min(MAX_LIMIT)
}

fn events(placed: &[Placed]) -> impl Iterator<Item = &Arc<StoredEvent>> {
    placed.iter().map(|(_, event)| event)
}

async fn shown<'a>(
    rooms: &Rooms,
    requester: &Requester,
    events: impl IntoIterator<Item = &'a Arc<StoredEvent>>,
) -> Result<Vec<Box<RawValue>>, RoomError> {
    let mut shown = Vec::new();
    for event in events {
        shown.push(rooms.client_event(viewer(requester), event, EventShape::Whole).await?);
    }
    Ok(shown)
}

/// The membership events of those who sent some events, if the filter asks for them.
/// Spec: client-server API, "Lazy-loading room members".
async fn lazy_members(
    rooms: &Rooms,
    requester: &Requester,
    room: RoomNumber,
    root: StateRoot,
    filter: &RoomEventFilter,
    events: &[Placed],
) -> Result<Vec<Box<RawValue>>, RoomError> {
    if filter.lazy_load_options == LazyLoadOptions::Disabled {
        return Ok(Vec::new());
    }
    let senders: HashSet<OwnedUserId> =
        events.iter().map(|(_, event)| event.pdu.sender.clone()).collect();
    let mut members = Vec::new();
    for sender in senders {
        let kind = StateEventType::RoomMember;
        members.extend(rooms.state_at(room, root, &kind, sender.as_str()).await?);
    }
    shown(rooms, requester, &members).await
}

/// What of a state the filter covers.
async fn covered(
    rooms: &Rooms,
    requester: &Requester,
    mut state: Vec<Arc<StoredEvent>>,
    filter: &EventFilter<'_>,
) -> Result<Vec<Box<RawValue>>, RoomError> {
    state.retain(|event| filter.covers(&event.pdu));
    shown(rooms, requester, &state).await
}
