//! Lists of rooms for administrators, searched and in order.

use std::cmp::Reverse;

use ruma::events::StateEventType;
use serde_json::Value;
use store::{Direction, Publication, RoomHead, RoomNumber};

use super::{RoomDetails, text_in};
use crate::{Excerpt, RoomError, Rooms};

/// How many rooms are looked at at once.
const PAGE: usize = 500;

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
}
