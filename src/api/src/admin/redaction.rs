//! Redacting what a user sent, and reading what was redacted: Synapse's API.

use std::collections::BTreeMap;

use rooms::{RoomError, Rooms};
use ruma::{MilliSecondsSinceUnixEpoch, OwnedRoomId, UInt, api::error::ErrorKind, uint};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::{RedactionScope, Redactor, TaskState, TaskSubject, UserRedaction, Work};

use super::{Administrator, Answer, answer::endpoint};
use crate::{Endpoints, MatrixError};

endpoint!(redact: POST "/_synapse/admin/v1/user/{user_id}/redact" {
    #[ruma_api(path)]
    pub(crate) user_id: ruma::OwnedUserId,
    #[ruma_api(body)]
    pub(crate) wish: super::Wish,
});
endpoint!(status: GET "/_synapse/admin/v1/user/redact_status/{redact_id}" {
    #[ruma_api(path)]
    pub(crate) redact_id: String,
});
endpoint!(fetch_event: GET "/_synapse/admin/v1/fetch_event/{event_id}" {
    #[ruma_api(path)]
    pub(crate) event_id: ruma::OwnedEventId,
});

/// What is to be redacted.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Wish {
    rooms: Option<Vec<OwnedRoomId>>,
    reason: Option<String>,
    limit: Option<UInt>,
    use_admin: Option<bool>,
    after_ts: Option<MilliSecondsSinceUnixEpoch>,
    before_ts: Option<MilliSecondsSinceUnixEpoch>,
}

async fn redact(
    rooms: Rooms,
    admin: Administrator,
    request: redact::Request,
) -> Result<Answer, MatrixError> {
    let (user_id, wish) = (request.user_id, request.wish);
    let Some(in_rooms) = wish.rooms else {
        return Err(MatrixError::bad_request(ErrorKind::MissingParam, "rooms is missing"));
    };
    let scope = if in_rooms.is_empty() {
        RedactionScope::Everywhere(None)
    } else {
        RedactionScope::Rooms(in_rooms)
    };
    let limit = wish.limit.unwrap_or(uint!(1000));
    if limit == uint!(0) {
        let message = "limit must be at least 1";
        return Err(MatrixError::bad_request(ErrorKind::InvalidParam, message));
    }
    // Nobody here can act for a user of another server.
    let is_local = user_id.server_name() == rooms.server_name();
    let redactor = if is_local && wish.use_admin != Some(true) {
        Redactor::Sender
    } else {
        Redactor::Administrator(admin.user_id().to_owned())
    };
    let redaction = UserRedaction {
        user_id: user_id.clone(),
        scope,
        reason: wish.reason,
        limit: usize::try_from(limit).unwrap_or(usize::MAX),
        after: wish.after_ts,
        before: wish.before_ts,
        redactor,
        redacted: 0,
        failed: Vec::new(),
    };
    match rooms.order(TaskSubject::User(user_id), Work::UserRedaction(redaction)).await {
        Err(error @ RoomError::TaskOpen) => {
            Err(MatrixError::bad_request(ErrorKind::Unknown, error.to_string()))
        }
        outcome => Answer::new(&json!({ "redact_id": outcome? })),
    }
}

async fn status(
    rooms: Rooms,
    _: Administrator,
    request: status::Request,
) -> Result<Answer, MatrixError> {
    let task = rooms.task(&request.redact_id).await?;
    let task = task.and_then(|task| match task.work {
        Work::UserRedaction(redaction) => Some((redaction, task.state)),
        Work::Deletion(_) | Work::HistoryPurge(_) => None,
    });
    let (redaction, state) =
        task.ok_or_else(|| MatrixError::not_found("there is no such redaction"))?;
    let failed: BTreeMap<_, _> = redaction.failed.into_iter().collect();
    let mut answer = json!({ "redacted": redaction.redacted, "failed_redactions": failed });
    answer["status"] = match state {
        TaskState::Open => json!("active"),
        TaskState::Complete => json!("complete"),
        TaskState::Failed(reason) => {
            answer["error"] = json!(reason);
            json!("failed")
        }
    };
    Answer::new(&answer)
}

async fn fetch_event(
    rooms: Rooms,
    admin: Administrator,
    request: fetch_event::Request,
) -> Result<Answer, MatrixError> {
    let event = rooms.event_for_administrator(admin.user_id(), &request.event_id).await?;
    Answer::new(&json!({ "event": event }))
}

pub(super) fn endpoints(rooms: Rooms) -> Endpoints<Rooms> {
    Endpoints::new(rooms).at(redact).at(status).at(fetch_event)
}
