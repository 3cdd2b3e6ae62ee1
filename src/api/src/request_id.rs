//! The name of a request in logs and answers.

use std::{
    fmt::Write,
    sync::atomic::{AtomicU64, Ordering},
};

use poem::Request;

use crate::metrics::REQUEST_ID;

/// Names requests: the start of the process and a count.
pub(crate) struct RequestIds {
    process: u32,
    next: AtomicU64,
}

/// At most 64 characters of `A-Z a-z 0-9 - _ .`.
pub(crate) struct RequestId(String);

impl RequestIds {
    pub(crate) fn new() -> Self {
        Self { process: rand::random(), next: AtomicU64::new(1) }
    }

    /// The id a trusted proxy gave the request, otherwise one of ours.
    pub(crate) fn of(&self, request: &Request, proxy: crate::proxies::Trust) -> RequestId {
        let given = match proxy {
            crate::proxies::Trust::Proxy => request.headers().get(REQUEST_ID),
            crate::proxies::Trust::Nobody => None,
        };
        let given = given.and_then(|value| value.to_str().ok());
        match given.filter(|id| is_plain(id)) {
            Some(id) => RequestId(id.to_owned()),
            None => self.next(),
        }
    }

    fn next(&self) -> RequestId {
        let mut id = String::with_capacity(20);
        let count = self.next.fetch_add(1, Ordering::Relaxed);
        // Writing to a string does not fail.
        let _ = write!(id, "{:08x}-{count}", self.process);
        RequestId(id)
    }
}

impl RequestId {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether an id can be logged as it is.
fn is_plain(id: &str) -> bool {
    (1..=64).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxies::Trust;

    fn request(id: &str) -> Request {
        Request::builder().header(REQUEST_ID, id).finish()
    }

    #[test]
    fn only_a_proxy_chooses_the_id() {
        let ids = RequestIds::new();

        assert_eq!(ids.of(&request("abc-1"), Trust::Proxy).as_str(), "abc-1");
        assert_ne!(ids.of(&request("abc-1"), Trust::Nobody).as_str(), "abc-1");
        assert_ne!(ids.of(&request("a b\tc"), Trust::Proxy).as_str(), "a b\tc");
    }

    #[test]
    fn no_two_requests_share_an_id() {
        let ids = RequestIds::new();
        let (first, second) = (ids.next(), ids.next());
        assert_ne!(first.as_str(), second.as_str());
    }
}
