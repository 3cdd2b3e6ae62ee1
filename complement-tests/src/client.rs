//! A client of one homeserver, logged in or not.

use hmac::{Hmac, KeyInit, Mac};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use sha1::Sha1;

use crate::server::SHARED_SECRET;
use crate::{Answer, Server, unique};

/// A user's session, or nobody's.
#[derive(Clone)]
pub struct Client {
    server: Server,
    /// Empty when nobody is logged in.
    pub user_id: String,
    /// Empty when nobody is logged in.
    pub device_id: String,
    /// Empty when nobody is logged in.
    pub access_token: String,
}

/// What a user may do beyond their own account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Administrator,
    Ordinary,
}

/// What every user's password is.
pub const PASSWORD: &str = "correct horse battery staple";

impl Server {
    /// Registers a user whose name begins with `name`, and logs in.
    pub async fn register(&self, name: &str) -> Client {
        let body = json!({
            "username": unique(name),
            "password": PASSWORD,
            "auth": { "type": "m.login.dummy" },
        });
        let answer = self.stranger().post("/_matrix/client/v3/register", &body).await;
        Client::of_session(self, &answer.expect_ok())
    }

    /// Registers with the shared secret, as an administrator or an ordinary user.
    pub async fn register_with_shared_secret(&self, name: &str, role: Role) -> Client {
        let (name, stranger) = (unique(name), self.stranger());
        let path = "/_synapse/admin/v1/register";
        let nonce =
            stranger.get(path).await.expect_ok()["nonce"].as_str().unwrap_or_default().to_owned();
        let mac = Self::shared_secret_mac(&nonce, &name, PASSWORD, role);
        let body = json!({
            "nonce": nonce, "username": name, "password": PASSWORD,
            "admin": role == Role::Administrator, "mac": mac,
        });
        Client::of_session(self, &stranger.post(path, &body).await.expect_ok())
    }

    /// The proof, in hexadecimal, that whoever registers this user knows the shared secret.
    pub fn shared_secret_mac(nonce: &str, name: &str, password: &str, role: Role) -> String {
        let role = if role == Role::Administrator { "admin" } else { "notadmin" };
        let mut mac = Hmac::<Sha1>::new_from_slice(SHARED_SECRET.as_bytes())
            .expect("a key of any length will do");
        mac.update([nonce, name, password, role].join("\0").as_bytes());
        let mac = mac.finalize().into_bytes();
        mac.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
    }
}

impl Client {
    pub(crate) fn stranger(server: Server) -> Self {
        let (user_id, device_id, access_token) = Default::default();
        Self { server, user_id, device_id, access_token }
    }

    /// The session that a registration or a login answered with.
    pub fn of_session(server: &Server, session: &Value) -> Self {
        let text = |key: &str| {
            session[key].as_str().unwrap_or_else(|| panic!("no {key} in {session}")).to_owned()
        };
        Self {
            server: server.clone(),
            user_id: text("user_id"),
            device_id: text("device_id"),
            access_token: text("access_token"),
        }
    }

    /// Logs the same user in again, on a device of its own.
    pub async fn log_in(&self) -> Self {
        let body = json!({
            "type": "m.login.password",
            "identifier": { "type": "m.id.user", "user": self.user_id },
            "password": PASSWORD,
        });
        let answer = self.server.stranger().post("/_matrix/client/v3/login", &body).await;
        Self::of_session(&self.server, &answer.expect_ok())
    }

    /// The homeserver of this client.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// The user's name without the server's.
    pub fn name(&self) -> &str {
        self.user_id.trim_start_matches('@').split(':').next().unwrap_or_default()
    }

    /// What to send as `auth` to pass a challenge with the password.
    pub fn password_stage(&self, session: &Value) -> Value {
        json!({
            "type": "m.login.password",
            "identifier": { "type": "m.id.user", "user": self.user_id },
            "password": PASSWORD,
            "session": session,
        })
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.answer(self.request(Method::GET, path)).await
    }

    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        self.answer(self.request(Method::PUT, path).json(body)).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.answer(self.request(Method::POST, path).json(body)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.answer(self.request(Method::DELETE, path)).await
    }

    /// A request with this session's access token, for [`Self::answer`].
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.server.http.request(method, self.server.url(path));
        if self.access_token.is_empty() { request } else { request.bearer_auth(&self.access_token) }
    }

    /// Sends a request and reads the whole answer.
    pub async fn answer(&self, request: RequestBuilder) -> Answer {
        let request = request.build().expect("the test writes a valid request");
        let line = format!("{} {}", request.method(), request.url());
        let response = self.server.http.execute(request).await;
        let response = response.unwrap_or_else(|error| panic!("{line}: no answer: {error:?}"));
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await;
        let text = text.unwrap_or_else(|error| panic!("{line}: answer broke off: {error:?}"));
        Answer { request: line, status, headers, text }
    }
}
