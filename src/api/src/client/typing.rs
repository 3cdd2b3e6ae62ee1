//! Spec: client-server API, "Typing notifications".

use rooms::Rooms;
use ruma::api::client::typing::create_typing_event::v3::{self, Request, Response};

use crate::{EdgeBuilder, Endpoints, MatrixError, Requester};

/// The endpoint of typing.
pub fn endpoints(all: EdgeBuilder, rooms: &Rooms) -> EdgeBuilder {
    all.with(Endpoints::new(rooms.clone()).at(type_in_room))
}

async fn type_in_room(
    rooms: Rooms,
    requester: Requester,
    request: Request,
) -> Result<Response, MatrixError> {
    let user = requester.user_id();
    if request.user_id != user {
        return Err(MatrixError::forbidden("you can only type for yourself"));
    }
    match request.state {
        v3::Typing::Yes(info) => rooms.start_typing(user, &request.room_id, info.timeout).await?,
        v3::Typing::No => rooms.stop_typing(user, &request.room_id).await?,
    }
    Ok(Response::new())
}
