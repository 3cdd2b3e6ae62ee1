//! Signatures of providers. Spec: JSON Web Signature (RFC 7515), JSON Web Key (RFC 7517).

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::signature::{
    self, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
};
use serde::Deserialize;
use serde_json::{Map, Value};

/// How many keys of a provider are looked at.
const MAX_KEYS: usize = 100;

/// Why something is not signed by the provider.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// It is no compact JWS with claims in it.
    #[error("it is no signed JSON web token")]
    Malformed,
    /// It is signed in a way that is not accepted, or not at all.
    #[error("the algorithm of the signature is not accepted")]
    Algorithm,
    /// The provider has no such key.
    #[error("the key of the signature is not known")]
    UnknownKey,
    /// The signature is wrong.
    #[error("the signature is wrong")]
    Wrong,
}

/// The public keys of a provider.
#[derive(Debug, Default)]
pub(super) struct Keys(Vec<Key>);

/// A public key, with what it may be used for.
#[derive(Debug, Deserialize)]
struct Key {
    kid: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    alg: Option<String>,
    #[serde(flatten)]
    material: Material,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "kty")]
enum Material {
    #[serde(rename = "RSA")]
    Rsa { n: Bytes, e: Bytes },
    #[serde(rename = "EC")]
    Curve { crv: String, x: Bytes, y: Bytes },
    #[serde(rename = "OKP")]
    Edwards { crv: String, x: Bytes },
}

/// Bytes as JSON web keys have them.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
struct Bytes(Vec<u8>);

impl TryFrom<String> for Bytes {
    type Error = base64::DecodeError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        URL_SAFE_NO_PAD.decode(text).map(Self)
    }
}

/// How something is signed. Only signatures by a private key are: a secret that both sides have is none of these.
#[derive(Clone, Copy)]
enum Algorithm {
    Rsa(&'static RsaParameters),
    /// With the name of the curve.
    Curve(&'static str, &'static dyn VerificationAlgorithm),
    Ed25519,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    /// Names of what must be understood; nothing of that is.
    crit: Option<Value>,
}

impl Keys {
    /// The keys of a key set that are of a kind that is known.
    pub(super) fn of_set(set: &Value) -> Option<Self> {
        let keys = set.get("keys")?.as_array()?.iter().take(MAX_KEYS);
        Some(Self(keys.filter_map(|key| Key::deserialize(key).ok()).collect()))
    }

    /// What a token says that one of the keys has signed.
    pub(super) fn claims(&self, token: &str) -> Result<Map<String, Value>, SignatureError> {
        let (signed, signature) = token.rsplit_once('.').ok_or(SignatureError::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(SignatureError::Malformed)?;
        let header: Header = decoded(header)?;
        let Bytes(signature) =
            signature.to_owned().try_into().map_err(|_| SignatureError::Malformed)?;
        let algorithm = Algorithm::named(&header.alg).ok_or(SignatureError::Algorithm)?;
        if header.crit.is_some() {
            return Err(SignatureError::Malformed);
        }
        let mut candidates = self.0.iter().filter(|key| key.is_for(&header)).peekable();
        if candidates.peek().is_none() {
            return Err(SignatureError::UnknownKey);
        }
        if !candidates.any(|key| key.material.has_signed(algorithm, signed.as_bytes(), &signature))
        {
            return Err(SignatureError::Wrong);
        }
        decoded(claims)
    }
}

fn decoded<T: serde::de::DeserializeOwned>(part: &str) -> Result<T, SignatureError> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|_| SignatureError::Malformed)?;
    serde_json::from_slice(&bytes).map_err(|_| SignatureError::Malformed)
}

impl Key {
    /// Whether the key may have made a signature with this header.
    fn is_for(&self, header: &Header) -> bool {
        let named = header.kid.is_none() || header.kid == self.kid;
        let signs = self.purpose.as_deref().is_none_or(|purpose| purpose == "sig");
        named && signs && self.alg.as_ref().is_none_or(|alg| *alg == header.alg)
    }
}

