//! Closing accounts for good. Spec: client-server API, "Account deactivation".

use ruma::{UserId, api::client::uiaa::AuthData, profile::UserProfile};
use store::{Batch, StoreError, UserNumber, UserRecord, UserStatus};

use crate::{ATTEMPTS, Accounts, InteractiveAuthError, Operation, Session};

/// What happens to what a user sent before the account was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SentEvents {
    /// It is shown as before.
    Keep,
    /// Who has not seen it yet sees it redacted, and what the server keeps for the user alone is removed.
    Erase,
}

/// Why an account was not closed.
#[derive(Debug, thiserror::Error)]
pub enum DeactivationError {
    /// There is no such account.
    #[error("the user is unknown")]
    UnknownUser,
    /// The user is to authenticate first.
    #[error("{0}")]
    Auth(#[from] InteractiveAuthError),
    /// The store failed.
    #[error("account store failed")]
    Store(#[from] StoreError),
}

impl Accounts {
    /// Closes the account of a user, who proves with the password that it is theirs. Whoever has no session names the
    /// account along with the password.
    pub async fn deactivate_own(
        &self,
        session: Option<&Session>,
        sent: SentEvents,
        auth: Option<&AuthData>,
    ) -> Result<(), DeactivationError> {
        let operation = Operation::of_owner("deactivate", session);
        let owner = self.require_owner(operation, session, auth).await?;
        self.deactivate(&owner.user_id, sent).await
    }

    /// Closes an account: sessions, password and profile are gone when this returns, and the user begins to leave all
    /// rooms. Closing a closed account can still erase what was sent.
    #[tracing::instrument(skip_all, fields(%user_id, ?sent))]
    pub async fn deactivate(
        &self,
        user_id: &UserId,
        sent: SentEvents,
    ) -> Result<(), DeactivationError> {
        for _ in 0..ATTEMPTS {
            let account = self.account(user_id).await?;
            let (user, before) = account.ok_or(DeactivationError::UnknownUser)?;
            let batch = self.deactivation(user, user_id, &before, sent).await?;
            match self.store().commit(batch).await {
                Ok(_) => {
                    tracing::info!("user deactivated");
                    if sent == SentEvents::Erase {
                        self.store().erase_account_data(user).await?;
                    }
                    return Ok(());
                }
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Conflict.into())
    }

    async fn deactivation(
        &self,
        user: UserNumber,
        user_id: &UserId,
        before: &UserRecord,
        sent: SentEvents,
    ) -> Result<Batch, StoreError> {
        let mut batch = Batch::new();
        let after =
            UserRecord { password_hash: None, status: UserStatus::Deactivated, ..before.clone() };
        batch.change_user(user, before, &after)?;
        for (id, device) in self.store().devices(user).await? {
            self.put_device_deletion(&mut batch, user, &id, &device).await?;
        }
        let profile = self.store().profile(user).await?;
        batch.set_profile(user, &profile, &UserProfile::new())?;
        batch.set_presence_message(user, None)?;
        if sent == SentEvents::Erase && self.store().erasure(user_id).await?.is_none() {
            let slot = batch.slot();
            batch.erase_user(user_id, slot)?;
        }
        batch.begin_departure(user)?;
        Ok(batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        AuthenticationError, LoginError, NewDevice, ProfileError, RegistrationError,
        testing::{accounts, password},
    };

    #[tokio::test]
    async fn a_closed_account_has_no_session_no_password_and_no_profile() {
        let (accounts, _) = accounts().await;
        let ada = accounts.with_user("ada").await;
        let session = accounts.authenticate(ada.access_token.expose(), None).await.unwrap();
        let asked = accounts.deactivate_own(Some(&session), SentEvents::Keep, None).await;
        assert!(matches!(asked, Err(DeactivationError::Auth(InteractiveAuthError::Required(_)))));

        let auth = password("ada", "secret");
        accounts.deactivate_own(Some(&session), SentEvents::Keep, Some(&auth)).await.unwrap();

        let gone = accounts.authenticate(ada.access_token.expose(), None).await;
        assert!(matches!(gone, Err(AuthenticationError::UnknownToken)));
        let again = accounts.log_in("ada", "secret", NewDevice::default()).await;
        assert!(matches!(again, Err(LoginError::Deactivated)));
        let profile = accounts.profile(&ada.user_id).await;
        assert!(matches!(profile, Err(ProfileError::UnknownUser(_))));
        let taken = accounts.check_username("ada").await;
        assert!(matches!(taken, Err(RegistrationError::Taken(_))));
        let departing = accounts.store().departing_users(9).await.unwrap();
        assert_eq!(departing, [session.user]);
        assert!(accounts.store().erasure(&ada.user_id).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_closed_account_can_still_be_erased() {
        let (accounts, _) = accounts().await;
        let ada = accounts.with_user("ada").await;
        let session = accounts.authenticate(ada.access_token.expose(), None).await.unwrap();
        accounts.deactivate(&ada.user_id, SentEvents::Keep).await.unwrap();
        assert!(!accounts.store().all_account_data(session.user).await.unwrap().is_empty());

        accounts.deactivate(&ada.user_id, SentEvents::Erase).await.unwrap();
        let first = accounts.store().erasure(&ada.user_id).await.unwrap().unwrap();
        accounts.deactivate(&ada.user_id, SentEvents::Erase).await.unwrap();

        assert_eq!(accounts.store().erasure(&ada.user_id).await.unwrap(), Some(first));
        assert!(accounts.store().all_account_data(session.user).await.unwrap().is_empty());
    }
}
