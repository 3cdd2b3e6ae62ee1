//! Where users are: their devices, sessions and rooms.

use std::collections::BTreeMap;

use accounts::{Accounts, Device, Session};
use rooms::Rooms;
use ruma::{MilliSecondsSinceUnixEpoch, OwnedDeviceId, UserId, api::error::ErrorKind};
use serde::Serialize;
use serde_json::{Value, json};
use store::LastSeen;

use super::{Administrator, Answer, answer::endpoint};
use crate::{Endpoints, MatrixError};

endpoint!(whois: GET "/_synapse/admin/v1/whois/{user_id}" {
    #[ruma_api(path)]
    pub(crate) user_id: ruma::OwnedUserId,
});
endpoint!(joined_rooms: GET "/_synapse/admin/v1/users/{user_id}/joined_rooms" {
    #[ruma_api(path)]
    pub(crate) user_id: ruma::OwnedUserId,
});
endpoint!(memberships: GET "/_synapse/admin/v1/users/{user_id}/memberships" {
    #[ruma_api(path)]
    pub(crate) user_id: ruma::OwnedUserId,
});
endpoint!(devices: GET "/_synapse/admin/v2/users/{user_id}/devices" {
    #[ruma_api(path)]
    pub(crate) user_id: ruma::OwnedUserId,
});
endpoint!(device: GET "/_synapse/admin/v2/users/{user_id}/devices/{device_id}" {
    #[ruma_api(path)]
    pub(crate) user_id: ruma::OwnedUserId,
    #[ruma_api(path)]
    pub(crate) device_id: ruma::OwnedDeviceId,
});
endpoint!(rename_device: PUT "/_synapse/admin/v2/users/{user_id}/devices/{device_id}" {
    #[ruma_api(path)]
    pub(crate) user_id: ruma::OwnedUserId,
    #[ruma_api(path)]
    pub(crate) device_id: ruma::OwnedDeviceId,
    pub(crate) display_name: Option<String>,
});
endpoint!(delete_device: DELETE "/_synapse/admin/v2/users/{user_id}/devices/{device_id}" {
    #[ruma_api(path)]
    pub(crate) user_id: ruma::OwnedUserId,
    #[ruma_api(path)]
    pub(crate) device_id: ruma::OwnedDeviceId,
});
endpoint!(delete_devices: POST "/_synapse/admin/v2/users/{user_id}/delete_devices" {
    #[ruma_api(path)]
    pub(crate) user_id: ruma::OwnedUserId,
    pub(crate) devices: Vec<ruma::OwnedDeviceId>,
});

/// A device as it is shown.
#[derive(Serialize)]
struct Row<'a> {
    device_id: OwnedDeviceId,
    user_id: &'a UserId,
    display_name: Option<String>,
    last_seen_ip: Option<String>,
    last_seen_user_agent: Option<String>,
    last_seen_ts: Option<MilliSecondsSinceUnixEpoch>,
    dehydrated: bool,
}

impl<'a> Row<'a> {
    fn new(user_id: &'a UserId, device: Device) -> Self {
        let seen = device.last_seen;
        Self {
            device_id: device.id,
            user_id,
            display_name: device.display_name,
            last_seen_ip: seen.as_ref().and_then(|seen| Some(seen.address?.to_string())),
            last_seen_user_agent: seen.as_ref().and_then(|seen| seen.user_agent.clone()),
            last_seen_ts: seen.map(|seen| seen.at),
            dehydrated: false,
        }
    }
}

/// What is told of a user's whereabouts.
#[derive(Clone)]
pub(super) struct Whereabouts {
    pub(super) accounts: Accounts,
    pub(super) rooms: Rooms,
}

impl Whereabouts {
    async fn whois(self, _: Administrator, request: whois::Request) -> Result<Answer, MatrixError> {
        let devices = self.sessions(&request.user_id).await?;
        Answer::new(&json!({ "user_id": request.user_id, "devices": devices }))
    }

