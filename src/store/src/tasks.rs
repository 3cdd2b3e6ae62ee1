//! Tables of long work that administrators ordered, which goes on after a restart.
//!
//! | table | key | value |
//! | --- | --- | --- |
//! | `task` | task ID | [`TaskRecord`] |
//! | `open_task` | task ID | nothing |
//! | `room_task` | room ID | the ID of the task that is at work on it |
//!
//! A task is open until it is complete or failed. A room has one open task at most.

use ruma::{MilliSecondsSinceUnixEpoch, OwnedRoomAliasId, OwnedRoomId, OwnedUserId, RoomId};
use serde::{Deserialize, Serialize};

use crate::store::decode;
use crate::{Batch, Direction, KeyRange, Store, StoreError, Table, TimelinePosition};

const TASK: Table = Table::new(36, "task");
const OPEN_TASK: Table = Table::new(37, "open_task");
const ROOM_TASK: Table = Table::new(38, "room_task");

/// Work on a room, and how far it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskRecord {
    /// The room.
    pub room_id: OwnedRoomId,
    /// What is done to it.
    pub work: Work,
    /// How far it is.
    pub state: TaskState,
    /// When it was ordered or, once it has ended, when that was.
    pub at: MilliSecondsSinceUnixEpoch,
}

/// How far a task is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum TaskState {
    /// It is at work, or will be soon.
    Open,
    /// It has done its work.
    Complete,
    /// It could not do its work, for this reason.
    Failed(String),
}

/// What is done to a room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Work {
    /// Its members of this server leave, and it is removed.
    Deletion(RoomDeletion),
    /// Old events are removed.
    HistoryPurge(HistoryPurge),
}

/// How a room is deleted, and what was done of that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomDeletion {
    /// Where the members find themselves afterwards; `None`: nowhere.
    pub successor: Option<SuccessorRoom>,
    /// Whether what the server has of the room is removed, and when.
    pub removal: Removal,
    /// Members who left; not all, if they are very many.
    pub kicked: Vec<OwnedUserId>,
    /// Members who could not be made to leave.
    pub failed: Vec<OwnedUserId>,
    /// Aliases that lead to the successor now.
    pub aliases: Vec<OwnedRoomAliasId>,
    /// The successor, once it is there.
    pub new_room: Option<OwnedRoomId>,
}

/// A room that members of a deleted one are put into.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SuccessorRoom {
    /// Who makes it.
    pub creator: OwnedUserId,
    /// Its name.
    pub name: String,
    /// What is said in it.
    pub message: String,
}

/// Whether what the server has of a room is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Removal {
    /// It is not.
    No,
    /// When everybody of this server has left.
    WhenEmpty,
    /// Whoever is still in it.
    Always,
}

/// How old events are removed, and how far that is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryPurge {
    /// Events before this place are removed.
    pub before: TimelinePosition,
    /// Whether events that users of this server sent are removed too.
    pub local: LocalEvents,
    /// Everything up to here was looked at.
    pub reached: TimelinePosition,
}

/// What happens to events that users of this server sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LocalEvents {
    /// They stay.
    Keep,
    /// They go with the others.
    Remove,
}

impl Store {
    /// A task; `None` when there is none of this name.
    pub async fn task(&self, id: &str) -> Result<Option<TaskRecord>, StoreError> {
        self.get(TASK, id).await
    }

    /// At most `limit` tasks after `after`, in the order of their IDs.
    pub async fn tasks(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, TaskRecord)>, StoreError> {
        let mut range = KeyRange::prefix([]);
        if let Some(after) = after {
            range.continue_after(after.as_bytes().to_vec(), Direction::Ascending);
        }
        let entries = self.scan(TASK, range, Direction::Ascending, limit).await?;
        entries.into_iter().map(|(key, value)| Ok((id_in(key)?, decode(TASK, &value)?))).collect()
    }

    /// At most `limit` open tasks.
    pub async fn open_tasks(&self, limit: usize) -> Result<Vec<String>, StoreError> {
        let range = KeyRange::prefix([]);
        let entries = self.scan(OPEN_TASK, range, Direction::Ascending, limit).await?;
        entries.into_iter().map(|(key, _)| id_in(key)).collect()
    }
}

fn id_in(key: Vec<u8>) -> Result<String, StoreError> {
    String::from_utf8(key)
        .map_err(|error| StoreError::Undecodable { table: TASK.name(), reason: error.to_string() })
}

impl Batch {
    /// Opens a task. Committing fails with [`StoreError::Conflict`] when the room has an open one.
    pub fn open_task(&mut self, id: &str, task: &TaskRecord) -> Result<(), StoreError> {
        self.insert_new(ROOM_TASK, task.room_id.as_bytes(), id)?;
        self.insert_new(TASK, id, task)?;
        self.insert(OPEN_TASK, id, &())
    }

    /// Notes how far an open task is. One that is complete or failed is closed.
    pub fn change_task(&mut self, id: &str, task: &TaskRecord) -> Result<(), StoreError> {
        if task.state != TaskState::Open {
            self.remove(OPEN_TASK, id);
            self.close_room_task(&task.room_id);
        }
        self.insert(TASK, id, task)
    }

    fn close_room_task(&mut self, room_id: &RoomId) {
        self.remove(ROOM_TASK, room_id.as_bytes());
    }

    /// Forgets a task that has ended.
    pub fn forget_task(&mut self, id: &str) {
        self.remove(TASK, id);
    }
}
