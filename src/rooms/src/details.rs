//! What administrators see of rooms.

use std::cmp::Reverse;

use protocol::redaction;
use ruma::events::StateEventType;
use ruma::{OwnedRoomId, RoomId, RoomVersionId};
use serde_json::{Map, Value};
use store::{Direction, Forgotten, Membership, Publication, RoomHead, RoomNumber, StateRoot};

use crate::{Excerpt, RoomError, Rooms};

/// How many rooms or members are looked at at once.
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

/// In what order rooms are listed. Those that are equal in it stand in the order in which they were first seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RoomOrder {
    /// By name; those without first.
    #[default]
    Name,
    /// By canonical alias; those without first.
    CanonicalAlias,
    /// The largest first.
    JoinedMembers,
    /// Those with the most members of this server first.
    JoinedLocalMembers,
    /// The highest version, as text, first.
    Version,
    /// By creator.
    Creator,
    /// By the algorithm of encryption.
    Encryption,
    /// Those of this server alone first.
    Federatable,
    /// Those that are not in the room directory first.
    Public,
    /// By join rule.
    JoinRules,
    /// By what guests may do.
    GuestAccess,
    /// By who sees their history.
    HistoryVisibility,
    /// Those with the most state first.
    StateEvents,
}

/// What a room is sorted by.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum SortKey {
    Text(Option<String>),
    ReversedText(Reverse<String>),
    Count(Reverse<u64>),
    Flag(bool),
}

/// Which rooms are asked for.
#[derive(Debug, Clone, Default)]
pub struct RoomFilter {
    /// A part of the name or the alias, in any case, or of the ID.
    pub search: Option<String>,
    /// Whether nobody is in them.
    pub empty: Option<bool>,
    /// Whether they are in the room directory.
    pub publication: Option<Publication>,
}

impl Rooms {
    /// At most `limit` rooms that `filter` covers, after the first `from` of them. Looks at all rooms, some at a time:
    /// at their heads and at the state that the order and the search ask for.
    pub async fn room_list(
        &self,
        filter: &RoomFilter,
        (order, direction): (RoomOrder, Direction),
        (from, limit): (usize, usize),
    ) -> Result<Excerpt<RoomDetails>, RoomError> {
        let mut found = Vec::new();
        let mut last = None;
        loop {
            let page = self.store().room_heads(last, PAGE).await?;
            last = page.last().map(|(room, _)| *room);
            let is_last = page.len() < PAGE;
            for (room, head) in page {
                if self.covers(filter, room, &head).await? {
                    found.push((self.sort_key(order, room, &head).await?, room));
                }
            }
            if is_last {
                break;
            }
        }
        match direction {
            Direction::Ascending => found.sort_by(|one, other| one.0.cmp(&other.0)),
            Direction::Descending => found.sort_by(|one, other| other.0.cmp(&one.0)),
        }
        let total = found.len();
        let mut entries = Vec::new();
        for (_, room) in found.into_iter().skip(from).take(limit) {
            if let Some(head) = self.store().room_head(room).await? {
                entries.push(self.details(room, &head).await?);
            }
        }
        Ok(Excerpt { entries, total })
    }

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

    async fn covers(
        &self,
        filter: &RoomFilter,
        room: RoomNumber,
        head: &RoomHead,
    ) -> Result<bool, RoomError> {
        if filter.empty.is_some_and(|empty| empty != (head.joined == 0))
            || filter.publication.is_some_and(|publication| publication != head.publication)
        {
            return Ok(false);
        }
        let Some(part) = &filter.search else { return Ok(true) };
        let room_id = self.store().room_id(room).await?;
        if room_id.is_some_and(|room_id| room_id.as_str().contains(part)) {
            return Ok(true);
        }
        let part = part.to_lowercase();
        let name = self.text_at(room, head, RoomOrder::Name).await?;
        let alias = self.text_at(room, head, RoomOrder::CanonicalAlias).await?;
        let alias = alias.as_deref().and_then(|alias| alias.split(':').next()).unwrap_or_default();
        Ok(name.is_some_and(|name| name.to_lowercase().contains(&part))
            || alias.to_lowercase().contains(&part))
    }

