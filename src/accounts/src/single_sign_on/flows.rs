//! Sign-ons under way. They live in memory: a sign-on that a restart meets is begun again.

use std::sync::Arc;
use std::time::Duration;

use quick_cache::sync::Cache;
use ruma::MilliSecondsSinceUnixEpoch;
use store::{ExternalId, UserNumber};
use subtle::ConstantTimeEq;

use super::ClientUrl;
use crate::{Secret, after};

/// How many may be under way; the oldest end when there are more.
const MAX_FLOWS: usize = 10_000;

/// How long one may take, from the client to the provider and back.
pub(super) const LIFETIME: Duration = Duration::from_mins(15);

/// What somebody signs on for.
#[derive(Debug, Clone)]
pub(super) enum Purpose {
    /// To log in to a client.
    LogIn(ClientUrl),
    /// To complete a stage of a user's authentication.
    Stage { session: String, user: UserNumber },
}

/// Somebody who is at the provider.
#[derive(Debug)]
pub(super) struct Flow {
    /// Which provider, by its place.
    pub(super) provider: usize,
    pub(super) purpose: Purpose,
    /// What the ID token must repeat.
    pub(super) nonce: Secret,
    /// What proves to the provider who asked. Spec: Proof Key for Code Exchange (RFC 7636).
    pub(super) verifier: Secret,
}

/// Somebody who has signed on and wants an account, but not under a name that can be had.
#[derive(Debug)]
pub(super) struct Newcomer {
    pub(super) id: ExternalId,
    pub(super) display_name: Option<String>,
    pub(super) client: ClientUrl,
}

/// Things that are under way, each in one browser.
#[derive(Debug)]
pub(super) struct UnderWay<T>(Cache<String, Arc<Entry<T>>>);

#[derive(Debug)]
struct Entry<T> {
    /// What the browser has in its cookie.
    browser: Secret,
    expires_at: MilliSecondsSinceUnixEpoch,
    what: Arc<T>,
}

impl<T> UnderWay<T> {
    pub(super) fn new() -> Self {
        Self(Cache::new(MAX_FLOWS))
    }

    /// Begins something in a browser, under a name that nobody guesses.
    pub(super) fn begin(
        &self,
        name: &Secret,
        browser: Secret,
        what: T,
        now: MilliSecondsSinceUnixEpoch,
    ) {
        let entry = Entry { browser, expires_at: after(now, LIFETIME), what: Arc::new(what) };
        self.0.insert(name.expose().to_owned(), Arc::new(entry));
    }

    /// What is under way in this browser under this name.
    pub(super) fn find(
        &self,
        name: &str,
        browser: &str,
        now: MilliSecondsSinceUnixEpoch,
    ) -> Option<Arc<T>> {
        let entry = self.0.get(name)?;
        let own: bool = entry.browser.expose().as_bytes().ct_eq(browser.as_bytes()).into();
        (own && now < entry.expires_at).then(|| Arc::clone(&entry.what))
    }

    /// Ends what is under way under this name; `false` when it has ended already.
    pub(super) fn end(&self, name: &str) -> bool {
        self.0.remove(name).is_some()
    }
}

#[cfg(test)]
mod tests {
    use ruma::UInt;

    use super::*;

    #[test]
    fn what_is_under_way_is_of_one_browser_and_ends() {
        let (under_way, browser) = (UnderWay::new(), Secret::new("browser"));
        let now = MilliSecondsSinceUnixEpoch(UInt::from(1_000_u32));
        let name = "name";
        under_way.begin(&Secret::new(name), browser, 5, now);

        assert_eq!(under_way.find(name, "browser", now).as_deref(), Some(&5));
        assert!(under_way.find(name, "another", now).is_none());
        assert!(under_way.find("another", "browser", now).is_none());
        assert!(under_way.find(name, "browser", after(now, LIFETIME)).is_none());
        assert!(under_way.end(name));
        assert!(!under_way.end(name));
        assert!(under_way.find(name, "browser", now).is_none());
    }
}
