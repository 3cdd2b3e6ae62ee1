//! This server's signing key.

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use rand::{CryptoRng, RngExt, distr::Alphanumeric};
use ruma::{
    serde::{Base64, base64::Standard},
    signatures::Ed25519KeyPair,
};

/// What stands before the 32 bytes of the seed in the PKCS#8 document of an ed25519 private key (RFC 8410).
const PKCS8_HEADER: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// An ed25519 key that signs events, requests and key documents, and the id under which others know it.
/// Spec: appendices, "Signing Details".
pub struct SigningKey {
    key_pair: Ed25519KeyPair,
    seed: [u8; 32],
}

/// Why a text is no signing key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SigningKeyError {
    /// It has not the form `ed25519 <version> <seed>`.
    #[error("a signing key has the form `ed25519 <version> <seed>`")]
    Form,
    /// The version has other characters than `a-z A-Z 0-9 _`, or none.
    #[error("the version of a signing key has one or more of a-z, A-Z, 0-9 and _")]
    Version,
    /// The seed is not 32 bytes in unpadded base64.
    #[error("the seed of a signing key is 32 bytes in unpadded base64")]
    Seed,
}

impl SigningKey {
    /// A new key from `rng`, with a version that no earlier key of this server is likely to have.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut seed = [0; 32];
        rng.fill_bytes(&mut seed);
        let version: String = rng.sample_iter(Alphanumeric).take(6).map(char::from).collect();
        Self::new(seed, format!("a_{version}"))
    }

    /// The key whose private half is `seed`, known as `ed25519:<version>`.
    pub fn from_seed(seed: [u8; 32], version: String) -> Result<Self, SigningKeyError> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if version.is_empty() || !version.chars().all(allowed) {
            return Err(SigningKeyError::Version);
        }
        Ok(Self::new(seed, version))
    }

    fn new(seed: [u8; 32], version: String) -> Self {
        let document = [PKCS8_HEADER.as_slice(), &seed].concat();
        let key_pair = Ed25519KeyPair::from_der(&document, version)
            .expect("a PKCS#8 document is valid with any 32 bytes as its seed");
        Self { key_pair, seed }
    }

    /// Reads what [`SigningKey::to_text`] wrote. Synapse keeps its key in the same form.
    pub fn from_text(text: &str) -> Result<Self, SigningKeyError> {
        let mut words = text.split_ascii_whitespace();
        let (Some("ed25519"), Some(version), Some(seed), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(SigningKeyError::Form);
        };
        let seed = Base64::<Standard, [u8; 32]>::parse(seed).map_err(|_| SigningKeyError::Seed)?;
        Self::from_seed(seed.into_inner(), version.to_owned())
    }

    /// One line that holds the key, its private half included: `ed25519 <version> <seed>`.
    pub fn to_text(&self) -> String {
        format!("ed25519 {} {}\n", self.key_pair.version(), STANDARD_NO_PAD.encode(self.seed))
    }

    /// The key as ruma's signing functions want it.
    pub fn key_pair(&self) -> &Ed25519KeyPair {
        &self.key_pair
    }

    /// The id under which others find the key: `ed25519:<version>`.
    pub fn id(&self) -> String {
        format!("ed25519:{}", self.key_pair.version())
    }

    /// The public half, in unpadded base64.
    pub fn public_key(&self) -> String {
        STANDARD_NO_PAD.encode(self.key_pair.public_key())
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("SigningKey").field(&self.id()).finish()
    }
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;

    #[test]
    fn a_key_survives_being_written_and_read() {
        let key = SigningKey::generate(&mut StdRng::seed_from_u64(1));
        let read = SigningKey::from_text(&key.to_text()).unwrap();
        assert_eq!((read.id(), read.public_key()), (key.id(), key.public_key()));
        assert!(key.id().starts_with("ed25519:a_"));
    }

    #[test]
    fn two_generated_keys_differ() {
        let mut rng = StdRng::seed_from_u64(1);
        let (one, two) = (SigningKey::generate(&mut rng), SigningKey::generate(&mut rng));
        assert!(one.id() != two.id() && one.public_key() != two.public_key());
    }

    #[test]
    fn the_private_half_is_not_in_the_debug_output() {
        let key = SigningKey::from_seed([0; 32], "1".to_owned()).unwrap();
        assert_eq!(format!("{key:?}"), r#"SigningKey("ed25519:1")"#);
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let seed = STANDARD_NO_PAD.encode([1; 32]);
        for text in
            ["", "ed25519 a", &format!("curve25519 a {seed}"), &format!("ed25519 a {seed} b")]
        {
            assert_eq!(SigningKey::from_text(text).unwrap_err(), SigningKeyError::Form, "{text}");
        }
        for text in ["ed25519 a AAAA", "ed25519 a !"] {
            assert_eq!(SigningKey::from_text(text).unwrap_err(), SigningKeyError::Seed, "{text}");
        }
        let dotted = format!("ed25519 a.b {seed}");
        assert_eq!(SigningKey::from_text(&dotted).unwrap_err(), SigningKeyError::Version);
        assert!(SigningKey::from_text(&format!("ed25519 a_b {seed}=")).is_ok());
    }
}
