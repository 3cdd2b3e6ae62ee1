//! Registration tokens. Spec: client-server API, "Token-authenticated registration".

use ruma::MilliSecondsSinceUnixEpoch;
use store::{Batch, RegistrationTokenRecord, StoreError};
use subtle::{Choice, ConstantTimeEq};

use crate::{ATTEMPTS, Accounts, secret::random_name};

/// The characters a registration token may have.
const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~-";

/// How many tokens are read at once.
const PAGE: usize = 500;

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
    /// It would not be valid at any time.
    #[error("the registration token would have expired already")]
    Expired,
    /// There is none with this name.
    #[error("there is no such registration token")]
    NotFound,
    /// The store failed.
    #[error("registration token store failed")]
    Store(#[from] StoreError),
}

impl Accounts {
    /// The name of a new registration token: random letters and digits.
    pub fn random_registration_token(&self, length: usize) -> String {
        random_name(&ALPHABET[..62], length, &mut rand::rng())
    }

    /// Makes a registration token, a random one if `token` is `None`.
    pub async fn create_registration_token(
        &self,
        token: Option<&str>,
        limits: RegistrationTokenLimits,
    ) -> Result<String, RegistrationTokenError> {
        let token = token.map_or_else(|| self.random_registration_token(16), ToOwned::to_owned);
        let valid =
            (1..=64).contains(&token.len()) && token.bytes().all(|byte| ALPHABET.contains(&byte));
        if !valid {
            return Err(RegistrationTokenError::Malformed);
        }
        self.check_expiry(limits)?;
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

    fn check_expiry(&self, limits: RegistrationTokenLimits) -> Result<(), RegistrationTokenError> {
        match limits.expires_at {
            Some(at) if at < self.now() => Err(RegistrationTokenError::Expired),
            _ => Ok(()),
        }
    }

    /// A registration token that was made, valid or not.
    pub async fn registration_token(
        &self,
        token: &str,
    ) -> Result<RegistrationTokenRecord, RegistrationTokenError> {
        let record = self.store().registration_token(token).await?;
        record.ok_or(RegistrationTokenError::NotFound)
    }

    /// All registration tokens that were made; only those that are valid, or are not, if that is asked for.
    pub async fn registration_tokens(
        &self,
        valid: Option<bool>,
    ) -> Result<Vec<(String, RegistrationTokenRecord)>, StoreError> {
        let now = self.now();
        let mut found: Vec<(String, RegistrationTokenRecord)> = Vec::new();
        let mut last: Option<String> = None;
        loop {
            let page = self.store().registration_tokens(last.as_deref(), PAGE).await?;
            let is_last = page.len() < PAGE;
            last = page.last().map(|(token, _)| token.clone());
            let wanted = page
                .into_iter()
                .filter(|(_, record)| valid.is_none_or(|valid| valid == is_valid(record, now)));
            found.extend(wanted);
            if is_last {
                return Ok(found);
            }
        }
    }

    /// Changes the limits of a registration token to what `change` makes of them.
    pub async fn change_registration_token(
        &self,
        token: &str,
        change: impl Fn(RegistrationTokenLimits) -> RegistrationTokenLimits,
    ) -> Result<(), RegistrationTokenError> {
        for _ in 0..ATTEMPTS {
            let before = self.registration_token(token).await?;
            let known = RegistrationTokenLimits {
                uses: before.uses_allowed,
                expires_at: before.expires_at,
            };
            let limits = change(known);
            if limits.expires_at != known.expires_at {
                self.check_expiry(limits)?;
            }
            let after = RegistrationTokenRecord {
                uses_allowed: limits.uses,
                expires_at: limits.expires_at,
                ..before.clone()
            };
            let mut batch = Batch::new();
            batch.put_registration_token(token, Some(&before), &after)?;
            match self.store().commit(batch).await {
                Ok(_) => return Ok(()),
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Conflict.into())
    }

    /// Deletes a registration token.
    pub async fn delete_registration_token(
        &self,
        token: &str,
    ) -> Result<(), RegistrationTokenError> {
        for _ in 0..ATTEMPTS {
            let before = self.registration_token(token).await?;
            let mut batch = Batch::new();
            batch.delete_registration_token(token, &before)?;
            match self.store().commit(batch).await {
                Ok(_) => return Ok(()),
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Conflict.into())
    }

    /// Whether somebody could register with a token now.
    pub(crate) async fn registration_token_is_valid(
        &self,
        token: &str,
    ) -> Result<bool, StoreError> {
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
        Ok(record.filter(|record| is_valid(record, now)))
    }
}

fn is_valid(record: &RegistrationTokenRecord, now: MilliSecondsSinceUnixEpoch) -> bool {
    record.uses_allowed.is_none_or(|allowed| record.uses < allowed)
        && record.expires_at.is_none_or(|at| now < at)
}
