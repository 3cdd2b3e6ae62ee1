//! What a client of simplified sliding sync is told. Spec: MSC4186, "Response Body", under the names that clients use.

use std::collections::BTreeMap;

use ruma::api::client::sync::sync_events::v5::response::Extensions;
use ruma::events::{AnyStrippedStateEvent, AnySyncStateEvent, AnySyncTimelineEvent};
use ruma::serde::Raw;
use ruma::{OwnedRoomId, OwnedUserId};
use serde::Serialize;

use super::token::SlidingToken;

/// What is new for a client.
#[derive(Debug, Clone)]
pub struct SlidingAnswer {
    /// What it has seen with this answer.
    pub next: SlidingToken,
    /// Its lists.
    pub lists: BTreeMap<String, ListAnswer>,
    /// The rooms in which something is new.
    pub rooms: BTreeMap<OwnedRoomId, RoomAnswer>,
    /// What else is new.
    pub extensions: Extensions,
}

/// What is said of a list.
#[derive(Debug, Clone, Serialize)]
pub struct ListAnswer {
    /// How many rooms it has.
    pub count: usize,
}

/// What is new in a room.
#[derive(Debug, Clone, Default, Serialize)]
pub struct RoomAnswer {
    /// Its name; `Some(None)`: it has none any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Option<String>>,
    /// Its picture; `Some(None)`: it has none any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub avatar: Option<Option<String>>,
    /// Who names it if nothing else does.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub heroes: Vec<Hero>,
    /// Whether it is meant for direct messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_dm: Option<bool>,
    /// Whether this is everything, and what the client had before means nothing.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub initial: bool,
    /// Whether the timeline has events that are older than what the client has.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub expanded_timeline: bool,
    /// The same under the name that it had first.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub unstable_expanded_timeline: bool,
    /// The state that changed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub required_state: Vec<Raw<AnySyncStateEvent>>,
    /// The latest events.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub timeline: Vec<Raw<AnySyncTimelineEvent>>,
    /// What the room is, to who is invited or has knocked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub invite_state: Vec<Raw<AnyStrippedStateEvent>>,
    /// Where to read on backwards.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prev_batch: Option<String>,
    /// Whether there are more events before those of the timeline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limited: Option<bool>,
    /// How many of the latest events came since the last answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub num_live: Option<usize>,
    /// How many users are in the room.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub joined_count: Option<u64>,
    /// How many are invited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invited_count: Option<u64>,
    /// How many unread events notify.
    pub notification_count: u64,
    /// How many of them stand out.
    pub highlight_count: u64,
    /// Orders rooms by activity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bump_stamp: Option<u64>,
    /// What the reader is in the room.
    pub membership: &'static str,
    /// The lists in which it is.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lists: Vec<String>,
}

/// A member who names a room.
#[derive(Debug, Clone, Serialize)]
pub struct Hero {
    /// Their ID.
    pub user_id: OwnedUserId,
    /// What they call themselves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub displayname: Option<String>,
    /// Their picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub avatar_url: Option<String>,
}
