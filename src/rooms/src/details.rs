//! What administrators see of rooms.

mod list;

use protocol::redaction;
use ruma::events::StateEventType;
use ruma::{OwnedRoomId, RoomId, RoomVersionId};
use serde_json::{Map, Value};
use store::{
    Forgotten, Membership, Publication, RoomHead, RoomMember, RoomNumber, StateRoot, UserNumber,
};

pub use self::list::{RoomFilter, RoomOrder};
use crate::{RoomError, Rooms};

/// How many members are looked at at once.
const PAGE: usize = 500;

/// A room as an administrator sees it in a list.
#[derive(Debug, Clone)]
pub struct RoomDetails {
    /// Its ID.
    pub room_id: OwnedRoomId,
    /// Its version.
    pub version: RoomVersionId,
    /// How many users are in it.
    pub joined: u64,
    /// How many of them are of this server.
    pub joined_local: usize,
    /// Whether it is in the directory.
    pub publication: Publication,
    /// How many state events it has.
    pub state_events: u64,
    /// Who made it.
    pub creator: Option<String>,
    /// What its state says, by type; redacted as clients see it.
    pub state: RoomStateTexts,
}

/// What a room's state says that administrators look for.
#[derive(Debug, Clone, Default)]
pub struct RoomStateTexts {
    /// `m.room.name`.
    pub name: Option<String>,
    /// `m.room.canonical_alias`.
    pub canonical_alias: Option<String>,
    /// The algorithm of `m.room.encryption`.
    pub encryption: Option<String>,
    /// `m.room.join_rules`.
    pub join_rules: Option<String>,
    /// `m.room.guest_access`.
    pub guest_access: Option<String>,
    /// `m.room.history_visibility`.
    pub history_visibility: Option<String>,
    /// The type that `m.room.create` names.
    pub room_type: Option<String>,
    /// What `m.room.create` says of other servers.
    pub federatable: bool,
}

/// What only the page of one room shows.
#[derive(Debug, Clone)]
pub struct MoreRoomDetails {
    /// `m.room.topic`.
    pub topic: Option<String>,
    /// `m.room.avatar`.
    pub avatar: Option<String>,
    /// How many devices the members of this server have.
    pub joined_local_devices: usize,
    /// Whether all users of this server who ever had to do with it forgot it.
    pub forgotten: Forgotten,
    /// `m.room.tombstone`.
    pub tombstone: Option<Tombstone>,
}

/// The end of a room.
#[derive(Debug, Clone)]
pub struct Tombstone {
    /// Where people are sent, if it says so.
    pub replacement_room: Option<String>,
}

impl Rooms {
    /// A room. Fails with [`RoomError::UnknownRoom`].
    pub async fn room_details(
        &self,
        room_id: &RoomId,
    ) -> Result<(RoomDetails, MoreRoomDetails), RoomError> {
        let room = self.number_of(room_id).await?;
        let head = self.store().room_head(room).await?;
        let head = head.ok_or_else(|| RoomError::UnknownRoom(room_id.to_owned()))?;
        let details = self.details(room, &head).await?;
        let text = async |kind: &str, field: &str| {
            let content = self.content_at(room, head.state, &kind.into()).await?;
            Ok::<_, RoomError>(content.and_then(|content| text_in(&content, field)))
        };
        let tombstone = self.content_at(room, head.state, &"m.room.tombstone".into()).await?;
        let more = MoreRoomDetails {
            topic: text("m.room.topic", "topic").await?,
            avatar: text("m.room.avatar", "url").await?,
            joined_local_devices: self.local_devices(room).await?,
            forgotten: self.forgotten_by_all(room).await?,
            tombstone: tombstone.map(|content| Tombstone {
                replacement_room: text_in(&content, "replacement_room"),
            }),
        };
        Ok((details, more))
    }

