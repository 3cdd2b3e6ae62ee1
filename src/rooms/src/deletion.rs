//! Deleting rooms: everybody of this server leaves, and what the server has of the room is removed.

use ruma::events::TimelineEventType;
use ruma::{DeviceId, OwnedEventId, OwnedRoomId, OwnedUserId, RoomId};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use store::{
    Batch, Membership, Publication, Removal, RoomDeletion, RoomNumber, StoreError, SuccessorRoom,
    TaskRecord, Work,
};

use crate::create::raw;
use crate::send::transaction_path;
use crate::tasks::OpenTask;
use crate::{CreateRoom, Invitation, MembershipChange, Message, Preset, RoomError, Rooms};

/// How many members, events or rows are looked at at once.
const SLICE: usize = 64;

/// Bytes of the names in each list of what was done. What does not fit is not told.
const MAX_TOLD: usize = 16 * 1024;

/// How often members who came meanwhile are put out again.
const ATTEMPTS: usize = 8;

/// The transaction in which the successor's message is sent.
const MESSAGE: &str = "deletion";

impl Rooms {
    /// Does the work of a deletion, and notes in the task how far it is.
    pub(crate) async fn delete_room(&self, task: &mut OpenTask) -> Result<(), RoomError> {
        let Some(room_id) = task.record.subject.room_id() else { return Ok(()) };
        let room_id = room_id.to_owned();
        let Some(room) = self.store().room_number(&room_id).await? else { return Ok(()) };
        for _ in 0..ATTEMPTS {
            if self.store().room_head(room).await?.is_some() {
                self.make_successor(task).await?;
                self.put_all_out(task, &room_id, room).await?;
                self.move_aliases(task, &room_id).await?;
            }
            match self.remove_room(&deletion(&task.record)?, room).await {
                Err(RoomError::Store(StoreError::Conflict)) => {}
                outcome => return outcome,
            }
        }
        Err(RoomError::Busy)
    }

    /// Makes the room that members find themselves in afterwards.
    async fn make_successor(&self, task: &mut OpenTask) -> Result<(), RoomError> {
        let RoomDeletion { successor, new_room, .. } = deletion(&task.record)?;
        let Some(successor) = successor else { return Ok(()) };
        let new_room = match new_room {
            Some(new_room) => new_room,
            None => self.create_successor(task, &successor).await?,
        };
        let content = json!({ "msgtype": "m.text", "body": successor.message });
        let message = Message {
            sender: &successor.creator,
            device_id: <&DeviceId>::from(""),
            transaction_id: MESSAGE,
            kind: &TimelineEventType::RoomMessage,
            content: &raw(&content),
            redacts: None,
        };
        self.send_message(&new_room, message).await.map(drop)
    }

    /// Makes the successor and notes it in the task, in one commit.
    async fn create_successor(
        &self,
        task: &mut OpenTask,
        successor: &SuccessorRoom,
    ) -> Result<OwnedRoomId, RoomError> {
        let deletion = deletion(&task.record)?;
        let mut record = task.record.clone();
        let made = self.create_room_with(&successor.creator, wish(successor), |batch, room_id| {
            let new_room = Some(room_id.to_owned());
            record.work = Work::Deletion(RoomDeletion { new_room, ..deletion });
            batch.change_task(&task.id, &record)
        });
        let new_room = made.await?;
        task.record = record;
        Ok(new_room)
    }

    /// Has all members of this server leave, and come into the successor.
    async fn put_all_out(
        &self,
        task: &mut OpenTask,
        room_id: &RoomId,
        room: RoomNumber,
    ) -> Result<(), RoomError> {
        for membership in [Membership::Join, Membership::Invite, Membership::Knock] {
            let mut last = None;
            loop {
                let members = self.store().room_members(room, membership, last, SLICE).await?;
                let Some(member) = members.last() else { break };
                last = Some(*member);
                let mut deletion = deletion(&task.record)?;
                for member in members {
                    let Some(user) = self.store().user_id(member.user).await? else { continue };
                    if user.server_name() == self.server_name() {
                        self.put_out(&mut deletion, room_id, user).await?;
                    }
                }
                self.note_deletion(task, deletion).await?;
            }
        }
        Ok(())
    }

