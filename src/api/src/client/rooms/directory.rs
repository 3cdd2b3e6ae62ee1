//! Spec: client-server API, "Published room directory".

use rooms::{DirectoryPage, DirectorySearch, RoomError, Rooms};
use ruma::api::client::directory::{
    get_public_rooms, get_public_rooms_filtered, get_room_visibility, set_room_visibility,
};
use ruma::api::client::room::Visibility;
use ruma::directory::RoomNetwork;
use ruma::{ServerName, UInt};
use store::Publication;

use crate::{Endpoints, MatrixError, Requester};

/// How many rooms a page has when the request does not say, and at most.
const DEFAULT_LIMIT: usize = 100;
const MAX_LIMIT: usize = 500;

pub(super) fn endpoints(endpoints: Endpoints<Rooms>) -> Endpoints<Rooms> {
    endpoints.at(visibility).at(set_visibility).at(list).at(search)
}

async fn visibility(
    rooms: Rooms,
    (): (),
    request: get_room_visibility::v3::Request,
) -> Result<get_room_visibility::v3::Response, MatrixError> {
    let visibility = match rooms.publication(&request.room_id).await? {
        Publication::Private => Visibility::Private,
        Publication::Published => Visibility::Public,
    };
    Ok(get_room_visibility::v3::Response::new(visibility))
}

async fn set_visibility(
    rooms: Rooms,
    requester: Requester,
    request: set_room_visibility::v3::Request,
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

async fn list(
    rooms: Rooms,
    (): (),
    request: get_public_rooms::v3::Request,
) -> Result<get_public_rooms::v3::Response, MatrixError> {
    check_server(&rooms, request.server.as_deref())?;
    let search = DirectorySearch {
        since: since(request.since.as_deref())?,
        limit: limit(request.limit),
        ..DirectorySearch::default()
    };
    let page = rooms.directory(&search).await?;
    let (next, previous, total) = ends(&page);
    let mut response = get_public_rooms::v3::Response::new(page.rooms);
    response.next_batch = next;
    response.prev_batch = previous;
    response.total_room_count_estimate = total;
    Ok(response)
}

async fn search(
    rooms: Rooms,
    _: Requester,
    request: get_public_rooms_filtered::v3::Request,
) -> Result<get_public_rooms_filtered::v3::Response, MatrixError> {
    check_server(&rooms, request.server.as_deref())?;
    let mut response = get_public_rooms_filtered::v3::Response::new();
    if matches!(request.room_network, RoomNetwork::ThirdParty(_)) {
        // No application service brings another network's rooms.
        return Ok(response);
    }
    let search = DirectorySearch {
        term: request.filter.generic_search_term,
        room_types: request.filter.room_types,
        since: since(request.since.as_deref())?,
        limit: limit(request.limit),
    };
    let page = rooms.directory(&search).await?;
    let (next, previous, total) = ends(&page);
    response.chunk = page.rooms;
    response.next_batch = next;
    response.prev_batch = previous;
    response.total_room_count_estimate = total;
    Ok(response)
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

fn ends(page: &DirectoryPage) -> (Option<String>, Option<String>, Option<UInt>) {
    let text = |token: Option<rooms::DirectoryToken>| token.map(|token| token.to_string());
    let total = page.total.and_then(|total| UInt::try_from(total).ok());
    (text(page.next), text(page.previous), total)
}
