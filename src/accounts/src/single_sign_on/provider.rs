//! Speaking with `OpenID` providers, when somebody wants to sign on and not before.
//! Spec: `OpenID` Connect Discovery, `OpenID` Connect Core.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use federation::outgoing::{Outgoing, OutgoingError};
use http::{Request, StatusCode, header};
use ruma::MilliSecondsSinceUnixEpoch;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use url::{Url, form_urlencoded};

use super::flows::Flow;
use super::id_token::{Expected, IdTokenError};
use super::kept::{KEPT, Kept, PAUSE};
use super::keys::{Keys, SignatureError};
use super::settings::IdentityProvider;
use crate::Secret;

/// Why a provider did not do its part.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// It cannot be asked.
    #[error("the provider cannot be asked")]
    Unreachable(#[from] OutgoingError),
    /// It was just found not to answer.
    #[error("the provider did not answer a moment ago")]
    Resting,
    /// It answered with an error.
    #[error("the provider answered with status {0}")]
    Status(StatusCode),
    /// It answered something else than it should.
    #[error("the provider's answer has no {0}")]
    Answer(&'static str),
    /// It calls itself by another URL.
    #[error("the provider has another issuer than the configured")]
    Issuer,
    /// Who signed on is not told by the provider.
    #[error("the ID token is not the provider's: {0}")]
    Signature(#[from] SignatureError),
    /// It tells nothing about this sign-on.
    #[error("the ID token is not accepted: {0}")]
    IdToken(#[from] IdTokenError),
}

/// What a provider says of itself. Spec: `OpenID` Connect Discovery, section 3.
#[derive(Debug, Deserialize)]
struct Metadata {
    issuer: String,
    authorization_endpoint: Url,
    token_endpoint: String,
    jwks_uri: String,
    userinfo_endpoint: Option<String>,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Vec<String>,
    #[serde(default)]
    prompt_values_supported: Vec<String>,
}

/// What the provider gives for a code.
#[derive(Deserialize)]
struct TokenAnswer {
    id_token: Option<String>,
    access_token: Option<String>,
}

/// Who has signed on, as the provider tells it.
pub(super) struct Person {
    pub(super) subject: String,
    claims: Map<String, Value>,
    access_token: Option<Secret>,
}

/// A provider, with what it said of itself.
#[derive(Debug)]
pub(super) struct Provider {
    pub(super) settings: IdentityProvider,
    metadata: Kept<Metadata>,
    keys: Kept<Keys>,
}

/// What signing on begins with.
pub(super) struct Wish<'a> {
    pub(super) callback: &'a str,
    pub(super) state: &'a Secret,
    pub(super) flow: &'a Flow,
    /// Whether an account at the provider is to be made.
    pub(super) registers: bool,
}

impl Provider {
    pub(super) fn new(settings: IdentityProvider) -> Self {
        Self { settings, metadata: Kept::new(), keys: Kept::new() }
    }

    /// Where a browser is sent to sign on. Spec: `OpenID` Connect Core, section 3.1.2.1.
    pub(super) fn page(&self, metadata: &Knowledge, wish: &Wish<'_>) -> String {
        let Knowledge(metadata) = metadata;
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(wish.flow.verifier.expose()));
        let mut url = metadata.authorization_endpoint.clone();
        let mut query = url.query_pairs_mut();
        query
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.settings.client_id)
            .append_pair("redirect_uri", wish.callback)
            .append_pair("scope", &self.settings.scopes.join(" "))
            .append_pair("state", wish.state.expose())
            .append_pair("nonce", wish.flow.nonce.expose())
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256");
        // Spec: Initiating User Registration via OpenID Connect.
        if wish.registers && metadata.prompt_values_supported.iter().any(|one| one == "create") {
            query.append_pair("prompt", "create");
        }
        drop(query);
        url.into()
    }

    /// Who has come back with a code. Spec: `OpenID` Connect Core, sections 3.1.3 and 3.1.3.7.
    pub(super) async fn person(
        &self,
        outgoing: &Outgoing,
        (code, callback): (&str, &str),
        flow: &Flow,
        now: MilliSecondsSinceUnixEpoch,
    ) -> Result<Person, ProviderError> {
        let Knowledge(metadata) = self.knowledge(outgoing, now).await?;
        let request = self.token_request(&metadata, code, callback, &flow.verifier);
        let answer: TokenAnswer = ask(outgoing, request).await?;
        let token = answer.id_token.ok_or(ProviderError::Answer("id_token"))?;
        let mut claims = self.keys(outgoing, &metadata, now).await?.claims(&token);
        if let Err(SignatureError::UnknownKey | SignatureError::Wrong) = claims {
            // The provider may sign with a key that it did not have when it was asked.
            claims = self.newer_keys(outgoing, &metadata, now).await?.claims(&token);
        }
        let claims = claims?;
        let expected = Expected {
            issuer: &metadata.issuer,
            client_id: &self.settings.client_id,
            nonce: flow.nonce.expose(),
            now,
        };
        let subject = expected.subject(&claims)?;
        Ok(Person { subject, claims, access_token: answer.access_token.map(Secret::new) })
    }

    /// Adds what the provider tells of somebody apart from their ID token, if one of `claims` is not there.
    /// Spec: `OpenID` Connect Core, section 5.3.
    pub(super) async fn complete(
        &self,
        outgoing: &Outgoing,
        person: &mut Person,
        claims: [&str; 2],
        now: MilliSecondsSinceUnixEpoch,
    ) -> Result<(), ProviderError> {
        let Knowledge(metadata) = self.knowledge(outgoing, now).await?;
        let (Some(url), Some(token)) = (&metadata.userinfo_endpoint, &person.access_token) else {
            return Ok(());
        };
        if claims.iter().all(|claim| person.claim(claim).is_some()) {
            return Ok(());
        }
        let request = Request::get(url).header(header::AUTHORIZATION, bearer(token));
        let more: Map<String, Value> = ask(outgoing, request.body(Vec::new())).await?;
        if more.get("sub").and_then(Value::as_str) != Some(&*person.subject) {
            return Err(ProviderError::Answer("userinfo of who signed on"));
        }
        for (name, value) in more {
            person.claims.entry(name).or_insert(value);
        }
        Ok(())
    }

    /// What the provider says of itself, asked for if it was not lately.
    pub(super) async fn knowledge(
        &self,
        outgoing: &Outgoing,
        now: MilliSecondsSinceUnixEpoch,
    ) -> Result<Knowledge, ProviderError> {
        let issuer = &self.settings.issuer;
        let url = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let ask = async || {
            let metadata: Metadata = ask(outgoing, Request::get(url).body(Vec::new())).await?;
            if metadata.issuer != *issuer {
                return Err(ProviderError::Issuer);
            }
            // Users are sent to a page that is as safe as what the configuration names.
            let scheme = metadata.authorization_endpoint.scheme();
            if scheme != "https" && !(scheme == "http" && issuer.starts_with("http:")) {
                return Err(ProviderError::Answer("authorization_endpoint"));
            }
            Ok(metadata)
        };
        self.metadata.get(KEPT, now, ask).await.map(Knowledge)
    }

    async fn keys(
        &self,
        outgoing: &Outgoing,
        metadata: &Metadata,
        now: MilliSecondsSinceUnixEpoch,
    ) -> Result<Arc<Keys>, ProviderError> {
        self.keys.get(KEPT, now, || keys_at(outgoing, &metadata.jwks_uri)).await
    }

    async fn newer_keys(
        &self,
        outgoing: &Outgoing,
        metadata: &Metadata,
        now: MilliSecondsSinceUnixEpoch,
    ) -> Result<Arc<Keys>, ProviderError> {
        self.keys.get(PAUSE, now, || keys_at(outgoing, &metadata.jwks_uri)).await
    }

    fn token_request(
        &self,
        metadata: &Metadata,
        code: &str,
        callback: &str,
        verifier: &Secret,
    ) -> Result<Request<Vec<u8>>, http::Error> {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "authorization_code")
            .append_pair("code", code)
            .append_pair("redirect_uri", callback)
            .append_pair("code_verifier", verifier.expose());
        let mut request = Request::post(&metadata.token_endpoint)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        let id = &self.settings.client_id;
        let methods = &metadata.token_endpoint_auth_methods_supported;
        let takes = |method: &str| methods.iter().any(|one| one == method);
        match &self.settings.client_secret {
            None => {
                form.append_pair("client_id", id);
            }
            Some(secret) if takes("client_secret_post") && !takes("client_secret_basic") => {
                form.append_pair("client_id", id).append_pair("client_secret", secret.expose());
            }
            Some(secret) => request = request.header(header::AUTHORIZATION, basic(id, secret)),
        }
        request.body(form.finish().into_bytes())
    }
}

