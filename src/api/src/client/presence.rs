//! Who is online. Spec: client-server API, "Presence".

use rooms::Rooms;
use rooms::presence::PresenceState;
use ruma::api::client::presence::{get_presence, set_presence};
use ruma::api::error::ErrorKind;
use ruma::presence::PresenceState as ClientState;

use crate::{Endpoints, MatrixError, Requester};

/// Presence.
#[derive(Clone)]
pub struct PresenceOf {
    rooms: Rooms,
}

impl PresenceOf {
    /// Says how the requester is.
    async fn set_presence(
        self,
        requester: Requester,
        request: set_presence::v3::Request,
    ) -> Result<set_presence::v3::Response, MatrixError> {
        requester.must_be(&request.user_id)?;
        let state = state(&request.presence)?;
        let (user, device) = (requester.user_id(), requester.device_id());
        self.rooms.set_presence(user, device, state, request.status_msg).await?;
        Ok(set_presence::v3::Response::new())
    }

    /// How a user is.
    async fn presence(
        self,
        requester: Requester,
        request: get_presence::v3::Request,
    ) -> Result<get_presence::v3::Response, MatrixError> {
        let seen = self.rooms.presence_of(requester.user_id(), &request.user_id).await?;
        let mut response = get_presence::v3::Response::new(client_state(seen.status.state));
        response.status_msg = seen.status.message;
        response.currently_active = Some(seen.status.currently_active);
        response.last_active_ago = seen.last_active_ago;
        Ok(response)
    }
}

/// The state that a client names. Fails for any but the specification's three.
pub(crate) fn state(named: &ClientState) -> Result<PresenceState, MatrixError> {
    match named {
        ClientState::Offline => Ok(PresenceState::Offline),
        ClientState::Unavailable => Ok(PresenceState::Unavailable),
        ClientState::Online => Ok(PresenceState::Online),
        _ => Err(MatrixError::bad_request(ErrorKind::InvalidParam, "unknown presence state")),
    }
}

fn client_state(state: PresenceState) -> ClientState {
    match state {
        PresenceState::Offline => ClientState::Offline,
        PresenceState::Unavailable => ClientState::Unavailable,
        PresenceState::Online => ClientState::Online,
    }
}

/// The endpoints of presence.
pub fn endpoints(rooms: Rooms) -> Endpoints<PresenceOf> {
    Endpoints::new(PresenceOf { rooms }).at(PresenceOf::set_presence).at(PresenceOf::presence)
}
