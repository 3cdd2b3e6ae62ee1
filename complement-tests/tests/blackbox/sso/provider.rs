//! An `OpenID` provider on loopback, which does what a test tells it to, right or wrong.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use complement_tests::unique;
use reqwest::Url;
use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::{Map, Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

const SECRET: &str = "marzipan & secret";

/// A provider that runs as long as the test.
#[derive(Clone)]
pub(super) struct Provider {
    pub(super) issuer: String,
    state: Arc<Mutex<State>>,
}

struct State {
    key: EcdsaKeyPair,
    /// The key that is shown, where it is another than the one that signs.
    kid: u32,
    shown: Value,
    /// What browsers came with, and who signed on, by code.
    signed_on: HashMap<String, (HashMap<String, String>, Value)>,
    /// Claims that ID tokens have instead of the right ones.
    wrong: Value,
    /// What is told of people apart from their ID tokens.
    apart: Map<String, Value>,
}

impl Provider {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let port = listener.local_addr().expect("it is bound").port();
        let key = new_key();
        let shown = public(&key, 0);
        let state = State {
            key,
            kid: 0,
            shown,
            signed_on: HashMap::new(),
            wrong: json!({}),
            apart: Map::new(),
        };
        let state = Arc::new(Mutex::new(state));
        let provider = Self { issuer: format!("http://127.0.0.1:{port}"), state };
        let serving = provider.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serving.clone().serve(stream));
            }
        });
        provider
    }

    /// What hearth is to be told of it.
    pub(super) fn configured(&self, id: &str, more: &str) -> String {
        let more = if more.is_empty() { String::new() } else { format!(",{more}") };
        format!(
            r#"{{id="{id}",name="The {id}",issuer="{}",client_id="hearth",client_secret="{SECRET}"{more}}}"#,
            self.issuer
        )
    }

    /// What it does with a browser that comes by `url` and whose user is `person`: where it sends it back to.
    #[track_caller]
    pub(super) fn sign_on(&self, url: &str, person: &Value) -> String {
        let (back, asked) = self.asked(url);
        let code = unique("code");
        let back = format!("{back}?code={code}&state={}", asked["state"]);
        self.state().signed_on.insert(code, (asked, person.clone()));
        back
    }

    /// Where it sends a browser back to whose user it does not know.
    #[track_caller]
    pub(super) fn refuse(&self, url: &str, error: &str) -> String {
        let (back, asked) = self.asked(url);
        format!("{back}?error={error}&state={}", asked["state"])
    }

    /// Where a browser is to be sent back to, and all that it came with.
    #[track_caller]
    fn asked(&self, url: &str) -> (String, HashMap<String, String>) {
        assert!(url.starts_with(&format!("{}/authorize?", self.issuer)), "{url}");
        let url = Url::parse(url).expect("a URL");
        let asked: HashMap<String, String> = url.query_pairs().into_owned().collect();
        assert_eq!(asked["response_type"], "code");
        assert_eq!(asked["client_id"], "hearth");
        assert_eq!(asked["scope"], "openid profile");
        assert_eq!(asked["code_challenge_method"], "S256");
        (asked["redirect_uri"].clone(), asked)
    }

    /// Claims that the ID tokens from now on have instead of the right ones.
    pub(super) fn say(&self, wrong: Value) {
        self.state().wrong = wrong;
    }

    /// Claims that are told apart from ID tokens.
    pub(super) fn tell_apart(&self, claims: &Value) {
        self.state().apart = claims.as_object().cloned().unwrap_or_default();
    }

    /// Signs with another key, and shows it.
    pub(super) fn change_key(&self) {
        self.lose_key();
        let mut state = self.state();
        state.kid += 1;
        state.shown = public(&state.key, state.kid);
    }

    /// Signs with a key that is not the one it shows.
    pub(super) fn lose_key(&self) {
        self.state().key = new_key();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test panics while it holds the state")
    }

    /// Answers one request.
    async fn serve(self, stream: TcpStream) {
        let mut stream = BufReader::new(stream);
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await.is_err() || line.trim_end().is_empty() {
                break;
            }
            lines.push(line.trim_end().to_owned());
        }
        let header = |name: &str| {
            let named = |line: &String| {
                let (found, value) = line.split_once(':')?;
                found.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
            };
            lines.iter().skip(1).find_map(named)
        };
        let length = header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        let mut body = vec![0; length];
        if stream.read_exact(&mut body).await.is_err() {
            return;
        }
        let path = lines.first().and_then(|line| line.split(' ').nth(1)).unwrap_or_default();
        let authorization = header("authorization").unwrap_or_default();
        let answer = self.answer(path, &String::from_utf8_lossy(&body), &authorization);
        let (status, body) = match answer {
            Some(answer) => ("200 OK", answer.to_string()),
            None => ("400 Bad Request", "{}".to_owned()),
        };
        let answer = format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
             connection: close\r\n\r\n{body}",
            body.len()
        );
        // Whoever does not read the answer does not want it.
        let _ = stream.write_all(answer.as_bytes()).await;
    }

    fn answer(&self, path: &str, body: &str, authorization: &str) -> Option<Value> {
        let issuer = &self.issuer;
        match path {
            "/.well-known/openid-configuration" => Some(json!({
                "issuer": issuer,
                "authorization_endpoint": format!("{issuer}/authorize"),
                "token_endpoint": format!("{issuer}/token"),
                "jwks_uri": format!("{issuer}/keys"),
                "prompt_values_supported": ["login", "create"],
                "userinfo_endpoint": format!("{issuer}/userinfo"),
            })),
            "/keys" => Some(json!({ "keys": [self.state().shown] })),
            "/token" => self.token(body, authorization),
            "/userinfo" => {
                let subject = authorization.strip_prefix("Bearer access ")?;
                let mut told = self.state().apart.clone();
                told.entry("sub").or_insert(subject.into());
                Some(Value::Object(told))
            }
            _ => None,
        }
    }

    /// What is given for a code, once.
    fn token(&self, body: &str, authorization: &str) -> Option<Value> {
        let basic = STANDARD.encode("hearth:marzipan+%26+secret");
        if authorization != format!("Basic {basic}") {
            return None;
        }
        let form = Url::parse(&format!("http://form.test/?{body}")).ok()?;
        let form: HashMap<_, _> = form.query_pairs().into_owned().collect();
        let mut state = self.state();
        let (asked, person) = state.signed_on.remove(form.get("code")?)?;
        let challenge =
            URL_SAFE_NO_PAD.encode(digest(&SHA256, form.get("code_verifier")?.as_bytes()));
        let is_as_asked = form.get("redirect_uri") == asked.get("redirect_uri")
            && asked.get("code_challenge") == Some(&challenge)
            && form.get("grant_type").is_some_and(|kind| kind == "authorization_code");
        if !is_as_asked {
            return None;
        }
        let now = std::time::UNIX_EPOCH.elapsed().ok()?.as_secs();
        let mut claims = json!({
            "iss": self.issuer, "aud": "hearth", "iat": now, "exp": now + 300,
            "nonce": asked["nonce"],
        });
        for more in [&person, &state.wrong] {
            claims.as_object_mut()?.extend(more.as_object()?.clone());
        }
        let header = json!({ "alg": "ES256", "kid": state.kid.to_string() });
        let part = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let signed = format!("{}.{}", part(&header), part(&claims));
        let signature = state.key.sign(&SystemRandom::new(), signed.as_bytes()).ok()?;
        let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature));
        let access_token = format!("access {}", person["sub"].as_str()?);
        Some(json!({ "id_token": token, "access_token": access_token, "token_type": "Bearer" }))
    }
}

fn new_key() -> EcdsaKeyPair {
    let (algorithm, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
    let key = EcdsaKeyPair::generate_pkcs8(algorithm, &random).expect("the system has randomness");
    EcdsaKeyPair::from_pkcs8(algorithm, key.as_ref(), &random).expect("it was just made")
}

fn public(key: &EcdsaKeyPair, kid: u32) -> Value {
    let point = key.public_key().as_ref();
    let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    json!({
        "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": kid.to_string(),
        "x": part(&point[1..33]), "y": part(&point[33..]),
    })
}
