//! Messages from device to device. Spec: client-server API, "Send-to-Device messaging".

use accounts::{Accounts, ToDeviceContents};
use ruma::api::client::to_device::send_event_to_device;

use crate::{Endpoints, MatrixError, Requester};

/// Messages from device to device.
#[derive(Clone)]
pub struct ToDevice {
    accounts: Accounts,
}

impl ToDevice {
    async fn send(
        self,
        requester: Requester,
        request: send_event_to_device::v3::Request,
    ) -> Result<send_event_to_device::v3::Response, MatrixError> {
        let send_event_to_device::v3::Request { event_type, txn_id, messages, .. } = request;
        let mut contents = ToDeviceContents::new();
        for (user, devices) in messages {
            let devices = devices.into_iter().map(|(device, raw)| (device, raw.into_json()));
            contents.insert(user, devices.collect());
        }
        let (session, kind) = (requester.session(), event_type.to_string());
        self.accounts.send_to_devices(session, &kind, txn_id.as_str(), &contents).await?;
        Ok(send_event_to_device::v3::Response::new())
    }
}

/// The endpoint of messages to devices.
pub fn endpoints(accounts: Accounts) -> Endpoints<ToDevice> {
    Endpoints::new(ToDevice { accounts }).at(ToDevice::send)
}
