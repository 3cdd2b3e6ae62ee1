//! The answer of `/sync` as clients expect it: `limited` is always said, which ruma leaves out when it is false.

use std::collections::BTreeMap;

use ruma::api::client::sync::sync_events::v3::{
    self, Ephemeral, GlobalAccountData, InvitedRoom, KnockedRoom, Presence, Request, Response,
    RoomAccountData, RoomSummary, State, StateEvents, ToDevice,
};
use ruma::api::client::sync::sync_events::{DeviceLists, UnreadNotificationsCount};
use ruma::api::error::DeserializationError;
use ruma::api::{IncomingRequest, response};
use ruma::events::{AnyRoomAccountDataEvent, AnySyncStateEvent, AnySyncTimelineEvent};
use ruma::serde::Raw;
use ruma::{OneTimeKeyAlgorithm, OwnedEventId, OwnedRoomId, UInt};
use serde::Serialize;

use crate::stand_in::stand_in;

/// [`Request`], answered with [`SyncAnswer`].
pub(super) struct SyncQuestion {
    pub(super) request: Request,
    pub(super) naming: Naming,
}

/// Under which name the state after a timeline is asked for and given. Clients that do not know version 1.16 of the
/// specification use that of its proposal, MSC4222.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Naming {
    Specified,
    Proposed,
}

/// The query parameter of MSC4222, as clients set it.
const PROPOSED: &str = "org.matrix.msc4222.use_state_after=true";

stand_in!(SyncQuestion, Request);

impl IncomingRequest for SyncQuestion {
    type EndpointError = <Request as IncomingRequest>::EndpointError;
    type OutgoingResponse = SyncAnswer;

    fn try_from_http_request_inner(
        request: http::Request<&[u8]>,
        path_args: &[&str],
    ) -> Result<Self, DeserializationError> {
        let query = request.uri().query().unwrap_or_default();
        let is_proposed = query.split('&').any(|parameter| parameter == PROPOSED);
        let mut request = Request::try_from_http_request_inner(request, path_args)?;
        let naming = if is_proposed && !request.use_state_after {
            Naming::Proposed
        } else {
            Naming::Specified
        };
        request.use_state_after |= is_proposed;
        Ok(Self { request, naming })
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
    state_after: Option<ListedState>,
    #[serde(rename = "org.matrix.msc4222.state_after", skip_serializing_if = "Option::is_none")]
    proposed_state_after: Option<ListedState>,
}

/// What [`StateEvents`] says, and that there are none where there are none: that it is there tells clients to take no
/// state from the timeline.
#[derive(Clone, Debug, Serialize)]
struct ListedState {
    events: Vec<Raw<AnySyncStateEvent>>,
}

/// What [`RoomAccountData`] says, and that there is none where there is none: so is a deletion confirmed.
/// Spec: MSC3391.
#[derive(Clone, Debug, Serialize)]
struct ListedAccountData {
    events: Vec<Raw<AnyRoomAccountDataEvent>>,
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
    account_data: ListedAccountData,
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

impl SyncAnswer {
    /// The answer to a question that used a naming.
    pub(super) fn new(response: Response, naming: Naming) -> Self {
        Self {
            next_batch: response.next_batch,
            rooms: Rooms::new(response.rooms, naming),
            presence: response.presence,
            account_data: response.account_data,
            to_device: response.to_device,
            device_lists: response.device_lists,
            device_one_time_keys_count: response.device_one_time_keys_count,
            device_unused_fallback_key_types: response.device_unused_fallback_key_types,
        }
    }
}

impl Rooms {
    fn new(rooms: v3::Rooms, naming: Naming) -> Self {
        let v3::Rooms { join, leave, invite, knock, .. } = rooms;
        let join = join.into_iter().map(|(id, room)| (id, JoinedRoom::new(room, naming)));
        let leave = leave.into_iter().map(|(id, room)| (id, LeftRoom::new(room, naming)));
        Self { join: join.collect(), leave: leave.collect(), invite, knock }
    }
}

impl JoinedRoom {
    fn new(room: v3::JoinedRoom, naming: Naming) -> Self {
        Self {
            summary: room.summary,
            unread_notifications: room.unread_notifications,
            unread_thread_notifications: room.unread_thread_notifications,
            timeline: timeline(room.timeline),
            state: RoomState::new(room.state, naming),
            account_data: ListedAccountData { events: room.account_data.events },
            ephemeral: room.ephemeral,
        }
    }
}

impl LeftRoom {
    fn new(room: v3::LeftRoom, naming: Naming) -> Self {
        Self {
            timeline: timeline(room.timeline),
            state: RoomState::new(room.state, naming),
            account_data: room.account_data,
        }
    }
}

impl RoomState {
    fn new(state: State, naming: Naming) -> Self {
        let mut named = Self { state: None, state_after: None, proposed_state_after: None };
        match (state, naming) {
            (State::Before(events), _) => {
                named.state = Some(events).filter(|events| !events.is_empty());
            }
            (State::After(state), Naming::Specified) => {
                named.state_after = Some(ListedState { events: state.events });
            }
            (State::After(state), Naming::Proposed) => {
                named.proposed_state_after = Some(ListedState { events: state.events });
            }
            // ruma may learn of other places; we ask for none.
            _ => {}
        }
        named
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
        let json = serde_json::to_value(JoinedRoom::new(room, Naming::Specified)).unwrap();
        let expected = serde_json::json!({
            "timeline": { "events": [], "limited": false, "prev_batch": "t1" },
            "account_data": { "events": [] },
        });
        assert_eq!(json, expected);
    }
}