/// What a provider says of itself, for those who have asked for it.
pub(super) struct Knowledge(Arc<Metadata>);

impl Person {
    /// A claim in words; a number is taken for a word.
    pub(super) fn claim(&self, name: &str) -> Option<String> {
        match self.claims.get(name)? {
            Value::String(text) if !text.is_empty() => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }
}

async fn keys_at(outgoing: &Outgoing, url: &str) -> Result<Keys, ProviderError> {
    let set: Value = ask(outgoing, Request::get(url).body(Vec::new())).await?;
    Keys::of_set(&set).ok_or(ProviderError::Answer("keys"))
}

/// Asks for JSON.
async fn ask<T: DeserializeOwned>(
    outgoing: &Outgoing,
    request: Result<Request<Vec<u8>>, http::Error>,
) -> Result<T, ProviderError> {
    let mut request = request.map_err(|_| ProviderError::Answer("URL that can be asked"))?;
    let json = header::HeaderValue::from_static("application/json");
    request.headers_mut().insert(header::ACCEPT, json);
    let answer = outgoing.send(request).await?;
    if answer.status() != StatusCode::OK {
        return Err(ProviderError::Status(answer.status()));
    }
    serde_json::from_slice(answer.body()).map_err(|_| ProviderError::Answer("JSON of its kind"))
}

fn bearer(token: &Secret) -> String {
    format!("Bearer {}", token.expose())
}

/// Spec: OAuth 2.0 (RFC 6749), section 2.3.1.
fn basic(id: &str, secret: &Secret) -> String {
    let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let both = format!("{}:{}", encoded(id), encoded(secret.expose()));
    format!("Basic {}", STANDARD.encode(both))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{Namesakes, Newcomers};

    fn provider(secret: Option<&str>) -> Provider {
        Provider::new(IdentityProvider {
            id: "club".to_owned(),
            name: "Club".to_owned(),
            icon: None,
            brand: None,
            issuer: "https://id.example".to_owned(),
            client_id: "hearth & co".to_owned(),
            client_secret: secret.map(Secret::new),
            scopes: vec!["openid".to_owned(), "profile".to_owned()],
            localpart_claim: "preferred_username".to_owned(),
            display_name_claim: "name".to_owned(),
            newcomers: Newcomers::Welcome,
            namesakes: Namesakes::Others,
        })
    }

    fn metadata(more: &Value) -> Metadata {
        let mut all = json!({
            "issuer": "https://id.example",
            "authorization_endpoint": "https://id.example/authorize?tenant=1",
            "token_endpoint": "https://id.example/token",
            "jwks_uri": "https://id.example/keys",
        });
        all.as_object_mut().unwrap().append(&mut more.as_object().unwrap().clone());
        serde_json::from_value(all).unwrap()
    }

    #[test]
    fn a_client_proves_itself_as_the_provider_takes_it() {
        let request = |secret: Option<&str>, methods: &[&str]| {
            let metadata = metadata(&json!({ "token_endpoint_auth_methods_supported": methods }));
            let request = provider(secret)
                .token_request(&metadata, "c", "https://h/cb", &Secret::new("v"))
                .unwrap();
            let header = request.headers().get(header::AUTHORIZATION).cloned();
            (header, String::from_utf8(request.into_body()).unwrap())
        };
        let form = "grant_type=authorization_code&code=c&redirect_uri=https%3A%2F%2Fh%2Fcb&code_verifier=v";
        // Each half is encoded as in a form: "hearth+%26+co:s%3A+s".
        let basic = Some("Basic aGVhcnRoKyUyNitjbzpzJTNBK3M=".parse().unwrap());
        assert_eq!(request(Some("s: s"), &[]), (basic.clone(), form.to_owned()));
        let both = ["client_secret_post", "client_secret_basic"];
        assert_eq!(request(Some("s: s"), &both), (basic, form.to_owned()));
        let in_form = format!("{form}&client_id=hearth+%26+co&client_secret=s%3A+s");
        assert_eq!(request(Some("s: s"), &both[..1]), (None, in_form));
        assert_eq!(request(None, &[]), (None, format!("{form}&client_id=hearth+%26+co")));
    }
}
