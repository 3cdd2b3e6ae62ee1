//! Spec: client-server API, "Published room directory".
//!
//! ruma leaves out the join rule of a public room, as the specification lets it; clients and tests want it said.

use rooms::{DirectoryPage, DirectorySearch, RoomError, Rooms};
use ruma::api::client::directory::{
    get_public_rooms, get_public_rooms_filtered, get_room_visibility, set_room_visibility,
};
use ruma::api::client::room::Visibility;
use ruma::api::error::DeserializationError;
use ruma::api::{IncomingRequest, response};
use ruma::directory::{PublicRoomsChunk, RoomNetwork};
use ruma::room::JoinRuleKind;
use ruma::{ServerName, UInt};
use serde::Serialize;
use store::Publication;

use super::visibility_request::SetVisibility;
use crate::stand_in::stand_in;
use crate::{Endpoints, MatrixError, Requester};

/// How many rooms a page has when the request does not say, and at most.
const DEFAULT_LIMIT: usize = 100;
const MAX_LIMIT: usize = 500;

/// [`get_public_rooms::v3::Request`], answered with [`Listing`].
struct List(get_public_rooms::v3::Request);

/// [`get_public_rooms_filtered::v3::Request`], answered with [`Listing`].
struct Search(get_public_rooms_filtered::v3::Request);

stand_in!(List, get_public_rooms::v3::Request);
stand_in!(Search, get_public_rooms_filtered::v3::Request);

impl IncomingRequest for List {
    type EndpointError = <get_public_rooms::v3::Request as IncomingRequest>::EndpointError;
    type OutgoingResponse = Listing;

    fn try_from_http_request_inner(
        request: http::Request<&[u8]>,
        path_args: &[&str],
    ) -> Result<Self, DeserializationError> {
        get_public_rooms::v3::Request::try_from_http_request_inner(request, path_args).map(Self)
    }
}

impl IncomingRequest for Search {
    type EndpointError = <get_public_rooms_filtered::v3::Request as IncomingRequest>::EndpointError;
    type OutgoingResponse = Listing;

    fn try_from_http_request_inner(
        request: http::Request<&[u8]>,
        path_args: &[&str],
    ) -> Result<Self, DeserializationError> {
        get_public_rooms_filtered::v3::Request::try_from_http_request_inner(request, path_args)
            .map(Self)
    }
}

/// A page of the directory.
#[response]
#[derive(Default)]
struct Listing {
    chunk: Vec<Listed>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_batch: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prev_batch: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total_room_count_estimate: Option<UInt>,
}

/// A room with its join rule, whichever that is.
#[derive(Clone, Debug, Serialize)]
struct Listed {
    #[serde(flatten)]
    room: PublicRoomsChunk,
    /// Where ruma does not write it.
    #[serde(skip_serializing_if = "Option::is_none")]
    join_rule: Option<JoinRuleKind>,
}

impl From<PublicRoomsChunk> for Listed {
    fn from(room: PublicRoomsChunk) -> Self {
        let join_rule =
            Some(room.join_rule.clone()).filter(|rule| *rule == JoinRuleKind::default());
        Self { room, join_rule }
    }
}

impl From<DirectoryPage> for Listing {
    fn from(page: DirectoryPage) -> Self {
        let text = |token: Option<rooms::DirectoryToken>| token.map(|token| token.to_string());
        Self {
            chunk: page.rooms.into_iter().map(Listed::from).collect(),
            next_batch: text(page.next),
            prev_batch: text(page.previous),
            total_room_count_estimate: page.total.and_then(|total| UInt::try_from(total).ok()),
        }
    }
}

pub(super) fn endpoints(endpoints: Endpoints<Rooms>) -> Endpoints<Rooms> {
    endpoints
        .feature("org.matrix.msc3827.stable")
        .at(visibility)
        .at(set_visibility)
        .at(list)
        .at(search)
}

async fn visibility(
    rooms: Rooms,
    (): (),
    request: get_room_visibility::v3::Request,
) -> Result<get_room_visibility::v3::Response, MatrixError> {
    let publication = rooms.publication(&request.room_id).await?;
    Ok(get_room_visibility::v3::Response::new(visibility_of(publication)))
}

/// Whether a room is listed, in the words of the specification.
pub(crate) fn visibility_of(publication: Publication) -> Visibility {
    match publication {
        Publication::Private => Visibility::Private,
        Publication::Published => Visibility::Public,
    }
}

async fn set_visibility(
    rooms: Rooms,
    requester: Requester,
    request: SetVisibility,
) -> Result<set_room_visibility::v3::Response, MatrixError> {
    let publication = publication(&request.visibility)?;
    rooms.publish(requester.user_id(), &request.room_id, publication).await?;
    Ok(set_room_visibility::v3::Response::new())
}

/// What a visibility says about the directory.
pub(super) fn publication(visibility: &Visibility) -> Result<Publication, RoomError> {
    match visibility {
        Visibility::Public => Ok(Publication::Published),
        Visibility::Private => Ok(Publication::Private),
        other => Err(RoomError::InvalidParameter(format!("{other} is no visibility"))),
    }
}

async fn list(rooms: Rooms, (): (), List(request): List) -> Result<Listing, MatrixError> {
    check_server(&rooms, request.server.as_deref())?;
    let search = DirectorySearch {
        since: since(request.since.as_deref())?,
        limit: limit(request.limit),
        ..DirectorySearch::default()
    };
    Ok(rooms.directory(&search).await?.into())
}

async fn search(
    rooms: Rooms,
    _: Requester,
    Search(request): Search,
) -> Result<Listing, MatrixError> {
    check_server(&rooms, request.server.as_deref())?;
    if matches!(request.room_network, RoomNetwork::ThirdParty(_)) {
        // No application service brings another network's rooms.
        return Ok(Listing::default());
    }
    let search = DirectorySearch {
        term: request.filter.generic_search_term,
        room_types: request.filter.room_types,
        since: since(request.since.as_deref())?,
        limit: limit(request.limit),
    };
    Ok(rooms.directory(&search).await?.into())
}

/// Directories of other servers are read over federation.
fn check_server(rooms: &Rooms, server: Option<&ServerName>) -> Result<(), RoomError> {
    match server {
        Some(server) if server != rooms.server_name() => {
            Err(RoomError::Unreachable(server.to_owned()))
        }
        _ => Ok(()),
    }
}

fn since(token: Option<&str>) -> Result<Option<rooms::DirectoryToken>, RoomError> {
    // Some clients send an empty token for none.
    let token = token.filter(|token| !token.is_empty()).map(str::parse).transpose();
    token.map_err(|_| RoomError::InvalidParameter("since is no token of this list".to_owned()))
}

fn limit(limit: Option<UInt>) -> usize {
    let limit = limit.map(|limit| usize::try_from(limit).unwrap_or(MAX_LIMIT));
    limit.filter(|limit| *limit > 0).unwrap_or(DEFAULT_LIMIT).min(MAX_LIMIT)
}
