//! Who has an email address or a telephone number. Spec: identity service API, "Association lookup".

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Method;
use protocol::ThirdPartyId;
use ruma::OwnedUserId;
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::{AccessToken, IdentityError, IdentityServer};

/// How addresses are sent. Spec: identity service API, "Algorithms".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Algorithm {
    Sha256,
    None,
}

/// What `GET /hash_details` tells.
#[derive(Debug, Deserialize)]
struct HashDetails {
    lookup_pepper: String,
    algorithms: Vec<String>,
}

impl IdentityServer {
    /// The user who has an address, if the server knows of one.
    #[tracing::instrument(skip_all, fields(server = %self.server))]
    pub async fn look_up(
        &self,
        token: &AccessToken,
        id: &ThirdPartyId,
    ) -> Result<Option<OwnedUserId>, IdentityError> {
        match self.look_up_once(token, id).await {
            // It was replaced in between. Spec: "being careful to avoid retry loops".
            Err(IdentityError::InvalidPepper) => self.look_up_once(token, id).await,
            outcome => outcome,
        }
    }

    async fn look_up_once(
        &self,
        token: &AccessToken,
        id: &ThirdPartyId,
    ) -> Result<Option<OwnedUserId>, IdentityError> {
        #[derive(Deserialize)]
        struct Found {
            mappings: HashMap<String, String>,
        }
        let details: HashDetails = self.ask(Method::GET, "hash_details", token, None).await?;
        let pepper = &details.lookup_pepper;
        let algorithm = details.algorithm()?;
        let address = algorithm.address(id, pepper);
        let body =
            json!({ "algorithm": algorithm.name(), "pepper": pepper, "addresses": [address] });
        let mut found: Found = self.ask(Method::POST, "lookup", token, Some(&body)).await?;
        let user = found.mappings.remove(&address).map(OwnedUserId::try_from);
        user.transpose().map_err(|_| IdentityError::Nonsense)
    }
}

impl HashDetails {
    /// That which tells the server least.
    fn algorithm(&self) -> Result<Algorithm, IdentityError> {
        let known = [Algorithm::Sha256, Algorithm::None].into_iter();
        let mut common =
            known.filter(|known| self.algorithms.iter().any(|name| name == known.name()));
        common.next().ok_or(IdentityError::Nonsense)
    }
}

impl Algorithm {
    fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::None => "none",
        }
    }

    /// An address as it is sent.
    fn address(self, id: &ThirdPartyId, pepper: &str) -> String {
        let plain = format!("{} {}", id.address(), id.medium());
        match self {
            Self::Sha256 => URL_SAFE_NO_PAD.encode(Sha256::digest(format!("{plain} {pepper}"))),
            Self::None => plain,
        }
    }
}

#[cfg(test)]
mod tests {
    use ruma::thirdparty::Medium;

    use super::*;

    #[test]
    fn addresses_are_hashed_as_in_the_specifications_examples() {
        for (medium, address, hash) in [
            (Medium::Email, "alice@example.com", "4kenr7N9drpCJ4AfalmlGQVsOn3o2RHjkADUpXJWZUc"),
            (Medium::Email, "bob@example.com", "LJwSazmv46n0hlMlsb_iYxI0_HXEqy_yj6Jm636cdT8"),
            (Medium::Msisdn, "18005552067", "nlo35_T5fzSGZzJApqu8lgIudJvmOQtDaHtr-I4rU7I"),
        ] {
            let id = ThirdPartyId::new(&medium, address).unwrap();
            assert_eq!(Algorithm::Sha256.address(&id, "matrixrocks"), hash);
        }
        let alice = ThirdPartyId::new(&Medium::Email, "alice@example.org").unwrap();
        assert_eq!(Algorithm::None.address(&alice, "x"), "alice@example.org email");
    }

    #[test]
    fn hashes_are_preferred_to_plain_addresses() {
        for (algorithms, expected) in [
            (vec!["none", "sha256"], Some(Algorithm::Sha256)),
            (vec!["none"], Some(Algorithm::None)),
            (vec!["rot13"], None),
            (vec![], None),
        ] {
            let algorithms = algorithms.into_iter().map(str::to_owned).collect();
            let details = HashDetails { lookup_pepper: String::new(), algorithms };
            assert_eq!(details.algorithm().ok(), expected);
        }
    }
}
