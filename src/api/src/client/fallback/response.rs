//! Answers to browsers.

use http::{HeaderName, StatusCode, header};
use ruma::api::{BytesBody, OutgoingResponse, error::IntoHttpError};

use super::page::Page;

/// A page, which no other page may show inside itself, or the way to another.
pub struct PageResponse {
    status: StatusCode,
    headers: Vec<(HeaderName, String)>,
    html: String,
}

impl PageResponse {
    /// Sends the browser on.
    pub(in crate::client) fn to(url: String) -> Self {
        let headers = vec![(header::LOCATION, url)];
        Self { status: StatusCode::FOUND, headers, html: String::new() }
    }

    /// A page that tells of a failure.
    pub(in crate::client) fn with_status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    /// Has the browser keep a cookie.
    pub(in crate::client) fn with_cookie(mut self, cookie: String) -> Self {
        self.headers.push((header::SET_COOKIE, cookie));
        self
    }
}

impl From<Page> for PageResponse {
    fn from(page: Page) -> Self {
        let headers = vec![(header::CONTENT_SECURITY_POLICY, page.policy)];
        Self { status: StatusCode::OK, headers, html: page.html }
    }
}

impl OutgoingResponse for PageResponse {
    type Body = BytesBody;

    fn try_into_http_response_inner(self) -> Result<http::Response<BytesBody>, IntoHttpError> {
        let mut response = http::Response::builder()
            .status(self.status)
            .header(header::CONTENT_TYPE, "text/html; charset=utf-8")
            .header(header::CACHE_CONTROL, "no-store")
            // Addresses have codes and tokens in them.
            .header(header::REFERRER_POLICY, "no-referrer");
        for (name, value) in self.headers {
            response = response.header(name, value);
        }
        Ok(response.body(BytesBody(self.html.into_bytes()))?)
    }
}
