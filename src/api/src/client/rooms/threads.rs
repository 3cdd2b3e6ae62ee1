//! Spec: client-server API, "Threading", "Querying threads in a room".

use rooms::{EventShape, Rooms, ThreadsOf};
use ruma::api::client::threads::get_threads::v1::{IncludeThreads, Request, Response};

use super::{token, typed, viewer};
use crate::{Endpoints, MatrixError, Requester};

const DEFAULT_LIMIT: usize = 20;
const MAX_LIMIT: usize = 100;

pub(super) fn endpoints(endpoints: Endpoints<Rooms>) -> Endpoints<Rooms> {
    endpoints.at(threads)
}

async fn threads(
    rooms: Rooms,
    requester: Requester,
    request: Request,
) -> Result<Response, MatrixError> {
    let of = match request.include {
        IncludeThreads::Participated => ThreadsOf::Reader,
        _ => ThreadsOf::Everybody,
    };
    let from = request.from.as_deref().map(token).transpose()?;
    let limit = request.limit.and_then(|limit| usize::try_from(limit).ok());
    let limit = limit.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT);
    let page = rooms.threads(requester.user_id(), &request.room_id, of, from, limit).await?;
    let mut chunk = Vec::new();
    for (_, event) in &page.events {
        chunk.push(rooms.client_event(viewer(&requester), event, EventShape::Whole).await?);
    }
    let mut response = Response::new(typed(chunk));
    response.next_batch = page.next.map(|next| next.to_string());
    Ok(response)
}
