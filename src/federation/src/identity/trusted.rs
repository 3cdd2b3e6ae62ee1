//! Which identity servers there are, as the configuration names them.

use std::fmt;
use std::str::FromStr;

use ruma::{OwnedServerName, ServerName};
use serde::{Deserialize, Serialize};

/// An identity server that is trusted: a host name with or without a port, such as `id.example.org:8090`, reached by HTTPS. With
/// `http://` before it, it is reached without TLS; requests go out that way to some networks only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TrustedServer {
    scheme: Scheme,
    name: OwnedServerName,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Http,
    Https,
}

/// No name of a server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no host name with or without a port")]
pub struct InvalidServer(String);

impl Scheme {
    fn prefix(self) -> &'static str {
        match self {
            Self::Http => "http://",
            Self::Https => "https://",
        }
    }
}

impl TrustedServer {
    /// Whether clients mean it by `name`. Host names have no case.
    pub(super) fn is_called(&self, name: &str) -> bool {
        self.name.as_str().eq_ignore_ascii_case(name)
    }

    /// Where its API is.
    pub(super) fn base_url(&self) -> String {
        format!("{}{}", self.scheme.prefix(), self.name)
    }
}

impl FromStr for TrustedServer {
    type Err = InvalidServer;

    fn from_str(text: &str) -> Result<Self, InvalidServer> {
        let written = [Scheme::Http, Scheme::Https].into_iter().find_map(|scheme| {
            let name = text.strip_prefix(scheme.prefix())?;
            Some((scheme, name))
        });
        let (scheme, name) = written.unwrap_or((Scheme::Https, text));
        let name = ServerName::parse(name).map_err(|_| InvalidServer(text.to_owned()))?;
        Ok(Self { scheme, name })
    }
}

impl TryFrom<String> for TrustedServer {
    type Error = InvalidServer;

    fn try_from(text: String) -> Result<Self, InvalidServer> {
        text.parse()
    }
}

impl From<TrustedServer> for String {
    fn from(server: TrustedServer) -> Self {
        server.to_string()
    }
}

impl fmt::Display for TrustedServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.scheme {
            Scheme::Http => write!(f, "{}{}", self.scheme.prefix(), self.name),
            Scheme::Https => self.name.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_named_as_in_the_configuration_and_reached_by_https() {
        for (text, url, name) in [
            ("id.example.org", "https://id.example.org", "ID.example.org"),
            ("https://id.example.org", "https://id.example.org", "id.example.org"),
            ("id.example.org:8090", "https://id.example.org:8090", "id.example.org:8090"),
            ("http://127.0.0.1:8090", "http://127.0.0.1:8090", "127.0.0.1:8090"),
            ("[fd00::7]:8090", "https://[fd00::7]:8090", "[fd00::7]:8090"),
        ] {
            let server: TrustedServer = text.parse().unwrap();
            assert_eq!(server.base_url(), url);
            assert!(server.is_called(name) && !server.is_called("id.example.com"), "{text}");
            assert_eq!(server.to_string().parse(), Ok(server), "{text}");
        }
    }

    #[test]
    fn what_is_no_name_of_a_server_is_refused() {
        for text in ["", "http://", "id.example.org/path", "ftp://id.example.org", "a@b.org", "a b"]
        {
            assert!(text.parse::<TrustedServer>().is_err(), "{text}");
        }
    }
}