impl Algorithm {
    /// Spec: JSON Web Algorithms (RFC 7518), section 3.1.
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "RS256" => Self::Rsa(&signature::RSA_PKCS1_2048_8192_SHA256),
            "RS384" => Self::Rsa(&signature::RSA_PKCS1_2048_8192_SHA384),
            "RS512" => Self::Rsa(&signature::RSA_PKCS1_2048_8192_SHA512),
            "PS256" => Self::Rsa(&signature::RSA_PSS_2048_8192_SHA256),
            "PS384" => Self::Rsa(&signature::RSA_PSS_2048_8192_SHA384),
            "PS512" => Self::Rsa(&signature::RSA_PSS_2048_8192_SHA512),
            "ES256" => Self::Curve("P-256", &signature::ECDSA_P256_SHA256_FIXED),
            "ES384" => Self::Curve("P-384", &signature::ECDSA_P384_SHA384_FIXED),
            "EdDSA" | "Ed25519" => Self::Ed25519,
            _ => return None,
        })
    }
}

impl Material {
    fn has_signed(&self, algorithm: Algorithm, signed: &[u8], signature: &[u8]) -> bool {
        let verified = match (self, algorithm) {
            (Self::Rsa { n, e }, Algorithm::Rsa(parameters)) => {
                let key = RsaPublicKeyComponents { n: n.number(), e: e.number() };
                key.verify(parameters, signed, signature)
            }
            (Self::Curve { crv, x, y }, Algorithm::Curve(name, algorithm)) if crv == name => {
                // A point that is not compressed. Spec: SEC 1, section 2.3.3.
                let point = [&[4], &*x.0, &*y.0].concat();
                UnparsedPublicKey::new(algorithm, point).verify(signed, signature)
            }
            (Self::Edwards { crv, x }, Algorithm::Ed25519) if crv == "Ed25519" => {
                UnparsedPublicKey::new(&signature::ED25519, &x.0).verify(signed, signature)
            }
            (Self::Rsa { .. } | Self::Curve { .. } | Self::Edwards { .. }, _) => return false,
        };
        verified.is_ok()
    }
}

impl Bytes {
    /// A number in its shortest form, which some providers do not send.
    fn number(&self) -> &[u8] {
        let zeros = self.0.iter().take_while(|byte| **byte == 0).count();
        &self.0[zeros..]
    }
}

