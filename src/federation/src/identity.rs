//! Identity servers: who has which email address or telephone number, and who is told that somebody wants them in a room.
//!
//! Spec: identity service API, "Association lookup" and "Invitation storage".

mod lookup;
mod store_invite;
mod trusted;

use std::fmt;
use std::sync::Arc;

use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

pub use self::store_invite::{PublicKey, StoredInvite, WantedInvite};
pub use self::trusted::{InvalidServer, TrustedServer};
use crate::outgoing::{Outgoing, OutgoingError};

/// The identity servers that are asked. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct IdentityServers(Arc<[IdentityServer]>);

/// One identity server. Cheap to clone.
#[derive(Debug, Clone)]
pub struct IdentityServer {
    server: TrustedServer,
    outgoing: Outgoing,
}

/// What a user's client got from an identity server to ask it on the user's behalf. Its `Debug` does not show it.
#[derive(Clone)]
pub struct AccessToken(String);

/// Why an identity server did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// There was no answer.
    #[error("the identity server cannot be reached")]
    Unreachable(#[from] OutgoingError),
    /// The answer is not as specified.
    #[error("the identity server's answer makes no sense")]
    Nonsense,
    /// An error that says nothing to who invites.
    #[error("the identity server answered with an error")]
    Failed(StatusCode),
    /// The access token is not one of that server.
    #[error("the identity server does not accept id_access_token")]
    Unauthorized,
    /// The user must agree to the server's terms first. Spec: identity service API, "Terms of service".
    #[error("the identity server's terms must be accepted first")]
    TermsNotSigned,
    /// The address is somebody's, which it was not when it was looked up.
    #[error("the email address or phone number has a user already")]
    InUse,
    /// The server does not do that for such addresses.
    #[error("the identity server does not invite such addresses")]
    MediumNotSupported,
    /// The pepper was replaced since the server told it.
    #[error("the identity server does not know its own pepper")]
    InvalidPepper,
}

impl AccessToken {
    /// A token as a client gave it.
    pub fn new(token: String) -> Self {
        Self(token)
    }

    fn header(&self) -> Result<HeaderValue, IdentityError> {
        let header = HeaderValue::try_from(format!("Bearer {}", self.0));
        let mut header = header.map_err(|_| IdentityError::Unauthorized)?;
        header.set_sensitive(true);
        Ok(header)
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessToken")
    }
}

impl IdentityServers {
    /// Those that are trusted, asked by `outgoing`.
    pub fn new(outgoing: &Outgoing, trusted: &[TrustedServer]) -> Self {
        let server = |server: &TrustedServer| IdentityServer {
            server: server.clone(),
            outgoing: outgoing.clone(),
        };
        Self(trusted.iter().map(server).collect())
    }

    /// The server of this name, such as `id.example.org:8090`; `None` if it is not trusted.
    pub fn get(&self, name: &str) -> Option<&IdentityServer> {
        self.0.iter().find(|server| server.server.is_called(name))
    }
}

impl IdentityServer {
    /// Asks for `path` of the API on behalf of whoever has `token`.
    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        token: &AccessToken,
        body: Option<&Value>,
    ) -> Result<T, IdentityError> {
        let url = format!("{}/_matrix/identity/v2/{path}", self.server.base_url());
        let mut request = http::Request::new(Vec::new());
        *request.method_mut() = method;
        *request.uri_mut() = url.parse().map_err(|_| OutgoingError::NoUrl)?;
        request.headers_mut().insert(AUTHORIZATION, token.header()?);
        if let Some(body) = body {
            *request.body_mut() = body.to_string().into_bytes();
            let json = HeaderValue::from_static("application/json");
            request.headers_mut().insert(CONTENT_TYPE, json);
        }
        let answer = self.outgoing.send(request).await?;
        if answer.status() != StatusCode::OK {
            return Err(refusal(answer.status(), answer.body()));
        }
        serde_json::from_slice(answer.body()).map_err(|_| IdentityError::Nonsense)
    }
}

/// What an error of an identity server means. Spec: identity service API, "Standard error response".
fn refusal(status: StatusCode, body: &[u8]) -> IdentityError {
    #[derive(Deserialize)]
    struct Body {
        errcode: String,
    }
    let errcode =
        serde_json::from_slice(body).map_or_else(|_| String::new(), |Body { errcode }| errcode);
    match (status, errcode.as_str()) {
        (_, "M_TERMS_NOT_SIGNED") => IdentityError::TermsNotSigned,
        (_, "M_THREEPID_IN_USE") => IdentityError::InUse,
        (_, "M_INVALID_PEPPER") => IdentityError::InvalidPepper,
        (StatusCode::BAD_REQUEST, "M_UNRECOGNIZED") => IdentityError::MediumNotSupported,
        (StatusCode::UNAUTHORIZED, _) => IdentityError::Unauthorized,
        (status, _) => IdentityError::Failed(status),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_errcode_says_more_than_a_status() {
        let refused = |status: u16, body: &str| {
            refusal(StatusCode::from_u16(status).unwrap(), body.as_bytes())
        };
        let terms = refused(403, r#"{"errcode":"M_TERMS_NOT_SIGNED","error":"read them"}"#);
        assert!(matches!(terms, IdentityError::TermsNotSigned));
        assert!(matches!(refused(401, "{}"), IdentityError::Unauthorized));
        let medium = refused(400, r#"{"errcode":"M_UNRECOGNIZED"}"#);
        assert!(matches!(medium, IdentityError::MediumNotSupported));
        for (status, body) in [
            (404, r#"{"errcode":"M_UNRECOGNIZED"}"#),
            (500, "<html>"),
            (302, ""),
            (400, r#"{"errcode":5}"#),
        ] {
            assert!(matches!(refused(status, body), IdentityError::Failed(_)), "{status} {body}");
        }
    }

    #[test]
    fn a_token_is_shown_nowhere() {
        let token = AccessToken::new("secret".to_owned());
        assert!(!format!("{token:?} {:?}", token.header().unwrap()).contains("secret"));
        assert!(AccessToken::new("a\nb".to_owned()).header().is_err());
    }
}
