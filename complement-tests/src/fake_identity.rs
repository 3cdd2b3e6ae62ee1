//! An identity server inside the test process. Spec: identity service API.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use ed25519_dalek::{Signer, SigningKey};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::{FakeAnswer, FakeRequest, FakeServer};

/// An identity server. What it does depends on the access token it is asked with: it works for `good`, and fails in one way or
/// another for `terms`, `wrong`, `taken`, `broken`, `nonsense`, `huge` and `slow`. For `rotating`, the pepper changes once.
#[derive(Clone)]
pub struct FakeIdentityServer {
    server: FakeServer,
    parts: Parts,
}

/// What it knows.
#[derive(Clone)]
struct Parts {
    /// Users, by hashes of their addresses.
    users: Arc<Mutex<HashMap<String, String>>>,
    key: SigningKey,
    stored: Arc<AtomicUsize>,
    peppers: Arc<AtomicUsize>,
}

const PEPPER: &str = "matrixrocks";

/// Where it says that its key is good.
const KEY_VALIDITY: &str = "/_matrix/identity/v2/pubkey/isvalid";

impl FakeIdentityServer {
    /// Starts one that knows nobody.
    pub async fn start() -> Self {
        let parts = Parts::default();
        let answering = parts.clone();
        let server = FakeServer::start_with_tls(move |request| answering.answer(request)).await;
        Self { server, parts }
    }

    /// As [`Self::start`], over plain HTTP.
    pub async fn start_without_tls() -> Self {
        let parts = Parts::default();
        let answering = parts.clone();
        let server = FakeServer::start(move |request| answering.answer(request)).await;
        Self { server, parts }
    }

    /// The file with its certificate, if it was started with TLS.
    pub fn certificate(&self) -> &Path {
        self.server.certificate()
    }

    /// Host and port.
    pub fn name(&self) -> String {
        self.server.name()
    }

    /// What it was asked, as far as the path ends in this way.
    pub fn asked(&self, path: &str) -> Vec<FakeRequest> {
        let requests = self.server.requests().into_iter();
        requests.filter(|request| path_of(request).ends_with(path)).collect()
    }

    /// Notes that an email address is a user's.
    pub fn bind(&self, email: &str, user_id: &str) {
        let mut users = self.parts.users.lock().unwrap_or_else(PoisonError::into_inner);
        users.insert(hash(email), user_id.to_owned());
    }

    /// The key that signs invitations.
    pub fn public_key(&self) -> String {
        self.parts.public_key()
    }

    /// Its word that an invitation is a user's, for `third_party_signed`.
    pub fn signed(&self, sender: &str, user_id: &str, token: &str) -> Value {
        // Canonical JSON: the keys in their order, and no space.
        let object = json!({ "mxid": user_id, "sender": sender, "token": token }).to_string();
        let signature = self.parts.key.sign(object.as_bytes()).to_bytes();
        json!({
            "sender": sender, "mxid": user_id, "token": token,
            "signatures": { self.name(): { "ed25519:0": STANDARD_NO_PAD.encode(signature) } },
        })
    }
}

impl Default for Parts {
    fn default() -> Self {
        let key = SigningKey::from_bytes(&rand::random());
        Self { users: Arc::default(), key, stored: Arc::default(), peppers: Arc::default() }
    }
}

impl Parts {
    fn public_key(&self) -> String {
        STANDARD_NO_PAD.encode(self.key.verifying_key().as_bytes())
    }

    fn answer(&self, request: &FakeRequest) -> FakeAnswer {
        let (path, token) = (path_of(request), token_of(request));
        if path == KEY_VALIDITY {
            return FakeAnswer::Json(200, json!({ "valid": true }));
        }
        match token {
            "taken" if path.ends_with("/store-invite") => return error(400, "M_THREEPID_IN_USE"),
            "good" | "taken" => {}
            "rotating" => {
                let is_first =
                    path.ends_with("/lookup") && self.peppers.fetch_add(1, Ordering::Relaxed) == 0;
                if is_first {
                    return error(400, "M_INVALID_PEPPER");
                }
            }
            "terms" => return error(403, "M_TERMS_NOT_SIGNED"),
            "broken" => return error(500, "M_UNKNOWN"),
            "nonsense" => return FakeAnswer::Text(200, "what?".to_owned()),
            "huge" => return FakeAnswer::Text(200, " ".repeat(5 << 20)),
            "slow" => return FakeAnswer::Silence,
            _ => return error(401, "M_UNAUTHORIZED"),
        }
        match (request.method.as_str(), path) {
            ("GET", "/_matrix/identity/v2/hash_details") => {
                let algorithms = json!(["none", "sha256"]);
                FakeAnswer::Json(200, json!({ "lookup_pepper": PEPPER, "algorithms": algorithms }))
            }
            ("POST", "/_matrix/identity/v2/lookup") => self.look_up(&request.json()),
            ("POST", "/_matrix/identity/v2/store-invite") => self.store(request),
            _ => error(404, "M_UNRECOGNIZED"),
        }
    }

    fn look_up(&self, wanted: &Value) -> FakeAnswer {
        if (&wanted["algorithm"], &wanted["pepper"]) != (&json!("sha256"), &json!(PEPPER)) {
            return error(400, "M_INVALID_PARAM");
        }
        let users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        let addresses = wanted["addresses"].as_array().into_iter().flatten();
        let found = addresses.filter_map(Value::as_str).filter_map(|hash| {
            let user = users.get(hash)?;
            Some((hash.to_owned(), json!(user)))
        });
        FakeAnswer::Json(200, json!({ "mappings": found.collect::<Map<_, _>>() }))
    }

    fn store(&self, request: &FakeRequest) -> FakeAnswer {
        if request.json()["medium"] != "email" {
            return error(400, "M_UNRECOGNIZED");
        }
        let host = request.header("host");
        let token = format!("token-{}", self.stored.fetch_add(1, Ordering::Relaxed));
        let key_validity_url = format!("https://{host}{KEY_VALIDITY}");
        let key = json!({ "public_key": self.public_key(), "key_validity_url": key_validity_url });
        let stored = json!({ "token": token, "public_keys": [key], "display_name": "b...@e..." });
        FakeAnswer::Json(200, stored)
    }
}

fn error(status: u16, errcode: &str) -> FakeAnswer {
    FakeAnswer::Json(status, json!({ "errcode": errcode, "error": "no" }))
}

fn path_of(request: &FakeRequest) -> &str {
    request.path.split('?').next().unwrap_or_default()
}

/// The access token, which may stand in the query too.
fn token_of(request: &FakeRequest) -> &str {
    let in_query = request.path.split_once("?access_token=").map_or("", |(_, token)| token);
    request.header("authorization").strip_prefix("Bearer ").unwrap_or(in_query)
}

fn hash(email: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(format!("{email} email {PEPPER}")))
}
