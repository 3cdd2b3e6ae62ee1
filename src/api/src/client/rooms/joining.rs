//! Spec: client-server API, "Joining rooms".
//!
//! The body of a join becomes part of the membership event, as far as the server does not write that itself; ruma's
//! requests keep what the specification names, so these keep the whole body beside it.

use rooms::{JoinRequest, Rooms};
use ruma::api::IncomingRequest;
use ruma::api::client::membership::{ThirdPartySigned, join_room_by_id, join_room_by_id_or_alias};
use ruma::api::error::DeserializationError;
use serde_json::{Map, Value};

use super::membership::room_named;
use crate::stand_in::stand_in;
use crate::{Endpoints, MatrixError, RateClass, Requester, Settings};

/// [`join_room_by_id::v3::Request`] and its whole body.
struct JoinById(join_room_by_id::v3::Request, Map<String, Value>);

/// [`join_room_by_id_or_alias::v3::Request`] and its whole body.
struct JoinByIdOrAlias(join_room_by_id_or_alias::v3::Request, Map<String, Value>);

stand_in!(JoinById, join_room_by_id::v3::Request);
stand_in!(JoinByIdOrAlias, join_room_by_id_or_alias::v3::Request);

impl IncomingRequest for JoinById {
    type EndpointError = <join_room_by_id::v3::Request as IncomingRequest>::EndpointError;
    type OutgoingResponse = join_room_by_id::v3::Response;

    fn try_from_http_request_inner(
        request: http::Request<&[u8]>,
        path_args: &[&str],
    ) -> Result<Self, DeserializationError> {
        let body = serde_json::from_slice(request.body())?;
        let request =
            join_room_by_id::v3::Request::try_from_http_request_inner(request, path_args)?;
        Ok(Self(request, body))
    }
}

impl IncomingRequest for JoinByIdOrAlias {
    type EndpointError = <join_room_by_id_or_alias::v3::Request as IncomingRequest>::EndpointError;
    type OutgoingResponse = join_room_by_id_or_alias::v3::Response;

    fn try_from_http_request_inner(
        request: http::Request<&[u8]>,
        path_args: &[&str],
    ) -> Result<Self, DeserializationError> {
        let body = serde_json::from_slice(request.body())?;
        let request =
            join_room_by_id_or_alias::v3::Request::try_from_http_request_inner(request, path_args)?;
        Ok(Self(request, body))
    }
}

pub(super) fn endpoints(endpoints: Endpoints<Rooms>) -> Endpoints<Rooms> {
    let joins = || Settings::default().class(RateClass::Joins);
    endpoints.at_with(joins(), join).at_with(joins(), join_by_id_or_alias)
}

async fn join(
    rooms: Rooms,
    requester: Requester,
    JoinById(request, body): JoinById,
) -> Result<join_room_by_id::v3::Response, MatrixError> {
    let wish = wish(body, request.third_party_signed);
    rooms.join(&request.room_id, requester.user_id(), wish).await?;
    Ok(join_room_by_id::v3::Response::new(request.room_id))
}

async fn join_by_id_or_alias(
    rooms: Rooms,
    requester: Requester,
    JoinByIdOrAlias(request, body): JoinByIdOrAlias,
) -> Result<join_room_by_id_or_alias::v3::Response, MatrixError> {
    let room_id = room_named(&rooms, &request.room_id_or_alias).await?;
    let wish = wish(body, request.third_party_signed);
    rooms.join(&room_id, requester.user_id(), wish).await?;
    Ok(join_room_by_id_or_alias::v3::Response::new(room_id))
}

fn wish(content: Map<String, Value>, signed: Option<ThirdPartySigned>) -> JoinRequest {
    JoinRequest { content, third_party: signed.map(Into::into) }
}
