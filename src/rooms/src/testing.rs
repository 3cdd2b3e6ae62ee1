//! What the tests of this crate share.

use std::sync::Arc;

use protocol::{FixedClock, SigningKey};
use ruma::events::TimelineEventType;
use ruma::{
    DeviceId, OwnedEventId, OwnedRoomId, RoomVersionId, UserId, owned_server_name, user_id,
};
use serde_json::{Map, Value, json};
use store::{Batch, Publication, Restrictions, Role, Store, UserKind, UserRecord, UserStatus};

use crate::create::raw;
use crate::{
    CreateRoom, Invitation, MembershipChange, Message, Preset, RoomError, Rooms, Settings,
};

pub(crate) fn ada() -> &'static UserId {
    user_id!("@ada:hearth.test")
}

pub(crate) fn bo() -> &'static UserId {
    user_id!("@bo:hearth.test")
}

pub(crate) async fn rooms_on_memory_store() -> Rooms {
    let key = SigningKey::from_seed([7; 32], "test".to_owned()).unwrap();
    let clock = Arc::new(FixedClock::new(1_000));
    let name = owned_server_name!("hearth.test");
    Rooms::new(Store::in_memory().await, name, key, clock, Settings::default())
}

pub(crate) fn wish(preset: Preset, version: RoomVersionId) -> CreateRoom {
    CreateRoom {
        version: Some(version),
        creation_content: Map::new(),
        preset,
        initial_state: Vec::new(),
        name: Some("Kitchen".to_owned()),
        topic: None,
        alias: None,
        invite: Vec::new(),
        invite_third_party: Vec::new(),
        invitation: Invitation::Ordinary,
        power_levels: Map::new(),
        publication: Publication::Private,
    }
}

/// A public room of version 12 that Ada made.
pub(crate) async fn public_room(rooms: &Rooms) -> OwnedRoomId {
    rooms.create_room(ada(), wish(Preset::PublicChat, RoomVersionId::V12)).await.unwrap()
}

pub(crate) async fn send(
    rooms: &Rooms,
    room: &OwnedRoomId,
    sender: &UserId,
    transaction_id: &str,
    content: Value,
) -> Result<OwnedEventId, RoomError> {
    let message = Message {
        sender,
        device_id: <&DeviceId>::from("PHONE"),
        transaction_id,
        kind: &TimelineEventType::RoomMessage,
        content: &raw(&content),
        redacts: None,
    };
    rooms.send_message(room, message).await
}

pub(crate) async fn say(rooms: &Rooms, room: &OwnedRoomId, body: &str) -> OwnedEventId {
    let content = json!({ "msgtype": "m.text", "body": body });
    send(rooms, room, ada(), body, content).await.unwrap()
}

pub(crate) async fn join(
    rooms: &Rooms,
    room: &OwnedRoomId,
    user: &UserId,
) -> Result<(), RoomError> {
    rooms.change_membership(room, user, user, MembershipChange::Join, None).await
}

/// Makes an account for a user.
pub(crate) async fn registered(rooms: &Rooms, user: &UserId, kind: UserKind) {
    let record = UserRecord {
        password_hash: None,
        role: Role::User,
        kind,
        status: UserStatus::Active,
        restrictions: Restrictions::default(),
        created_at: rooms.clock().now(),
    };
    let number = rooms.store().number_user(user).await.unwrap();
    let mut batch = Batch::new();
    batch.create_user(number, &record).unwrap();
    rooms.store().commit(batch).await.unwrap();
}
