//! Long work that administrators order. It is noted in the store before it begins, so it goes on after a
//! restart.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use ruma::{MilliSecondsSinceUnixEpoch, RoomId};
use store::{Batch, RedactionScope, StoreError, TaskRecord, TaskState, TaskSubject, Work};

use crate::assembly::random_localpart;
use crate::{RoomError, Rooms};

/// How many tasks are at work at once.
const AT_ONCE: usize = 4;

/// How many tasks are read at once.
const PAGE: usize = 100;

/// How long an ended task is remembered.
const REMEMBERED: Duration = Duration::from_hours(7 * 24);

/// How long to wait before a task goes on for which the store failed.
const PAUSE: Duration = Duration::from_secs(10);

/// Bytes of the longest name and message of a successor, and of the longest reason of a redaction.
const MAX_TEXT: usize = 8 * 1024;

/// The most rooms that a redaction names.
const MAX_ROOMS: usize = 100;

/// A task at work.
#[derive(Debug)]
pub(crate) struct OpenTask {
    pub(crate) id: String,
    pub(crate) record: TaskRecord,
}

impl Rooms {
    /// Orders work and returns the task's ID. Fails with [`RoomError::TaskOpen`] while there is other work on its
    /// subject.
    #[tracing::instrument(skip_all, fields(?subject))]
    pub async fn order(&self, subject: TaskSubject, work: Work) -> Result<String, RoomError> {
        check_size(&work)?;
        self.forget_old_tasks().await?;
        let id = random_localpart();
        let at = self.clock().now();
        let record = TaskRecord { subject, work, state: TaskState::Open, at };
        let mut batch = Batch::new();
        batch.open_task(&id, &record)?;
        match self.store().commit(batch).await {
            Ok(_) => {
                tracing::info!(id, "task ordered");
                self.task_ordered().notify_one();
                Ok(id)
            }
            Err(StoreError::Conflict) => Err(RoomError::TaskOpen),
            Err(error) => Err(error.into()),
        }
    }

    /// A task; `None` when there is none of this name, or it ended long ago.
    pub async fn task(&self, id: &str) -> Result<Option<TaskRecord>, RoomError> {
        Ok(self.store().task(id).await?)
    }

    /// The tasks on a room that are remembered.
    pub async fn tasks_of(&self, room_id: &RoomId) -> Result<Vec<(String, TaskRecord)>, RoomError> {
        let mut found = Vec::new();
        let mut last: Option<String> = None;
        loop {
            let page = self.store().tasks(last.as_deref(), PAGE).await?;
            let is_last = page.len() < PAGE;
            last = page.last().map(|(id, _)| id.clone());
            found.extend(
                page.into_iter().filter(|(_, task)| task.subject.room_id() == Some(room_id)),
            );
            if is_last {
                return Ok(found);
            }
        }
    }

    /// Waits until a task has ended, and says how it did.
    pub async fn task_ended(&self, id: &str) -> Result<Option<TaskRecord>, RoomError> {
        loop {
            let ended = self.task_changed().notified();
            match self.task(id).await? {
                Some(task) if task.state == TaskState::Open => ended.await,
                outcome => return Ok(outcome),
            }
        }
    }

    /// Works on tasks, some at once. Never ends.
    pub async fn work(&self) {
        let mut at_work = FuturesUnordered::new();
        let mut ids: HashSet<String> = HashSet::new();
        loop {
            match self.store().open_tasks(AT_ONCE).await {
                Ok(open) => {
                    for id in open {
                        if ids.insert(id.clone()) {
                            at_work.push(async move {
                                self.work_on(&id).await;
                                id
                            });
                        }
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot look for tasks, trying again later");
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            }
            tokio::select! {
                () = self.task_ordered().notified() => {}
                Some(id) = at_work.next() => {
                    ids.remove(&id);
                }
            }
        }
    }

    /// Does the work of one task to its end. Where the store fails it is left open, to be tried again.
    #[tracing::instrument(skip_all, fields(id))]
    async fn work_on(&self, id: &str) {
        match self.try_task(id).await {
            Ok(()) => self.task_changed().notify_waiters(),
            Err(error) => {
                tracing::warn!(%error, "a task is interrupted, trying again later");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    async fn try_task(&self, id: &str) -> Result<(), RoomError> {
        let Some(record) = self.store().task(id).await? else { return Ok(()) };
        let mut task = OpenTask { id: id.to_owned(), record };
        let outcome = match &task.record.work {
            Work::Deletion(_) => self.delete_room(&mut task).await,
            Work::HistoryPurge(_) => self.purge_history(&mut task).await,
            Work::UserRedaction(_) => self.redact_user(&mut task).await,
        };
        let state = match outcome {
            Ok(()) => TaskState::Complete,
            Err(RoomError::Store(error)) => return Err(error.into()),
            Err(error) => TaskState::Failed(error.to_string()),
        };
        tracing::info!(?state, "task ended");
        let record = TaskRecord { state, at: self.clock().now(), ..task.record.clone() };
        self.note_task(&mut task, record).await
    }

    /// Writes down how far a task is.
    pub(crate) async fn note_task(
        &self,
        task: &mut OpenTask,
        record: TaskRecord,
    ) -> Result<(), RoomError> {
        let mut batch = Batch::new();
        batch.change_task(&task.id, &record)?;
        self.store().commit(batch).await?;
        task.record = record;
        Ok(())
    }

    async fn forget_old_tasks(&self) -> Result<(), RoomError> {
        let is_old = |at: MilliSecondsSinceUnixEpoch| {
            let age = u64::from(self.clock().now().get()).saturating_sub(at.get().into());
            u128::from(age) > REMEMBERED.as_millis()
        };
        let mut batch = Batch::new();
        for (id, task) in self.store().tasks(None, PAGE).await? {
            if task.state != TaskState::Open && is_old(task.at) {
                batch.forget_task(&id);
            }
        }
        if !batch.is_empty() {
            self.store().commit(batch).await?;
        }
        Ok(())
    }
}

/// A task has to fit one record, with what is noted of it later.
fn check_size(work: &Work) -> Result<(), RoomError> {
    let (text, rooms) = match work {
        Work::Deletion(deletion) => {
            let successor = deletion.successor.as_ref();
            (successor.map_or(0, |room| room.name.len() + room.message.len()), 0)
        }
        Work::HistoryPurge(_) => (0, 0),
        Work::UserRedaction(redaction) => {
            let rooms = match &redaction.scope {
                RedactionScope::Everywhere(_) => 0,
                RedactionScope::Rooms(rooms) => rooms.len(),
            };
            (redaction.reason.as_ref().map_or(0, String::len), rooms)
        }
    };
    if text > MAX_TEXT {
        return Err(RoomError::TooLarge { field: "the text", limit: MAX_TEXT });
    }
    if rooms > MAX_ROOMS {
        return Err(RoomError::TooLarge { field: "the list of rooms", limit: MAX_ROOMS });
    }
    Ok(())
}
