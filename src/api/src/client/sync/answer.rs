//! The answer of `/sync` as clients expect it: `limited` is always said, which ruma leaves out when it is false.

use std::collections::BTreeMap;

use ruma::api::client::sync::sync_events::v3::{
    self, Ephemeral, GlobalAccountData, InvitedRoom, KnockedRoom, Presence, Request, Response,
    RoomAccountData, RoomSummary, State, StateEvents, ToDevice,
};
use ruma::api::client::sync::sync_events::{DeviceLists, UnreadNotificationsCount};
use ruma::api::error::DeserializationError;
use ruma::api::{IncomingRequest, response};
use ruma::events::AnySyncTimelineEvent;
use ruma::serde::Raw;
use ruma::{OneTimeKeyAlgorithm, OwnedEventId, OwnedRoomId, UInt};
use serde::Serialize;

use crate::stand_in::stand_in;

/// [`Request`], answered with [`SyncAnswer`].
pub(super) struct SyncQuestion(pub(super) Request);

stand_in!(SyncQuestion, Request);

impl IncomingRequest for SyncQuestion {
    type EndpointError = <Request as IncomingRequest>::EndpointError;
    type OutgoingResponse = SyncAnswer;

    fn try_from_http_request_inner(
        request: http::Request<&[u8]>,
        path_args: &[&str],
    ) -> Result<Self, DeserializationError> {
        Request::try_from_http_request_inner(request, path_args).map(Self)
    }
}

/// What [`Response`] says.
#[response]
pub(super) struct SyncAnswer {
    next_batch: String,
    #[serde(skip_serializing_if = "Rooms::is_empty")]
    rooms: Rooms,
    #[serde(skip_serializing_if = "Presence::is_empty")]
    presence: Presence,
    #[serde(skip_serializing_if = "GlobalAccountData::is_empty")]
    account_data: GlobalAccountData,
    #[serde(skip_serializing_if = "ToDevice::is_empty")]
    to_device: ToDevice,
    #[serde(skip_serializing_if = "DeviceLists::is_empty")]
    device_lists: DeviceLists,
    device_one_time_keys_count: BTreeMap<OneTimeKeyAlgorithm, UInt>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_unused_fallback_key_types: Option<Vec<OneTimeKeyAlgorithm>>,
}

/// What [`v3::Rooms`] says.
#[derive(Clone, Debug, Serialize)]
struct Rooms {
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    join: BTreeMap<OwnedRoomId, JoinedRoom>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    leave: BTreeMap<OwnedRoomId, LeftRoom>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    invite: BTreeMap<OwnedRoomId, InvitedRoom>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    knock: BTreeMap<OwnedRoomId, KnockedRoom>,
}

impl Rooms {
    fn is_empty(&self) -> bool {
        let Self { join, leave, invite, knock } = self;
        join.is_empty() && leave.is_empty() && invite.is_empty() && knock.is_empty()
    }
}

/// What [`v3::Timeline`] says.
#[derive(Clone, Debug, Serialize)]
struct Timeline {
    events: Vec<Raw<AnySyncTimelineEvent>>,
    limited: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    prev_batch: Option<String>,
}

/// State before the timeline or after it, each under its own name.
#[derive(Clone, Debug, Serialize)]
struct RoomState {
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<StateEvents>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state_after: Option<StateEvents>,
}

/// What [`v3::JoinedRoom`] says.
#[derive(Clone, Debug, Serialize)]
struct JoinedRoom {
    #[serde(skip_serializing_if = "RoomSummary::is_empty")]
    summary: RoomSummary,
    #[serde(skip_serializing_if = "UnreadNotificationsCount::is_empty")]
    unread_notifications: UnreadNotificationsCount,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    unread_thread_notifications: BTreeMap<OwnedEventId, UnreadNotificationsCount>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeline: Option<Timeline>,
    #[serde(flatten)]
    state: RoomState,
    #[serde(skip_serializing_if = "RoomAccountData::is_empty")]
    account_data: RoomAccountData,
    #[serde(skip_serializing_if = "Ephemeral::is_empty")]
    ephemeral: Ephemeral,
}

/// What [`v3::LeftRoom`] says.
#[derive(Clone, Debug, Serialize)]
struct LeftRoom {
    #[serde(skip_serializing_if = "Option::is_none")]
    timeline: Option<Timeline>,
    #[serde(flatten)]
    state: RoomState,
    #[serde(skip_serializing_if = "RoomAccountData::is_empty")]
    account_data: RoomAccountData,
}

impl From<Response> for SyncAnswer {
    fn from(response: Response) -> Self {
        Self {
            next_batch: response.next_batch,
            rooms: response.rooms.into(),
            presence: response.presence,
            account_data: response.account_data,
            to_device: response.to_device,
            device_lists: response.device_lists,
            device_one_time_keys_count: response.device_one_time_keys_count,
            device_unused_fallback_key_types: response.device_unused_fallback_key_types,
        }
    }
}

impl From<v3::Rooms> for Rooms {
    fn from(rooms: v3::Rooms) -> Self {
        Self {
            join: rooms.join.into_iter().map(|(id, room)| (id, room.into())).collect(),
            leave: rooms.leave.into_iter().map(|(id, room)| (id, room.into())).collect(),
            invite: rooms.invite,
            knock: rooms.knock,
        }
    }
}

impl From<v3::JoinedRoom> for JoinedRoom {
    fn from(room: v3::JoinedRoom) -> Self {
        Self {
            summary: room.summary,
            unread_notifications: room.unread_notifications,
            unread_thread_notifications: room.unread_thread_notifications,
            timeline: timeline(room.timeline),
            state: room.state.into(),
            account_data: room.account_data,
            ephemeral: room.ephemeral,
        }
    }
}

impl From<v3::LeftRoom> for LeftRoom {
    fn from(room: v3::LeftRoom) -> Self {
        Self {
            timeline: timeline(room.timeline),
            state: room.state.into(),
            account_data: room.account_data,
        }
    }
}

impl From<State> for RoomState {
    fn from(state: State) -> Self {
        match state {
            State::Before(events) => {
                Self { state: Some(events).filter(|events| !events.is_empty()), state_after: None }
            }
            State::After(events) => Self { state: None, state_after: Some(events) },
            // ruma may learn of other places; we ask for none.
            _ => Self { state: None, state_after: None },
        }
    }
}

/// A timeline, where there is one.
fn timeline(timeline: v3::Timeline) -> Option<Timeline> {
    if timeline.is_empty() {
        return None;
    }
    let v3::Timeline { events, limited, prev_batch, .. } = timeline;
    Some(Timeline { events, limited, prev_batch })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeline_says_that_it_is_not_limited() {
        let mut room = v3::JoinedRoom::new();
        room.timeline.prev_batch = Some("t1".to_owned());
        let json = serde_json::to_value(JoinedRoom::from(room)).unwrap();
        let expected = serde_json::json!({
            "timeline": { "events": [], "limited": false, "prev_batch": "t1" },
        });
        assert_eq!(json, expected);
    }
}
