//! A browser: it keeps cookies, and goes where it is sent only when the test says so.

use std::collections::BTreeMap;

use complement_tests::{Method, Server};
use reqwest::header::HeaderMap;
use reqwest::{Client, Url, redirect};

/// Where the server is reached, as far as the provider knows.
pub(super) const BASE_URL: &str = "https://hearth.test/matrix";

/// A browser of one user.
pub(super) struct Browser {
    server: Server,
    http: Client,
    /// Name to value and the path it is sent to.
    pub(super) cookies: BTreeMap<String, (String, String)>,
}

/// What a browser shows.
pub(super) struct Page {
    pub(super) status: u16,
    pub(super) text: String,
    headers: HeaderMap,
}

impl Browser {
    pub(super) fn new(server: &Server) -> Self {
        let http = Client::builder().redirect(redirect::Policy::none()).build();
        let http = http.expect("a client without settings can be built");
        Self { server: server.clone(), http, cookies: BTreeMap::new() }
    }

    /// Opens a path of the server, or its public URL.
    pub(super) async fn open(&mut self, url: &str) -> Page {
        self.send(Method::GET, url, String::new()).await
    }

    /// Sends the form of a page, which stands in the folder of the callback.
    pub(super) async fn submit(&mut self, page: &Page, username: &str) -> Page {
        let url = format!("/_synapse/client/oidc/{}", page.attribute("action"));
        let form = page.attribute("value");
        self.send(Method::POST, &url, format!("form={form}&username={username}")).await
    }

    async fn send(&mut self, method: Method, url: &str, form: String) -> Page {
        let path = url.strip_prefix(BASE_URL).unwrap_or(url);
        assert!(path.starts_with('/'), "not of this server: {url}");
        let public_path = format!("/matrix{path}");
        let sent = self.cookies.iter().filter(|(_, (_, folder))| public_path.starts_with(folder));
        let sent: Vec<_> = sent.map(|(name, (value, _))| format!("{name}={value}")).collect();
        let mut request = self.http.request(method, self.server.url(path)).body(form);
        request = request.header("content-type", "application/x-www-form-urlencoded");
        if !sent.is_empty() {
            request = request.header("cookie", sent.join("; "));
        }
        let response = request.send().await.expect("the server answers");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        for cookie in headers.get_all("set-cookie") {
            self.keep(cookie.to_str().expect("header is text"));
        }
        let text = response.text().await.expect("a whole answer");
        Page { status, text, headers }
    }

    fn keep(&mut self, cookie: &str) {
        let mut parts = cookie.split("; ");
        let (name, value) = parts.next().and_then(|pair| pair.split_once('=')).expect("a cookie");
        let attributes: Vec<&str> = parts.collect();
        for wanted in ["HttpOnly", "SameSite=Lax", "Secure"] {
            assert!(attributes.contains(&wanted), "{cookie} is not {wanted}");
        }
        let path = attributes.iter().find_map(|one| one.strip_prefix("Path=")).expect("a path");
        if attributes.contains(&"Max-Age=0") {
            self.cookies.remove(name);
        } else {
            self.cookies.insert(name.to_owned(), (value.to_owned(), path.to_owned()));
        }
    }
}

impl Page {
    /// Where the browser is sent.
    #[track_caller]
    pub(super) fn location(&self) -> &str {
        assert_eq!(self.status, 302, "{}", self.text);
        self.headers["location"].to_str().expect("header is text")
    }

    /// Where the links of the page lead.
    pub(super) fn links(&self) -> Vec<String> {
        assert_eq!(self.status, 200, "{}", self.text);
        self.check();
        let links = self.text.split("href=\"").skip(1);
        let links = links.map(|rest| rest.split('"').next().unwrap_or_default());
        links.map(|link| link.replace("&amp;", "&")).collect()
    }

    /// Where the only link of the page leads.
    #[track_caller]
    pub(super) fn link(&self) -> String {
        let mut links = self.links();
        assert_eq!(links.len(), 1, "{}", self.text);
        links.remove(0)
    }

    /// The first attribute of this name in the page.
    #[track_caller]
    pub(super) fn attribute(&self, name: &str) -> &str {
        let start = format!("{name}=\"");
        let rest = self.text.split_once(&start).unwrap_or_else(|| panic!("{}", self.text)).1;
        rest.split('"').next().unwrap_or_default()
    }

    /// A page that tells of a failure, and has no token.
    #[track_caller]
    pub(super) fn expect_failure(&self, status: u16, words: &str) {
        assert_eq!(self.status, status, "{}", self.text);
        assert!(self.text.contains(words), "{}", self.text);
        assert!(!self.text.contains("loginToken"), "{}", self.text);
        self.check();
    }

    /// It is a page that runs nothing and stands in no other.
    fn check(&self) {
        let header = |name: &str| {
            self.headers[name].to_str().unwrap_or_else(|_| panic!("{name} is no text")).to_owned()
        };
        assert!(header("content-type").starts_with("text/html"), "{}", self.text);
        assert_eq!(header("referrer-policy"), "no-referrer");
        assert_eq!(header("cache-control"), "no-store");
        let policy = header("content-security-policy");
        for part in ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"] {
            assert!(policy.contains(part), "{policy}");
        }
    }
}

/// What a URL has for `name` in its query.
#[track_caller]
pub(super) fn parameter(url: &str, name: &str) -> String {
    let parsed = Url::parse(url).unwrap_or_else(|error| panic!("{url}: {error}"));
    let found = parsed.query_pairs().find(|(found, _)| found == name);
    found.unwrap_or_else(|| panic!("no {name} in {url}")).1.into_owned()
}
