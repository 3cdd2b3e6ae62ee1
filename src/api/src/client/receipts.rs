//! Spec: client-server API, "Receipts" and "Fully read markers".

use rooms::{RoomError, Rooms};
use ruma::api::client::read_marker::set_read_marker;
use ruma::api::client::receipt::create_receipt::{
    self,
    v3::{ReceiptType, Response},
};
use ruma::events::receipt::ReceiptThread;
use ruma::{OwnedEventId, OwnedRoomId};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use store::ReceiptKind;

use crate::stand_in::stand_in;
use crate::{EdgeBuilder, Endpoints, MatrixError, Requester};

/// The endpoints of receipts and of the read marker.
pub fn endpoints(all: EdgeBuilder, rooms: &Rooms) -> EdgeBuilder {
    let endpoints = Endpoints::new(rooms.clone()).at(move_receipt).at(move_markers);
    // Clients send private and threaded receipts where they see these or v1.4.
    all.with(endpoints.feature("org.matrix.msc2285.stable").feature("org.matrix.msc3771"))
}

/// ruma's request calls a `thread_id` that is no text bad JSON; the specification calls it an invalid parameter.
#[ruma::api::request]
struct Request {
    #[ruma_api(path)]
    room_id: OwnedRoomId,
    #[ruma_api(path)]
    receipt_type: ReceiptType,
    #[ruma_api(path)]
    event_id: OwnedEventId,
    #[serde(default, deserialize_with = "given")]
    thread_id: Option<Value>,
}

stand_in!(Request, create_receipt::v3::Request);

/// A value that is there, also if it is `null`.
fn given<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(value).map(Some)
}

fn thread(given: Option<Value>) -> Result<ReceiptThread, MatrixError> {
    let name = match given {
        None => None,
        Some(Value::String(name)) => Some(name),
        Some(_) => return Err(invalid("thread_id is not a string")),
    };
    name.try_into().map_err(|_| invalid("thread_id is neither main nor an event"))
}

async fn move_receipt(
    rooms: Rooms,
    requester: Requester,
    request: Request,
) -> Result<Response, MatrixError> {
    let thread = thread(request.thread_id)?;
    let (user, room, event) = (requester.user_id(), &request.room_id, &request.event_id);
    let kind = match request.receipt_type {
        ReceiptType::Read => ReceiptKind::Public,
        ReceiptType::ReadPrivate => ReceiptKind::Private,
        ReceiptType::FullyRead if thread == ReceiptThread::Unthreaded => {
            rooms.move_read_marker(user, room, event).await?;
            return Ok(Response::new());
        }
        ReceiptType::FullyRead => return Err(invalid("a read marker has no thread")),
        _ => return Err(invalid("unknown type of receipt")),
    };
    rooms.move_receipt(user, room, kind, thread, event).await?;
    Ok(Response::new())
}

fn invalid(reason: &str) -> MatrixError {
    RoomError::InvalidParameter(reason.to_owned()).into()
}

async fn move_markers(
    rooms: Rooms,
    requester: Requester,
    request: set_read_marker::v3::Request,
) -> Result<set_read_marker::v3::Response, MatrixError> {
    let (user, room) = (requester.user_id(), &request.room_id);
    let number = rooms.joined_room(user, room).await?;
    let receipts = [
        (ReceiptKind::Public, &request.read_receipt),
        (ReceiptKind::Private, &request.private_read_receipt),
    ];
    // All of them move, or none.
    for event in receipts.iter().filter_map(|(_, event)| event.as_ref()) {
        rooms.event_by_id(number, event).await?;
    }
    if let Some(event) = &request.fully_read {
        rooms.move_read_marker(user, room, event).await?;
    }
    for (kind, event) in receipts {
        if let Some(event) = event {
            let thread = ReceiptThread::Unthreaded;
            rooms.move_receipt(user, room, kind, thread, event).await?;
        }
    }
    Ok(set_read_marker::v3::Response::new())
}
