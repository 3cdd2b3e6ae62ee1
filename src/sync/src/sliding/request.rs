//! What a client of simplified sliding sync asks for. Spec: MSC4186, "Request Body".

use std::collections::BTreeMap;
use std::time::Duration;

use rooms::presence::PresenceState;
use ruma::api::client::sync::sync_events::v5::request::Extensions;
use ruma::{DeviceId, OwnedRoomId, UserId};
use serde::Deserialize;

use super::filters::ListFilters;
use super::required_state::RequiredState;
use super::token::SlidingToken;
use super::{MOST_EVENTS, MOST_LISTS, SlidingError};

/// The longest name of a list or a connection, in bytes.
const LONGEST_NAME: usize = 64;

/// A request for the rooms a client shows.
#[derive(Debug, Clone, Copy)]
pub struct SlidingRequest<'a> {
    /// Who asks.
    pub user_id: &'a UserId,
    /// From which device.
    pub device_id: &'a DeviceId,
    /// What they want to see.
    pub wanted: &'a Wanted,
    /// What they have seen; `None`: nothing.
    pub since: Option<SlidingToken>,
    /// How present asking makes them.
    pub presence: PresenceState,
    /// How long to wait for something new.
    pub timeout: Duration,
}

/// What a client wants to see.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Wanted {
    /// Tells the connections of a device apart.
    pub(crate) conn_id: Option<String>,
    /// Rooms by their place in a list.
    #[serde(default)]
    pub(crate) lists: BTreeMap<String, List>,
    /// Rooms by their ID.
    #[serde(default)]
    pub(crate) room_subscriptions: BTreeMap<OwnedRoomId, RoomConfig>,
    /// What else there is to know.
    #[serde(default)]
    pub(crate) extensions: Extensions,
}

/// Rooms by their place in a list.
#[derive(Debug, Clone, Deserialize)]
pub struct List {
    #[serde(flatten)]
    pub(crate) config: RoomConfig,
    /// From and to, both included; `None`: all.
    pub(crate) ranges: Option<Vec<(u64, u64)>>,
    #[serde(default)]
    pub(crate) slow_get_all_rooms: bool,
    #[serde(default)]
    pub(crate) filters: Option<ListFilters>,
}

/// How much of a room is wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct RoomConfig {
    #[serde(default)]
    pub(crate) required_state: RequiredState,
    pub(crate) timeline_limit: usize,
}

impl List {
    /// Whether the room at a place of the list is wanted.
    pub(crate) fn covers(&self, place: usize) -> bool {
        match &self.ranges {
            Some(ranges) if !self.slow_get_all_rooms => {
                ranges.iter().any(|(first, last)| (*first..=*last).contains(&(place as u64)))
            }
            _ => true,
        }
    }
}

impl Wanted {
    /// Whether no rooms are wanted, only extensions that need none.
    pub(crate) fn has_no_rooms(&self) -> bool {
        self.lists.is_empty() && self.room_subscriptions.is_empty()
    }

    /// Fails for what is beyond the limits.
    pub(crate) fn check(&self) -> Result<(), SlidingError> {
        if self.lists.len() > MOST_LISTS {
            return Err(SlidingError::TooManyLists);
        }
        if self.lists.keys().chain(&self.conn_id).any(|name| name.len() > LONGEST_NAME) {
            return Err(SlidingError::NameTooLong);
        }
        let configs = self.lists.values().map(|list| &list.config);
        if configs
            .chain(self.room_subscriptions.values())
            .any(|config| config.timeline_limit > MOST_EVENTS)
        {
            return Err(SlidingError::TooManyEvents);
        }
        Ok(())
    }
}
