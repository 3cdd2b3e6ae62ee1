//! `GET /rooms/{roomId}/messages` with all that its filter may say (MSC3874), and without a direction. The specification
//! requires one, but clients leave it out, as Synapse takes that for forwards.

use ruma::OwnedRoomId;
use ruma::api::IncomingRequest;
use ruma::api::client::message::get_message_events::v3::{Request, Response};
use ruma::api::error::DeserializationError;
use sync::RelationFilter;

use crate::stand_in::stand_in;

/// [`Request`] with those keys of its filter that ruma does not know.
pub(super) struct MessagesRequest {
    pub(super) request: Request,
    pub(super) relations: RelationFilter,
}

stand_in!(MessagesRequest, Request);

/// The same request once more, for these keys alone.
#[ruma::api::request]
struct RelationParts {
    #[ruma_api(path)]
    #[expect(dead_code, reason = "the macro wants each argument of the path to be a field")]
    room_id: OwnedRoomId,
    #[ruma_api(query)]
    #[serde(with = "ruma::serde::json_string", default)]
    filter: RelationFilter,
}

stand_in!(RelationParts, Request);

impl IncomingRequest for MessagesRequest {
    type EndpointError = <Request as IncomingRequest>::EndpointError;
    type OutgoingResponse = Response;

    fn try_from_http_request_inner(
        request: http::Request<&[u8]>,
        path_args: &[&str],
    ) -> Result<Self, DeserializationError> {
        let request = with_direction(request);
        let relations =
            RelationParts::try_from_http_request_inner(request.clone(), path_args)?.filter;
        let request = Request::try_from_http_request_inner(request, path_args)?;
        Ok(Self { request, relations })
    }
}

/// The request, forwards if it does not say in which direction.
fn with_direction(mut request: http::Request<&[u8]>) -> http::Request<&[u8]> {
    let query = request.uri().query().unwrap_or_default();
    let says_it = query.split('&').any(|parameter| parameter.split('=').next() == Some("dir"));
    // What no URI has room for is refused further down, as it has no direction.
    if !says_it && let Ok(uri) = format!("{}?dir=f&{query}", request.uri().path()).parse() {
        *request.uri_mut() = uri;
    }
    request
}
