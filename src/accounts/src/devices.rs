//! The devices of a user. Spec: client-server API, "Device Management".

use ruma::{DeviceId, OwnedDeviceId, UserId, api::client::uiaa::AuthData};
use store::{Batch, DeviceRecord, LastSeen, LoggedIn, StoreError, UserNumber};

use crate::{ATTEMPTS, Accounts, InteractiveAuthError, Operation, Session};

/// Bytes of the longest name of a device.
pub(crate) const MAX_NAME: usize = 512;

/// How many of the messages to a device are removed with it. Nobody ever sees those beyond.
const MESSAGES_REMOVED: usize = 10_000;

/// The types of account data that are of one device, but for its ID at their end. Spec: MSC3890.
const NOTIFICATION_SETTINGS: [&str; 2] =
    ["m.local_notification_settings.", "org.matrix.msc3890.local_notification_settings."];

/// A device of a user.
#[derive(Debug, Clone)]
pub struct Device {
    /// Its ID.
    pub id: OwnedDeviceId,
    /// The name its user gave it.
    pub display_name: Option<String>,
    /// When it was seen last, give or take some minutes.
    pub last_seen: Option<LastSeen>,
}

/// What can go wrong with devices.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// The user has no such device.
    #[error("there is no such device")]
    NotFound,
    /// The name is longer than 512 bytes.
    #[error("the name of a device has at most {MAX_NAME} bytes")]
    NameTooLong,
    /// The user is to authenticate first.
    #[error("{0}")]
    Auth(#[from] InteractiveAuthError),
    /// The store failed.
    #[error("device store failed")]
    Store(#[from] StoreError),
}

impl Accounts {
    /// The devices of the session's user.
    pub async fn devices(&self, session: &Session) -> Result<Vec<Device>, DeviceError> {
        self.list_devices(session.user).await
    }

    /// The devices of any user, none of a user who is not here.
    pub async fn devices_of(&self, user_id: &UserId) -> Result<Vec<Device>, DeviceError> {
        let Some((user, _)) = self.account(user_id).await? else { return Ok(Vec::new()) };
        self.list_devices(user).await
    }

    async fn list_devices(&self, user: UserNumber) -> Result<Vec<Device>, DeviceError> {
        let mut devices = Vec::new();
        for (id, record) in self.store().devices(user).await? {
            devices.push(self.with_last_seen(user, id, record).await?);
        }
        Ok(devices)
    }

    /// A device of the session's user.
    pub async fn device(&self, session: &Session, id: &DeviceId) -> Result<Device, DeviceError> {
        let record = self.store().device(session.user, id).await?.ok_or(DeviceError::NotFound)?;
        self.with_last_seen(session.user, id.to_owned(), record).await
    }

    async fn with_last_seen(
        &self,
        user: UserNumber,
        id: OwnedDeviceId,
        record: DeviceRecord,
    ) -> Result<Device, DeviceError> {
        let last_seen = self.store().device_seen(user, &id).await?;
        Ok(Device { id, display_name: record.display_name, last_seen })
    }

    /// Renames a device of the session's user.
    pub async fn rename_device(
        &self,
        session: &Session,
        id: &DeviceId,
        display_name: &str,
    ) -> Result<(), DeviceError> {
        if display_name.len() > MAX_NAME {
            return Err(DeviceError::NameTooLong);
        }
        for _ in 0..ATTEMPTS {
            let before = self.store().device(session.user, id).await?;
            let before = before.ok_or(DeviceError::NotFound)?;
            let after =
                DeviceRecord { display_name: Some(display_name.to_owned()), ..before.clone() };
            let mut batch = Batch::new();
            batch.put_device(session.user, id, Some(&before), &after)?;
            match self.store().commit(batch).await {
                Ok(_) => return Ok(()),
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Conflict.into())
    }

    /// Puts the deletion of a device into a batch, with its pushers, the messages that wait for it and the settings of
    /// it that clients keep as account data.
    /// Spec: MSC3890.
    pub(crate) async fn put_device_deletion(
        &self,
        batch: &mut Batch,
        user: UserNumber,
        id: &DeviceId,
        device: &DeviceRecord,
    ) -> Result<(), StoreError> {
        batch.delete_device(user, id, device)?;
        self.put_pusher_deletion(batch, user, id).await?;
        let device = LoggedIn { user, device_id: id, created_at: device.created_at };
        self.store().put_to_device_removal(batch, device, MESSAGES_REMOVED).await?;
        for prefix in NOTIFICATION_SETTINGS {
            self.put_account_data_deletion(batch, user, &format!("{prefix}{id}")).await?;
        }
        Ok(())
    }

    /// Deletes devices of the session's user, who shows for it that the account is theirs. Those that do not exist are gone
    /// already.
    #[tracing::instrument(skip_all, fields(user_id = %session.user_id, devices = ids.len()))]
    pub async fn delete_devices(
        &self,
        session: &Session,
        ids: &[OwnedDeviceId],
        auth: Option<&AuthData>,
    ) -> Result<(), DeviceError> {
        let parts = ids.iter().map(|id| id.as_str());
        let parts = std::iter::once(session.user_id.as_str()).chain(parts);
        let operation = Operation::new("delete devices", parts);
        self.require_owner(operation, Some(session), auth).await?;
        let meant = |id: &DeviceId| ids.iter().any(|meant| meant == id);
        Ok(self.delete_own_devices(session.user, meant).await?)
    }
}

#[cfg(test)]
mod tests {
    use ruma::{
        api::client::uiaa::{MatrixUserIdentifier, Password, UserIdentifier},
        device_id,
    };

    use super::*;
    use crate::{AuthenticationError, NewDevice, testing::accounts};

    #[tokio::test]
    async fn a_device_is_renamed_by_its_user_only() {
        let (accounts, _) = accounts().await;
        let (ada, bo) = (accounts.with_user("ada").await, accounts.with_user("bo").await);
        let ada_session = accounts.authenticate(ada.access_token.expose(), None).await.unwrap();
        let bo_session = accounts.authenticate(bo.access_token.expose(), None).await.unwrap();

        accounts.rename_device(&ada_session, &ada.device_id, "phone").await.unwrap();
        let other = accounts.rename_device(&bo_session, &ada.device_id, "stolen").await;

        assert!(matches!(other, Err(DeviceError::NotFound)));
        let device = accounts.device(&ada_session, &ada.device_id).await.unwrap();
        assert_eq!(device.display_name.as_deref(), Some("phone"));
        let long = "x".repeat(MAX_NAME + 1);
        let long = accounts.rename_device(&ada_session, &ada.device_id, &long).await;
        assert!(matches!(long, Err(DeviceError::NameTooLong)));
    }

    #[tokio::test]
    async fn deleting_a_device_takes_a_password_and_ends_its_session() {
        let (accounts, _) = accounts().await;
        let ada = accounts.with_user("ada").await;
        let session = accounts.authenticate(ada.access_token.expose(), None).await.unwrap();
        let id = Some(device_id!("OLD").to_owned());
        let device = NewDevice { id, ..NewDevice::default() };
        let old = accounts.log_in("ada", "secret", device).await.unwrap();
        let ids = [device_id!("OLD").to_owned(), device_id!("GONE").to_owned()];

        let asked = accounts.delete_devices(&session, &ids, None).await;
        assert!(matches!(asked, Err(DeviceError::Auth(InteractiveAuthError::Required(_)))));
        accounts.authenticate(old.access_token.expose(), None).await.unwrap();

        let user = UserIdentifier::Matrix(MatrixUserIdentifier::new("ada".to_owned()));
        let auth = AuthData::Password(Password::new(user, "secret".to_owned()));
        accounts.delete_devices(&session, &ids, Some(&auth)).await.unwrap();

        let gone = accounts.authenticate(old.access_token.expose(), None).await;
        assert!(matches!(gone, Err(AuthenticationError::UnknownToken)));
        assert_eq!(accounts.devices(&session).await.unwrap().len(), 1);
    }
}
