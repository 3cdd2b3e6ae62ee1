//! Refresh tokens. Spec: client-server API, "Refreshing access tokens".

use store::{Batch, DeviceRecord, PairState, StoreError, TokenHash, TokenPair};

use crate::{ATTEMPTS, Accounts, NewSession, Tokens};

/// Why a refresh token is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    /// It belongs to no session, or was used and replaced.
    #[error("the refresh token is unknown")]
    UnknownToken,
    /// The account is locked.
    #[error("the account is locked")]
    Locked,
    /// The store failed.
    #[error("session store failed")]
    Store(#[from] StoreError),
}

impl Accounts {
    /// New tokens for old. The old ones stay valid until one of the new is used, so a client that did not get the
    /// answer may ask again.
    pub async fn refresh(&self, refresh_token: &str) -> Result<NewSession, RefreshError> {
        let token = TokenHash::of(refresh_token);
        for _ in 0..ATTEMPTS {
            let owner = self.store().refresh_token(token).await?;
            let owner = owner.ok_or(RefreshError::UnknownToken)?;
            let device = self.store().device(owner.user, &owner.device_id).await?;
            let user_id = self.store().user_id(owner.user).await?;
            let (Some(device), Some(user_id)) = (device, user_id) else {
                return Err(RefreshError::UnknownToken);
            };
            let used = device.tokens.iter().find(|pair| pair.refresh == Some(token));
            let used = used.ok_or(RefreshError::UnknownToken)?.clone();
            let record = self.store().user(owner.user).await?;
            if record.is_some_and(|record| record.restrictions.locked) {
                return Err(RefreshError::Locked);
            }

            // Using the pair confirms it; what it replaced, and a replacement that never arrived, end now.
            let used = TokenPair { state: PairState::Confirmed, ..used };
            let new = self.new_tokens(Tokens::Refreshable, PairState::Unconfirmed);
            let after = DeviceRecord { tokens: vec![used, new.pair], ..device.clone() };
            let mut batch = Batch::new();
            batch.put_device(owner.user, &owner.device_id, Some(&device), &after)?;
            match self.store().commit(batch).await {
                Ok(_) => {
                    return Ok(NewSession {
                        user_id,
                        device_id: owner.device_id,
                        access_token: new.access,
                        refresh_token: new.refresh,
                        expires_in: new.expires_in,
                    });
                }
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Conflict.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{NewDevice, testing::accounts};

    async fn refreshable(accounts: &Accounts) -> NewSession {
        accounts.with_user("ada").await;
        let device = NewDevice { tokens: Tokens::Refreshable, ..NewDevice::default() };
        accounts.log_in("ada", "secret", device).await.unwrap()
    }

    fn token(session: &NewSession) -> &str {
        session.refresh_token.as_ref().unwrap().expose()
    }

    async fn accepts(accounts: &Accounts, session: &NewSession) -> bool {
        accounts.authenticate(session.access_token.expose(), None).await.is_ok()
    }

    #[tokio::test]
    async fn old_tokens_end_when_the_new_access_token_is_used() {
        let (accounts, _) = accounts().await;
        let old = refreshable(&accounts).await;
        let new = accounts.refresh(token(&old)).await.unwrap();
        assert_eq!(new.device_id, old.device_id);
        assert!(accepts(&accounts, &old).await);

        assert!(accepts(&accounts, &new).await);

        assert!(!accepts(&accounts, &old).await);
        let again = accounts.refresh(token(&old)).await;
        assert!(matches!(again, Err(RefreshError::UnknownToken)));
    }

    #[tokio::test]
    async fn old_tokens_end_when_the_new_refresh_token_is_used() {
        let (accounts, _) = accounts().await;
        let old = refreshable(&accounts).await;
        let new = accounts.refresh(token(&old)).await.unwrap();
        let newest = accounts.refresh(token(&new)).await.unwrap();

        assert!(!accepts(&accounts, &old).await);
        assert!(matches!(accounts.refresh(token(&old)).await, Err(RefreshError::UnknownToken)));
        assert!(accepts(&accounts, &newest).await);
    }

    #[tokio::test]
    async fn a_client_that_got_no_answer_may_ask_again() {
        let (accounts, _) = accounts().await;
        let old = refreshable(&accounts).await;
        let lost = accounts.refresh(token(&old)).await.unwrap();
        let new = accounts.refresh(token(&old)).await.unwrap();

        assert!(accepts(&accounts, &new).await);
        assert!(!accepts(&accounts, &lost).await);
    }

    #[tokio::test]
    async fn an_expired_access_token_does_not_hinder_its_refresh() {
        let (accounts, clock) = accounts().await;
        let old = refreshable(&accounts).await;
        clock.advance(std::time::Duration::from_hours(1000));
        let new = accounts.refresh(token(&old)).await.unwrap();
        assert!(accepts(&accounts, &new).await);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn refreshing_many_times_at_once_leaves_one_new_pair() {
        let (accounts, _) = accounts().await;
        let old = refreshable(&accounts).await;
        let all = (0..10).map(|_| {
            let (accounts, old) = (accounts.clone(), token(&old).to_owned());
            tokio::spawn(async move { accounts.refresh(&old).await.unwrap() })
        });
        let all: Vec<_> = all.collect();
        let mut accepted = 0;
        let mut sessions = Vec::new();
        for one in all {
            sessions.push(one.await.unwrap());
        }
        for session in &sessions {
            accepted += usize::from(accepts(&accounts, session).await);
        }
        assert_eq!(accepted, 1);
    }
}
