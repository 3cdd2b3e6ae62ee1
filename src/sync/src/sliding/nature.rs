//! What kind of room a room is, as far as lists ask. Spec: MSC4186, `SlidingRoomFilter`.

use std::sync::Arc;

use protocol::Pdu;
use quick_cache::sync::Cache;
use rooms::{RoomError, Rooms};
use ruma::events::StateEventType;
use ruma::room::RoomType;
use serde::Deserialize;
use store::{RoomNumber, StateRoot, StreamPosition};

/// How many rooms are remembered.
const KEPT: usize = 100_000;

/// What kind of room a room is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Nature {
    pub(crate) room_type: Option<RoomType>,
    pub(crate) is_encrypted: bool,
    /// In lower case; empty where there is none.
    pub(crate) name: String,
}

#[derive(Debug, Clone)]
struct Known {
    as_of: StreamPosition,
    root: StateRoot,
    nature: Arc<Nature>,
}

/// What was last known of rooms.
#[derive(Debug)]
pub(crate) struct Natures(Cache<RoomNumber, Known>);

impl Natures {
    pub(crate) fn new() -> Self {
        Self(Cache::new(KEPT))
    }

    /// That of a room as it is now, whose timeline last changed at `changed`.
    pub(crate) async fn of(
        &self,
        rooms: &Rooms,
        room: RoomNumber,
        changed: StreamPosition,
    ) -> Result<Arc<Nature>, RoomError> {
        let known = self.0.get(&room);
        if let Some(known) = known.as_ref().filter(|known| changed <= known.as_of) {
            return Ok(Arc::clone(&known.nature));
        }
        let as_of = rooms.store().position();
        let root = rooms.current_state(room).await?;
        let nature = match known.filter(|known| known.root == root) {
            Some(known) => known.nature,
            None => Arc::new(Nature::at(rooms, room, root).await?),
        };
        self.0.insert(room, Known { as_of, root, nature: Arc::clone(&nature) });
        Ok(nature)
    }
}

impl Nature {
    /// That of a room in one of its states.
    pub(crate) async fn at(
        rooms: &Rooms,
        room: RoomNumber,
        root: StateRoot,
    ) -> Result<Self, RoomError> {
        #[derive(Deserialize)]
        struct Content {
            #[serde(rename = "type")]
            room_type: Option<RoomType>,
        }
        let create = rooms.state_at(room, root, &StateEventType::RoomCreate, "").await?;
        let content = create.and_then(|event| event.pdu.content_as::<Content>().ok());
        let encryption = rooms.state_at(room, root, &StateEventType::RoomEncryption, "").await?;
        let name = rooms.state_at(room, root, &StateEventType::RoomName, "").await?;
        let name = name.and_then(|event| text_in(&event.pdu, Field::Name));
        Ok(Self {
            room_type: content.and_then(|content| content.room_type),
            is_encrypted: encryption.is_some(),
            name: name.unwrap_or_default().to_lowercase(),
        })
    }
}

/// A field of a state event that a client is told apart from the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field {
    /// Of `m.room.name`.
    Name,
    /// Of `m.room.avatar`.
    Url,
    /// Of `m.room.member`.
    DisplayName,
    /// Of `m.room.member`.
    AvatarUrl,
}

/// What a field says; `None` when it is not there, is no text or is empty.
pub(crate) fn text_in(event: &Pdu, field: Field) -> Option<String> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Content {
        name: serde_json::Value,
        url: serde_json::Value,
        displayname: serde_json::Value,
        avatar_url: serde_json::Value,
    }
    let content = event.content_as::<Content>().ok()?;
    let value = match field {
        Field::Name => content.name,
        Field::Url => content.url,
        Field::DisplayName => content.displayname,
        Field::AvatarUrl => content.avatar_url,
    };
    value.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}
