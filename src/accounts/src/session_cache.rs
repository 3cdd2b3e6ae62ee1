//! Sessions in memory.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use quick_cache::sync::Cache;
use ruma::MilliSecondsSinceUnixEpoch;
use store::{Change, Observer, Store, StreamPosition, TokenHash, UserNumber};

use crate::Session;

/// How many sessions are kept in memory.
const CACHED: usize = 50_000;

/// Into how many groups users fall whose cached sessions end together.
const EPOCHS: usize = 4096;

/// A session as it was when it was read.
#[derive(Debug)]
pub(crate) struct Cached {
    pub(crate) session: Arc<Session>,
    pub(crate) expires_at: Option<MilliSecondsSinceUnixEpoch>,
    /// The user's epoch before the session was read: the session holds while the epoch does.
    pub(crate) epoch: u64,
    /// When it was last written down that the device was seen, in milliseconds.
    pub(crate) seen: AtomicU64,
}

/// Counts changes of sessions. Users share counters: a change of one ends what is cached of the others, which costs
/// them one read.
#[derive(Debug)]
struct Epochs(Vec<AtomicU64>);

impl Epochs {
    fn of(&self, user: UserNumber) -> &AtomicU64 {
        let index = user.0 % self.0.len() as u64;
        &self.0[usize::try_from(index).unwrap_or(0)]
    }
}

impl Observer for Epochs {
    fn committed(&self, _: StreamPosition, changes: &[Change]) {
        for change in changes {
            if let Change::Sessions(user) = change {
                self.of(*user).fetch_add(1, Ordering::AcqRel);
            }
        }
    }
}

/// Sessions in memory. A logout is seen by all requests that begin after it was acknowledged: the committer counts
/// the epoch up before it answers.
#[derive(Debug)]
pub(crate) struct SessionCache {
    sessions: Cache<TokenHash, Arc<Cached>>,
    epochs: Arc<Epochs>,
}

impl SessionCache {
    pub(crate) fn new(store: &Store) -> Self {
        let counters = std::iter::repeat_with(AtomicU64::default).take(EPOCHS).collect();
        let epochs = Arc::new(Epochs(counters));
        store.observe(Arc::clone(&epochs) as Arc<dyn Observer>);
        Self { sessions: Cache::new(CACHED), epochs }
    }

    /// What a session of this user that is read from now on depends on.
    pub(crate) fn epoch(&self, user: UserNumber) -> u64 {
        self.epochs.of(user).load(Ordering::Acquire)
    }

    pub(crate) fn get(&self, token: TokenHash) -> Option<Arc<Cached>> {
        let cached = self.sessions.get(&token)?;
        if cached.epoch == self.epoch(cached.session.user) {
            return Some(cached);
        }
        self.sessions.remove(&token);
        None
    }

    pub(crate) fn insert(&self, token: TokenHash, cached: Arc<Cached>) {
        self.sessions.insert(token, cached);
    }
}