    async fn details(&self, room: RoomNumber, head: &RoomHead) -> Result<RoomDetails, RoomError> {
        let room_id = self.store().room_id(room).await?;
        let room_id =
            room_id.ok_or_else(|| RoomError::Damaged(format!("room {room} has no id")))?;
        let create = self.state_at(room, head.state, &StateEventType::RoomCreate, "").await?;
        let creator = create.map(|event| event.pdu.sender.to_string());
        let content = async |kind: &str| self.content_at(room, head.state, &kind.into()).await;
        let text = async |kind: &str, field: &str| {
            Ok::<_, RoomError>(content(kind).await?.and_then(|content| text_in(&content, field)))
        };
        let create = content("m.room.create").await?.unwrap_or_default();
        let state = RoomStateTexts {
            name: text("m.room.name", "name").await?,
            canonical_alias: text("m.room.canonical_alias", "alias").await?,
            encryption: text("m.room.encryption", "algorithm").await?,
            join_rules: text("m.room.join_rules", "join_rule").await?,
            guest_access: text("m.room.guest_access", "guest_access").await?,
            history_visibility: text("m.room.history_visibility", "history_visibility").await?,
            room_type: text_in(&create, "type"),
            federatable: create.get("m.federate") != Some(&Value::Bool(false)),
        };
        Ok(RoomDetails {
            room_id,
            version: head.version.clone(),
            joined: head.joined,
            publication: head.publication,
            joined_local: self.local_members(room).await?,
            state_events: self.store().state_size(room, head.state).await?,
            creator,
            state,
        })
    }

    /// The content in a state of a type with an empty state key, redacted if it was.
    pub(crate) async fn content_at(
        &self,
        room: RoomNumber,
        root: StateRoot,
        kind: &StateEventType,
    ) -> Result<Option<Map<String, Value>>, RoomError> {
        let Some(event) = self.state_at(room, root, kind, "").await? else { return Ok(None) };
        if self.store().redaction(event.number).await?.is_none() {
            return Ok(event.pdu.content_as().ok());
        }
        let rules = self.rules_of(room).await?;
        let redacted = redaction::redacted(&event.pdu, &rules)
            .map_err(|error| RoomError::Damaged(error.to_string()))?;
        Ok(redacted.content_as().ok())
    }

    /// How many members of a room are of this server.
    pub(crate) async fn local_members(&self, room: RoomNumber) -> Result<usize, RoomError> {
        let mut count = 0;
        let mut last = None;
        while let Some(members) = self.next_members(room, Membership::Join, &mut last).await? {
            for member in members {
                count += usize::from(self.store().user(member).await?.is_some());
            }
        }
        Ok(count)
    }

    async fn local_devices(&self, room: RoomNumber) -> Result<usize, RoomError> {
        let mut count = 0;
        let mut last = None;
        while let Some(members) = self.next_members(room, Membership::Join, &mut last).await? {
            for member in members {
                count += self.store().devices(member).await?.len();
            }
        }
        Ok(count)
    }

    async fn forgotten_by_all(&self, room: RoomNumber) -> Result<Forgotten, RoomError> {
        for membership in Membership::ALL {
            let mut last = None;
            while let Some(members) = self.next_members(room, membership, &mut last).await? {
                for member in members {
                    let known = self.store().membership(member, room).await?;
                    if self.store().user(member).await?.is_some()
                        && known.is_some_and(|known| known.forgotten == Forgotten::No)
                    {
                        return Ok(Forgotten::No);
                    }
                }
            }
        }
        Ok(Forgotten::Yes)
    }

    /// The next members after `last`, which moves on; `None` after the last of all.
    async fn next_members(
        &self,
        room: RoomNumber,
        membership: Membership,
        last: &mut Option<RoomMember>,
    ) -> Result<Option<Vec<UserNumber>>, RoomError> {
        let members = self.store().room_members(room, membership, *last, PAGE).await?;
        let Some(member) = members.last() else { return Ok(None) };
        *last = Some(*member);
        Ok(Some(members.into_iter().map(|member| member.user).collect()))
    }
}

fn text_in(content: &Map<String, Value>, field: &str) -> Option<String> {
    content.get(field).and_then(Value::as_str).map(ToOwned::to_owned)
}
