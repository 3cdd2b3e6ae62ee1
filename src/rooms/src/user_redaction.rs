//! Redacting what a user sent, in many rooms.

use ruma::events::TimelineEventType;
use ruma::{DeviceId, OwnedRoomId, OwnedUserId, RoomId};
use serde_json::json;
use store::{
    Direction, Membership, RedactionScope, Redactor, TaskRecord, TimelineEntry, TimelinePosition,
    UserRedaction, Work,
};

use crate::create::raw;
use crate::tasks::OpenTask;
use crate::{Message, RoomError, Rooms};

/// How many events of a room are looked at at once.
const SLICE: usize = 100;

/// How many events that could not be redacted are told of.
const MAX_TOLD: usize = 50;

/// The device in whose transactions redactions are sent.
const DEVICE: &str = "REDACTOR";

impl Rooms {
    /// Does the work of a redaction, room after room, and notes in the task how far it is.
    pub(crate) async fn redact_user(&self, task: &mut OpenTask) -> Result<(), RoomError> {
        loop {
            let Work::UserRedaction(redaction) = task.record.work.clone() else { return Ok(()) };
            let Some((room, scope)) = self.next_room(&redaction).await? else { return Ok(()) };
            let redaction = self.redact_in_room(&room, redaction).await?;
            let work = Work::UserRedaction(UserRedaction { scope, ..redaction });
            let record = TaskRecord { work, ..task.record.clone() };
            self.note_task(task, record).await?;
        }
    }

    /// The next room of a redaction, and what is left after it; `None` when all is done.
    async fn next_room(
        &self,
        redaction: &UserRedaction,
    ) -> Result<Option<(OwnedRoomId, RedactionScope)>, RoomError> {
        let after = match &redaction.scope {
            RedactionScope::Rooms(rooms) => {
                let mut rooms = rooms.clone();
                return Ok(rooms.pop().map(|room| (room, RedactionScope::Rooms(rooms))));
            }
            RedactionScope::Everywhere(after) => *after,
        };
        let Some(user) = self.store().user_number(&redaction.user_id).await? else {
            return Ok(None);
        };
        let all = self.store().memberships(user).await?;
        let next = all.into_iter().find(|known| {
            known.membership == Membership::Join && after.is_none_or(|after| known.room > after)
        });
        let Some(known) = next else { return Ok(None) };
        let room_id = self.store().room_id(known.room).await?;
        Ok(room_id.map(|room_id| (room_id, RedactionScope::Everywhere(Some(known.room)))))
    }

    /// Redacts the newest events of the user in a room. Those that are redacted already count too: so it comes to the
    /// same end after a restart.
    async fn redact_in_room(
        &self,
        room_id: &RoomId,
        mut redaction: UserRedaction,
    ) -> Result<UserRedaction, RoomError> {
        let room = match self.number_of(room_id).await {
            Err(RoomError::UnknownRoom(_)) => return Ok(redaction),
            outcome => outcome?,
        };
        let (mut before, mut found) = (TimelinePosition::MAX, 0);
        while found < redaction.limit {
            let min = TimelinePosition::MIN;
            let direction = Direction::Descending;
            let page = self.store().timeline(room, min, before, direction, SLICE).await?;
            let Some(last) = page.last() else { break };
            before = last.position;
            for entry in page {
                if found < redaction.limit && self.is_to_go(entry, &redaction).await? {
                    found += 1;
                    self.redact_one(room_id, entry, &mut redaction).await?;
                }
            }
        }
        Ok(redaction)
    }

    /// Whether an event is one of the user that says something.
    async fn is_to_go(
        &self,
        entry: TimelineEntry,
        redaction: &UserRedaction,
    ) -> Result<bool, RoomError> {
        let event = self.event(entry.event).await?;
        let sent = event.pdu.origin_server_ts;
        Ok(event.pdu.sender == redaction.user_id
            && event.pdu.state_key.is_none()
            && event.pdu.kind != TimelineEventType::RoomRedaction
            && redaction.after.is_none_or(|after| sent >= after)
            && redaction.before.is_none_or(|before| sent <= before))
    }

    async fn redact_one(
        &self,
        room_id: &RoomId,
        entry: TimelineEntry,
        redaction: &mut UserRedaction,
    ) -> Result<(), RoomError> {
        if self.store().redaction(entry.event).await?.is_some() {
            return Ok(());
        }
        let event = self.event(entry.event).await?;
        let content = match &redaction.reason {
            Some(reason) => json!({ "reason": reason }),
            None => json!({}),
        };
        let sender: &OwnedUserId = match &redaction.redactor {
            Redactor::Sender => &redaction.user_id,
            Redactor::Administrator(admin) => admin,
        };
        let message = Message {
            sender,
            device_id: <&DeviceId>::from(DEVICE),
            transaction_id: event.pdu.event_id.as_str(),
            kind: &TimelineEventType::RoomRedaction,
            content: &raw(&content),
            redacts: Some(&event.pdu.event_id),
        };
        match self.send_message(room_id, message).await {
            Ok(_) => redaction.redacted += 1,
            Err(error @ (RoomError::Store(_) | RoomError::Busy)) => return Err(error),
            Err(error) if redaction.failed.len() < MAX_TOLD => {
                redaction.failed.push((event.pdu.event_id.clone(), error.to_string()));
            }
            Err(_) => {}
        }
        Ok(())
    }
}
