//! Removing old events: Synapse's API.

use rooms::{PurgeUntil, RoomError, Rooms};
use ruma::{EventId, MilliSecondsSinceUnixEpoch, OwnedEventId, RoomId, api::error::ErrorKind};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::{LocalEvents, TaskState, Work};

use super::{Administrator, Answer, answer::endpoint};
use crate::{Endpoints, MatrixError};

endpoint!(purge: POST "/_synapse/admin/v1/purge_history/{room_id}" {
    #[ruma_api(path)]
    pub(crate) room_id: ruma::OwnedRoomId,
    #[ruma_api(body)]
    pub(crate) wish: super::Wish,
});
endpoint!(purge_until: POST "/_synapse/admin/v1/purge_history/{room_id}/{event_id}" {
    #[ruma_api(path)]
    pub(crate) room_id: ruma::OwnedRoomId,
    #[ruma_api(path)]
    pub(crate) event_id: ruma::OwnedEventId,
    #[ruma_api(body)]
    pub(crate) wish: super::Wish,
});
endpoint!(status: GET "/_synapse/admin/v1/purge_history_status/{purge_id}" {
    #[ruma_api(path)]
    pub(crate) purge_id: String,
});

/// What is to be removed.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Wish {
    delete_local_events: Option<bool>,
    purge_up_to_event_id: Option<OwnedEventId>,
    purge_up_to_ts: Option<MilliSecondsSinceUnixEpoch>,
}

async fn purge(
    rooms: Rooms,
    _: Administrator,
    request: purge::Request,
) -> Result<Answer, MatrixError> {
    order(&rooms, &request.room_id, None, &request.wish).await
}

async fn purge_until(
    rooms: Rooms,
    _: Administrator,
    request: purge_until::Request,
) -> Result<Answer, MatrixError> {
    order(&rooms, &request.room_id, Some(&request.event_id), &request.wish).await
}

async fn order(
    rooms: &Rooms,
    room_id: &RoomId,
    event_id: Option<&EventId>,
    wish: &Wish,
) -> Result<Answer, MatrixError> {
    let event_id = event_id.or(wish.purge_up_to_event_id.as_deref());
    let until = match (event_id, wish.purge_up_to_ts) {
        (Some(event_id), _) => PurgeUntil::Event(event_id),
        (None, Some(time)) => PurgeUntil::Time(time),
        (None, None) => {
            let message = "purge_up_to_event_id or purge_up_to_ts is missing";
            return Err(MatrixError::bad_request(ErrorKind::BadJson, message));
        }
    };
    let local = match wish.delete_local_events {
        Some(true) => LocalEvents::Remove,
        _ => LocalEvents::Keep,
    };
    match rooms.order_history_purge(room_id, until, local).await {
        Err(error @ RoomError::TaskOpen) => {
            Err(MatrixError::bad_request(ErrorKind::Unknown, error.to_string()))
        }
        outcome => Answer::new(&json!({ "purge_id": outcome? })),
    }
}

async fn status(
    rooms: Rooms,
    _: Administrator,
    request: status::Request,
) -> Result<Answer, MatrixError> {
    let task = rooms.task(&request.purge_id).await?;
    let task = task.filter(|task| matches!(task.work, Work::HistoryPurge(_)));
    match task.map(|task| task.state) {
        Some(TaskState::Open) => Answer::new(&json!({ "status": "active" })),
        Some(TaskState::Complete) => Answer::new(&json!({ "status": "complete" })),
        Some(TaskState::Failed(reason)) => {
            Answer::new(&json!({ "status": "failed", "error": reason }))
        }
        None => Err(MatrixError::not_found("there is no such purge")),
    }
}

pub(super) fn endpoints(rooms: Rooms) -> Endpoints<Rooms> {
    Endpoints::new(rooms).at(purge).at(purge_until).at(status)
}
