//! Tokens that log another device of a user in, once. Spec: client-server API, `POST /login/get_token`.

use std::time::Duration;

use quick_cache::sync::Cache;
use ruma::{MilliSecondsSinceUnixEpoch, api::client::uiaa::AuthData};
use store::{StoreError, TokenHash, UserStatus};

use crate::{
    Accounts, InteractiveAuthError, LoginError, NewDevice, NewSession, Operation, Secret, Session,
    after, login::Owner,
};

/// How long a token is good for somebody who has signed on elsewhere: until they have read where it takes them.
const SIGN_ON_LIFETIME: Duration = Duration::from_mins(2);

/// How many tokens are remembered; some end early when there are more.
const MAX_TOKENS: usize = 10_000;

#[derive(Debug, Clone)]
struct LoginToken {
    owner: Owner,
    expires_at: MilliSecondsSinceUnixEpoch,
}

/// Tokens that were given out and not used. They live in memory only, as they do not live long.
#[derive(Debug)]
pub(crate) struct LoginTokens(Cache<TokenHash, LoginToken>);

impl LoginTokens {
    pub(crate) fn new() -> Self {
        Self(Cache::new(MAX_TOKENS))
    }
}

/// Why no login token was given out.
#[derive(Debug, thiserror::Error)]
pub enum LoginTokenError {
    /// The server gives none out.
    #[error("this server gives no login tokens out")]
    Disabled,
    /// The user is to authenticate first.
    #[error("{0}")]
    Auth(#[from] InteractiveAuthError),
}

impl Accounts {
    /// Whether users get login tokens here.
    pub fn gives_out_login_tokens(&self) -> bool {
        self.settings().login_token_lifetime.is_some()
    }

    /// A login token of the session's user, and how long it is good. For each one the user shows that
    /// the account is theirs.
    #[tracing::instrument(skip_all, fields(user_id = %session.user_id))]
    pub async fn create_login_token(
        &self,
        session: &Session,
        auth: Option<&AuthData>,
    ) -> Result<(Secret, Duration), LoginTokenError> {
        let lifetime = self.settings().login_token_lifetime.ok_or(LoginTokenError::Disabled)?;
        let operation = Operation::of_owner("get a login token", Some(session));
        let owner = self.require_owner(operation, Some(session), auth).await?;
        Ok((self.login_token_of(owner, lifetime), lifetime))
    }

    /// A login token of somebody who has signed on elsewhere.
    pub(crate) fn sign_on_token(&self, owner: Owner) -> Secret {
        self.login_token_of(owner, SIGN_ON_LIFETIME)
    }

    fn login_token_of(&self, owner: Owner, lifetime: Duration) -> Secret {
        let token = Secret::random("hlt", &mut rand::rng());
        let expires_at = after(self.now(), lifetime);
        let known = LoginToken { owner, expires_at };
        self.0.login_tokens.0.insert(TokenHash::of(token.expose()), known);
        token
    }

    /// Logs a device in with a login token, which is used up whatever comes of it.
    pub async fn log_in_with_token(
        &self,
        token: &str,
        device: NewDevice,
    ) -> Result<NewSession, LoginError> {
        let known = self.0.login_tokens.0.remove(&TokenHash::of(token));
        let known = known.map(|(_, known)| known).filter(|known| self.now() < known.expires_at);
        let Owner { number, user_id } = known.ok_or(LoginError::WrongToken)?.owner;
        let record = self.store().user(number).await?;
        let record = record.ok_or(StoreError::Conflict)?;
        if record.status == UserStatus::Deactivated {
            return Err(LoginError::Deactivated);
        }
        if record.restrictions.locked {
            return Err(LoginError::Locked);
        }
        Ok(self.start_session(number, &user_id, device).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Settings,
        testing::{accounts, accounts_with, password},
    };

    #[tokio::test]
    async fn a_token_logs_in_once_and_for_a_while() {
        let (accounts, clock) = accounts().await;
        let ada = accounts.with_user("ada").await;
        let session = accounts.authenticate(ada.access_token.expose(), None).await.unwrap();
        let create = async || {
            let auth = password("ada", "secret");
            accounts.create_login_token(&session, Some(&auth)).await.unwrap()
        };
        let log_in = async |token: &Secret| {
            accounts.log_in_with_token(token.expose(), NewDevice::default()).await
        };
        let (token, _) = create().await;
        assert_eq!(log_in(&token).await.unwrap().user_id, ada.user_id);
        assert!(matches!(log_in(&token).await, Err(LoginError::WrongToken)));

        let (token, lifetime) = create().await;
        clock.advance(lifetime);
        assert!(matches!(log_in(&token).await, Err(LoginError::WrongToken)));
    }

    #[tokio::test]
    async fn a_server_may_give_none_out() {
        let (accounts, _) =
            accounts_with(Settings { login_token_lifetime: None, ..Settings::default() }).await;
        let ada = accounts.with_user("ada").await;
        let session = accounts.authenticate(ada.access_token.expose(), None).await.unwrap();
        let refused = accounts.create_login_token(&session, None).await;
        assert!(matches!(refused, Err(LoginTokenError::Disabled)));
    }
}
