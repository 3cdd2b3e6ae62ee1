//! Spec: client-server API, "Room aliases".

use rooms::Rooms;
use ruma::api::client::alias::{create_alias, delete_alias, get_alias};
use ruma::api::client::room::aliases;

use crate::{Endpoints, MatrixError, Requester};

pub(super) fn endpoints(endpoints: Endpoints<Rooms>) -> Endpoints<Rooms> {
    endpoints.at(create).at(get).at(delete).at(list)
}

async fn create(
    rooms: Rooms,
    requester: Requester,
    request: create_alias::v3::Request,
) -> Result<create_alias::v3::Response, MatrixError> {
    rooms.create_alias(requester.user_id(), &request.room_alias, &request.room_id).await?;
    Ok(create_alias::v3::Response::new())
}

async fn get(
    rooms: Rooms,
    (): (),
    request: get_alias::v3::Request,
) -> Result<get_alias::v3::Response, MatrixError> {
    let room_id = rooms.room_of_alias(&request.room_alias).await?;
    Ok(get_alias::v3::Response::new(room_id, vec![rooms.server_name().to_owned()]))
}

async fn delete(
    rooms: Rooms,
    requester: Requester,
    request: delete_alias::v3::Request,
) -> Result<delete_alias::v3::Response, MatrixError> {
    rooms.delete_alias(requester.user_id(), &request.room_alias).await?;
    Ok(delete_alias::v3::Response::new())
}

async fn list(
    rooms: Rooms,
    requester: Requester,
    request: aliases::v3::Request,
) -> Result<aliases::v3::Response, MatrixError> {
    Ok(aliases::v3::Response::new(rooms.aliases(requester.user_id(), &request.room_id).await?))
}
