//! What redacted events said: kept for moderators for a while, then gone.

use std::time::Duration;

use protocol::redaction;
use ruma::{EventId, UserId};
use serde_json::value::RawValue;
use store::{Batch, EventNumber, RedactedEvent, StoreError};

use crate::{EventShape, RoomError, Rooms, StoredEvent, Viewer};

/// How many contents are taken away in one commit.
const SLICE: usize = 32;

/// How long to wait, at least and at most, before looking again whether something is due.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Whether there was more to do than was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rest {
    Nothing,
    Something,
}

impl Rooms {
    /// Takes away the content of redacted events when it was kept long enough. What is to be done stands in the store,
    /// so it goes on after a restart. Never ends.
    pub async fn erase_redacted(&self) {
        let pause = (self.settings().redacted_retention / 4).clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
        loop {
            match self.erase_some_redacted().await {
                Ok(Rest::Something) => {}
                Ok(Rest::Nothing) => tokio::time::sleep(pause).await,
                Err(error) => {
                    tracing::warn!(%error, "cannot erase redacted content, trying again later");
                    tokio::time::sleep(LONGEST_PAUSE).await;
                }
            }
        }
    }

    async fn erase_some_redacted(&self) -> Result<Rest, RoomError> {
        let now = u64::from(self.clock().now().get());
        let kept = self.settings().redacted_retention.as_millis();
        let kept = u64::try_from(kept).unwrap_or(u64::MAX);
        let mut redacted = self.store().redacted_events(SLICE).await?;
        redacted.retain(|one| u64::from(one.at.get()).saturating_add(kept) <= now);
        if redacted.is_empty() {
            return Ok(Rest::Nothing);
        }
        let rest = if redacted.len() == SLICE { Rest::Something } else { Rest::Nothing };
        let mut batch = Batch::new();
        for one in &redacted {
            self.put_erased(&mut batch, *one).await?;
        }
        match self.store().commit(batch).await {
            Ok(_) => {}
            // Something else was done to one of the events meanwhile.
            Err(StoreError::Conflict) => return Ok(Rest::Something),
            Err(error) => return Err(error.into()),
        }
        self.forget_events(redacted.iter().map(|one| one.event));
        Ok(rest)
    }

    /// Puts the redacted form of an event into a batch. Its ID, hashes and signatures hold for that form too.
    async fn put_erased(&self, batch: &mut Batch, one: RedactedEvent) -> Result<(), RoomError> {
        batch.forget_redacted_content(one);
        let Some((record, json)) = self.store().event(one.event).await? else { return Ok(()) };
        if self.cell(record.room).await?.is_none() {
            return Ok(());
        }
        let rules = self.rules_of(record.room).await?;
        let redacted = match redaction::redact_json(&json, &rules) {
            Ok(redacted) => redacted,
            // One damaged event must not keep the content of all others.
            Err(error) => {
                tracing::error!(event = %record.event_id, %error, "an event cannot be redacted");
                return Ok(());
            }
        };
        if redacted != json {
            batch.rewrite_event(one.event, (&record, &json), (&record, &redacted))?;
        }
        Ok(())
    }

    /// Forgets events in memory whose stored form changed.
    pub(crate) fn forget_events(&self, events: impl IntoIterator<Item = EventNumber>) {
        self.rewrites().fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        for event in events {
            self.event_cache().remove(&event);
            self.first_sights().remove(&event);
        }
    }

    /// An event as `viewer` sees it, with what it said before it was redacted.
    ///
    /// Fails with [`RoomError::Forbidden`] for who may not redact others' events in the room, unless they are an
    /// administrator of the server, and with [`RoomError::ContentErased`] when the content is gone.
    /// Spec: MSC2815.
    pub async fn unredacted_event(
        &self,
        viewer: Viewer<'_>,
        event: &StoredEvent,
        asker: Asker,
    ) -> Result<Box<RawValue>, RoomError> {
        let room = event.record.room;
        if asker == Asker::Member && !self.is_moderator(viewer.user_id, room).await? {
            let reason = "you may not see redacted events of this room";
            return Err(RoomError::Forbidden(reason.to_owned()));
        }
        if self.store().redaction(event.number).await?.is_none() {
            return self.client_event(viewer, event, EventShape::Whole).await;
        }
        let rules = self.rules_of(room).await?;
        // Not from memory, where it may outlast the store by a moment.
        let Some((_, json)) = self.store().event(event.number).await? else {
            return Err(RoomError::ContentErased(self.settings().redacted_retention));
        };
        let redacted = redaction::redact_json(&json, &rules)
            .map_err(|error| RoomError::Damaged(error.to_string()))?;
        if redacted == json {
            return Err(RoomError::ContentErased(self.settings().redacted_retention));
        }
        self.original_event(viewer, event).await
    }

