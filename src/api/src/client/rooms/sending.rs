//! Spec: client-server API, "Sending events to a room" and "Redactions".

use rooms::{Message, RoomError, Rooms};
use ruma::api::client::message::send_message_event;
use ruma::api::client::redact::redact_event;
use ruma::events::TimelineEventType;
use ruma::{EventId, RoomId};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::to_raw_value;

use crate::{Endpoints, MatrixError, RateClass, Requester, Settings};

pub(super) fn endpoints(endpoints: Endpoints<Rooms>) -> Endpoints<Rooms> {
    endpoints
        .at_with(Settings::default().class(RateClass::Messages).required_body(), send)
        .at_with(Settings::default().class(RateClass::Messages), redact)
}

async fn send(
    rooms: Rooms,
    requester: Requester,
    request: send_message_event::v3::Request,
) -> Result<send_message_event::v3::Response, MatrixError> {
    #[derive(Deserialize)]
    struct Redaction {
        redacts: ruma::OwnedEventId,
    }
    let kind = TimelineEventType::from(request.event_type.to_string());
    let content = request.body.json();
    // A redaction may be sent as any event, with its target in the content.
    let redacts = (kind == TimelineEventType::RoomRedaction)
        .then(|| serde_json::from_str::<Redaction>(content.get()).ok())
        .flatten();
    match &redacts {
        Some(Redaction { redacts }) => {
            let (room_id, event_id) = (&request.room_id, redacts);
            check_redaction(&rooms, &requester, room_id, event_id).await?;
        }
        None => requester.must_not_be_suspended()?,
    }
    let message = Message {
        sender: requester.user_id(),
        device_id: requester.device_id(),
        transaction_id: request.txn_id.as_str(),
        kind: &kind,
        content,
        redacts: redacts.as_ref().map(|redaction| &*redaction.redacts),
    };
    let event_id = rooms.send_message(&request.room_id, message).await?;
    Ok(send_message_event::v3::Response::new(event_id))
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
