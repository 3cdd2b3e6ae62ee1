//! Spec: client-server API, "Creation".

use rooms::{CreateRoom, InitialState, Invitation, Preset, RoomError, Rooms};
use ruma::RoomAliasId;
use ruma::api::client::room::Visibility;
use ruma::api::client::room::create_room::v3::{Request, Response, RoomPreset};
use ruma::events::TimelineEventType;
use ruma::serde::Raw;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::directory::publication;
use super::invitations::Inviting;
use crate::{Endpoints, MatrixError, RateClass, Requester, Settings};

pub(super) fn endpoints(endpoints: Endpoints<Inviting>) -> Endpoints<Inviting> {
    endpoints.at_with(Settings::default().class(RateClass::Joins).required_body(), create_room)
}

async fn create_room(
    inviting: Inviting,
    requester: Requester,
    request: Request,
) -> Result<Response, MatrixError> {
    let rooms = inviting.rooms();
    let third_party = request.invite_3pid.into_iter();
    let third_party = third_party.map(|invite| inviting.counted(&requester, invite));
    let preset = preset(request.preset.as_ref(), &request.visibility)?;
    let alias = request.room_alias_name.as_deref().map(|name| local_alias(rooms, name));
    let initial_state = request.initial_state.iter().map(|state| initial_state(state.json()));
    let wish = CreateRoom {
        version: request.room_version,
        creation_content: request.creation_content.as_ref().map_or(Ok(Map::new()), object)?,
        preset,
        initial_state: initial_state.collect::<Result<_, _>>()?,
        name: request.name,
        topic: request.topic,
        alias: alias.transpose()?,
        invite: request.invite,
        invite_third_party: third_party.collect::<Result<_, _>>()?,
        invitation: if request.is_direct { Invitation::Direct } else { Invitation::Ordinary },
        power_levels: match &request.power_level_content_override {
            Some(levels) => object(levels)?,
            None => Map::new(),
        },
        publication: publication(&request.visibility)?,
    };
    Ok(Response::new(rooms.create_room(requester.user_id(), wish).await?))
}

/// The preset that is named, or that follows from the visibility.
fn preset(preset: Option<&RoomPreset>, visibility: &Visibility) -> Result<Preset, RoomError> {
    match preset {
        Some(RoomPreset::PublicChat) => Ok(Preset::PublicChat),
        Some(RoomPreset::PrivateChat) => Ok(Preset::PrivateChat),
        Some(RoomPreset::TrustedPrivateChat) => Ok(Preset::TrustedPrivateChat),
        Some(other) => Err(RoomError::Malformed(format!("{other} is no preset"))),
        None if *visibility == Visibility::Public => Ok(Preset::PublicChat),
        None => Ok(Preset::PrivateChat),
    }
}

fn local_alias(rooms: &Rooms, name: &str) -> Result<ruma::OwnedRoomAliasId, MatrixError> {
    let alias = RoomAliasId::parse(format!("#{name}:{}", rooms.server_name()));
    // A name with a colon in it would make an alias of another server.
    let alias = alias.ok().filter(|_| !name.contains([':', '\0']) && !name.is_empty());
    let invalid = || RoomError::InvalidParameter("not a valid room alias name".to_owned());
    Ok(alias.ok_or_else(invalid)?)
}

fn object<T>(raw: &Raw<T>) -> Result<Map<String, Value>, MatrixError> {
    let parsed = serde_json::from_str(raw.json().get());
    Ok(parsed.map_err(|error| RoomError::Malformed(error.to_string()))?)
}

fn initial_state(json: &RawValue) -> Result<InitialState, MatrixError> {
    #[derive(Deserialize)]
    struct Given {
        #[serde(rename = "type")]
        kind: TimelineEventType,
        #[serde(default)]
        state_key: String,
        content: Box<RawValue>,
    }
    let given = serde_json::from_str::<Given>(json.get());
    let Given { kind, state_key, content } =
        given.map_err(|error| RoomError::Malformed(error.to_string()))?;
    Ok(InitialState { kind, state_key, content })
}
