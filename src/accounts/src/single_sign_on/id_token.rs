//! What a provider says of who has signed on. Spec: `OpenID` Connect Core, section 3.1.3.7, "ID Token Validation".

use ruma::MilliSecondsSinceUnixEpoch;
use serde_json::{Map, Value};

use crate::external_ids::MAX_NAME;

/// Seconds by which the provider's clock may differ.
const LEEWAY: u64 = 60;

/// Why an ID token is not accepted.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdTokenError {
    /// Another provider issued it.
    #[error("the issuer is another")]
    Issuer,
    /// It is for another client of the provider.
    #[error("it is for another client")]
    Audience,
    /// It is no longer valid, or not yet.
    #[error("it is not valid at this time")]
    Time,
    /// It answers another request.
    #[error("it is for another sign-on")]
    Nonce,
    /// It does not say who signed on.
    #[error("it has no subject of 1 to {MAX_NAME} bytes")]
    Subject,
}

/// What an ID token must say.
pub(super) struct Expected<'a> {
    pub(super) issuer: &'a str,
    pub(super) client_id: &'a str,
    pub(super) nonce: &'a str,
    pub(super) now: MilliSecondsSinceUnixEpoch,
}

impl Expected<'_> {
    /// The subject that the claims of a token are of; its signature is checked already.
    pub(super) fn subject(&self, claims: &Map<String, Value>) -> Result<String, IdTokenError> {
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        if text("iss") != Some(self.issuer) {
            return Err(IdTokenError::Issuer);
        }
        if !self.is_audience(claims) {
            return Err(IdTokenError::Audience);
        }
        if !self.is_timely(claims) {
            return Err(IdTokenError::Time);
        }
        if text("nonce") != Some(self.nonce) {
            return Err(IdTokenError::Nonce);
        }
        let subject = text("sub").filter(|subject| (1..=MAX_NAME).contains(&subject.len()));
        subject.map(ToOwned::to_owned).ok_or(IdTokenError::Subject)
    }

    /// Whether the token is for this client; one that is for several must be issued to it.
    fn is_audience(&self, claims: &Map<String, Value>) -> bool {
        let is_self = |value: &Value| value.as_str() == Some(self.client_id);
        let (named, several) = match claims.get("aud") {
            Some(Value::Array(all)) => (all.iter().any(is_self), all.len() > 1),
            Some(one) => (is_self(one), false),
            None => (false, false),
        };
        named && claims.get("azp").map_or(!several, is_self)
    }

    fn is_timely(&self, claims: &Map<String, Value>) -> bool {
        let now = u64::from(self.now.as_secs());
        // Some providers send fractions of a second.
        let time = |name: &str| claims.get(name).map(|value| value.as_f64().unwrap_or(f64::NAN));
        let late = |time: f64| time > seconds(now.saturating_sub(LEEWAY));
        let early = |time: f64| time <= seconds(now.saturating_add(LEEWAY));
        time("exp").is_some_and(late)
            && time("iat").is_some_and(early)
            && time("nbf").is_none_or(early)
    }
}

/// Exact until long after any token is valid.
#[expect(clippy::cast_precision_loss, reason = "seconds of this age fit 52 bits")]
fn seconds(seconds: u64) -> f64 {
    seconds as f64
}

#[cfg(test)]
mod tests {
    use ruma::UInt;
    use serde_json::json;

    use super::*;

    const NOW: u32 = 1_800_000_000;

    fn check(change: impl FnOnce(&mut Value)) -> Result<String, IdTokenError> {
        let mut claims = json!({
            "iss": "https://id.example", "aud": "hearth", "sub": "ada", "nonce": "n",
            "exp": NOW + 300, "iat": NOW,
        });
        change(&mut claims);
        let now = MilliSecondsSinceUnixEpoch(UInt::from(NOW) * UInt::from(1000_u32));
        let expected =
            Expected { issuer: "https://id.example", client_id: "hearth", nonce: "n", now };
        expected.subject(claims.as_object().unwrap())
    }

    #[test]
    fn a_token_says_who_signed_on() {
        assert_eq!(check(|_| {}).unwrap(), "ada");
        assert_eq!(check(|claims| claims["aud"] = json!(["hearth"])).unwrap(), "ada");
        let issued = |claims: &mut Value| {
            claims["aud"] = json!(["other", "hearth"]);
            claims["azp"] = json!("hearth");
        };
        assert_eq!(check(issued).unwrap(), "ada");
        assert_eq!(check(|claims| claims["exp"] = json!(f64::from(NOW) + 0.5)).unwrap(), "ada");
    }

    #[test]
    fn every_claim_is_looked_at() {
        for (claim, value, error) in [
            ("iss", json!("https://id.example/"), IdTokenError::Issuer),
            ("iss", json!(null), IdTokenError::Issuer),
            ("aud", json!("other"), IdTokenError::Audience),
            ("aud", json!([]), IdTokenError::Audience),
            ("aud", json!(["hearth", "other"]), IdTokenError::Audience),
            ("azp", json!("other"), IdTokenError::Audience),
            ("exp", json!(NOW - 60), IdTokenError::Time),
            ("exp", json!("soon"), IdTokenError::Time),
            ("exp", json!(null), IdTokenError::Time),
            ("iat", json!(NOW + 61), IdTokenError::Time),
            ("iat", json!(null), IdTokenError::Time),
            ("nbf", json!(NOW + 61), IdTokenError::Time),
            ("nonce", json!("other"), IdTokenError::Nonce),
            ("nonce", json!(null), IdTokenError::Nonce),
            ("sub", json!(""), IdTokenError::Subject),
            ("sub", json!(5), IdTokenError::Subject),
            ("sub", json!("x".repeat(256)), IdTokenError::Subject),
        ] {
            let shown = format!("{claim}: {value}");
            assert_eq!(check(|claims| claims[claim] = value), Err(error), "{shown}");
        }
    }

    #[test]
    fn clocks_may_differ_a_little() {
        assert!(check(|claims| claims["exp"] = json!(NOW - 59)).is_ok());
        assert!(check(|claims| claims["iat"] = json!(NOW + 60)).is_ok());
    }
}
