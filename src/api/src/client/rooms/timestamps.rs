//! Spec: client-server API, `GET /rooms/{roomId}/timestamp_to_event`.

use rooms::Rooms;
use ruma::api::client::room::get_event_by_timestamp::v1::{Request, Response};

use crate::direction::direction_of;
use crate::{Endpoints, MatrixError, Requester};

pub(super) fn endpoints(endpoints: Endpoints<Rooms>) -> Endpoints<Rooms> {
    endpoints.at(timestamp_to_event)
}

async fn timestamp_to_event(
    rooms: Rooms,
    requester: Requester,
    request: Request,
) -> Result<Response, MatrixError> {
    let direction = direction_of(request.dir);
    let found = rooms.nearest_event(requester.user_id(), &request.room_id, request.ts, direction);
    let event = found.await?;
    Ok(Response::new(event.pdu.event_id.clone(), event.pdu.origin_server_ts))
}
