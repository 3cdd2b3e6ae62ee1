//! Locking and suspending users. Spec: client-server API, "Account moderation".

use ruma::UserId;
use store::{Batch, Restrictions, Role, StoreError, UserNumber, UserRecord, UserStatus};

use crate::{ATTEMPTS, Accounts, Session};

/// Why the restrictions of a user are neither told nor changed.
#[derive(Debug, thiserror::Error)]
pub enum ModerationError {
    /// The requester is no administrator.
    #[error("you are not a server administrator")]
    NotAdmin,
    /// Nobody restricts themselves.
    #[error("you cannot restrict your own account")]
    Oneself,
    /// Administrators do not restrict each other.
    #[error("the user is a server administrator")]
    OtherAdmin,
    /// The user is of another server.
    #[error("the user does not belong to the local server")]
    NotLocal,
    /// There is no such user, or their account is closed.
    #[error("the user is unknown")]
    UnknownUser,
    /// The store failed.
    #[error("account store failed")]
    Store(#[from] StoreError),
}

impl Accounts {
    /// What was taken from a user, for an administrator who asks.
    pub async fn restrictions(
        &self,
        admin: &Session,
        user_id: &UserId,
    ) -> Result<Restrictions, ModerationError> {
        Ok(self.moderated(admin, user_id).await?.1.restrictions)
    }

    /// Takes something from a user or gives it back, as `change` says of what they have now. Tells what they have then.
    #[tracing::instrument(skip_all, fields(admin = %admin.user_id, %user_id))]
    pub async fn restrict(
        &self,
        admin: &Session,
        user_id: &UserId,
        change: impl Fn(Restrictions) -> Restrictions,
    ) -> Result<Restrictions, ModerationError> {
        for _ in 0..ATTEMPTS {
            let (user, before) = self.moderated(admin, user_id).await?;
            if user == admin.user {
                return Err(ModerationError::Oneself);
            }
            let restrictions = change(before.restrictions);
            if restrictions == before.restrictions {
                return Ok(restrictions);
            }
            let after = UserRecord { restrictions, ..before.clone() };
            let mut batch = Batch::new();
            batch.change_user(user, &before, &after)?;
            match self.store().commit(batch).await {
                Ok(_) => {
                    tracing::info!(?restrictions, "restrictions changed");
                    return Ok(restrictions);
                }
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Conflict.into())
    }

    /// The account an administrator asks for. Whether they may ask is checked first, so that nobody else finds out who
    /// is here.
    async fn moderated(
        &self,
        admin: &Session,
        user_id: &UserId,
    ) -> Result<(UserNumber, UserRecord), ModerationError> {
        if admin.role != Role::Admin {
            return Err(ModerationError::NotAdmin);
        }
        if user_id.server_name() != self.server_name() {
            return Err(ModerationError::NotLocal);
        }
        let account = self.account(user_id).await?;
        let account = account.filter(|(_, record)| record.status == UserStatus::Active);
        let (user, record) = account.ok_or(ModerationError::UnknownUser)?;
        if record.role == Role::Admin && user != admin.user {
            return Err(ModerationError::OtherAdmin);
        }
        Ok((user, record))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ruma::user_id;

    use super::*;
    use crate::{LoginError, NewDevice, NewUser, RefreshError, Tokens, testing::accounts};

    async fn admin(accounts: &Accounts, name: &str) -> Arc<Session> {
        let user = NewUser::new(name).password("secret").role(Role::Admin);
        accounts.create_user(user).await.unwrap();
        let session = accounts.log_in(name, "secret", NewDevice::default()).await.unwrap();
        accounts.authenticate(session.access_token.expose(), None).await.unwrap()
    }

    fn locked(restrictions: Restrictions) -> Restrictions {
        Restrictions { locked: true, ..restrictions }
    }

    #[tokio::test]
    async fn a_locked_user_keeps_the_session_and_gets_no_new_one() {
        let (accounts, _) = accounts().await;
        let root = admin(&accounts, "root").await;
        accounts.with_user("ada").await;
        let device = NewDevice { tokens: Tokens::Refreshable, ..NewDevice::default() };
        let ada = accounts.log_in("ada", "secret", device).await.unwrap();
        let token = ada.access_token.expose();
        accounts.authenticate(token, None).await.unwrap();

        accounts.restrict(&root, &ada.user_id, locked).await.unwrap();

        assert!(accounts.authenticate(token, None).await.unwrap().restrictions.locked);
        let login = accounts.log_in("ada", "secret", NewDevice::default()).await;
        assert!(matches!(login, Err(LoginError::Locked)));
        let refresh = accounts.refresh(ada.refresh_token.unwrap().expose()).await;
        assert!(matches!(refresh, Err(RefreshError::Locked)));

        let unlocked = |restrictions| Restrictions { locked: false, ..restrictions };
        accounts.restrict(&root, &ada.user_id, unlocked).await.unwrap();
        assert!(!accounts.authenticate(token, None).await.unwrap().restrictions.locked);
    }

    #[tokio::test]
    async fn only_administrators_restrict_and_only_those_who_are_none() {
        let (accounts, _) = accounts().await;
        let (root, other) = (admin(&accounts, "root").await, admin(&accounts, "other").await);
        let ada = accounts.with_user("ada").await;
        let session = accounts.authenticate(ada.access_token.expose(), None).await.unwrap();
        let lock = async |by: &Session, whom: &UserId| accounts.restrict(by, whom, locked).await;

        let nobody = user_id!("@nobody:hearth.test");
        for whom in [nobody, &*root.user_id] {
            assert!(matches!(lock(&session, whom).await, Err(ModerationError::NotAdmin)));
        }
        assert!(matches!(lock(&root, nobody).await, Err(ModerationError::UnknownUser)));
        let remote = user_id!("@ada:other.test");
        assert!(matches!(lock(&root, remote).await, Err(ModerationError::NotLocal)));
        assert!(matches!(lock(&root, &root.user_id).await, Err(ModerationError::Oneself)));
        assert!(matches!(lock(&root, &other.user_id).await, Err(ModerationError::OtherAdmin)));
        assert!(accounts.restrictions(&root, &root.user_id).await.is_ok());
    }
}