#[cfg(test)]
mod tests {
    use ring::{
        rand::SystemRandom,
        signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair},
    };
    use serde_json::json;

    use super::*;

    const MODULUS: &str = "rCVWoBNUHoKqdCJN3rpBMW4NCtbpRXzIB6SQcZboFWQlWaf5V0Hrv9fTI2oUs8XybpMOdh4FdE2zXcxuEnNw33lUHRtXsWgobH4_\
        8o-6r94dvrYKRVcxftSkBTGWlQgu5nKpvrHsKnxawDuxqs9oy5CT_QVaKFNHGR2SaCkxAZ8I3M7Wt0JLG-KeStIbY8JxoaIgCkjs\
        aWn9dZmxEyBASwZ0lClBLxh0hDLe4eggbnZCh6n0b0hpO_KnWYJpSu7mGRGCQ-NhNTyG0tvkY37wYt5y87SJBtFoJeG8dp1QQ8Zz\
        CeHQ1eywFnBzPlXqFrAaP8h_xXMHBTsXxGK0LBzsSw";

    const PKCS_1: &str = "ClHVDf90t4v0QKk8ficp1m2OlHOb4SHyvRK3M4B25-6m5lIRAutFGrc3SHKw9t7aci1Ijl5nr6jgMKy7qYN1wmcBXJSsSNksfJGb\
        p4SxZfrcLCe7ePv_HSeJU7jxsxtCsywMAixPcFWBYmDTWuTMjeyhdOHHu1wsQTGw6a5BQ-bKtNPGrq58ab7JBk3DSF6tksgFwVlv\
        qWMnwpQVC8sXv0Bwr2z3A9w5uM-PrGo7hqimQcQ0G2sI5fd17hOQrBM8hEg1sRTu7Bzdi-Ksr_LklUFcmnpKqXXlZ5s42q8oo8iI\
        PKQm2U_wvAZ5diMPrGjEtsTUmrqqkdF5WFeM6ZXOKA";

    const PSS: &str = "PNgrT0g5iCyCWJAxhILk0MiFgq6MuboGwg1MpJjdo-tFOmQ9DroVpbRHPj6c7d5v8ANeuw9g8o-QLAlggIH4LsMwashUk8YimXLZ\
        WIIURZtqujxm9jVhHOZwbMiNTqS4hk40v_qR7rqHLVg72qiATU1p3ftDo7xTBxeFAzRXJdw12aCvs0k8n-UzaVuaT2x-n5JKkZ_J\
        _qtWt-POKtjY16hOrCnzGoWq78WD51UguWYDE0_VoKF32oow-JAlONzr7g0TGJfot_IvFDAnmbptj-8FadthvouKKamRYCnmjOfX\
        Q6RAtUP6xheu2xR9XVQEsuNGLAjzK6ol1wVXzryyYQ";

    fn encoded(bytes: impl AsRef<[u8]>) -> String {
        URL_SAFE_NO_PAD.encode(bytes)
    }

    fn token(header: &Value, claims: &Value, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
        let signed = format!("{}.{}", encoded(header.to_string()), encoded(claims.to_string()));
        let signature = encoded(sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }

    struct Curve(EcdsaKeyPair);

    impl Curve {
        fn new() -> Self {
            let (algorithm, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
            let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
            Self(EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random).unwrap())
        }

        fn public(&self, kid: &str) -> Value {
            let point = self.0.public_key().as_ref();
            json!({
                "kty": "EC", "crv": "P-256", "kid": kid, "use": "sig",
                "x": encoded(&point[1..33]), "y": encoded(&point[33..]),
            })
        }

        fn token(&self, header: &Value) -> String {
            token(header, &json!({ "sub": "ada" }), |signed| {
                self.0.sign(&SystemRandom::new(), signed).unwrap().as_ref().to_vec()
            })
        }
    }

    fn keys(keys: &[Value]) -> Keys {
        Keys::of_set(&json!({ "keys": keys })).unwrap()
    }

    #[test]
    fn what_a_key_of_the_set_has_signed_is_read() {
        let (one, other) = (Curve::new(), Curve::new());
        let unknown = json!({ "kty": "oct", "k": "c2VjcmV0" });
        let set = keys(&[unknown, one.public("1"), other.public("2")]);
        let signed = other.token(&json!({ "alg": "ES256", "kid": "2" }));
        assert_eq!(set.claims(&signed).unwrap()["sub"], "ada");
        let nameless = other.token(&json!({ "alg": "ES256" }));
        assert_eq!(set.claims(&nameless).unwrap()["sub"], "ada");
        let misnamed = other.token(&json!({ "alg": "ES256", "kid": "1" }));
        assert_eq!(set.claims(&misnamed), Err(SignatureError::Wrong));
        let gone = other.token(&json!({ "alg": "ES256", "kid": "3" }));
        assert_eq!(set.claims(&gone), Err(SignatureError::UnknownKey));
    }

    #[test]
    fn an_edwards_key_signs_too() {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        let pair = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap();
        let x = encoded(pair.public_key().as_ref());
        let set = keys(&[json!({ "kty": "OKP", "crv": "Ed25519", "x": x })]);
        let signed = token(&json!({ "alg": "EdDSA" }), &json!({ "sub": "ada" }), |signed| {
            pair.sign(signed).as_ref().to_vec()
        });
        assert!(set.claims(&signed).is_ok());
    }

    /// A key and tokens made with `OpenSSL`: with the padding of PKCS #1, and with that of PSS.
    #[test]
    fn an_rsa_key_signs_too() {
        let key = |more: Value| {
            let mut key = json!({ "kty": "RSA", "n": MODULUS, "e": "AQAB" });
            key.as_object_mut().unwrap().append(&mut more.as_object().unwrap().clone());
            keys(&[key])
        };
        let plain = format!("eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhZGEifQ.{PKCS_1}");
        let pss = format!("eyJhbGciOiJQUzI1NiJ9.eyJzdWIiOiJhZGEifQ.{PSS}");
        assert_eq!(key(json!({})).claims(&plain).unwrap()["sub"], "ada");
        assert_eq!(key(json!({})).claims(&pss).unwrap()["sub"], "ada");
        assert_eq!(key(json!({ "alg": "RS256" })).claims(&plain).unwrap()["sub"], "ada");
        for other in [json!({ "alg": "RS512" }), json!({ "use": "enc" })] {
            assert_eq!(key(other).claims(&plain), Err(SignatureError::UnknownKey));
        }
        let other = plain.replace("eyJzdWIiOiJhZGEifQ", "eyJzdWIiOiJib2IifQ");
        assert_eq!(key(json!({})).claims(&other), Err(SignatureError::Wrong));
        // Some providers send a number with a zero in front.
        let number = [&[0], &*URL_SAFE_NO_PAD.decode(MODULUS).unwrap()].concat();
        assert!(key(json!({ "n": encoded(number) })).claims(&plain).is_ok());
    }

    #[test]
    fn a_token_that_is_not_signed_by_a_private_key_is_refused() {
        let curve = Curve::new();
        let set = keys(&[curve.public("1")]);
        for (alg, wrong) in [
            ("none", SignatureError::Algorithm),
            ("HS256", SignatureError::Algorithm),
            ("RS256", SignatureError::Wrong),
            ("EdDSA", SignatureError::Wrong),
            ("ES384", SignatureError::Wrong),
        ] {
            assert_eq!(set.claims(&curve.token(&json!({ "alg": alg }))), Err(wrong), "{alg}");
        }
        let critical = curve.token(&json!({ "alg": "ES256", "crit": ["exp"] }));
        for malformed in ["", "a.b", "a.b.c", "..", &critical, "e30.e30.", "eyJhbGciOjV9.e30.e30"] {
            assert_eq!(set.claims(malformed), Err(SignatureError::Malformed), "{malformed}");
        }
    }

    #[test]
    fn a_key_that_is_none_signs_nothing() {
        let curve = Curve::new();
        let signed = curve.token(&json!({ "alg": "ES256" }));
        for malformed in [
            json!({ "kty": "EC", "crv": "P-256", "x": "", "y": "" }),
            json!({ "kty": "EC", "crv": "P-256", "x": "AAAA", "y": "AAAA" }),
            json!({ "kty": "EC", "crv": "P-384", "x": "AAAA", "y": "AAAA" }),
            json!({ "kty": "RSA", "n": "", "e": "" }),
            json!({ "kty": "RSA", "n": "AAAA", "e": "AQAB" }),
            json!({ "kty": "OKP", "crv": "Ed25519", "x": "" }),
        ] {
            let rsa =
                signed.replace(&encoded(r#"{"alg":"ES256"}"#), &encoded(r#"{"alg":"RS256"}"#));
            for token in [&signed, &rsa] {
                let refused = keys(std::slice::from_ref(&malformed)).claims(token);
                assert_eq!(refused, Err(SignatureError::Wrong), "{malformed}");
            }
        }
        for unreadable in [json!(null), json!({}), json!("EC"), json!({ "kty": "EC", "x": 5 })] {
            let refused = keys(&[unreadable]).claims(&signed);
            assert_eq!(refused, Err(SignatureError::UnknownKey));
        }
        assert!(Keys::of_set(&json!({ "keys": {} })).is_none());
    }
}
