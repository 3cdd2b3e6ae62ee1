//! What administrators do with the accounts of others.

use ruma::{MilliSecondsSinceUnixEpoch, OwnedDeviceId, UserId};
use store::{
    Batch, DeviceRecord, PairState, Restrictions, Role, StoreError, TokenPair, UserKind,
    UserRecord, UserStatus,
};

use crate::{
    ATTEMPTS, Accounts, NewSession, NewUser, OtherDevices, PasswordChangeError, RegistrationError,
    Session, Tokens, new_device::new_device_id,
};

/// The name of a device that an administrator logs in for a user.
const DEVICE_NAME: &str = "Server administrator";

/// Why an administrator's change was not made.
#[derive(Debug, thiserror::Error)]
pub enum AdministrationError {
    /// There is no such account.
    #[error("the user is unknown")]
    UnknownUser,
    /// The account is closed.
    #[error("the account is deactivated")]
    Deactivated,
    /// The store failed.
    #[error("account store failed")]
    Store(#[from] StoreError),
}

impl Accounts {
    /// A session without a device in which an administrator acts for a user; `None` when there is no such account.
    pub async fn acting_for(&self, user_id: &UserId) -> Result<Option<Session>, StoreError> {
        let account = self.account(user_id).await?;
        Ok(account.map(|(user, record)| Session {
            user_id: user_id.to_owned(),
            user,
            device_id: OwnedDeviceId::from(""),
            role: record.role,
            kind: record.kind,
            restrictions: record.restrictions,
        }))
    }

    /// Gives a user a new password.
    #[tracing::instrument(skip_all, fields(%user_id))]
    pub async fn reset_password(
        &self,
        user_id: &UserId,
        new_password: &str,
        devices: OtherDevices,
    ) -> Result<(), PasswordChangeError> {
        let account = self.account(user_id).await?;
        let (user, _) = account.ok_or(PasswordChangeError::UnknownUser)?;
        self.set_password(user, new_password, devices, None).await
    }

    /// Makes a user an administrator, or one no more.
    #[tracing::instrument(skip_all, fields(%user_id, ?role))]
    pub async fn set_role(&self, user_id: &UserId, role: Role) -> Result<(), AdministrationError> {
        for _ in 0..ATTEMPTS {
            let account = self.account(user_id).await?;
            let (user, before) = account.ok_or(AdministrationError::UnknownUser)?;
            if before.role == role {
                return Ok(());
            }
            let after = UserRecord { role, ..before.clone() };
            let mut batch = Batch::new();
            batch.change_user(user, &before, &after)?;
            match self.store().commit(batch).await {
                Ok(_) => return Ok(()),
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Conflict.into())
    }

    /// Logs a new device of a user in, whose token is good until `until` or until it logs out.
    #[tracing::instrument(skip_all, fields(%user_id))]
    pub async fn log_in_as(
        &self,
        user_id: &UserId,
        until: Option<MilliSecondsSinceUnixEpoch>,
    ) -> Result<NewSession, AdministrationError> {
        let account = self.account(user_id).await?;
        let (user, record) = account.ok_or(AdministrationError::UnknownUser)?;
        if record.status == UserStatus::Deactivated {
            return Err(AdministrationError::Deactivated);
        }
        let tokens = self.new_tokens(Tokens::Lasting, PairState::Confirmed);
        let pair = TokenPair { expires_at: until, ..tokens.pair };
        let device = DeviceRecord {
            display_name: Some(DEVICE_NAME.to_owned()),
            created_at: self.now(),
            tokens: vec![pair],
        };
        let device_id = new_device_id();
        let mut batch = Batch::new();
        batch.put_device(user, &device_id, None, &device)?;
        self.store().commit(batch).await?;
        Ok(NewSession {
            user_id: user_id.to_owned(),
            device_id,
            access_token: tokens.access,
            refresh_token: None,
            expires_in: None,
        })
    }

    /// Makes the account in whose name the server itself speaks, if it is not there yet. Nobody can log in to it.
    pub async fn create_server_user(
        &self,
        user_id: &UserId,
        display_name: &str,
    ) -> Result<(), RegistrationError> {
        if self.account(user_id).await?.is_some() {
            return Ok(());
        }
        let user = NewUser::new(user_id.localpart()).display_name(display_name);
        let record = UserRecord {
            password_hash: None,
            role: Role::User,
            kind: UserKind::Registered,
            status: UserStatus::Active,
            restrictions: Restrictions::default(),
            created_at: self.now(),
        };
        let (batch, _) = self.account_batch(user_id, &user, &record).await?;
        match self.store().commit(batch).await {
            // Another request made it meanwhile.
            Ok(_) | Err(StoreError::Conflict) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Deletes devices of a user. Those that do not exist are gone already.
    #[tracing::instrument(skip_all, fields(%user_id, devices = ids.len()))]
    pub async fn remove_devices(
        &self,
        user_id: &UserId,
        ids: &[OwnedDeviceId],
    ) -> Result<(), AdministrationError> {
        let account = self.account(user_id).await?;
        let (user, _) = account.ok_or(AdministrationError::UnknownUser)?;
        Ok(self.delete_own_devices(user, |id| ids.iter().any(|one| one == id)).await?)
    }
}

#[cfg(test)]
mod tests {
    use ruma::user_id;

    use super::*;
    use crate::{AuthenticationError, testing::accounts};

    #[tokio::test]
    async fn a_role_holds_for_sessions_that_are_open_already() {
        let (accounts, _) = accounts().await;
        let ada = accounts.with_user("ada").await;
        let role =
            async || accounts.authenticate(ada.access_token.expose(), None).await.unwrap().role;
        assert_eq!(role().await, Role::User);
        accounts.set_role(&ada.user_id, Role::Admin).await.unwrap();
        assert_eq!(role().await, Role::Admin);
        let nobody = accounts.set_role(user_id!("@nobody:hearth.test"), Role::Admin).await;
        assert!(matches!(nobody, Err(AdministrationError::UnknownUser)));
    }

    #[tokio::test]
    async fn a_session_for_another_ends_when_it_was_to_end() {
        let (accounts, clock) = accounts().await;
        let ada = accounts.with_user("ada").await;
        let until = Some(crate::after(accounts.now(), std::time::Duration::from_secs(5)));
        let session = accounts.log_in_as(&ada.user_id, until).await.unwrap();
        accounts.authenticate(session.access_token.expose(), None).await.unwrap();

        clock.advance(std::time::Duration::from_secs(6));

        let late = accounts.authenticate(session.access_token.expose(), None).await;
        assert!(matches!(late, Err(AuthenticationError::Expired)));
    }
}
