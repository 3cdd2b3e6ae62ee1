//! Spec: client-server API, "Mutual rooms".

use rooms::{MutualRooms, RoomError, Rooms};
use ruma::api::client::membership::get_mutual_rooms::{unstable, v1};
use ruma::{UInt, UserId};
use store::RoomNumber;

use crate::{Endpoints, MatrixError, Requester};

pub(super) fn endpoints(endpoints: Endpoints<Rooms>) -> Endpoints<Rooms> {
    endpoints.at(mutual_rooms).at(unstable_mutual_rooms)
}

async fn mutual_rooms(
    rooms: Rooms,
    requester: Requester,
    request: v1::Request,
) -> Result<v1::Response, MatrixError> {
    let shared = shared(&rooms, &requester, &request.user_id, request.from.as_deref()).await?;
    let mut response =
        v1::Response::new(UInt::try_from(shared.count).unwrap_or(UInt::MAX), shared.rooms);
    response.next_batch = shared.next.map(|room| room.to_string());
    Ok(response)
}

/// The same before it was stable. Spec: MSC2666.
async fn unstable_mutual_rooms(
    rooms: Rooms,
    requester: Requester,
    request: unstable::Request,
) -> Result<unstable::Response, MatrixError> {
    let shared = shared(&rooms, &requester, &request.user_id, request.from.as_deref()).await?;
    let mut response = unstable::Response::new(shared.rooms);
    response.next_batch = shared.next.map(|room| room.to_string());
    Ok(response)
}

/// Spec: client-server API, `GET /mutual_rooms`, 400; appendices, "Historical User IDs".
async fn shared(
    rooms: &Rooms,
    requester: &Requester,
    other: &UserId,
    from: Option<&str>,
) -> Result<MutualRooms, RoomError> {
    let is_compliant = |character| ('!'..='~').contains(&character);
    if other.localpart().is_empty() || !other.localpart().chars().all(is_compliant) {
        let reason = "user_id is none that users of this day can have".to_owned();
        return Err(RoomError::InvalidParameter(reason));
    }
    let from = from.map(|token| token.parse().map(RoomNumber)).transpose();
    let from =
        from.map_err(|_| RoomError::InvalidParameter("from is no token of this list".to_owned()))?;
    rooms.mutual_rooms(requester.user_id(), other, from).await
}
