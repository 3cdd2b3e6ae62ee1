//! Spec: client-server API, "Receipts" and "Fully read markers".

use rooms::{RoomError, Rooms};
use ruma::api::client::read_marker::set_read_marker;
use ruma::api::client::receipt::create_receipt::{self, v3::ReceiptType};
use ruma::events::receipt::ReceiptThread;
use store::ReceiptKind;

use crate::{EdgeBuilder, Endpoints, MatrixError, Requester};

/// The endpoints of receipts and of the read marker.
pub fn endpoints(all: EdgeBuilder, rooms: &Rooms) -> EdgeBuilder {
    all.with(Endpoints::new(rooms.clone()).at(move_receipt).at(move_markers))
}

async fn move_receipt(
    rooms: Rooms,
    requester: Requester,
    request: create_receipt::v3::Request,
) -> Result<create_receipt::v3::Response, MatrixError> {
    let (user, room, event) = (requester.user_id(), &request.room_id, &request.event_id);
    let kind = match request.receipt_type {
        ReceiptType::Read => ReceiptKind::Public,
        ReceiptType::ReadPrivate => ReceiptKind::Private,
        ReceiptType::FullyRead if request.thread == ReceiptThread::Unthreaded => {
            rooms.move_read_marker(user, room, event).await?;
            return Ok(create_receipt::v3::Response::new());
        }
        ReceiptType::FullyRead => return Err(invalid("a read marker has no thread")),
        _ => return Err(invalid("unknown type of receipt")),
    };
    rooms.move_receipt(user, room, kind, request.thread, event).await?;
    Ok(create_receipt::v3::Response::new())
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
    rooms.joined_room(user, room).await?;
    if let Some(event) = &request.fully_read {
        rooms.move_read_marker(user, room, event).await?;
    }
    let receipts = [
        (ReceiptKind::Public, &request.read_receipt),
        (ReceiptKind::Private, &request.private_read_receipt),
    ];
    for (kind, event) in receipts {
        if let Some(event) = event {
            let thread = ReceiptThread::Unthreaded;
            rooms.move_receipt(user, room, kind, thread, event).await?;
        }
    }
    Ok(set_read_marker::v3::Response::new())
}
