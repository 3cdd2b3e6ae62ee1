//! Spec: client-server API, "Sending events to a room" and "Redactions".

use rooms::{Delayed, Message, RoomError, Rooms};
use ruma::api::client::redact::redact_event;
use ruma::events::TimelineEventType;
use ruma::{EventId, RoomId};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};

use crate::client::delayed_events::requests::{Response, SendRequest};
use crate::{Endpoints, MatrixError, RateClass, Requester, Settings};

pub(super) fn endpoints(endpoints: Endpoints<Rooms>) -> Endpoints<Rooms> {
    endpoints
        .at_with(Settings::default().class(RateClass::Messages).raw_body(), send)
        .at_with(Settings::default().class(RateClass::Messages), redact)
}

async fn send(
    rooms: Rooms,
    requester: Requester,
    request: SendRequest,
) -> Result<Response, MatrixError> {
    if let Some(delay) = request.delay {
        return delay_message(&rooms, &requester, request, delay).await;
    }
    let kind = TimelineEventType::from(request.event_type);
    let content = request.content.required()?;
    let redacts = redacted(&kind, &content)?;
    match &redacts {
        Some(event_id) => check_redaction(&rooms, &requester, &request.room_id, event_id).await?,
        None => requester.must_not_be_suspended()?,
    }
    let message = Message {
        sender: requester.user_id(),
        device_id: requester.device_id(),
        transaction_id: request.transaction_id.as_str(),
        kind: &kind,
        content: &content,
        redacts: redacts.as_deref(),
    };
    let event_id = rooms.send_message(&request.room_id, message).await?;
    Ok(Response::sent(event_id))
}

/// Spec: MSC4140.
async fn delay_message(
    rooms: &Rooms,
    requester: &Requester,
    request: SendRequest,
    delay: std::time::Duration,
) -> Result<Response, MatrixError> {
    let (sender, room_id) = (requester.user_id(), &request.room_id);
    let transaction = (requester.device_id(), request.transaction_id.as_str());
    let kind = TimelineEventType::from(request.event_type);
    if let Some(id) = rooms.delayed_in_transaction(sender, room_id, &kind, transaction).await? {
        return Ok(Response::delayed(id));
    }
    let content = request.content.required()?;
    let redacts = redacted(&kind, &content)?;
    requester.must_not_be_suspended()?;
    let delayed = Delayed {
        sender,
        kind: &kind,
        state_key: None,
        redacts: redacts.as_deref(),
        transaction: Some(transaction),
        delay,
    };
    Ok(Response::delayed(rooms.delay_event(room_id, delayed, &content).await?))
}

/// The target of a redaction that is sent as any event, with its target in the content.
fn redacted(
    kind: &TimelineEventType,
    content: &RawValue,
) -> Result<Option<ruma::OwnedEventId>, RoomError> {
    #[derive(Deserialize)]
    struct Redaction {
        redacts: ruma::OwnedEventId,
    }
    if *kind != TimelineEventType::RoomRedaction {
        return Ok(None);
    }
    let redaction = serde_json::from_str::<Redaction>(content.get());
    let redaction = redaction.map_err(|error| RoomError::Malformed(error.to_string()))?;
    Ok(Some(redaction.redacts))
}

async fn redact(
    rooms: Rooms,
    requester: Requester,
    request: redact_event::v3::Request,
) -> Result<redact_event::v3::Response, MatrixError> {
    let content = match &request.reason {
        Some(reason) => json!({ "reason": reason }),
        None => json!({}),
    };
    let content =
        to_raw_value(&content).map_err(|error| RoomError::Malformed(error.to_string()))?;
    let redacts: &EventId = &request.event_id;
    check_redaction(&rooms, &requester, &request.room_id, redacts).await?;
    let message = Message {
        sender: requester.user_id(),
        device_id: requester.device_id(),
        transaction_id: request.txn_id.as_str(),
        kind: &TimelineEventType::RoomRedaction,
        content: &content,
        redacts: Some(redacts),
    };
    let event_id = rooms.send_message(&request.room_id, message).await?;
    Ok(redact_event::v3::Response::new(event_id))
}

/// A suspended user redacts their own events only. Spec: client-server API, "Account suspension".
async fn check_redaction(
    rooms: &Rooms,
    requester: &Requester,
    room_id: &RoomId,
    event_id: &EventId,
) -> Result<(), MatrixError> {
    if requester.must_not_be_suspended().is_ok() {
        return Ok(());
    }
    let room = rooms.number_of_joined(requester.user_id(), room_id).await?;
    let (_, event) = rooms.event_by_id(room, event_id).await?;
    if event.pdu.sender == requester.user_id() {
        return Ok(());
    }
    requester.must_not_be_suspended()
}
