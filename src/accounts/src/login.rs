//! Logging in and out, and changing one's password.

use ruma::{DeviceId, OwnedUserId, UserId, api::client::uiaa::AuthData};
use store::{Batch, DeviceRecord, StoreError, UserNumber, UserRecord, UserStatus};

use crate::{
    ATTEMPTS, Accounts, InteractiveAuthError, NewDevice, NewSession, Operation, PasswordError,
    Session, guesses::Guess, passwords::Verdict, usernames::existing_user_id,
};

/// Why somebody was not let in.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// No such user, or not their password: which of the two is not told.
    #[error("the user name or password is wrong")]
    WrongPassword,
    /// It is no login token, or was used, or is too old.
    #[error("the login token is not valid")]
    WrongToken,
    /// The account is closed, and its password is gone with it.
    #[error("the account is deactivated")]
    Deactivated,
    /// The password is right and the account is locked.
    #[error("the account is locked")]
    Locked,
    /// The password could not be compared.
    #[error("{0}")]
    Password(#[from] PasswordError),
    /// The store failed.
    #[error("login store failed")]
    Store(#[from] StoreError),
}

/// Why a password was not changed.
#[derive(Debug, thiserror::Error)]
pub enum PasswordChangeError {
    /// There is no such account.
    #[error("the user is unknown")]
    UnknownUser,
    /// The user is to authenticate first.
    #[error("{0}")]
    Auth(#[from] InteractiveAuthError),
    /// The password cannot be had.
    #[error("{0}")]
    Password(#[from] PasswordError),
    /// The store failed.
    #[error("account store failed")]
    Store(#[from] StoreError),
}

/// Whom an account belongs to.
#[derive(Debug, Clone)]
pub(crate) struct Owner {
    pub(crate) number: UserNumber,
    pub(crate) user_id: OwnedUserId,
}

/// What happens to a user's other devices when the password changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OtherDevices {
    /// They are logged out.
    LogOut,
    /// They stay.
    Keep,
}

impl Accounts {
    /// Logs a device in with a password. `name` is a user ID or the part of it before the colon.
    ///
    /// Takes as long for an unknown user as for a known one.
    /// Spec: client-server API, "Password-based" under "Legacy login".
    pub async fn log_in(
        &self,
        name: &str,
        password: &str,
        device: NewDevice,
    ) -> Result<NewSession, LoginError> {
        let user_id = existing_user_id(name, self.server_name());
        let user_id = user_id.as_deref();
        let owner = self.check_password(user_id, password).await?;
        Ok(self.start_session(owner.number, &owner.user_id, device).await?)
    }

    /// The user whose password this is.
    pub(crate) async fn check_password(
        &self,
        user_id: Option<&UserId>,
        password: &str,
    ) -> Result<Owner, LoginError> {
        let found = match user_id {
            Some(user_id) => self.account_in_any_case(user_id).await?,
            None => None,
        };
        let hash = found.as_ref().and_then(|(_, _, record)| record.password_hash.clone());
        let guess = user_id.map(|user_id| self.0.guesses.guess(user_id, self.now()));
        let guess = guess.transpose().map_err(PasswordError::TooManyGuesses)?.flatten();
        let verdict = self.0.passwords.verify(password, hash).await;
        if !matches!(verdict, Ok(Verdict::Wrong)) {
            guess.into_iter().for_each(Guess::take_back);
        }
        let verdict = verdict?;
        let Some((number, user_id, record)) = found else { return Err(LoginError::WrongPassword) };
        match (record.status, verdict) {
            (UserStatus::Deactivated, _) => Err(LoginError::Deactivated),
            (UserStatus::Active, Verdict::Wrong) => Err(LoginError::WrongPassword),
            (UserStatus::Active, Verdict::Right) if record.restrictions.locked => {
                Err(LoginError::Locked)
            }
            (UserStatus::Active, Verdict::Right) => Ok(Owner { number, user_id }),
        }
    }

    /// The account with this ID, or with this ID in lower case.
    async fn account_in_any_case(
        &self,
        user_id: &UserId,
    ) -> Result<Option<(UserNumber, OwnedUserId, UserRecord)>, StoreError> {
        let lower = user_id.localpart().to_ascii_lowercase();
        let lower = UserId::parse_with_server_name(lower, self.server_name()).ok();
        for candidate in [Some(user_id.to_owned()), lower].into_iter().flatten() {
            if let Some((number, record)) = self.account(&candidate).await? {
                return Ok(Some((number, candidate, record)));
            }
        }
        Ok(None)
    }

    /// Ends a session: its device goes with its tokens.
    #[tracing::instrument(skip_all, fields(user_id = %session.user_id, device_id = %session.device_id))]
    pub async fn log_out(&self, session: &Session) -> Result<(), StoreError> {
        self.delete_own_devices(session.user, |id| *id == session.device_id).await
    }

    /// Ends all sessions of the session's user, this one too.
    #[tracing::instrument(skip_all, fields(user_id = %session.user_id))]
    pub async fn log_out_everywhere(&self, session: &Session) -> Result<(), StoreError> {
        self.delete_own_devices(session.user, |_| true).await
    }

    /// Gives a user a new password, who proves with the old one that the account is theirs. Whoever has no session
    /// names the account along with the password.
    /// Spec: client-server API, `POST /account/password`.
    pub async fn change_own_password(
        &self,
        session: Option<&Session>,
        new_password: &str,
        others: OtherDevices,
        auth: Option<&AuthData>,
    ) -> Result<(), PasswordChangeError> {
        let operation = Operation::of_owner("change password", session);
        let owner = self.require_owner(operation, session, auth).await?;
        let kept = session.map(|session| &*session.device_id);
        self.set_password(owner.number, new_password, others, kept).await?;
        tracing::info!(user_id = %owner.user_id, "password changed");
        Ok(())
    }

    /// Sets a user's password; of their devices, `kept` stays whatever happens to the others.
    pub(crate) async fn set_password(
        &self,
        user: UserNumber,
        new_password: &str,
        others: OtherDevices,
        kept: Option<&DeviceId>,
    ) -> Result<(), PasswordChangeError> {
        let hash = self.0.passwords.hash(new_password).await?;
        for _ in 0..ATTEMPTS {
            let before = self.store().user(user).await?;
            let before = before.filter(|record| record.status == UserStatus::Active);
            let before = before.ok_or(PasswordChangeError::UnknownUser)?;
            let after = UserRecord { password_hash: Some(hash.clone()), ..before.clone() };
            let mut batch = Batch::new();
            batch.change_user(user, &before, &after)?;
            if others == OtherDevices::LogOut {
                for (id, device) in self.store().devices(user).await? {
                    if Some(&*id) != kept {
                        self.put_device_deletion(&mut batch, user, &id, &device).await?;
                    }
                }
            }
            match self.store().commit(batch).await {
                Ok(_) => return Ok(()),
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Conflict.into())
    }

    /// Deletes those devices of a user that are `meant`, all in one commit.
    pub(crate) async fn delete_own_devices(
        &self,
        user: UserNumber,
        meant: impl Fn(&DeviceId) -> bool,
    ) -> Result<(), StoreError> {
        for _ in 0..ATTEMPTS {
            let devices = self.store().devices(user).await?;
            let devices: Vec<(_, DeviceRecord)> =
                devices.into_iter().filter(|(id, _)| meant(id)).collect();
            let mut batch = Batch::new();
            for (id, device) in &devices {
                self.put_device_deletion(&mut batch, user, id, device).await?;
            }
            if batch.is_empty() {
                return Ok(());
            }
            match self.store().commit(batch).await {
                Ok(_) => return Ok(()),
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(error),
            }
        }
        Err(StoreError::Conflict)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AuthenticationError, testing::accounts};

    async fn log_in(accounts: &Accounts, name: &str, password: &str) -> Result<(), LoginError> {
        accounts.log_in(name, password, NewDevice::default()).await.map(drop)
    }

    #[tokio::test]
    async fn a_user_is_named_by_localpart_or_id_in_any_case() {
        let (accounts, _) = accounts().await;
        accounts.with_user("ada").await;
        for name in ["ada", "@ada:hearth.test", "ADA", "@Ada:hearth.test"] {
            log_in(&accounts, name, "secret").await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_wrong_password_and_an_unknown_user_are_the_same_error() {
        let (accounts, _) = accounts().await;
        accounts.with_user("ada").await;
        for (name, password) in [
            ("ada", "wrong"),
            ("ada", ""),
            ("bo", "secret"),
            ("@ada:other.test", "secret"),
            ("@", "secret"),
        ] {
            let outcome = log_in(&accounts, name, password).await;
            assert!(matches!(outcome, Err(LoginError::WrongPassword)), "{name}: {outcome:?}");
        }
    }

    #[tokio::test]
    async fn logging_out_everywhere_ends_all_sessions_of_that_user_only() {
        let (accounts, _) = accounts().await;
        let (one, bo) = (accounts.with_user("ada").await, accounts.with_user("bo").await);
        let two = accounts.log_in("ada", "secret", NewDevice::default()).await.unwrap();
        let session = accounts.authenticate(one.access_token.expose(), None).await.unwrap();
        accounts.log_out_everywhere(&session).await.unwrap();

        for token in [&one.access_token, &two.access_token] {
            let outcome = accounts.authenticate(token.expose(), None).await;
            assert!(matches!(outcome, Err(AuthenticationError::UnknownToken)));
        }
        accounts.authenticate(bo.access_token.expose(), None).await.unwrap();
    }

    #[tokio::test]
    async fn a_new_password_replaces_the_old_and_ends_other_sessions_if_asked() {
        for (others, survives) in [(OtherDevices::LogOut, false), (OtherDevices::Keep, true)] {
            let (accounts, _) = accounts().await;
            let one = accounts.with_user("ada").await;
            let two = accounts.log_in("ada", "secret", NewDevice::default()).await.unwrap();
            let session = accounts.authenticate(one.access_token.expose(), None).await.unwrap();
            let auth = crate::testing::password("ada", "secret");
            let session = Some(&*session);
            accounts.change_own_password(session, "better", others, Some(&auth)).await.unwrap();

            accounts.authenticate(one.access_token.expose(), None).await.unwrap();
            let other = accounts.authenticate(two.access_token.expose(), None).await;
            assert_eq!(other.is_ok(), survives);
            assert!(matches!(
                log_in(&accounts, "ada", "secret").await,
                Err(LoginError::WrongPassword)
            ));
            log_in(&accounts, "ada", "better").await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_password_is_changed_without_a_session_by_who_knows_it() {
        let (accounts, _) = accounts().await;
        let ada = accounts.with_user("ada").await;
        let change = async |auth: &AuthData| {
            let others = OtherDevices::LogOut;
            accounts.change_own_password(None, "better", others, Some(auth)).await
        };
        let wrong = change(&crate::testing::password("ada", "wrong")).await;
        assert!(matches!(wrong, Err(PasswordChangeError::Auth(InteractiveAuthError::Required(_)))));
        let nobody = change(&crate::testing::password("nobody", "secret")).await;
        assert!(matches!(
            nobody,
            Err(PasswordChangeError::Auth(InteractiveAuthError::Required(_)))
        ));

        change(&crate::testing::password("ada", "secret")).await.unwrap();

        log_in(&accounts, "ada", "better").await.unwrap();
        let old = accounts.authenticate(ada.access_token.expose(), None).await;
        assert!(matches!(old, Err(AuthenticationError::UnknownToken)));
    }
}
