//! Messages from device to device, beside all rooms. Spec: client-server API, "Send-to-Device messaging".

use std::collections::BTreeMap;

use ruma::{OwnedDeviceId, OwnedUserId, to_device::DeviceIdOrAllDevices};
use serde_json::value::RawValue;
use store::{Batch, LoggedIn, StoreError, ToDeviceMessage};

use crate::{ATTEMPTS, Accounts, Session};

/// How many bytes one request may have written, all its messages to all devices together.
const MOST_BYTES: usize = 16 * 1024 * 1024;

/// How many bytes a message takes besides its content and type, so that many empty ones are not free.
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
                bytes += content.get().len() + kind.len() + ENVELOPE;
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

#[cfg(test)]
mod tests {
    use ruma::OwnedDeviceId;
    use store::{DeviceRecord, StreamPosition};

    use super::*;
    use crate::testing::accounts;

    const KIND: &str = "org.example";

    /// Logs a user in on devices until there are `count`.
    async fn log_in(accounts: &Accounts, session: &Session, from: usize, count: usize) {
        let created_at = accounts.now();
        let record = DeviceRecord { display_name: None, created_at, tokens: Vec::new() };
        let mut batch = Batch::new();
        for number in from..count {
            let id = OwnedDeviceId::from(format!("D{number}"));
            batch.put_device(session.user, &id, None, &record).unwrap();
        }
        accounts.store().commit(batch).await.unwrap();
    }

    async fn waiting(accounts: &Accounts, session: &Session, transaction_id: &str) -> usize {
        let store = accounts.store();
        let start_of = format!(r#"{{"{transaction_id}""#);
        let mut count = 0;
        for (device_id, device) in store.devices(session.user).await.unwrap() {
            let to = LoggedIn {
                user: session.user,
                device_id: &device_id,
                created_at: device.created_at,
            };
            let (start, end) = (StreamPosition::START, store.position());
            let found = store.to_device_messages(to, start, end, 9).await.unwrap();
            let ours =
                found.iter().filter(|waiting| waiting.message.content.starts_with(&start_of));
            count += ours.count();
        }
        count
    }

    #[tokio::test]
    async fn what_one_request_has_written_is_bounded_with_what_messages_take_beside_their_content()
    {
        let (accounts, _) = accounts().await;
        let ada = accounts.with_user("ada").await;
        let session = accounts.authenticate(ada.access_token.expose(), None).await.unwrap();
        let filling = "x".repeat(65_000);
        let content = |transaction: &str| format!(r#"{{"{transaction}":"{filling}"}}"#);
        let size = content("1").len() + KIND.len();
        let fit = MOST_BYTES / (size + ENVELOPE);
        assert!((fit + 1) * size <= MOST_BYTES, "contents alone would be few enough");
        let send = async |transaction: &str| {
            let content = RawValue::from_string(content(transaction)).unwrap();
            let to_all = BTreeMap::from([(DeviceIdOrAllDevices::AllDevices, content)]);
            let contents = BTreeMap::from([(session.user_id.clone(), to_all)]);
            accounts.send_to_devices(&session, KIND, transaction, &contents).await
        };
        // One device is the session's own.
        log_in(&accounts, &session, 1, fit).await;
        send("1").await.unwrap();
        assert_eq!(waiting(&accounts, &session, "1").await, fit);

        log_in(&accounts, &session, fit, fit + 1).await;
        assert!(matches!(send("2").await, Err(ToDeviceError::TooLarge)));
        assert_eq!(waiting(&accounts, &session, "2").await, 0, "nothing is sent");
    }
}
