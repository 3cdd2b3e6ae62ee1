//! The homeserver under load, as its users see it.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::{StreamExt, TryStreamExt, stream};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha1::Sha1;

use crate::Outcome;
use crate::connection::{Connection, Reply, find};

const PASSWORD: &str = "correct horse battery staple";
/// How many users are registered, or join, at a time.
const SETUP_LANES: usize = 8;
const MAX_LOGGED_BODY: usize = 300;

/// Where the server is and how users come to be.
pub(crate) struct Homeserver {
    authority: String,
    shared_secret: Option<String>,
    /// What tells this run's users from another's.
    run: u32,
    registered: AtomicU64,
}

/// A session with a connection of its own.
pub(crate) struct User {
    token: String,
    connection: Connection,
    sent: u64,
}

impl Homeserver {
    /// `url` is `http://HOST:PORT`. Without a shared secret registration has to be open.
    pub(crate) fn new(url: &str, shared_secret: Option<String>) -> Outcome<Self> {
        let authority = url.strip_prefix("http://").ok_or("the URL must begin with http://")?;
        Ok(Self {
            authority: authority.trim_end_matches('/').to_owned(),
            shared_secret,
            run: rand::random(),
            registered: AtomicU64::new(0),
        })
    }

    /// Registers a user.
    pub(crate) async fn user(&self) -> Outcome<User> {
        let mut connection = Connection::new(&self.authority);
        let number = self.registered.fetch_add(1, Ordering::Relaxed);
        let name = format!("bench-{:08x}-{number}", self.run);
        let (path, body) = if let Some(secret) = &self.shared_secret {
            let path = "/_synapse/admin/v1/register";
            let nonce = success(&connection.request("GET", path, None, b"").await?)?;
            let nonce = text(&nonce, "nonce")?;
            let mac = registration_mac(secret, &nonce, &name);
            let body = json!({
                "nonce": nonce, "username": name, "password": PASSWORD, "admin": false, "mac": mac,
            });
            (path, body)
        } else {
            let auth = json!({ "type": "m.login.dummy" });
            let body = json!({ "username": name, "password": PASSWORD, "auth": auth });
            ("/_matrix/client/v3/register", body)
        };
        let body = body.to_string().into_bytes();
        let session = success(&connection.request("POST", path, None, &body).await?)?;
        Ok(User { token: text(&session, "access_token")?, connection, sent: 0 })
    }

    /// Registers `count` users who join a room and are not heard of again.
    pub(crate) async fn crowd(&self, room: &str, count: usize) -> Outcome<()> {
        stream::iter(0..count)
            .map(|_| async { self.user().await?.join(room).await })
            .buffer_unordered(SETUP_LANES)
            .try_collect()
            .await
    }

    /// Registers `count` users, some at a time.
    pub(crate) async fn users(&self, count: usize) -> Outcome<Vec<User>> {
        stream::iter(0..count).map(|_| self.user()).buffered(SETUP_LANES).try_collect().await
    }
}

impl User {
    /// One request as this user; `path` begins after `/_matrix/client/v3`.
    pub(crate) async fn request(
        &mut self,
        method: &str,
        path: &str,
        body: &[u8],
    ) -> Outcome<Vec<u8>> {
        self.call(method, &format!("/_matrix/client/v3{path}"), body).await
    }

    /// One request as this user, with its whole path.
    pub(crate) async fn call(&mut self, method: &str, path: &str, body: &[u8]) -> Outcome<Vec<u8>> {
        let reply = self.connection.request(method, path, Some(&self.token), body).await?;
        if reply.status == 200 { Ok(reply.body) } else { Err(failure(&reply).into()) }
    }

    pub(crate) async fn post(&mut self, path: &str, body: &Value) -> Outcome<Value> {
        let answer = self.request("POST", path, body.to_string().as_bytes()).await?;
        Ok(serde_json::from_slice(&answer)?)
    }

    /// A new room that anyone may join.
    pub(crate) async fn create_room(&mut self) -> Outcome<String> {
        let room = self.post("/createRoom", &json!({ "preset": "public_chat" })).await?;
        text(&room, "room_id")
    }

    pub(crate) async fn join(&mut self, room: &str) -> Outcome<()> {
        self.post(&format!("/rooms/{}/join", encode(room)), &json!({})).await?;
        Ok(())
    }

