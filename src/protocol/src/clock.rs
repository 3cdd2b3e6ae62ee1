//! Where the time comes from.

use std::{
    fmt::Debug,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime},
};

use ruma::{MilliSecondsSinceUnixEpoch, UInt};

/// The time, passed to whatever needs it.
pub trait Clock: Send + Sync + Debug {
    /// The time now, to the millisecond. It may step backwards when the machine's clock is set.
    fn now(&self) -> MilliSecondsSinceUnixEpoch;
}

/// The machine's clock: the one place that reads it.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one implementation of Clock that reads the machine's clock"
    )]
    fn now(&self) -> MilliSecondsSinceUnixEpoch {
        // A clock set before 1970 counts as 1970: events are still made, and their order does not depend on it.
        MilliSecondsSinceUnixEpoch::from_system_time(SystemTime::now())
            .unwrap_or(MilliSecondsSinceUnixEpoch(UInt::MIN))
    }
}

/// A clock that stands still until a test moves it.
#[derive(Debug)]
pub struct FixedClock(AtomicU64);

impl FixedClock {
    /// A clock that shows `millis` milliseconds since 1970.
    pub fn new(millis: u64) -> Self {
        Self(AtomicU64::new(millis))
    }

    /// Sets the clock to `millis` milliseconds since 1970.
    pub fn set(&self, millis: u64) {
        self.0.store(millis, Ordering::SeqCst);
    }

    /// Moves the clock forward, by whole milliseconds.
    pub fn advance(&self, by: Duration) {
        let millis = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        self.0.fetch_add(millis, Ordering::SeqCst);
    }
}

impl Clock for FixedClock {
    fn now(&self) -> MilliSecondsSinceUnixEpoch {
        MilliSecondsSinceUnixEpoch(UInt::new_saturating(self.0.load(Ordering::SeqCst)))
    }
}

#[cfg(test)]
mod tests {
    use ruma::uint;

    use super::*;

    #[test]
    fn a_fixed_clock_moves_only_when_told() {
        let clock = FixedClock::new(1_000);
        assert_eq!(clock.now().get(), uint!(1000));
        clock.advance(Duration::from_secs(2));
        assert_eq!(clock.now().get(), uint!(3000));
        clock.set(5);
        assert_eq!(clock.now().get(), uint!(5));
    }

    #[test]
    fn the_system_clock_is_past_2026() {
        assert!(u64::from(SystemClock.now().get()) > 1_767_225_600_000);
    }
}
