//! Secrets: tokens given to clients and how they are made.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use rand::{CryptoRng, RngExt};

/// Something nobody else may learn. Not shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }

    /// The secret itself.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The secret itself, for the one place it is sent to.
    pub fn into_exposed(self) -> String {
        self.0
    }

    /// A new token of 256 random bits. `kind` stands at its front, so that scanners recognise a leaked one.
    pub(crate) fn random(kind: &str, random: &mut impl CryptoRng) -> Self {
        let mut bytes = [0; 32];
        random.fill_bytes(&mut bytes);
        Self(format!("{kind}_{}", URL_SAFE_NO_PAD.encode(bytes)))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(..)")
    }
}

/// Random characters of `alphabet`, for names that are no secret.
pub(crate) fn random_name(alphabet: &[u8], length: usize, random: &mut impl CryptoRng) -> String {
    let character = |_| char::from(alphabet[random.random_range(0..alphabet.len())]);
    (0..length).map(character).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_shown_and_no_two_are_alike() {
        let one = Secret::random("hat", &mut rand::rng());
        let two = Secret::random("hat", &mut rand::rng());
        assert_eq!(format!("{one:?}"), "Secret(..)");
        assert_ne!(one, two);
        assert_eq!(one.expose().len(), 4 + 43);
    }
}
