//! Tokens that prove to others who somebody is. Spec: client-server API, module `OpenID`.
//!
//! A token says itself whose it is and until when, under a key that only this server knows: nothing is kept of it.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use ruma::OwnedUserId;
use sha2::Sha256;
use store::{Batch, StoreError, UserNumber, UserStatus};

use crate::{Accounts, Secret, Session, after};

/// How long a token is good.
const LIFETIME: Duration = Duration::from_hours(1);

/// What stands at the front of a token.
const PREFIX: &str = "hot_";

/// The bytes of what is signed: the user's number and when the token expires.
const CLAIM: usize = 16;

/// Why a token is not accepted, or none was made.
#[derive(Debug, thiserror::Error)]
pub enum OpenIdError {
    /// It was not made here, is too old, or its user is gone.
    #[error("the OpenID token is unknown or expired")]
    UnknownToken,
    /// The store failed.
    #[error("account store failed")]
    Store(#[from] StoreError),
}

impl Accounts {
    /// A token that tells whoever gets it who the session's user is, and how long it is good.
    #[tracing::instrument(skip_all, fields(user_id = %session.user_id))]
    pub async fn create_openid_token(
        &self,
        session: &Session,
    ) -> Result<(Secret, Duration), OpenIdError> {
        let expires_at = u64::from(after(self.now(), LIFETIME).get());
        let mut token = [session.user.0.to_be_bytes(), expires_at.to_be_bytes()].concat();
        let signature = self.openid_signature(&token).await?.finalize().into_bytes();
        token.extend_from_slice(&signature);
        let token = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(token));
        Ok((Secret::new(token), LIFETIME))
    }

    /// Whose token this is.
    pub async fn openid_user(&self, token: &str) -> Result<OwnedUserId, OpenIdError> {
        let bytes = token.strip_prefix(PREFIX).and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
        let bytes = bytes.ok_or(OpenIdError::UnknownToken)?;
        let (claim, signature) =
            bytes.split_first_chunk::<CLAIM>().ok_or(OpenIdError::UnknownToken)?;
        let expected = self.openid_signature(claim).await?;
        expected.verify_slice(signature).map_err(|_| OpenIdError::UnknownToken)?;
        let number = |bytes: &[u8]| bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        let (user, expires_at) = claim.split_at(CLAIM / 2);
        if number(expires_at) <= u64::from(self.now().get()) {
            return Err(OpenIdError::UnknownToken);
        }
        let user = UserNumber(number(user));
        let record = self.store().user(user).await?;
        let usable = record.is_some_and(|record| {
            record.status == UserStatus::Active && !record.restrictions.locked
        });
        let user_id = self.store().user_id(user).await?.filter(|_| usable);
        user_id.ok_or(OpenIdError::UnknownToken)
    }

    /// The signature of a token, not finished.
    async fn openid_signature(&self, claim: &[u8]) -> Result<Hmac<Sha256>, OpenIdError> {
        let key = self.0.openid_key.get_or_try_init(|| self.load_openid_key()).await?;
        let mut signature =
            Hmac::<Sha256>::new_from_slice(key).map_err(|_| OpenIdError::UnknownToken)?;
        signature.update(claim);
        Ok(signature)
    }

    /// The key in the store; the first to ask makes it.
    async fn load_openid_key(&self) -> Result<[u8; 32], StoreError> {
        if let Some(key) = self.store().openid_key().await? {
            return Ok(key);
        }
        let mut batch = Batch::new();
        batch.create_openid_key(&rand::random())?;
        match self.store().commit(batch).await {
            Ok(_) | Err(StoreError::Conflict) => {}
            Err(error) => return Err(error),
        }
        self.store().openid_key().await?.ok_or(StoreError::Conflict)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SentEvents, testing::accounts};

    #[tokio::test]
    async fn a_token_tells_its_user_until_it_expires() {
        let (accounts, clock) = accounts().await;
        let ada = accounts.with_user("ada").await;
        let session = accounts.authenticate(ada.access_token.expose(), None).await.unwrap();
        let (token, lifetime) = accounts.create_openid_token(&session).await.unwrap();
        assert_eq!(accounts.openid_user(token.expose()).await.unwrap(), ada.user_id);
        let access = accounts.authenticate(token.expose(), None).await;
        assert!(access.is_err(), "it opens nothing else");

        clock.advance(lifetime);

        let late = accounts.openid_user(token.expose()).await;
        assert!(matches!(late, Err(OpenIdError::UnknownToken)));
    }

    #[tokio::test]
    async fn a_changed_token_and_one_of_a_closed_account_are_unknown() {
        let (accounts, _) = accounts().await;
        let ada = accounts.with_user("ada").await;
        let session = accounts.authenticate(ada.access_token.expose(), None).await.unwrap();
        let (token, _) = accounts.create_openid_token(&session).await.unwrap();
        for at in 0..token.expose().len() {
            let mut bytes = token.expose().as_bytes().to_vec();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            assert!(accounts.openid_user(&changed).await.is_err(), "{at}");
        }
        for short in ["", PREFIX, &token.expose()[..20]] {
            assert!(accounts.openid_user(short).await.is_err());
        }
        accounts.deactivate(&ada.user_id, SentEvents::Keep).await.unwrap();
        assert!(accounts.openid_user(token.expose()).await.is_err());
    }
}