    async fn put_out(
        &self,
        deletion: &mut RoomDeletion,
        room_id: &RoomId,
        user: OwnedUserId,
    ) -> Result<(), RoomError> {
        let change = MembershipChange::Leave;
        match self.change_membership(room_id, &user, &user, change, None).await {
            Ok(()) => {}
            Err(error @ (RoomError::Store(_) | RoomError::Busy)) => return Err(error),
            Err(error) => {
                tracing::warn!(%user, %room_id, %error, "a user cannot be made to leave a room");
                if has_place(&deletion.failed) && !deletion.failed.contains(&user) {
                    deletion.failed.push(user);
                }
                return Ok(());
            }
        }
        self.forget(&user, room_id).await?;
        if let Some(new_room) = &deletion.new_room {
            let change = MembershipChange::Join;
            if let Err(error) = self.change_membership(new_room, &user, &user, change, None).await {
                tracing::warn!(%user, %new_room, %error, "a user cannot be put into a room");
            }
        }
        if has_place(&deletion.kicked) && !deletion.kicked.contains(&user) {
            deletion.kicked.push(user);
        }
        Ok(())
    }

    /// Has the room's aliases lead to the successor; without one, those of a room that is removed go with it.
    async fn move_aliases(&self, task: &mut OpenTask, room_id: &RoomId) -> Result<(), RoomError> {
        let mut deletion = deletion(&task.record)?;
        if deletion.new_room.is_none() && deletion.removal == Removal::No {
            return Ok(());
        }
        loop {
            let aliases = self.store().aliases_of(room_id, SLICE).await?;
            if aliases.is_empty() {
                return Ok(());
            }
            let mut batch = Batch::new();
            for alias in &aliases {
                let Some(record) = self.store().alias(alias).await? else { continue };
                batch.delete_alias(alias, &record)?;
                if let Some(new_room) = &deletion.new_room {
                    batch.repoint_alias(alias, new_room, &record)?;
                    if has_place(&deletion.aliases) {
                        deletion.aliases.push(alias.clone());
                    }
                }
            }
            let mut record = task.record.clone();
            record.work = Work::Deletion(deletion.clone());
            batch.change_task(&task.id, &record)?;
            self.store().commit(batch).await?;
            task.record = record;
        }
    }

    /// Removes what the server has of a room.
    async fn remove_room(
        &self,
        deletion: &RoomDeletion,
        room: RoomNumber,
    ) -> Result<(), RoomError> {
        match deletion.removal {
            Removal::No => return Ok(()),
            Removal::WhenEmpty if !deletion.failed.is_empty() => {
                let reason = "not everybody of this server could be made to leave";
                return Err(RoomError::Forbidden(reason.to_owned()));
            }
            Removal::WhenEmpty | Removal::Always => {}
        }
        if let Some(head) = self.store().room_head(room).await? {
            // Somebody who came in before their membership was removed changed the head, and all begins again.
            self.remove_members(room).await?;
            let mut batch = Batch::new();
            batch.remove_room_head(room, &head)?;
            self.store().commit(batch).await?;
            self.cells().remove(&room);
        }
        self.remove_members(room).await?;
        self.remove_timeline(room).await?;
        loop {
            let rows = self.store().room_rows(room, SLICE).await?;
            if rows.is_empty() {
                return Ok(());
            }
            let mut batch = Batch::new();
            batch.remove_room_rows(rows);
            self.store().commit(batch).await?;
        }
    }

    async fn remove_members(&self, room: RoomNumber) -> Result<(), RoomError> {
        for membership in Membership::ALL {
            loop {
                let members = self.store().room_members(room, membership, None, SLICE).await?;
                if members.is_empty() {
                    break;
                }
                let mut batch = Batch::new();
                for member in members {
                    batch.remove_member(room, membership, member);
                }
                self.store().commit(batch).await?;
            }
        }
        Ok(())
    }

    async fn remove_timeline(&self, room: RoomNumber) -> Result<(), RoomError> {
        loop {
            let entries = self.store().first_events(room, SLICE).await?;
            if entries.is_empty() {
                return Ok(());
            }
            let mut batch = Batch::new();
            for entry in &entries {
                match self.store().event(entry.event).await? {
                    Some((record, json)) => {
                        let (sender, path) = request_of(&json)?;
                        let request = (&*sender, path.as_str());
                        self.put_event_removal(&mut batch, *entry, &record, request).await?;
                    }
                    None => batch.remove_from_timeline(room, entry.position),
                }
            }
            self.store().commit(batch).await?;
            self.forget_events(entries.iter().map(|entry| entry.event));
        }
    }

