//! Tables of long work that administrators ordered, which goes on after a restart.
//!
//! | table | key | value |
//! | --- | --- | --- |
//! | `task` | task ID | [`TaskRecord`] |
//! | `open_task` | task ID | nothing |
//! | `subject_task` | room or user ID | the ID of the task that is at work on it |
//!
//! A task is open until it is complete or failed. A room or user has one open task at most.

use ruma::{
    MilliSecondsSinceUnixEpoch, OwnedEventId, OwnedRoomAliasId, OwnedRoomId, OwnedUserId, RoomId,
};
use serde::{Deserialize, Serialize};

use crate::store::decode;
use crate::{Batch, Direction, KeyRange, RoomNumber, Store, StoreError, Table, TimelinePosition};

const TASK: Table = Table::new(36, "task");
const OPEN_TASK: Table = Table::new(37, "open_task");
const SUBJECT_TASK: Table = Table::new(38, "subject_task");

/// Long work, and how far it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskRecord {
    /// What it is about.
    pub subject: TaskSubject,
    /// What is done.
    pub work: Work,
    /// How far it is.
    pub state: TaskState,
    /// When it was ordered or, once it has ended, when that was.
    pub at: MilliSecondsSinceUnixEpoch,
}

/// What a task is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum TaskSubject {
    /// A room.
    Room(OwnedRoomId),
    /// A user.
    User(OwnedUserId),
}

impl TaskSubject {
    /// The room, if it is one.
    pub fn room_id(&self) -> Option<&RoomId> {
        match self {
            Self::Room(room_id) => Some(room_id),
            Self::User(_) => None,
        }
    }

    fn key(&self) -> &[u8] {
        match self {
            Self::Room(room_id) => room_id.as_bytes(),
            Self::User(user_id) => user_id.as_bytes(),
        }
    }
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

/// What is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Work {
    /// Its members of this server leave, and it is removed.
    Deletion(RoomDeletion),
    /// Old events are removed.
    HistoryPurge(HistoryPurge),
    /// What a user sent is redacted.
    UserRedaction(UserRedaction),
}

/// What of a user's events is redacted, and how far that is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserRedaction {
    /// The user.
    pub user_id: OwnedUserId,
    /// Where.
    pub scope: RedactionScope,
    /// Why.
    pub reason: Option<String>,
    /// How many events of each room, the newest first.
    pub limit: usize,
    /// Only events that were sent then or later.
    pub after: Option<MilliSecondsSinceUnixEpoch>,
    /// Only events that were sent then or earlier.
    pub before: Option<MilliSecondsSinceUnixEpoch>,
    /// In whose name.
    pub redactor: Redactor,
    /// How many events were redacted.
    pub redacted: u64,
    /// Events that could not be redacted, and why; not all, if they are many.
    pub failed: Vec<(OwnedEventId, String)>,
}

/// In which rooms a user's events are redacted, as far as that is not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RedactionScope {
    /// In all that the user is in, after this one in order of room number.
    Everywhere(Option<RoomNumber>),
    /// In these, the last one next.
    Rooms(Vec<OwnedRoomId>),
}

/// In whose name events are redacted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Redactor {
    /// Of who sent them.
    Sender,
    /// Of an administrator, who must be able to in each room.
    Administrator(OwnedUserId),
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
    /// Opens a task. Committing fails with [`StoreError::Conflict`] when its subject has an open one.
    pub fn open_task(&mut self, id: &str, task: &TaskRecord) -> Result<(), StoreError> {
        self.insert_new(SUBJECT_TASK, task.subject.key(), id)?;
        self.insert_new(TASK, id, task)?;
        self.insert(OPEN_TASK, id, &())
    }

    /// Notes how far an open task is. One that is complete or failed is closed.
    pub fn change_task(&mut self, id: &str, task: &TaskRecord) -> Result<(), StoreError> {
        if task.state != TaskState::Open {
            self.remove(OPEN_TASK, id);
            self.remove(SUBJECT_TASK, task.subject.key());
        }
        self.insert(TASK, id, task)
    }

    /// Forgets a task that has ended.
    pub fn forget_task(&mut self, id: &str) {
        self.remove(TASK, id);
    }
}
