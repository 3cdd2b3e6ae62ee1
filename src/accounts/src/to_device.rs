//! Messages from device to device, beside all rooms. Spec: client-server API, "Send-to-Device messaging".

use std::collections::BTreeMap;

use ruma::{OwnedDeviceId, OwnedUserId, to_device::DeviceIdOrAllDevices};
use serde_json::value::RawValue;
use store::{Batch, LoggedIn, StoreError, ToDeviceMessage};

use crate::{ATTEMPTS, Accounts, Session};

/// How many bytes one request may have written, all its messages to all devices together.
const MOST_BYTES: usize = 16 * 1024 * 1024;

/// How many bytes a message takes besides its content, so that many empty ones are not free.
const ENVELOPE: usize = 256;

/// What is sent to whom: contents by device and user.
pub type ToDeviceContents = BTreeMap<OwnedUserId, BTreeMap<DeviceIdOrAllDevices, Box<RawValue>>>;

/// Why messages were not sent to devices.
#[derive(Debug, thiserror::Error)]
pub enum ToDeviceError {
    /// The content of a message is something else than an object.
    #[error("the content of a message is not an object")]
    NoObject,
    /// The messages are too many and too large to be sent at once.
    #[error("more than {MOST_BYTES} bytes of messages")]
    TooLarge,
    /// The store failed, or refuses what is too large.
    #[error("the store failed")]
    Store(#[from] StoreError),
}

impl Accounts {
    /// Sends messages of one type to devices of this server, each once for the transaction of the session's device.
    ///
    /// Users and devices that are not here are passed over. Fails with [`ToDeviceError::NoObject`] and
    /// [`ToDeviceError::TooLarge`]; then nothing is sent.
    #[tracing::instrument(skip_all, fields(user_id = %session.user_id))]
    pub async fn send_to_devices(
        &self,
        session: &Session,
        kind: &str,
        transaction_id: &str,
        contents: &ToDeviceContents,
    ) -> Result<(), ToDeviceError> {
        if contents.values().flat_map(BTreeMap::values).any(|content| !is_object(content)) {
            return Err(ToDeviceError::NoObject);
        }
        let store = self.store();
        let sender = store.device(session.user, &session.device_id).await?;
        // Its device was deleted a moment ago, and with it all that it would send.
        let Some(sender) = sender else { return Ok(()) };
        let sender = LoggedIn {
            user: session.user,
            device_id: &session.device_id,
            created_at: sender.created_at,
        };
        for _ in 0..ATTEMPTS {
            if store.has_sent_to_devices(sender, kind, transaction_id).await? {
                return Ok(());
            }
            let mut batch = Batch::new();
            batch.create_to_device_transaction(sender, kind, transaction_id)?;
            self.put_messages(&mut batch, session, kind, contents).await?;
            match store.commit(batch).await {
                Ok(_) => return Ok(()),
                // The same transaction, in another request.
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Conflict.into())
    }

    async fn put_messages(
        &self,
        batch: &mut Batch,
        session: &Session,
        kind: &str,
        contents: &ToDeviceContents,
    ) -> Result<(), ToDeviceError> {
        let slot = batch.slot();
        let mut bytes = 0;
        for (user_id, contents) in contents {
            if user_id.server_name() != self.server_name() {
                continue;
            }
            let Some(user) = self.store().user_number(user_id).await? else { continue };
            for (device_id, device) in self.store().devices(user).await? {
                let Some(content) = content_for(contents, &device_id) else { continue };
                bytes += content.get().len() + ENVELOPE;
                if bytes > MOST_BYTES {
                    return Err(ToDeviceError::TooLarge);
                }
                let message = ToDeviceMessage {
                    sender: session.user_id.clone(),
                    kind: kind.to_owned(),
                    content: content.get().to_owned(),
                };
                let to = LoggedIn { user, device_id: &device_id, created_at: device.created_at };
                batch.put_to_device(to, &message, slot)?;
            }
        }
        Ok(())
    }
}

fn is_object(content: &RawValue) -> bool {
    content.get().starts_with('{')
}

/// What a device is sent: what names it goes before what is for all.
fn content_for<'a>(
    contents: &'a BTreeMap<DeviceIdOrAllDevices, Box<RawValue>>,
    device_id: &OwnedDeviceId,
) -> Option<&'a RawValue> {
    let named = contents.get(&DeviceIdOrAllDevices::DeviceId(device_id.clone()));
    named.or_else(|| contents.get(&DeviceIdOrAllDevices::AllDevices)).map(|content| &**content)
}