    /// An event of any room as an administrator sees it: with what it said before it was redacted, if that is still
    /// there. Fails with [`RoomError::UnknownEvent`].
    pub async fn event_for_administrator(
        &self,
        admin: &UserId,
        event_id: &EventId,
    ) -> Result<Box<RawValue>, RoomError> {
        let unknown = || RoomError::UnknownEvent(event_id.to_owned());
        let index = self.store().event_index(event_id).await?.ok_or_else(unknown)?;
        let event = self.event(index.number).await?;
        let viewer = Viewer { user_id: admin, device_id: None };
        match self.unredacted_event(viewer, &event, Asker::Administrator).await {
            Err(RoomError::ContentErased(_)) => {
                self.client_event(viewer, &event, EventShape::Whole).await
            }
            outcome => outcome,
        }
    }

    async fn is_moderator(
        &self,
        user: &UserId,
        room: store::RoomNumber,
    ) -> Result<bool, RoomError> {
        Ok(self.power_levels(room).await?.can_redact_others(user))
    }
}

/// Who asks for redacted content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asker {
    /// An administrator of the server.
    Administrator,
    /// Somebody else, who must be a moderator of the room.
    Member,
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use protocol::{FixedClock, Pdu, SigningKey};
    use ruma::{OwnedEventId, RoomVersionId, owned_server_name};
    use serde_json::json;
    use store::Store;

    use super::*;
    use crate::testing::{ada, send, wish};
    use crate::{Message, Preset, Settings};

    async fn rooms(store: &Store, clock: &Arc<FixedClock>) -> Rooms {
        let key = SigningKey::from_seed([7; 32], "test".to_owned()).unwrap();
        let name = owned_server_name!("hearth.test");
        let settings =
            Settings { redacted_retention: Duration::from_mins(1), ..Settings::default() };
        Rooms::new(store.clone(), name, key, Arc::clone(clock) as _, settings)
    }

    async fn redact(rooms: &Rooms, room: &ruma::RoomId, event: &OwnedEventId) {
        let message = Message {
            sender: ada(),
            device_id: <&ruma::DeviceId>::from("PHONE"),
            transaction_id: "redact",
            kind: &"m.room.redaction".into(),
            content: &crate::create::raw(&json!({ "redacts": event })),
            redacts: Some(event),
        };
        rooms.send_message(room, message).await.unwrap();
    }

    #[tokio::test]
    async fn redacted_content_is_erased_when_it_was_kept_long_enough_even_after_a_restart() {
        for version in [RoomVersionId::V1, RoomVersionId::V10, RoomVersionId::V12] {
            let store = Store::in_memory().await;
            let clock = Arc::new(FixedClock::new(1_000));
            let before = rooms(&store, &clock).await;
            let room = before.create_room(ada(), wish(Preset::PublicChat, version)).await.unwrap();
            let content = json!({ "msgtype": "m.text", "body": "tea" });
            let event = send(&before, &room, ada(), "say", content).await.unwrap();
            redact(&before, &room, &event).await;
            let number = store.event_index(&event).await.unwrap().unwrap().number;
            let rules = before.rules_of(before.number_of(&room).await.unwrap()).await.unwrap();
            assert_eq!(before.erase_some_redacted().await.unwrap(), Rest::Nothing);
            assert!(store.event(number).await.unwrap().unwrap().1.contains("tea"));
            drop(before);

            clock.advance(Duration::from_secs(61));
            let after = rooms(&store, &clock).await;
            assert!(after.event(number).await.unwrap().pdu.content.get().contains("tea"));
            after.erase_some_redacted().await.unwrap();

            let (record, json) = store.event(number).await.unwrap().unwrap();
            assert!(!json.contains("tea"), "{json}");
            assert_eq!(record.event_id, event);
            let pdu = Pdu::from_json(&json, event.clone(), &rules).unwrap();
            assert_eq!(pdu.content.get(), "{}");
            assert_eq!(after.event(number).await.unwrap().pdu.content.get(), "{}");
            assert!(store.redacted_events(9).await.unwrap().is_empty());
        }
    }
}
