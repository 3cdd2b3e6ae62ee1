//! What administrators do with any client. Spec: client-server API, "Server Administration".

use accounts::{Accounts, Restrictions, Role};
use ruma::api::{
    IncomingRequest,
    client::admin::{get_user_info, is_user_locked, is_user_suspended, lock_user, suspend_user},
    error::{DeserializationError, Error},
    response,
};
use ruma::{MilliSecondsSinceUnixEpoch, OwnedDeviceId, OwnedUserId};
use serde::Serialize;
use std::collections::BTreeMap;

use crate::{Endpoints, MatrixError, Requester, stand_in::stand_in};

/// Administration.
#[derive(Clone)]
pub struct ServerAdministration {
    accounts: Accounts,
}

/// [`get_user_info::v3::Request`], whose answer in ruma has `null` for what is not known of a connection.
pub struct WhoisRequest(get_user_info::v3::Request);

stand_in!(WhoisRequest, get_user_info::v3::Request);

impl IncomingRequest for WhoisRequest {
    type EndpointError = Error;
    type OutgoingResponse = WhoisResponse;

    fn try_from_http_request_inner(
        request: http::Request<&[u8]>,
        path_args: &[&str],
    ) -> Result<Self, DeserializationError> {
        get_user_info::v3::Request::try_from_http_request_inner(request, path_args).map(Self)
    }
}

/// The answer to [`WhoisRequest`].
#[response]
pub struct WhoisResponse {
    user_id: OwnedUserId,
    devices: BTreeMap<OwnedDeviceId, WhoisDevice>,
}

#[derive(Clone, Debug, Serialize)]
struct WhoisDevice {
    sessions: Vec<WhoisSession>,
}

#[derive(Clone, Debug, Serialize)]
struct WhoisSession {
    connections: Vec<WhoisConnection>,
}

#[derive(Clone, Debug, Serialize)]
struct WhoisConnection {
    #[serde(skip_serializing_if = "Option::is_none")]
    ip: Option<String>,
    last_seen: MilliSecondsSinceUnixEpoch,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<String>,
}

impl ServerAdministration {
    /// From where a user's devices came last: for administrators, and for the user.
    async fn whois(
        self,
        requester: Requester,
        WhoisRequest(request): WhoisRequest,
    ) -> Result<WhoisResponse, MatrixError> {
        let user_id = request.user_id;
        if requester.session().role != Role::Admin {
            requester.must_be(&user_id)?;
        }
        let devices = self.accounts.devices_of(&user_id).await?;
        let shown = |device: accounts::Device| {
            let connections = device.last_seen.map(|seen| WhoisConnection {
                ip: seen.address.map(|address| address.to_string()),
                last_seen: seen.at,
                user_agent: seen.user_agent,
            });
            let session = WhoisSession { connections: connections.into_iter().collect() };
            (device.id, WhoisDevice { sessions: vec![session] })
        };
        Ok(WhoisResponse { user_id, devices: devices.into_iter().map(shown).collect() })
    }

    /// Whether a user is locked.
    async fn lock_state(
        self,
        requester: Requester,
        request: is_user_locked::v1::Request,
    ) -> Result<is_user_locked::v1::Response, MatrixError> {
        let found = self.accounts.restrictions(requester.session(), &request.user_id).await?;
        Ok(is_user_locked::v1::Response::new(found.locked))
    }

    /// Locks or unlocks a user.
    async fn lock(
        self,
        requester: Requester,
        request: lock_user::v1::Request,
    ) -> Result<lock_user::v1::Response, MatrixError> {
        let (admin, user_id, locked) = (requester.session(), &request.user_id, request.locked);
        let change = |before: Restrictions| Restrictions { locked, ..before };
        let after = self.accounts.restrict(admin, user_id, change).await?;
        Ok(lock_user::v1::Response::new(after.locked))
    }

    /// Whether a user is suspended.
    async fn suspension(
        self,
        requester: Requester,
        request: is_user_suspended::v1::Request,
    ) -> Result<is_user_suspended::v1::Response, MatrixError> {
        let found = self.accounts.restrictions(requester.session(), &request.user_id).await?;
        Ok(is_user_suspended::v1::Response::new(found.suspended))
    }

    /// Suspends a user or lifts that.
    async fn suspend(
        self,
        requester: Requester,
        request: suspend_user::v1::Request,
    ) -> Result<suspend_user::v1::Response, MatrixError> {
        let (admin, user_id) = (requester.session(), &request.user_id);
        let suspended = request.suspended;
        let change = |before: Restrictions| Restrictions { suspended, ..before };
        let after = self.accounts.restrict(admin, user_id, change).await?;
        Ok(suspend_user::v1::Response::new(after.suspended))
    }
}

/// The endpoints of administration that every client may have.
pub fn endpoints(accounts: Accounts) -> Endpoints<ServerAdministration> {
    Endpoints::new(ServerAdministration { accounts })
        .at(ServerAdministration::whois)
        .at(ServerAdministration::lock_state)
        .at(ServerAdministration::lock)
        .at(ServerAdministration::suspension)
        .at(ServerAdministration::suspend)
}
