//! Opening closed accounts again, as administrators may.

use ruma::UserId;
use store::{Batch, StoreError, UserNumber, UserRecord, UserStatus};

use crate::{ATTEMPTS, Accounts, PasswordChangeError};

impl Accounts {
    /// Opens a closed account, with a new password. Nothing comes back of what was removed when it was closed; what its
    /// user had erased is shown again, and they leave no more rooms. An account that is open stays as it is.
    #[tracing::instrument(skip_all, fields(%user_id))]
    pub async fn reactivate(
        &self,
        user_id: &UserId,
        password: &str,
    ) -> Result<(), PasswordChangeError> {
        let hash = self.0.passwords.hash(password).await?;
        for _ in 0..ATTEMPTS {
            let account = self.account(user_id).await?;
            let (user, before) = account.ok_or(PasswordChangeError::UnknownUser)?;
            if before.status == UserStatus::Active {
                return Ok(());
            }
            let after = UserRecord {
                password_hash: Some(hash.clone()),
                status: UserStatus::Active,
                ..before.clone()
            };
            let batch = self.reactivation(user, user_id, &before, &after).await?;
            match self.store().commit(batch).await {
                Ok(_) => {
                    tracing::info!("user reactivated");
                    return Ok(());
                }
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Conflict.into())
    }

    async fn reactivation(
        &self,
        user: UserNumber,
        user_id: &UserId,
        before: &UserRecord,
        after: &UserRecord,
    ) -> Result<Batch, StoreError> {
        let mut batch = Batch::new();
        batch.change_user(user, before, after)?;
        batch.restore_user(user_id);
        batch.end_departure(user);
        self.put_missing_push_rules(&mut batch, user, user_id).await?;
        Ok(batch)
    }
}

#[cfg(test)]
mod tests {
    use crate::{NewDevice, SentEvents, testing::accounts};

    #[tokio::test]
    async fn who_was_gone_logs_in_again_and_nothing_of_them_is_erased_any_more() {
        let (accounts, _) = accounts().await;
        let ada = accounts.with_user("ada").await;
        accounts.deactivate(&ada.user_id, SentEvents::Erase).await.unwrap();
        assert!(accounts.log_in("ada", "secret", NewDevice::default()).await.is_err());
        assert!(accounts.store().erasure(&ada.user_id).await.unwrap().is_some());

        accounts.reactivate(&ada.user_id, "new secret").await.unwrap();

        assert!(accounts.log_in("ada", "secret", NewDevice::default()).await.is_err());
        let session = accounts.log_in("ada", "new secret", NewDevice::default()).await.unwrap();
        let session = accounts.authenticate(session.access_token.expose(), None).await.unwrap();
        let rules = accounts.account_data(&session, None, "m.push_rules").await.unwrap();
        assert!(rules.get().contains(".m.rule.master"));
        assert_eq!(accounts.store().erasure(&ada.user_id).await.unwrap(), None);
        assert!(accounts.store().departing_users(9).await.unwrap().is_empty());
        let old = accounts.authenticate(ada.access_token.expose(), None).await;
        assert!(old.is_err(), "sessions are gone for good");
        accounts.reactivate(&ada.user_id, "third secret").await.unwrap();
        assert!(accounts.log_in("ada", "third secret", NewDevice::default()).await.is_err());
    }
}
