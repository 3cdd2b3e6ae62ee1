//! Deleting rooms: Synapse's API.

use rooms::{Block, RoomError, Rooms};
use ruma::{OwnedUserId, RoomId, api::error::ErrorKind};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::{Removal, RoomDeletion, SuccessorRoom, TaskRecord, TaskState, TaskSubject, Work};

use super::{Administrator, Answer, answer::endpoint};
use crate::{Endpoints, MatrixError};

endpoint!(delete: DELETE "/_synapse/admin/v2/rooms/{room_id}" {
    #[ruma_api(path)]
    pub(crate) room_id: ruma::OwnedRoomId,
    #[ruma_api(body)]
    pub(crate) wish: super::Wish,
});
endpoint!(delete_and_wait: DELETE "/_synapse/admin/v1/rooms/{room_id}" {
    #[ruma_api(path)]
    pub(crate) room_id: ruma::OwnedRoomId,
    #[ruma_api(body)]
    pub(crate) wish: super::Wish,
});
endpoint!(statuses: GET "/_synapse/admin/v2/rooms/{room_id}/delete_status" {
    #[ruma_api(path)]
    pub(crate) room_id: ruma::OwnedRoomId,
});
endpoint!(status: GET "/_synapse/admin/v2/rooms/delete_status/{delete_id}" {
    #[ruma_api(path)]
    pub(crate) delete_id: String,
});

/// What the members of a deleted room find if nobody says what.
const NAME: &str = "This room was removed";
const MESSAGE: &str = "The administrators of this server removed the room that you were in.";

/// How a room is to be deleted.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Wish {
    new_room_user_id: Option<OwnedUserId>,
    room_name: Option<String>,
    message: Option<String>,
    block: Option<bool>,
    purge: Option<bool>,
    force_purge: Option<bool>,
}

impl Wish {
    fn deletion(self) -> RoomDeletion {
        let successor = self.new_room_user_id.map(|creator| SuccessorRoom {
            creator,
            name: self.room_name.unwrap_or_else(|| NAME.to_owned()),
            message: self.message.unwrap_or_else(|| MESSAGE.to_owned()),
        });
        let removal = match (self.purge.unwrap_or(true), self.force_purge.unwrap_or(false)) {
            (false, _) => Removal::No,
            (true, false) => Removal::WhenEmpty,
            (true, true) => Removal::Always,
        };
        RoomDeletion {
            successor,
            removal,
            kicked: Vec::new(),
            failed: Vec::new(),
            aliases: Vec::new(),
            new_room: None,
        }
    }
}

/// Begins a deletion.
async fn delete(
    rooms: Rooms,
    admin: Administrator,
    request: delete::Request,
) -> Result<Answer, MatrixError> {
    let id = order(&rooms, &admin, &request.room_id, request.wish).await?;
    Answer::new(&json!({ "delete_id": id }))
}

/// Deletes a room and answers when it is gone. One that takes long goes on after the request has timed out.
async fn delete_and_wait(
    rooms: Rooms,
    admin: Administrator,
    request: delete_and_wait::Request,
) -> Result<Answer, MatrixError> {
    let id = order(&rooms, &admin, &request.room_id, request.wish).await?;
    match rooms.task_ended(&id).await? {
        Some(TaskRecord { state: TaskState::Failed(reason), .. }) => {
            Err(MatrixError::bad_request(ErrorKind::Unknown, reason))
        }
        Some(TaskRecord { work: Work::Deletion(deletion), .. }) => Answer::new(&shown(&deletion)),
        _ => Err(not_found()),
    }
}

async fn order(
    rooms: &Rooms,
    admin: &Administrator,
    room_id: &RoomId,
    wish: Wish,
) -> Result<String, MatrixError> {
    let creator = wish.new_room_user_id.as_ref();
    if creator.is_some_and(|creator| creator.server_name() != rooms.server_name()) {
        let message = "new_room_user_id belongs to another server";
        return Err(MatrixError::bad_request(ErrorKind::Unknown, message));
    }
    if wish.block == Some(true) {
        rooms.block_room(admin.user_id(), room_id, Block::On).await?;
    }
    let subject = TaskSubject::Room(room_id.to_owned());
    match rooms.order(subject, Work::Deletion(wish.deletion())).await {
        Err(error @ RoomError::TaskOpen) => {
            Err(MatrixError::bad_request(ErrorKind::Unknown, error.to_string()))
        }
        outcome => Ok(outcome?),
    }
}

async fn statuses(
    rooms: Rooms,
    _: Administrator,
    request: statuses::Request,
) -> Result<Answer, MatrixError> {
    let tasks = rooms.tasks_of(&request.room_id).await?;
    let results: Vec<_> = tasks.iter().filter_map(|(id, task)| status_of(id, task)).collect();
    if results.is_empty() {
        return Err(not_found());
    }
    Answer::new(&json!({ "results": results }))
}

async fn status(
    rooms: Rooms,
    _: Administrator,
    request: status::Request,
) -> Result<Answer, MatrixError> {
    let task = rooms.task(&request.delete_id).await?;
    let status = task.and_then(|task| status_of(&request.delete_id, &task));
    Answer::new(&status.ok_or_else(not_found)?)
}

/// How a deletion goes; `None` for another task.
fn status_of(id: &str, task: &TaskRecord) -> Option<Value> {
    let Work::Deletion(deletion) = &task.work else { return None };
    let mut status = json!({
        "delete_id": id,
        "room_id": task.subject.room_id(),
        "shutdown_room": shown(deletion),
    });
    match &task.state {
        TaskState::Open => status["status"] = json!("active"),
        TaskState::Complete => status["status"] = json!("complete"),
        TaskState::Failed(reason) => {
            status["status"] = json!("failed");
            status["error"] = json!(reason);
        }
    }
    Some(status)
}

fn shown(deletion: &RoomDeletion) -> Value {
    json!({
        "kicked_users": deletion.kicked,
        "failed_to_kick_users": deletion.failed,
        "local_aliases": deletion.aliases,
        "new_room_id": deletion.new_room,
    })
}

fn not_found() -> MatrixError {
    MatrixError::not_found("there is no such deletion")
}

pub(super) fn endpoints(rooms: Rooms) -> Endpoints<Rooms> {
    Endpoints::new(rooms).at(delete).at(delete_and_wait).at(statuses).at(status)
}