    async fn note_deletion(
        &self,
        task: &mut OpenTask,
        deletion: RoomDeletion,
    ) -> Result<(), RoomError> {
        let record = TaskRecord { work: Work::Deletion(deletion), ..task.record.clone() };
        self.note_task(task, record).await
    }
}

/// Who sent an event of a room that is gone, and by which path, without the room's rules.
fn request_of(json: &str) -> Result<(OwnedUserId, String), RoomError> {
    #[derive(Deserialize)]
    struct Event {
        sender: OwnedUserId,
        #[serde(rename = "type")]
        kind: TimelineEventType,
        redacts: Option<OwnedEventId>,
        content: Content,
    }
    #[derive(Deserialize)]
    struct Content {
        #[serde(default)]
        redacts: Value,
    }
    let event: Event =
        serde_json::from_str(json).map_err(|error| RoomError::Damaged(error.to_string()))?;
    let is_redaction = event.kind == TimelineEventType::RoomRedaction;
    let redacts = event.redacts.or_else(|| OwnedEventId::deserialize(event.content.redacts).ok());
    let path = transaction_path(&event.kind, redacts.filter(|_| is_redaction).as_deref());
    Ok((event.sender, path))
}

fn has_place(told: &[impl AsRef<str>]) -> bool {
    told.iter().map(|name| name.as_ref().len()).sum::<usize>() < MAX_TOLD
}

fn deletion(task: &TaskRecord) -> Result<RoomDeletion, RoomError> {
    match &task.work {
        Work::Deletion(deletion) => Ok(deletion.clone()),
        Work::HistoryPurge(_) | Work::UserRedaction(_) => {
            Err(RoomError::Damaged("the task deletes no room".to_owned()))
        }
    }
}

/// A room for everybody in which only its creator speaks.
fn wish(successor: &SuccessorRoom) -> CreateRoom {
    let mut power_levels = Map::new();
    power_levels.insert("users_default".to_owned(), json!(-10));
    CreateRoom {
        version: None,
        creation_content: Map::new(),
        preset: Preset::PublicChat,
        initial_state: Vec::new(),
        name: Some(successor.name.clone()),
        topic: None,
        alias: None,
        invite: Vec::new(),
        invite_third_party: Vec::new(),
        invitation: Invitation::Ordinary,
        power_levels,
        publication: Publication::Private,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use store::{Direction, KeyRange, TaskState, TaskSubject, raw};

    use super::*;
    use crate::testing::{ada, bo, public_room, rooms_on_memory_store, say, send};

    /// Rooms, users and events share one sequence of numbers, so no other key holds the room's.
    #[tokio::test]
    async fn nothing_of_a_removed_room_is_left_but_its_number() {
        let rooms = rooms_on_memory_store().await;
        let room = public_room(&rooms).await;
        rooms.change_membership(&room, bo(), bo(), MembershipChange::Join, None).await.unwrap();
        let message = say(&rooms, &room, "tea").await;
        for (kind, name) in [("m.thread", "thread"), ("m.reference", "reference")] {
            let relation = json!({ "rel_type": kind, "event_id": message });
            let content = json!({ "msgtype": "m.text", "body": "x", "m.relates_to": relation });
            send(&rooms, &room, ada(), name, content).await.unwrap();
        }
        let number = rooms.number_of(&room).await.unwrap();
        let deletion = RoomDeletion {
            successor: None,
            removal: Removal::WhenEmpty,
            kicked: Vec::new(),
            failed: Vec::new(),
            aliases: Vec::new(),
            new_room: None,
        };
        let subject = TaskSubject::Room(room.clone());
        let id = rooms.order(subject, Work::Deletion(deletion)).await.unwrap();
        let worker = tokio::spawn({
            let rooms = rooms.clone();
            async move { rooms.work().await }
        });
        let task = rooms.task_ended(&id).await.unwrap().unwrap();
        worker.abort();

        assert_eq!(task.state, TaskState::Complete);
        assert!(matches!(rooms.number_of(&room).await, Err(RoomError::UnknownRoom(_))));
        for id in 0..=u8::MAX {
            let table = raw::table(id, "any");
            let (all, up) = (KeyRange::prefix([]), Direction::Ascending);
            let rows = raw::scan(rooms.store(), table, all, up, usize::MAX).await.unwrap();
            for (key, _) in rows {
                let holds = key.windows(8).any(|part| part == number.0.to_be_bytes());
                assert!(!holds || id == 2, "a row of table {id} is left: {key:?}");
            }
        }
    }
}
