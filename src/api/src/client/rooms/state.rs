//! Spec: client-server API, "Getting events for a room" and "Sending events to a room", as far as state goes.

use rooms::{Delayed, EventShape, RoomError, Rooms};
use ruma::api::client::state::get_state_event_for_key::v3::StateEventFormat;
use ruma::api::client::state::{get_state_event_for_key, get_state_events};
use ruma::events::{StateEventType, TimelineEventType};

use super::{typed, viewer};
use crate::client::delayed_events::requests::{Response, SetStateRequest};
use crate::{Endpoints, MatrixError, RateClass, Requester, Settings};

pub(super) fn endpoints(endpoints: Endpoints<Rooms>) -> Endpoints<Rooms> {
    endpoints
        .at(get_all)
        .at(get)
        .at_with(Settings::default().class(RateClass::Messages).raw_body(), set)
}

async fn get_all(
    rooms: Rooms,
    requester: Requester,
    request: get_state_events::v3::Request,
) -> Result<get_state_events::v3::Response, MatrixError> {
    let (room, root) = rooms.readable_state(requester.user_id(), &request.room_id).await?;
    let mut state = Vec::new();
    for event in rooms.state_events_at(room, root).await? {
        state.push(rooms.client_event(viewer(&requester), &event, EventShape::Whole).await?);
    }
    Ok(get_state_events::v3::Response::new(typed(state)))
}

async fn get(
    rooms: Rooms,
    requester: Requester,
    request: get_state_event_for_key::v3::Request,
) -> Result<get_state_event_for_key::v3::Response, MatrixError> {
    let (room, root) = rooms.readable_state(requester.user_id(), &request.room_id).await?;
    let event = rooms.state_at(room, root, &request.event_type, &request.state_key).await?;
    let event = event.ok_or(RoomError::NoSuchState)?;
    let whole = rooms.client_event(viewer(&requester), &event, EventShape::Whole).await?;
    let shown = match request.format {
        StateEventFormat::Event => whole,
        _ => content_of(&whole)?,
    };
    Ok(get_state_event_for_key::v3::Response::new(shown))
}

/// The content of an event as it is shown, which may be redacted.
fn content_of(
    event: &serde_json::value::RawValue,
) -> Result<Box<serde_json::value::RawValue>, MatrixError> {
    #[derive(serde::Deserialize)]
    struct Event {
        content: Box<serde_json::value::RawValue>,
    }
    let event = serde_json::from_str::<Event>(event.get());
    Ok(event.map_err(|error| RoomError::Damaged(error.to_string()))?.content)
}

async fn set(
    rooms: Rooms,
    requester: Requester,
    request: SetStateRequest,
) -> Result<Response, MatrixError> {
    let content = request.content.required()?;
    let (room_id, sender) = (&request.room_id, requester.user_id());
    let (state_key, redacts, transaction) = (request.state_key.as_str(), None, None);
    // Spec: MSC4140.
    if let Some(delay) = request.delay {
        let kind = TimelineEventType::from(request.event_type);
        let state_key = Some(state_key);
        let delayed = Delayed { sender, kind: &kind, state_key, redacts, transaction, delay };
        return Ok(Response::delayed(rooms.delay_event(room_id, delayed, &content).await?));
    }
    let kind = StateEventType::from(request.event_type);
    Ok(Response::sent(rooms.set_state(room_id, sender, &kind, state_key, content).await?))
}
