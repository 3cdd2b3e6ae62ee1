//! Spec: MSC4140, delayed events. They are made by the endpoints that send events and set state.

pub(super) mod requests;

use rooms::{DelayAction, Rooms, Waiting};
use ruma::OwnedRoomId;
use ruma::api::error::ErrorKind;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{EdgeBuilder, Endpoints, MatrixError, Requester};

mod list {
    use ruma::api::{auth_scheme::AccessToken, metadata, request, response};

    use super::ListedEvent;

    metadata! {
        method: GET,
        rate_limited: true,
        authentication: AccessToken,
        path: "/_matrix/client/unstable/org.matrix.msc4140/delayed_events",
    }

    #[request]
    pub(super) struct Request {}

    #[response]
    pub(super) struct Response {
        pub(super) delayed_events: Vec<ListedEvent>,
    }
}

mod update {
    use ruma::api::{auth_scheme::NoAuthentication, metadata, request, response};

    metadata! {
        method: POST,
        rate_limited: true,
        authentication: NoAuthentication,
        path: "/_matrix/client/unstable/org.matrix.msc4140/delayed_events/{delay_id}/{action}",
    }

    #[request]
    pub(super) struct Request {
        #[ruma_api(path)]
        pub(super) delay_id: String,
        #[ruma_api(path)]
        pub(super) action: String,
    }

    #[response]
    pub(super) struct Response {}
}

/// As clients did it before the action was part of the path.
mod update_in_body {
    use ruma::api::{auth_scheme::NoAuthentication, metadata, request, response};

    metadata! {
        method: POST,
        rate_limited: true,
        authentication: NoAuthentication,
        path: "/_matrix/client/unstable/org.matrix.msc4140/delayed_events/{delay_id}",
    }

    #[request]
    pub(super) struct Request {
        #[ruma_api(path)]
        pub(super) delay_id: String,
        pub(super) action: String,
    }

    #[response]
    pub(super) struct Response {}
}

/// An event that waits.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct ListedEvent {
    delay_id: String,
    room_id: OwnedRoomId,
    #[serde(rename = "type")]
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    state_key: Option<String>,
    delay: u64,
    running_since: u64,
    content: Box<RawValue>,
}

async fn list(
    rooms: Rooms,
    requester: Requester,
    _: list::Request,
) -> Result<list::Response, MatrixError> {
    let mut delayed_events = Vec::new();
    for waiting in rooms.delayed_events(requester.user_id()).await? {
        delayed_events.extend(listed(&rooms, waiting).await?);
    }
    Ok(list::Response { delayed_events })
}

async fn listed(rooms: &Rooms, waiting: Waiting) -> Result<Option<ListedEvent>, MatrixError> {
    let Waiting { delay_id, event } = waiting;
    let room_id = rooms.store().room_id(event.room).await.map_err(rooms::RoomError::from)?;
    let content = RawValue::from_string(event.content);
    Ok(room_id.zip(content.ok()).map(|(room_id, content)| ListedEvent {
        delay_id,
        room_id,
        kind: event.kind,
        state_key: event.state.map(|(_, key)| key),
        delay: event.delay,
        running_since: event.running_since,
        content,
    }))
}

async fn update(
    rooms: Rooms,
    (): (),
    request: update::Request,
) -> Result<update::Response, MatrixError> {
    let action = action(&request.action).ok_or_else(|| {
        MatrixError::new(http::StatusCode::NOT_FOUND, ErrorKind::Unrecognized, "unknown action")
    })?;
    rooms.act_on_delayed_event(&request.delay_id, action).await?;
    Ok(update::Response {})
}

async fn update_in_body(
    rooms: Rooms,
    (): (),
    request: update_in_body::Request,
) -> Result<update_in_body::Response, MatrixError> {
    let action = action(&request.action).ok_or_else(|| {
        MatrixError::bad_request(ErrorKind::InvalidParam, "action is cancel, restart or send")
    })?;
    rooms.act_on_delayed_event(&request.delay_id, action).await?;
    Ok(update_in_body::Response {})
}

fn action(name: &str) -> Option<DelayAction> {
    match name {
        "cancel" => Some(DelayAction::Cancel),
        "restart" => Some(DelayAction::Restart),
        "send" => Some(DelayAction::Send),
        _ => None,
    }
}

/// The endpoints of delayed events.
pub fn endpoints(all: EdgeBuilder, rooms: &Rooms) -> EdgeBuilder {
    let endpoints = Endpoints::new(rooms.clone());
    all.with(endpoints.at(list).at(update).at(update_in_body).feature("org.matrix.msc4140"))
}
