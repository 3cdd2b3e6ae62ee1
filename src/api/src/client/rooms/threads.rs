//! Spec: client-server API, "Threading", "Querying threads in a room".

use rooms::{RoomError, Rooms, ThreadsOf};
use ruma::api::client::threads::get_threads::v1::{IncludeThreads, Request, Response};

use super::{token, typed, viewer};
use crate::{Endpoints, MatrixError, Requester};

const DEFAULT_LIMIT: usize = 20;
const MAX_LIMIT: usize = 100;

pub(super) fn endpoints(endpoints: Endpoints<Rooms>) -> Endpoints<Rooms> {
    // Clients let the server gather threads where they see this or v1.3.
    endpoints.at(threads).feature("org.matrix.msc3440.stable")
}

async fn threads(
    rooms: Rooms,
    requester: Requester,
    request: Request,
) -> Result<Response, MatrixError> {
    let invalid = |reason: &str| RoomError::InvalidParameter(reason.to_owned());
    let of = match request.include {
        IncludeThreads::All => ThreadsOf::Everybody,
        IncludeThreads::Participated => ThreadsOf::Reader,
        _ => return Err(invalid("include is all or participated").into()),
    };
    let from = request.from.as_deref().map(token).transpose()?;
    let limit = match request.limit.map(|limit| usize::try_from(limit).unwrap_or(MAX_LIMIT)) {
        None => DEFAULT_LIMIT,
        Some(0) => return Err(invalid("limit is greater than zero").into()),
        Some(limit) => limit.min(MAX_LIMIT),
    };
    let page = rooms.threads(requester.user_id(), &request.room_id, of, from, limit).await?;
    let chunk = rooms.thread_roots(viewer(&requester), &page.events).await?;
    let mut response = Response::new(typed(chunk));
    response.next_batch = page.next.map(|next| next.to_string());
    Ok(response)
}
