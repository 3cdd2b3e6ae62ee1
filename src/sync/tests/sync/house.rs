//! What the tests share: a server with rooms, and users who read them.

use std::sync::Arc;
use std::time::Duration;

use protocol::{FixedClock, SigningKey};
use rooms::presence::PresenceState;
use rooms::{CreateRoom, Invitation, MembershipChange, Message, Preset, Rooms, Settings};
use ruma::api::client::filter::FilterDefinition;
use ruma::api::client::sync::sync_events::v3::{JoinedRoom, Response};
use ruma::events::{StateEventType, TimelineEventType};
use ruma::{
    DeviceId, EventId, OwnedEventId, OwnedRoomId, RoomId, UserId, owned_server_name, user_id,
};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value, json};
use store::Store;
use sync::{DeviceMessages, Epoch, Extent, Place, Sync, SyncError, SyncRequest};

pub(crate) fn ada() -> &'static UserId {
    user_id!("@ada:hearth.test")
}

pub(crate) fn bo() -> &'static UserId {
    user_id!("@bo:hearth.test")
}

/// Rooms and who reads them.
pub(crate) struct House {
    pub(crate) rooms: Rooms,
    pub(crate) sync: Sync,
    clock: Arc<FixedClock>,
    waking: tokio::task::JoinHandle<()>,
}

impl Drop for House {
    fn drop(&mut self) {
        self.waking.abort();
    }
}

pub(crate) fn raw(value: &Value) -> Box<RawValue> {
    to_raw_value(value).unwrap()
}

/// What one asks for, beside the defaults: everything that changed, at once.
#[derive(Clone)]
pub(crate) struct Wish {
    pub(crate) since: Option<String>,
    pub(crate) filter: FilterDefinition,
    pub(crate) timeout: Duration,
    pub(crate) whole: bool,
    /// Whether the state is wanted after the timeline.
    pub(crate) after: bool,
    pub(crate) device: String,
}

impl Default for Wish {
    fn default() -> Self {
        Self {
            since: None,
            filter: FilterDefinition::default(),
            timeout: Duration::ZERO,
            whole: false,
            after: false,
            device: "PHONE".to_owned(),
        }
    }
}

impl Wish {
    pub(crate) fn since(response: &Response) -> Self {
        Self { since: Some(response.next_batch.clone()), ..Self::default() }
    }

    pub(crate) fn filter(self, filter: &Value) -> Self {
        let filter = serde_json::from_value(filter.clone()).unwrap();
        Self { filter, ..self }
    }

    pub(crate) fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }
}

impl House {
    pub(crate) async fn new() -> Self {
        Self::on(Store::in_memory().await, Epoch(1))
    }

    pub(crate) fn on(store: Store, epoch: Epoch) -> Self {
        Self::with(store, epoch, Settings::default())
    }

    pub(crate) fn with(store: Store, epoch: Epoch, settings: Settings) -> Self {
        let key = SigningKey::from_seed([7; 32], "test".to_owned()).unwrap();
        let clock = Arc::new(FixedClock::new(1_000));
        let name = owned_server_name!("hearth.test");
        let rooms = Rooms::new(store, name, key, Arc::clone(&clock) as _, settings);
        let sync = Sync::new(rooms.clone(), epoch);
        let waker = sync.clone();
        let waking = tokio::spawn(async move { waker.run().await });
        Self { rooms, sync, clock, waking }
    }

    /// A public room of Ada's.
    pub(crate) async fn room(&self) -> OwnedRoomId {
        self.rooms.create_room(ada(), self.wish()).await.unwrap()
    }

    /// What a public room is made of.
    pub(crate) fn wish(&self) -> CreateRoom {
        // Two rooms that are made alike at one time would be the same room.
        self.clock.advance(Duration::from_millis(1));
        CreateRoom {
            version: None,
            creation_content: Map::new(),
            preset: Preset::PublicChat,
            initial_state: Vec::new(),
            name: Some("Kitchen".to_owned()),
            topic: None,
            alias: None,
            invite: Vec::new(),
            invite_third_party: Vec::new(),
            invitation: Invitation::Ordinary,
            power_levels: Map::new(),
            publication: store::Publication::Private,
        }
    }

    /// A public room of Ada's that Bo is in.
    pub(crate) async fn shared_room(&self) -> OwnedRoomId {
        let room = self.room().await;
        self.change(&room, bo(), MembershipChange::Join).await;
        room
    }

    pub(crate) async fn change(&self, room: &RoomId, user: &UserId, change: MembershipChange) {
        self.rooms.change_membership(room, user, user, change, None).await.unwrap();
    }

    pub(crate) async fn say(&self, room: &RoomId, user: &UserId, body: &str) -> OwnedEventId {
        self.send(room, user, &json!({ "msgtype": "m.text", "body": body })).await
    }

    pub(crate) async fn send(&self, room: &RoomId, user: &UserId, content: &Value) -> OwnedEventId {
        let message = Message {
            sender: user,
            device_id: <&DeviceId>::from("PHONE"),
            transaction_id: &content.to_string(),
            kind: &TimelineEventType::RoomMessage,
            content: &raw(content),
            redacts: None,
        };
        self.rooms.send_message(room, message).await.unwrap()
    }

    pub(crate) async fn redact(
        &self,
        room: &RoomId,
        user: &UserId,
        event: &EventId,
    ) -> OwnedEventId {
        let message = Message {
            sender: user,
            device_id: <&DeviceId>::from("PHONE"),
            transaction_id: &format!("redact {event} at {}", self.rooms.store().position()),
            kind: &TimelineEventType::RoomRedaction,
            content: &raw(&json!({})),
            redacts: Some(event),
        };
        self.rooms.send_message(room, message).await.unwrap()
    }

    pub(crate) async fn set_topic(&self, room: &RoomId, topic: &str) -> OwnedEventId {
        let (kind, content) = (StateEventType::RoomTopic, raw(&json!({ "topic": topic })));
        self.rooms.set_state(room, ada(), &kind, "", content).await.unwrap()
    }

    pub(crate) async fn try_sync(&self, user: &UserId, wish: Wish) -> Result<Response, SyncError> {
        let request = SyncRequest {
            user_id: user,
            device_id: <&DeviceId>::from(wish.device.as_str()),
            filter: &wish.filter,
            since: wish.since.map(|since| since.parse().unwrap()),
            state: if wish.whole { Extent::Whole } else { Extent::Changes },
            place: if wish.after { Place::AfterTimeline } else { Place::BeforeTimeline },
            device_messages: DeviceMessages::Told,
            presence: PresenceState::Offline,
            timeout: wish.timeout,
        };
        self.sync.answer(request).await
    }

    pub(crate) async fn sync(&self, user: &UserId, wish: Wish) -> Response {
        self.try_sync(user, wish).await.unwrap()
    }
}

/// The IDs of a timeline's events.
pub(crate) fn timeline(room: &JoinedRoom) -> Vec<OwnedEventId> {
    let events = room.timeline.events.iter();
    events.map(|event| event.get_field("event_id").unwrap().unwrap()).collect()
}

/// A joined room's state, as types and state keys, in order.
pub(crate) fn state(room: &JoinedRoom) -> Vec<(String, String)> {
    let json = serde_json::to_value(room).unwrap();
    let events = json["state"]["events"].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut keys: Vec<_> =
        events.iter().map(|event| (text(&event["type"]), text(&event["state_key"]))).collect();
    keys.sort();
    keys
}
