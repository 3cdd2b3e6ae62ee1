//! An identity server inside the test process. Spec: identity service API.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use ed25519_dalek::{Signer, SigningKey};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{FakeAnswer, FakeRequest, FakeServer};

/// An identity server. What it does depends on the access token it is asked with: it works for `good`, and fails in one way or
/// another for `terms`, `wrong`, `broken`, `nonsense`, `huge` and `slow`. For `rotating`, the pepper changes once.
#[derive(Clone)]
pub struct FakeIdentityServer {
    server: FakeServer,
    users: Arc<Mutex<HashMap<String, String>>>,
    key: SigningKey,
}

const PEPPER: &str = "matrixrocks";

impl FakeIdentityServer {
    /// Starts one that knows nobody.
    pub async fn start() -> Self {
        let users = Arc::default();
        let key = SigningKey::from_bytes(&rand::random());
        let (known, public_key) = (Arc::clone(&users), public_key(&key));
        let (tokens, peppers) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let server = FakeServer::start(move |request| {
            let error = |status, errcode: &str| {
                FakeAnswer::Json(status, json!({ "errcode": errcode, "error": "no" }))
            };
            match request.header("authorization") {
                "Bearer good" => {}
                "Bearer rotating" => {
                    if request.path.ends_with("/lookup")
                        && peppers.fetch_add(1, Ordering::Relaxed) == 0
                    {
                        return error(400, "M_INVALID_PEPPER");
                    }
                }
                "Bearer terms" => return error(403, "M_TERMS_NOT_SIGNED"),
                "Bearer broken" => return error(500, "M_UNKNOWN"),
                "Bearer nonsense" => return FakeAnswer::Text(200, "what?".to_owned()),
                "Bearer huge" => return FakeAnswer::Text(200, " ".repeat(5 << 20)),
                "Bearer slow" => return FakeAnswer::Silence,
                _ => return error(401, "M_UNAUTHORIZED"),
            }
            match (request.method.as_str(), request.path.as_str()) {
                ("GET", "/_matrix/identity/v2/hash_details") => FakeAnswer::Json(
                    200,
                    json!({ "lookup_pepper": PEPPER, "algorithms": ["none", "sha256"] }),
                ),
                ("POST", "/_matrix/identity/v2/lookup") => look_up(request, &known),
                ("POST", "/_matrix/identity/v2/store-invite") => {
                    let token = format!("token-{}", tokens.fetch_add(1, Ordering::Relaxed));
                    let key = json!({
                        "public_key": public_key,
                        "key_validity_url": "https://id.example.org/_matrix/identity/v2/pubkey/isvalid",
                    });
                    let stored = json!({ "token": token, "public_keys": [key], "display_name": "b...@e..." });
                    FakeAnswer::Json(200, stored)
                }
                _ => error(404, "M_UNRECOGNIZED"),
            }
        });
        Self { server: server.await, users, key }
    }

    /// Host and port.
    pub fn name(&self) -> String {
        self.server.name()
    }

    /// What it was asked, as far as the path ends in this way.
    pub fn asked(&self, path: &str) -> Vec<FakeRequest> {
        let requests = self.server.requests().into_iter();
        requests.filter(|request| request.path.ends_with(path)).collect()
    }

    /// Notes that an email address is a user's.
    pub fn bind(&self, email: &str, user_id: &str) {
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        users.insert(hash(email), user_id.to_owned());
    }

    /// The key that signs invitations.
    pub fn public_key(&self) -> String {
        public_key(&self.key)
    }

    /// Its word that an invitation is a user's, for `third_party_signed`.
    pub fn signed(&self, sender: &str, user_id: &str, token: &str) -> Value {
        // Canonical JSON: the keys in their order, and no space.
        let object = json!({ "mxid": user_id, "token": token }).to_string();
        let signature = self.key.sign(object.as_bytes()).to_bytes();
        json!({
            "sender": sender, "mxid": user_id, "token": token,
            "signatures": { self.name(): { "ed25519:0": STANDARD_NO_PAD.encode(signature) } },
        })
    }
}

fn public_key(key: &SigningKey) -> String {
    STANDARD_NO_PAD.encode(key.verifying_key().as_bytes())
}

fn hash(email: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(format!("{email} email {PEPPER}")))
}

fn look_up(request: &FakeRequest, known: &Mutex<HashMap<String, String>>) -> FakeAnswer {
    let wanted = request.json();
    if (&wanted["algorithm"], &wanted["pepper"]) != (&json!("sha256"), &json!(PEPPER)) {
        return FakeAnswer::Json(400, json!({ "errcode": "M_INVALID_PARAM", "error": "no" }));
    }
    let known = known.lock().unwrap_or_else(PoisonError::into_inner);
    let addresses = wanted["addresses"].as_array().into_iter().flatten();
    let found = addresses.filter_map(Value::as_str).filter_map(|hash| {
        let user = known.get(hash)?;
        Some((hash.to_owned(), json!(user)))
    });
    FakeAnswer::Json(200, json!({ "mappings": found.collect::<serde_json::Map<_, _>>() }))
}
