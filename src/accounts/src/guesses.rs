//! How often the password of one account may be guessed, by whomever and from wherever: addresses are cheap to have many of.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use quick_cache::sync::Cache;
use ruma::{MilliSecondsSinceUnixEpoch, UserId};

/// How many names are watched; those not guessed at for longest are forgotten when there are more.
const KEPT: usize = 20_000;

/// How many wrong passwords one account bears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GuessLimit {
    /// How many may come one after the other.
    pub burst: u32,
    /// How long after that until one more may come.
    pub recovery: Duration,
}

/// Guesses at passwords, by user ID. Names that nobody has are watched as well, so that nothing is learned from being told to
/// wait.
#[derive(Debug)]
pub(crate) struct Guesses {
    limit: Option<GuessLimit>,
    hasher: RandomState,
    /// The millisecond at which all guesses at an account are forgiven.
    forgiven: Cache<u64, Arc<AtomicU64>>,
}

/// A guess that counts, unless it is taken back.
#[derive(Debug)]
pub(crate) struct Guess {
    forgiven: Arc<AtomicU64>,
    cost: u64,
}

impl Guesses {
    /// Guesses under a limit; `None`: under none.
    pub(crate) fn new(limit: Option<GuessLimit>) -> Self {
        Self { limit, hasher: RandomState::new(), forgiven: Cache::new(KEPT) }
    }

    /// Counts a guess before it is looked at, so that many at once are counted too. An error is the time until the next
    /// is looked at. `None` where nothing is counted.
    pub(crate) fn guess(
        &self,
        user: &UserId,
        now: MilliSecondsSinceUnixEpoch,
    ) -> Result<Option<Guess>, Duration> {
        let Some(limit) = self.limit else { return Ok(None) };
        let name = self.hasher.hash_one(user.as_str().to_ascii_lowercase());
        let forgiven = self.forgiven.get(&name).unwrap_or_else(|| {
            let new = Arc::new(AtomicU64::new(0));
            self.forgiven.insert(name, Arc::clone(&new));
            new
        });
        let cost = u64::try_from(limit.recovery.as_millis()).unwrap_or(u64::MAX);
        let now = u64::from(now.get());
        let most = now.saturating_add(cost.saturating_mul(limit.burst.into()));
        let with_one_more = |at: u64| at.max(now).saturating_add(cost);
        let counted = forgiven.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |at| {
            Some(with_one_more(at)).filter(|next| *next <= most)
        });
        match counted {
            Ok(_) => Ok(Some(Guess { forgiven, cost })),
            Err(at) => Err(Duration::from_millis(with_one_more(at) - most)),
        }
    }
}

impl Guess {
    /// The password was right, or was not looked at.
    pub(crate) fn take_back(self) {
        let _ = self.forgiven.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |at| {
            Some(at.saturating_sub(self.cost))
        });
    }
}

#[cfg(test)]
mod tests {
    use ruma::{UInt, user_id};

    use super::*;

    fn at(seconds: u32) -> MilliSecondsSinceUnixEpoch {
        MilliSecondsSinceUnixEpoch(UInt::from(seconds) * UInt::from(1_000_u32))
    }

    #[test]
    fn guesses_are_counted_by_name_in_any_case_and_recover() {
        let limit = GuessLimit { burst: 3, recovery: Duration::from_secs(10) };
        let guesses = Guesses::new(Some(limit));
        let ada = user_id!("@ada:hearth.test");
        for _ in 0..3 {
            guesses.guess(ada, at(100)).unwrap();
        }

        let wait = guesses.guess(user_id!("@ADA:hearth.test"), at(101)).unwrap_err();
        assert_eq!(wait, Duration::from_secs(9));
        guesses.guess(user_id!("@bo:hearth.test"), at(101)).unwrap();
        guesses.guess(ada, at(110)).unwrap();
        guesses.guess(ada, at(111)).unwrap_err();
    }

    #[test]
    fn right_passwords_do_not_count() {
        let limit = GuessLimit { burst: 1, recovery: Duration::from_secs(10) };
        let guesses = Guesses::new(Some(limit));
        for _ in 0..5 {
            guesses.guess(user_id!("@ada:hearth.test"), at(100)).unwrap().unwrap().take_back();
        }
        guesses.guess(user_id!("@ada:hearth.test"), at(100)).unwrap();
        guesses.guess(user_id!("@ada:hearth.test"), at(100)).unwrap_err();
        assert!(Guesses::new(None).guess(user_id!("@ada:hearth.test"), at(0)).unwrap().is_none());
    }
}
