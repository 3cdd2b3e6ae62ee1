//! Registration tokens. Spec: client-server API, "Token-authenticated registration".

use ruma::MilliSecondsSinceUnixEpoch;
use store::{Batch, RegistrationTokenRecord, StoreError};
use subtle::{Choice, ConstantTimeEq};

use crate::{Accounts, secret::random_name};

/// The characters a registration token may have.
const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~-";

/// How often and until when a token is good.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RegistrationTokenLimits {
    /// How many accounts may be made with it; `None`: any number.
    pub uses: Option<u64>,
    /// When it stops being valid; `None`: never.
    pub expires_at: Option<MilliSecondsSinceUnixEpoch>,
}

/// Why a registration token was not made.
#[derive(Debug, thiserror::Error)]
pub enum RegistrationTokenError {
    /// It is empty, longer than 64 characters or has a character other than A-Z, a-z, 0-9 and `._~-`.
    #[error("a registration token has 1 to 64 characters of A-Z, a-z, 0-9 and ._~-")]
    Malformed,
    /// There is one with this name.
    #[error("the registration token exists")]
    Exists,
    /// The store failed.
    #[error("registration token store failed")]
    Store(#[from] StoreError),
}

impl Accounts {
    /// Makes a registration token, a random one if `token` is `None`.
    pub async fn create_registration_token(
        &self,
        token: Option<&str>,
        limits: RegistrationTokenLimits,
    ) -> Result<String, RegistrationTokenError> {
        let token = token
            .map_or_else(|| random_name(&ALPHABET[..62], 16, &mut rand::rng()), ToOwned::to_owned);
        let valid =
            (1..=64).contains(&token.len()) && token.bytes().all(|byte| ALPHABET.contains(&byte));
        if !valid {
            return Err(RegistrationTokenError::Malformed);
        }
        let record = RegistrationTokenRecord {
            uses_allowed: limits.uses,
            uses: 0,
            expires_at: limits.expires_at,
        };
        let mut batch = Batch::new();
        batch.put_registration_token(&token, None, &record)?;
        match self.store().commit(batch).await {
            Ok(_) => Ok(token),
            Err(StoreError::Conflict) => Err(RegistrationTokenError::Exists),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether somebody could register with a token now.
    pub async fn registration_token_is_valid(&self, token: &str) -> Result<bool, StoreError> {
        Ok(self.is_configured(token) || self.valid_registration_token(token).await?.is_some())
    }

    /// Puts one use of a token into a batch; `false` if it has none left. A configured token has any number.
    pub(crate) async fn use_registration_token(
        &self,
        batch: &mut Batch,
        token: &str,
    ) -> Result<bool, StoreError> {
        if self.is_configured(token) {
            return Ok(true);
        }
        let Some(before) = self.valid_registration_token(token).await? else { return Ok(false) };
        let after = RegistrationTokenRecord { uses: before.uses + 1, ..before.clone() };
        batch.put_registration_token(token, Some(&before), &after)?;
        Ok(true)
    }

    /// Whether the configuration names this token. Takes as long for each wrong guess.
    fn is_configured(&self, token: &str) -> bool {
        let tokens = self.settings().registration_tokens.iter();
        tokens
            .fold(Choice::from(0), |found, one| {
                found | one.expose().as_bytes().ct_eq(token.as_bytes())
            })
            .into()
    }

    async fn valid_registration_token(
        &self,
        token: &str,
    ) -> Result<Option<RegistrationTokenRecord>, StoreError> {
        let now = self.now();
        let record = self.store().registration_token(token).await?;
        Ok(record.filter(|record| {
            record.uses_allowed.is_none_or(|allowed| record.uses < allowed)
                && record.expires_at.is_none_or(|at| now < at)
        }))
    }
}
