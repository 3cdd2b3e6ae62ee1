//! Spec: client-server API, "Typing notifications".

use std::time::Duration;

use rooms::Rooms;
use ruma::api::client::typing::create_typing_event::v3::{self, Response};
use ruma::{OwnedRoomId, OwnedUserId};

use crate::stand_in::stand_in;
use crate::{EdgeBuilder, Endpoints, MatrixError, Requester};

/// How long somebody types who does not say for how long.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// ruma's request wants a `timeout`, which the specification does not.
#[ruma::api::request]
struct Request {
    #[ruma_api(path)]
    room_id: OwnedRoomId,
    #[ruma_api(path)]
    user_id: OwnedUserId,
    typing: bool,
    #[serde(with = "ruma::serde::duration::opt_ms", default)]
    timeout: Option<Duration>,
}

stand_in!(Request, v3::Request);

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
    if request.typing {
        let timeout = request.timeout.unwrap_or(DEFAULT_TIMEOUT);
        rooms.start_typing(user, &request.room_id, timeout).await?;
    } else {
        rooms.stop_typing(user, &request.room_id).await?;
    }
    Ok(Response::new())
}
