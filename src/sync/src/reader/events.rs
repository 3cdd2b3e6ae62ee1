//! Events and account data as a reader sees them.

use protocol::push;
use rooms::{EventShape, StoredEvent, Viewer};
use ruma::api::client::filter::EventFormat;
use ruma::api::client::sync::sync_events::v3::RoomAccountData;
use ruma::serde::Raw;
use ruma::{RoomId, UserId};
use serde_json::value::RawValue;
use store::{AccountData, EventNumber};

use super::{Reader, keep_last};
use crate::filter::EventFilter;
use crate::v2::SyncRequest;
use crate::{Sync, SyncError, ephemeral};

impl Reader<'_> {
    /// The account data of a room as events.
    pub(crate) fn room_account_data(
        &self,
        room_id: &RoomId,
        entries: &[AccountData],
    ) -> Result<RoomAccountData, SyncError> {
        let filter = EventFilter::new(&self.request.filter.room.account_data, room_id);
        let mut data = RoomAccountData::new();
        if !filter.covers_sender(self.request.user_id) {
            return Ok(data);
        }
        for entry in entries.iter().filter(|entry| filter.covers_kind(&entry.kind)) {
            data.events.push(ephemeral::event(&entry.kind, &entry.content)?);
        }
        keep_last(&mut data.events, filter.own_limit());
        Ok(data)
    }

    /// A state event of a room that the reader sees for the first time.
    pub(crate) async fn event_at_first_sight<T>(
        &self,
        number: EventNumber,
    ) -> Result<Raw<T>, SyncError> {
        let SyncRequest { user_id, device_id, filter, .. } = self.request;
        let rooms = &self.sync.0.rooms;
        if self.fields.is_some() || filter.event_format != EventFormat::Client {
            return self.event(&*rooms.event(number).await?).await;
        }
        let viewer = Viewer { user_id, device_id: Some(device_id) };
        let event = rooms.event_at_first_sight(viewer, number).await?;
        Ok(Raw::from_json((*event).to_owned()))
    }

    /// An event of a room as the reader sees it.
    pub(crate) async fn event<T>(&self, event: &StoredEvent) -> Result<Raw<T>, SyncError> {
        let SyncRequest { user_id, device_id, filter, .. } = self.request;
        let viewer = Viewer { user_id, device_id: Some(device_id) };
        let rooms = &self.sync.0.rooms;
        let event = match filter.event_format {
            EventFormat::Federation => rooms.federation_event(event).await?,
            _ => rooms.client_event(viewer, event, EventShape::InRoom).await?,
        };
        let event = match &self.fields {
            Some(fields) => fields.of(&event)?,
            None => event,
        };
        Ok(Raw::from_json(event))
    }
}

impl Sync {
    /// The content of an account's data; push rules with the server's rules of today.
    pub(crate) fn content_of(
        &self,
        entry: &AccountData,
        user: &UserId,
    ) -> Result<Box<RawValue>, serde_json::Error> {
        if entry.kind != push::PUSH_RULES {
            return Ok(entry.content.clone());
        }
        let legacy_mentions = self.0.rooms.settings().legacy_mentions;
        push::content_of(&push::rules_in(Some(&entry.content), user, legacy_mentions)?)
    }
}
