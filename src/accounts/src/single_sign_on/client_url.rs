//! Where a client wants its user back. Spec: client-server API, "Client login via SSO".

use url::{Url, form_urlencoded};

use crate::Secret;

/// Bytes of the longest URL.
const MAX: usize = 2_048;

/// Schemes that a browser acts on by itself, or that lead to nobody who could log in.
const FORBIDDEN_SCHEMES: [&str; 14] = [
    "about",
    "blob",
    "content",
    "data",
    "file",
    "filesystem",
    "ftp",
    "intent",
    "javascript",
    "mailto",
    "vbscript",
    "view-source",
    "ws",
    "wss",
];

/// What the client reads its token from.
const TOKEN: &str = "loginToken";

/// Where a client wants its user back: at a web page, or in an app by a scheme of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientUrl(Url);

impl ClientUrl {
    /// `None` for what is no URL that a client could be at.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > MAX {
            return None;
        }
        let url = Url::parse(text).ok()?;
        let has_name = url.username().is_empty() && url.password().is_none();
        (has_name && !FORBIDDEN_SCHEMES.contains(&url.scheme())).then_some(Self(url))
    }

    /// Whom the user sees: the host of a page, the scheme of an app.
    pub fn shown(&self) -> String {
        let scheme = self.0.scheme();
        match (self.0.host_str(), self.0.port()) {
            (Some(host), Some(port)) if is_web(scheme) => format!("{host}:{port}"),
            (Some(host), None) if is_web(scheme) => host.to_owned(),
            _ => format!("the app for {scheme}: links"),
        }
    }

    /// The URL with a token for the client, instead of any that stood there.
    pub(super) fn with_token(&self, token: &Secret) -> String {
        let is_token =
            |pair: &str| form_urlencoded::parse(pair.as_bytes()).any(|(name, _)| name == TOKEN);
        let kept = self.0.query().unwrap_or_default();
        let kept = kept.split('&').filter(|pair| !pair.is_empty() && !is_token(pair));
        let token: String = form_urlencoded::byte_serialize(token.expose().as_bytes()).collect();
        let added = format!("{TOKEN}={token}");
        let query: Vec<&str> = kept.chain([added.as_str()]).collect();
        let mut url = self.0.clone();
        url.set_query(Some(&query.join("&")));
        url.into()
    }

    /// Whether this is `prefix` or below it: of the same origin, and in the same folder.
    pub(super) fn is_within(&self, prefix: &Self) -> bool {
        let (own, prefix) = (&self.0, &prefix.0);
        let same_place = own.scheme() == prefix.scheme()
            && own.host() == prefix.host()
            && own.port_or_known_default() == prefix.port_or_known_default();
        let folder = prefix.path().trim_end_matches('/');
        let rest = own.path().strip_prefix(folder);
        same_place && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

fn is_web(scheme: &str) -> bool {
    scheme == "https" || scheme == "http"
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn url(text: &str) -> ClientUrl {
        ClientUrl::parse(text).unwrap()
    }

    #[test]
    fn pages_and_apps_are_clients_and_scripts_are_not() {
        for good in [
            "https://app.example.org/#/login",
            "http://localhost:8080",
            "element://connect",
            "io.element.android:/",
            "im.fluffychat:/login",
            "matrix-client:x",
        ] {
            assert!(ClientUrl::parse(good).is_some(), "{good}");
        }
        let long = format!("https://example.org/{}", "x".repeat(MAX));
        for bad in [
            "",
            "/login",
            "example.org",
            "javascript:alert(1)",
            " JavaScript:alert(1)",
            "java\tscript:alert(1)",
            "data:text/html,x",
            "vbscript:x",
            "blob:https://example.org/x",
            "file:///etc/passwd",
            "https://",
            "https://good.example@evil.example/",
            &long,
        ] {
            assert!(ClientUrl::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn the_token_is_added_and_everything_else_stays() {
        let token = Secret::new("t&k");
        for (given, answered) in [
            ("https://example.org", "https://example.org/?loginToken=t%26k"),
            (
                "https://example.org/?a=1&b=%20#/x?y",
                "https://example.org/?a=1&b=%20&loginToken=t%26k#/x?y",
            ),
            (
                "https://example.org/?loginToken=old&a=1&login%54oken=2",
                "https://example.org/?a=1&loginToken=t%26k",
            ),
            ("element://connect", "element://connect?loginToken=t%26k"),
            ("io.element.android:/", "io.element.android:/?loginToken=t%26k"),
            ("app:x?y", "app:x?y&loginToken=t%26k"),
        ] {
            assert_eq!(url(given).with_token(&token), answered);
        }
    }

    #[test]
    fn a_prefix_covers_its_origin_and_folder_only() {
        for (prefix, inside, outside) in [
            ("https://a.example", "https://a.example/x?y#z", "https://a.example.evil.example/"),
            ("https://a.example/", "https://a.example:443/", "https://a.example:8443/"),
            ("https://a.example/app", "https://a.example/app/x", "https://a.example/apple"),
            ("https://a.example/app/", "https://a.example/app", "https://a.example/app/../x"),
            ("https://a.example/", "https://A.example", "http://a.example/"),
            ("element://connect", "element://connect?x", "element://other"),
            ("io.element:/", "io.element:/login", "io.elementary:/"),
        ] {
            assert!(url(inside).is_within(&url(prefix)), "{inside} in {prefix}");
            assert!(!url(outside).is_within(&url(prefix)), "{outside} in {prefix}");
        }
    }

    #[test]
    fn a_user_is_shown_the_host_of_a_page() {
        assert_eq!(url("https://a.example/x").shown(), "a.example");
        assert_eq!(url("http://localhost:8080/x").shown(), "localhost:8080");
        assert_eq!(url("io.element.android:/").shown(), "the app for io.element.android: links");
        assert_eq!(url("element://a.example").shown(), "the app for element: links");
    }

    proptest! {
        /// Whatever a browser reads in it, it leads to where it was judged to lead.
        #[test]
        fn a_token_changes_nothing_but_the_query(
            scheme in "[ \t\n]?(https?|[a-z][a-z0-9+.-]{0,12})",
            rest in ":(//)?[a-z.]{0,8}(:[0-9]{1,4})?[/?#&=a-zA-Z%:.@ -]{0,40}",
        ) {
            let Some(client) = ClientUrl::parse(&format!("{scheme}{rest}")) else { return Ok(()) };
            prop_assert!(!FORBIDDEN_SCHEMES.contains(&client.0.scheme()));
            let back = Url::parse(&client.with_token(&Secret::new("t"))).unwrap();
            let place = |url: &Url| (url.scheme().to_owned(), url.host_str().map(ToOwned::to_owned));
            prop_assert_eq!(place(&back), place(&client.0));
            prop_assert_eq!(back.path(), client.0.path());
            prop_assert_eq!(back.fragment(), client.0.fragment());
            let tokens = back.query_pairs().filter(|(name, _)| name == TOKEN);
            prop_assert_eq!(tokens.map(|(_, value)| value.into_owned()).collect::<Vec<_>>(), ["t"]);
        }
    }
}
