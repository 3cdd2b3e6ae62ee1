//! Messages to the reader's device. Spec: client-server API, "Send-to-Device messaging".

use quick_cache::sync::Cache;
use ruma::events::AnyToDeviceEvent;
use ruma::serde::Raw;
use ruma::{DeviceId, OwnedDeviceId};
use serde::Serialize;
use serde_json::value::RawValue;
use store::{Batch, LoggedIn, StreamPosition, ToDeviceMessage, UserNumber};

use crate::{Sync, SyncError};

/// How many messages come at once, as the specification recommends.
pub(crate) const MOST_MESSAGES: usize = 100;

/// Of how many devices it is remembered up to where they have their messages.
const DEVICES: usize = 100_000;

/// Up to where devices have their messages, and nothing is kept for them any more.
#[derive(Debug)]
pub(crate) struct Received(Cache<(UserNumber, OwnedDeviceId), StreamPosition>);

impl Received {
    pub(crate) fn new() -> Self {
        Self(Cache::new(DEVICES))
    }
}

/// Messages, and where to go on from.
#[derive(Debug)]
pub(crate) struct Messages {
    pub(crate) events: Vec<Raw<AnyToDeviceEvent>>,
    /// The position up to which these are all.
    pub(crate) next: StreamPosition,
}

impl Sync {
    /// At most `limit` messages to a device after `since`, up to `until`, the oldest first. Those up to `since` have
    /// arrived, and are forgotten.
    pub(crate) async fn messages_to(
        &self,
        (user, device_id): (UserNumber, &DeviceId),
        since: StreamPosition,
        until: StreamPosition,
        limit: usize,
    ) -> Result<Messages, SyncError> {
        // A client of sliding sync may say that it has what is yet to come.
        let since = since.min(until);
        let last = self.0.feed.heads.user(user).to_device;
        let key = (user, device_id.to_owned());
        let received = self.0.received.0.get(&key).unwrap_or(StreamPosition::START);
        let none = Messages { events: Vec::new(), next: until };
        if since >= last && received >= last {
            return Ok(none);
        }
        let store = self.0.rooms.store();
        let Some(device) = store.device(user, device_id).await? else { return Ok(none) };
        let device = LoggedIn { user, device_id, created_at: device.created_at };
        if received < since.min(last) {
            self.forget(device, since).await?;
            self.0.received.0.insert(key, since);
        }
        let waiting = store.to_device_messages(device, since, until, limit).await?;
        let is_cut = waiting.len() >= limit;
        let next = waiting.last().filter(|_| is_cut).map_or(until, |last| last.position);
        let events = waiting.iter().map(|waiting| event(&waiting.message));
        Ok(Messages { events: events.collect::<Result<_, _>>()?, next })
    }

    async fn forget(&self, device: LoggedIn<'_>, until: StreamPosition) -> Result<(), SyncError> {
        let store = self.0.rooms.store();
        loop {
            let start = StreamPosition::START;
            let arrived = store.to_device_messages(device, start, until, MOST_MESSAGES).await?;
            if arrived.is_empty() {
                return Ok(());
            }
            let mut batch = Batch::new();
            for message in arrived {
                batch.remove_to_device(device, message.position);
            }
            store.commit(batch).await?;
        }
    }
}

fn event(message: &ToDeviceMessage) -> Result<Raw<AnyToDeviceEvent>, serde_json::Error> {
    #[derive(Serialize)]
    struct Event<'a> {
        sender: &'a str,
        #[serde(rename = "type")]
        kind: &'a str,
        content: &'a RawValue,
    }
    let content: &RawValue = serde_json::from_str(&message.content)?;
    let event = Event { sender: message.sender.as_str(), kind: &message.kind, content };
    Ok(Raw::from_json(serde_json::value::to_raw_value(&event)?))
}
