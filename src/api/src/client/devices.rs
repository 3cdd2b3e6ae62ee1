//! One's devices. Spec: client-server API, "Device Management".

use accounts::Accounts;
use ruma::{
    MilliSecondsSinceUnixEpoch, OwnedDeviceId,
    api::{
        client::device::{
            Device, delete_device, delete_devices, get_device, get_devices, update_device,
        },
        response,
    },
};
use serde::Serialize;

use crate::{Endpoints, MatrixError, RateClass, Requester, Settings, stand_in::stand_in};

/// [`get_devices::v3::Request`], whose answer in ruma leaves out what is not known; matrix-nio takes only a list
/// that says so.
pub struct DevicesRequest(());

stand_in!(DevicesRequest, get_devices::v3::Request => DevicesResponse);

/// The answer to [`DevicesRequest`].
#[response]
pub struct DevicesResponse {
    devices: Vec<ListedDevice>,
}

#[derive(Clone, Debug, Serialize)]
struct ListedDevice {
    device_id: OwnedDeviceId,
    display_name: Option<String>,
    last_seen_ip: Option<String>,
    last_seen_ts: Option<MilliSecondsSinceUnixEpoch>,
}

impl From<Device> for ListedDevice {
    fn from(device: Device) -> Self {
        let Device { device_id, display_name, last_seen_ip, last_seen_ts, .. } = device;
        Self { device_id, display_name, last_seen_ip, last_seen_ts }
    }
}

/// The requester's devices.
#[derive(Clone)]
pub struct Devices {
    accounts: Accounts,
}

impl Devices {
    /// All of them.
    async fn devices(
        self,
        requester: Requester,
        _: DevicesRequest,
    ) -> Result<DevicesResponse, MatrixError> {
        let devices = self.accounts.devices(requester.session()).await?;
        let devices = devices.into_iter().map(shown).map(ListedDevice::from).collect();
        Ok(DevicesResponse { devices })
    }

    /// One of them.
    async fn device(
        self,
        requester: Requester,
        request: get_device::v3::Request,
    ) -> Result<get_device::v3::Response, MatrixError> {
        let device = self.accounts.device(requester.session(), &request.device_id).await?;
        Ok(get_device::v3::Response::new(shown(device)))
    }

    /// Renames one.
    async fn update_device(
        self,
        requester: Requester,
        request: update_device::v3::Request,
    ) -> Result<update_device::v3::Response, MatrixError> {
        let (session, id) = (requester.session(), &request.device_id);
        match &request.display_name {
            Some(name) => self.accounts.rename_device(session, id, name).await?,
            // Nothing is to be changed, of a device that must exist.
            None => drop(self.accounts.device(session, id).await?),
        }
        Ok(update_device::v3::Response::new())
    }

    /// Deletes one.
    async fn delete_device(
        self,
        requester: Requester,
        request: delete_device::v3::Request,
    ) -> Result<delete_device::v3::Response, MatrixError> {
        let (ids, auth) = ([request.device_id], request.auth.as_ref());
        self.accounts.delete_devices(requester.session(), &ids, auth).await?;
        Ok(delete_device::v3::Response::new())
    }

    /// Deletes several.
    async fn delete_devices(
        self,
        requester: Requester,
        request: delete_devices::v3::Request,
    ) -> Result<delete_devices::v3::Response, MatrixError> {
        let (ids, auth) = (&request.devices, request.auth.as_ref());
        self.accounts.delete_devices(requester.session(), ids, auth).await?;
        Ok(delete_devices::v3::Response::new())
    }
}

fn shown(device: accounts::Device) -> Device {
    let mut shown = Device::new(device.id);
    shown.display_name = device.display_name;
    if let Some(seen) = device.last_seen {
        shown.last_seen_ts = Some(seen.at);
        shown.last_seen_ip = seen.address.map(|address| address.to_string());
    }
    shown
}

/// The endpoints of devices.
pub fn endpoints(accounts: Accounts) -> Endpoints<Devices> {
    // Deleting checks a password.
    let limited = Settings::default().class(RateClass::Login);
    Endpoints::new(Devices { accounts })
        .at(Devices::devices)
        .at(Devices::device)
        .at(Devices::update_device)
        .at_with(limited, Devices::delete_device)
        .at_with(limited, Devices::delete_devices)
}