    /// Sends a text message.
    pub(crate) async fn send(&mut self, room: &str, body: &str) -> Outcome<()> {
        self.sent += 1;
        let path = format!("/rooms/{}/send/m.room.message/{}", encode(room), self.sent);
        let content = format!(r#"{{"msgtype":"m.text","body":"{body}"}}"#);
        self.request("PUT", &path, content.as_bytes()).await?;
        Ok(())
    }

    /// The answer to `/sync`, as it came; `wait` is in milliseconds.
    pub(crate) async fn sync(&mut self, since: Option<&str>, wait: u32) -> Outcome<Vec<u8>> {
        let path = match since {
            None => format!("/sync?timeout={wait}"),
            Some(since) => format!("/sync?timeout={wait}&since={}", encode(since)),
        };
        self.request("GET", &path, b"").await
    }

    /// The answer to a first `/sync` with a filter, as it came.
    pub(crate) async fn filtered_sync(&mut self, filter: &str) -> Outcome<Vec<u8>> {
        self.request("GET", &format!("/sync?timeout=0&filter={}", encode(filter)), b"").await
    }

    /// One page of a room's history, newest first, and where the next one begins.
    pub(crate) async fn page(
        &mut self,
        room: &str,
        from: Option<&str>,
        limit: usize,
    ) -> Outcome<Option<String>> {
        let mut path = format!("/rooms/{}/messages?dir=b&limit={limit}", encode(room));
        if let Some(from) = from {
            path += "&from=";
            path += &encode(from);
        }
        let page = self.request("GET", &path, b"").await?;
        Ok(string_after(&page, br#""end":""#))
    }
}

/// Lets all of `users` join, some at a time.
pub(crate) async fn join_all(users: &mut [User], room: &str) -> Outcome<()> {
    stream::iter(users)
        .map(|user| user.join(room))
        .buffer_unordered(SETUP_LANES)
        .try_collect()
        .await
}

/// The token that an answer to `/sync` ends with, found without reading the rest.
pub(crate) fn next_batch(sync: &[u8]) -> Outcome<String> {
    string_after(sync, br#""next_batch":""#).ok_or_else(|| "no next_batch".into())
}

/// The string that follows `mark`, up to its quotation mark. Tokens hold no escapes.
fn string_after(text: &[u8], mark: &[u8]) -> Option<String> {
    let from = find(text, mark)? + mark.len();
    let length = text[from..].iter().position(|&byte| byte == b'"')?;
    String::from_utf8(text[from..from + length].to_vec()).ok()
}

fn registration_mac(secret: &str, nonce: &str, name: &str) -> String {
    let mut mac =
        Hmac::<Sha1>::new_from_slice(secret.as_bytes()).expect("a key of any length will do");
    mac.update([nonce, name, PASSWORD, "notadmin"].join("\0").as_bytes());
    let mac = mac.finalize().into_bytes();
    mac.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

fn success(reply: &Reply) -> Outcome<Value> {
    if reply.status == 200 {
        Ok(serde_json::from_slice(&reply.body)?)
    } else {
        Err(failure(reply).into())
    }
}

fn failure(reply: &Reply) -> String {
    let body = &reply.body[..reply.body.len().min(MAX_LOGGED_BODY)];
    format!("the server answered {}: {}", reply.status, String::from_utf8_lossy(body))
}

fn text(value: &Value, key: &str) -> Outcome<String> {
    Ok(value[key].as_str().ok_or_else(|| format!("no {key} in {value}"))?.to_owned())
}

/// Percent-encodes all but unreserved characters.
pub(crate) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len() + 8);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_batch_is_found_wherever_it_stands() {
        let sync = br#"{"rooms":{},"next_batch":"s1_2","presence":{}}"#;

        assert_eq!(next_batch(sync).unwrap(), "s1_2");
        assert!(next_batch(b"{}").is_err());
    }

    #[test]
    fn a_room_id_is_encoded_for_a_path() {
        assert_eq!(encode("!a-b:c.d/e"), "%21a-b%3Ac.d%2Fe");
    }

    #[test]
    fn the_registration_mac_is_hmac_sha1_over_fields_parted_by_nul() {
        // printf 'n\0ada\0correct horse battery staple\0notadmin' | openssl dgst -sha1 -hmac s
        assert_eq!(registration_mac("s", "n", "ada"), "440fc6fda1745172d5f34bce143198edf861e42d");
    }
}
