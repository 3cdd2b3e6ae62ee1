//! Spec: client-server API, "Room upgrades".

use rooms::Rooms;
use ruma::api::client::room::upgrade_room::v3::{Request, Response};

use crate::{Endpoints, MatrixError, RateClass, Requester, Settings};

pub(super) fn endpoints(endpoints: Endpoints<Rooms>) -> Endpoints<Rooms> {
    endpoints.at_with(Settings::default().class(RateClass::Joins), upgrade)
}

async fn upgrade(
    rooms: Rooms,
    requester: Requester,
    request: Request,
) -> Result<Response, MatrixError> {
    let Request { room_id, new_version, additional_creators, .. } = request;
    let user = requester.user_id();
    let new = rooms.upgrade(user, &room_id, new_version, &additional_creators).await?;
    Ok(Response::new(new))
}