    /// Each device has one session, and of that only the last connection is known.
    async fn sessions(&self, user_id: &UserId) -> Result<BTreeMap<String, Value>, MatrixError> {
        let session = self.acting_for(user_id).await?;
        let mut found = BTreeMap::new();
        for device in self.accounts.devices(&session).await? {
            let connections: Vec<Value> = device
                .last_seen
                .iter()
                .map(|seen| {
                    let LastSeen { at, address, user_agent } = seen;
                    json!({ "ip": address, "last_seen": at, "user_agent": user_agent })
                })
                .collect();
            let sessions = json!({ "sessions": [{ "connections": connections }] });
            found.insert(device.id.to_string(), sessions);
        }
        Ok(found)
    }

    async fn joined_rooms(
        self,
        _: Administrator,
        request: joined_rooms::Request,
    ) -> Result<Answer, MatrixError> {
        let rooms = self.rooms.joined_rooms(&request.user_id).await?;
        Answer::new(&json!({ "joined_rooms": rooms, "total": rooms.len() }))
    }

    async fn memberships(
        self,
        _: Administrator,
        request: memberships::Request,
    ) -> Result<Answer, MatrixError> {
        let memberships = self.rooms.memberships_of(&request.user_id).await?;
        let memberships: BTreeMap<_, _> = memberships
            .into_iter()
            .map(|(room_id, membership)| (room_id, membership.as_str()))
            .collect();
        Answer::new(&json!({ "memberships": memberships }))
    }

    async fn devices(
        self,
        _: Administrator,
        request: devices::Request,
    ) -> Result<Answer, MatrixError> {
        let user_id = &request.user_id;
        let session = self.acting_for(user_id).await?;
        let devices = self.accounts.devices(&session).await?;
        let rows: Vec<_> = devices.into_iter().map(|device| Row::new(user_id, device)).collect();
        Answer::new(&json!({ "devices": rows, "total": rows.len() }))
    }

    async fn device(
        self,
        _: Administrator,
        request: device::Request,
    ) -> Result<Answer, MatrixError> {
        let session = self.acting_for(&request.user_id).await?;
        let device = self.accounts.device(&session, &request.device_id).await?;
        Answer::new(&Row::new(&request.user_id, device))
    }

    async fn rename_device(
        self,
        _: Administrator,
        request: rename_device::Request,
    ) -> Result<Answer, MatrixError> {
        let session = self.acting_for(&request.user_id).await?;
        let name = request.display_name.unwrap_or_default();
        self.accounts.rename_device(&session, &request.device_id, &name).await?;
        Ok(Answer::empty())
    }

    async fn delete_device(
        self,
        _: Administrator,
        request: delete_device::Request,
    ) -> Result<Answer, MatrixError> {
        self.check_local(&request.user_id)?;
        self.accounts.remove_devices(&request.user_id, &[request.device_id]).await?;
        Ok(Answer::empty())
    }

    async fn delete_devices(
        self,
        _: Administrator,
        request: delete_devices::Request,
    ) -> Result<Answer, MatrixError> {
        self.check_local(&request.user_id)?;
        self.accounts.remove_devices(&request.user_id, &request.devices).await?;
        Ok(Answer::empty())
    }

    async fn acting_for(&self, user_id: &UserId) -> Result<Session, MatrixError> {
        self.check_local(user_id)?;
        let session = self.accounts.acting_for(user_id).await;
        let session = session.map_err(|error| MatrixError::internal(&error))?;
        session.ok_or_else(|| MatrixError::not_found("the user is unknown"))
    }

    fn check_local(&self, user_id: &UserId) -> Result<(), MatrixError> {
        if user_id.server_name() == self.rooms.server_name() {
            return Ok(());
        }
        let message = "the user belongs to another server";
        Err(MatrixError::bad_request(ErrorKind::Unknown, message))
    }
}

pub(super) fn endpoints(whereabouts: Whereabouts) -> Endpoints<Whereabouts> {
    Endpoints::new(whereabouts)
        .at(Whereabouts::whois)
        .at(Whereabouts::joined_rooms)
        .at(Whereabouts::memberships)
        .at(Whereabouts::devices)
        .at(Whereabouts::device)
        .at(Whereabouts::rename_device)
        .at(Whereabouts::delete_device)
        .at(Whereabouts::delete_devices)
}