    async fn sort_key(
        &self,
        order: RoomOrder,
        room: RoomNumber,
        head: &RoomHead,
    ) -> Result<SortKey, RoomError> {
        let create = StateEventType::RoomCreate;
        Ok(match order {
            RoomOrder::JoinedMembers => SortKey::Count(Reverse(head.joined)),
            RoomOrder::JoinedLocalMembers => {
                SortKey::Count(Reverse(self.local_members(room).await? as u64))
            }
            RoomOrder::StateEvents => {
                SortKey::Count(Reverse(self.store().state_size(room, head.state).await?))
            }
            RoomOrder::Public => SortKey::Flag(head.publication == Publication::Published),
            RoomOrder::Version => SortKey::ReversedText(Reverse(head.version.to_string())),
            RoomOrder::Creator => {
                let create = self.state_at(room, head.state, &create, "").await?;
                SortKey::Text(create.map(|event| event.pdu.sender.to_string()))
            }
            RoomOrder::Federatable => {
                let content = self.content_at(room, head.state, &create).await?.unwrap_or_default();
                SortKey::Flag(content.get("m.federate") != Some(&Value::Bool(false)))
            }
            RoomOrder::Name
            | RoomOrder::CanonicalAlias
            | RoomOrder::Encryption
            | RoomOrder::JoinRules
            | RoomOrder::GuestAccess
            | RoomOrder::HistoryVisibility => {
                let text = self.text_at(room, head, order).await?;
                SortKey::Text(text.map(|text| text.to_lowercase()))
            }
        })
    }

    /// The text in a room's state that an order is by.
    async fn text_at(
        &self,
        room: RoomNumber,
        head: &RoomHead,
        order: RoomOrder,
    ) -> Result<Option<String>, RoomError> {
        let (kind, field) = match order {
            RoomOrder::CanonicalAlias => ("m.room.canonical_alias", "alias"),
            RoomOrder::Encryption => ("m.room.encryption", "algorithm"),
            RoomOrder::JoinRules => ("m.room.join_rules", "join_rule"),
            RoomOrder::GuestAccess => ("m.room.guest_access", "guest_access"),
            RoomOrder::HistoryVisibility => ("m.room.history_visibility", "history_visibility"),
            _ => ("m.room.name", "name"),
        };
        let content = self.content_at(room, head.state, &kind.into()).await?;
        Ok(content.and_then(|content| text_in(&content, field)))
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
    async fn local_members(&self, room: RoomNumber) -> Result<usize, RoomError> {
        let mut count = 0;
        let mut last = None;
        loop {
            let members = self.store().room_members(room, Membership::Join, last, PAGE).await?;
            let Some(member) = members.last() else { return Ok(count) };
            last = Some(*member);
            for member in &members {
                count += usize::from(self.store().user(*member).await?.is_some());
            }
        }
    }

    async fn local_devices(&self, room: RoomNumber) -> Result<usize, RoomError> {
        let mut count = 0;
        let mut last = None;
        loop {
            let members = self.store().room_members(room, Membership::Join, last, PAGE).await?;
            let Some(member) = members.last() else { return Ok(count) };
            last = Some(*member);
            for member in &members {
                count += self.store().devices(*member).await?.len();
            }
        }
    }

    async fn forgotten_by_all(&self, room: RoomNumber) -> Result<Forgotten, RoomError> {
        let there = [Membership::Join, Membership::Invite, Membership::Knock];
        for membership in there.into_iter().chain([Membership::Leave, Membership::Ban]) {
            let mut last = None;
            loop {
                let members = self.store().room_members(room, membership, last, PAGE).await?;
                let Some(member) = members.last() else { break };
                last = Some(*member);
                for member in &members {
                    let known = self.store().membership(*member, room).await?;
                    if self.store().user(*member).await?.is_some()
                        && known.is_some_and(|known| known.forgotten == Forgotten::No)
                    {
                        return Ok(Forgotten::No);
                    }
                }
            }
        }
        Ok(Forgotten::Yes)
    }
}

fn text_in(content: &Map<String, Value>, field: &str) -> Option<String> {
    content.get(field).and_then(Value::as_str).map(ToOwned::to_owned)
}
