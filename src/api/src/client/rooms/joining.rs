//! Spec: client-server API, "Joining rooms".
//!
//! The body of a join becomes part of the membership event, as far as the server does not write that itself; ruma's
//! requests keep what the specification names, so these keep the whole body beside it.

use rooms::{JoinRequest, Rooms};
use ruma::api::client::membership::{ThirdPartySigned, join_room_by_id, join_room_by_id_or_alias};
use ruma::api::error::DeserializationError;
use ruma::api::{IncomingRequest, Metadata};
use serde_json::{Map, Value};

use super::membership::room_named;
use crate::{Endpoints, MatrixError, RateClass, Requester, Settings};

/// A request of ruma's and its whole body.
struct WithBody<R>(R, Map<String, Value>);

impl<R: Metadata> Metadata for WithBody<R> {
    const METHOD: http::Method = R::METHOD;
    const RATE_LIMITED: bool = R::RATE_LIMITED;
    type Authentication = R::Authentication;
    type PathBuilder = R::PathBuilder;
    const PATH_BUILDER: Self::PathBuilder = R::PATH_BUILDER;
}

impl<R: IncomingRequest> IncomingRequest for WithBody<R> {
    type EndpointError = R::EndpointError;
    type OutgoingResponse = R::OutgoingResponse;

    fn try_from_http_request_inner(
        request: http::Request<&[u8]>,
        path_args: &[&str],
    ) -> Result<Self, DeserializationError> {
        let body = serde_json::from_slice(request.body())?;
        Ok(Self(R::try_from_http_request_inner(request, path_args)?, body))
    }
}

pub(super) fn endpoints(endpoints: Endpoints<Rooms>) -> Endpoints<Rooms> {
    let joins = || Settings::default().class(RateClass::Joins);
    endpoints.at_with(joins(), join).at_with(joins(), join_by_id_or_alias)
}

async fn join(
    rooms: Rooms,
    requester: Requester,
    WithBody(request, body): WithBody<join_room_by_id::v3::Request>,
) -> Result<join_room_by_id::v3::Response, MatrixError> {
    let wish = wish(body, request.third_party_signed);
    rooms.join(&request.room_id, requester.user_id(), wish).await?;
    Ok(join_room_by_id::v3::Response::new(request.room_id))
}

async fn join_by_id_or_alias(
    rooms: Rooms,
    requester: Requester,
    WithBody(request, body): WithBody<join_room_by_id_or_alias::v3::Request>,
) -> Result<join_room_by_id_or_alias::v3::Response, MatrixError> {
    let room_id = room_named(&rooms, &request.room_id_or_alias).await?;
    let wish = wish(body, request.third_party_signed);
    rooms.join(&room_id, requester.user_id(), wish).await?;
    Ok(join_room_by_id_or_alias::v3::Response::new(room_id))
}

fn wish(content: Map<String, Value>, signed: Option<ThirdPartySigned>) -> JoinRequest {
    JoinRequest { content, third_party: signed.map(Into::into) }
}
