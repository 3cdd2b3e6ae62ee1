//! How often somebody may ask.

use std::{
    hash::{BuildHasher, RandomState},
    net::IpAddr,
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter, clock::Clock, clock::DefaultClock};
use ruma::UserId;
use serde::{Deserialize, Serialize};

/// Requests that share a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateClass {
    /// Whatever the specification calls rate limited, or changes something, and has no class of its own.
    Default,
    /// Logins and other requests that check a password.
    Login,
    /// New accounts.
    Registration,
    /// Events sent to rooms.
    Messages,
    /// Joins, invitations and new rooms.
    Joins,
    /// Invitations by third-party id, which have others send mail.
    ThirdPartyInvites,
}

/// Limits of all classes, each kept per user, or per address where nobody is logged in.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rates {
    /// `false` turns all limits off.
    pub enabled: bool,
    /// See [`RateClass::Default`].
    pub default: Rate,
    /// See [`RateClass::Login`].
    pub login: Rate,
    /// See [`RateClass::Registration`].
    pub registration: Rate,
    /// See [`RateClass::Messages`].
    pub messages: Rate,
    /// See [`RateClass::Joins`].
    pub joins: Rate,
    /// See [`RateClass::ThirdPartyInvites`].
    pub third_party_invites: Rate,
    /// Wrong passwords for one account, whoever tries them.
    pub wrong_passwords: Rate,
}

/// How many requests are served at once, and how fast they become available again.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// Requests per second in the long run; a fraction is one request in many seconds.
    pub per_second: f64,
    /// Requests that may come at once after a pause.
    pub burst: NonZeroU32,
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            enabled: true,
            default: Rate::new(50.0, 200),
            login: Rate::new(0.2, 10),
            registration: Rate::new(0.2, 10),
            messages: Rate::new(10.0, 100),
            joins: Rate::new(1.0, 30),
            third_party_invites: Rate::new(0.005, 10),
            wrong_passwords: Rate::new(0.1, 30),
        }
    }
}

impl Rate {
    const fn new(per_second: f64, burst: u32) -> Self {
        let burst = NonZeroU32::new(burst).expect("the defaults above are not zero");
        Self { per_second, burst }
    }

    /// How long it takes until one more is served; for ever where the rate is no positive number.
    pub fn recovery(self) -> Duration {
        Duration::try_from_secs_f64(self.per_second.recip()).unwrap_or(Duration::MAX)
    }

    /// `None` for a rate that is no positive number.
    fn quota(self) -> Option<Quota> {
        let period = Duration::try_from_secs_f64(self.per_second.recip()).ok()?;
        Some(Quota::with_period(period)?.allow_burst(self.burst))
    }
}

/// The limits at work. Cheap to clone.
#[derive(Clone, Default)]
pub struct RateLimits {
    /// `None` when limits are off.
    limiters: Option<Arc<Limiters>>,
}

struct Limiters {
    hasher: RandomState,
    clock: DefaultClock,
    default: Limiter,
    login: Limiter,
    registration: Limiter,
    messages: Limiter,
    joins: Limiter,
    third_party_invites: Limiter,
}

struct Limiter {
    keys: DefaultKeyedRateLimiter<u64>,
    /// Number of keys from which on those that have recovered are thrown away.
    sweep_at: AtomicUsize,
    checks: AtomicUsize,
}

/// A rate in the configuration is not a positive number.
#[derive(Debug, thiserror::Error)]
#[error("per_second of rate_limits.{0} must be a positive number")]
pub struct InvalidRate(&'static str);

/// Who asks.
pub(crate) enum Key<'a> {
    User(&'a UserId),
    Address(IpAddr),
}

impl RateLimits {
    /// Limits as configured, nothing counted yet.
    pub fn new(rates: &Rates) -> Result<Self, InvalidRate> {
        let limiter = |name, rate: Rate| rate.quota().map(Limiter::new).ok_or(InvalidRate(name));
        limiter("wrong_passwords", rates.wrong_passwords)?;
        let limiters = Limiters {
            hasher: RandomState::new(),
            clock: DefaultClock::default(),
            default: limiter("default", rates.default)?,
            login: limiter("login", rates.login)?,
            registration: limiter("registration", rates.registration)?,
            messages: limiter("messages", rates.messages)?,
            joins: limiter("joins", rates.joins)?,
            third_party_invites: limiter("third_party_invites", rates.third_party_invites)?,
        };
        Ok(Self { limiters: rates.enabled.then(|| Arc::new(limiters)) })
    }

    /// Counts one request; an error is the time until the next is served.
    pub(crate) fn check(&self, class: RateClass, key: &Key<'_>) -> Result<(), Duration> {
        let Some(limiters) = &self.limiters else { return Ok(()) };
        // A hash with a secret seed stands for the key: small, and not to be collided with on purpose.
        let key = match key {
            Key::User(user) => limiters.hasher.hash_one(user),
            Key::Address(address) => limiters.hasher.hash_one(network_of(*address)),
        };
        limiters.of(class).check(key, &limiters.clock)
    }
}

/// The part of an address that one customer of a provider cannot choose: all of it, or an IPv6 network of 64 bits.
pub fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() & !u128::from(u64::MAX)).into()),
        address @ IpAddr::V4(_) => address,
    }
}

impl Limiters {
    fn of(&self, class: RateClass) -> &Limiter {
        match class {
            RateClass::Default => &self.default,
            RateClass::Login => &self.login,
            RateClass::Registration => &self.registration,
            RateClass::Messages => &self.messages,
            RateClass::Joins => &self.joins,
            RateClass::ThirdPartyInvites => &self.third_party_invites,
        }
    }
}

impl Limiter {
    /// Counting keys walks all shards, so it is done once in this many checks.
    const CHECKS_PER_COUNT: usize = 1024;
    const FIRST_SWEEP: usize = 16 * 1024;

    fn new(quota: Quota) -> Self {
        Self {
            keys: RateLimiter::keyed(quota),
            sweep_at: AtomicUsize::new(Self::FIRST_SWEEP),
            checks: AtomicUsize::new(0),
        }
    }

    fn check(&self, key: u64, clock: &DefaultClock) -> Result<(), Duration> {
        if self.checks.fetch_add(1, Ordering::Relaxed).is_multiple_of(Self::CHECKS_PER_COUNT) {
            self.sweep();
        }
        match self.keys.check_key(&key) {
            Ok(()) => Ok(()),
            Err(refused) => Err(refused.wait_time_from(clock.now())),
        }
    }

    /// Forgets keys whose limit has recovered, so that the memory held follows the callers of the last minutes.
    fn sweep(&self) {
        if self.keys.len() < self.sweep_at.load(Ordering::Relaxed) {
            return;
        }
        self.keys.retain_recent();
        self.keys.shrink_to_fit();
        let next = (self.keys.len() * 2).max(Self::FIRST_SWEEP);
        self.sweep_at.store(next, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use ruma::user_id;

    use super::*;

    fn limits(per_second: f64, burst: u32) -> RateLimits {
        let rates = Rates { login: Rate::new(per_second, burst), ..Rates::default() };
        RateLimits::new(&rates).unwrap()
    }

    #[test]
    fn a_burst_is_served_and_the_next_request_is_told_to_wait() {
        let limits = limits(0.1, 2);
        let ada = Key::User(user_id!("@ada:hearth.test"));

        assert_eq!(limits.check(RateClass::Login, &ada), Ok(()));
        assert_eq!(limits.check(RateClass::Login, &ada), Ok(()));
        let wait = limits.check(RateClass::Login, &ada).unwrap_err();

        assert!(wait > Duration::from_secs(8) && wait <= Duration::from_secs(10), "{wait:?}");
    }

    #[test]
    fn users_addresses_and_classes_are_counted_apart() {
        let limits = limits(0.1, 1);
        let ada = Key::User(user_id!("@ada:hearth.test"));
        limits.check(RateClass::Login, &ada).unwrap();

        limits.check(RateClass::Login, &Key::User(user_id!("@bo:hearth.test"))).unwrap();
        limits.check(RateClass::Login, &Key::Address(IpAddr::from([127, 0, 0, 1]))).unwrap();
        limits.check(RateClass::Joins, &ada).unwrap();
        limits.check(RateClass::Login, &ada).unwrap_err();
    }

    #[test]
    fn all_addresses_of_an_ipv6_network_share_a_limit() {
        let limits = limits(0.1, 1);
        limits.check(RateClass::Login, &Key::Address("2001:db8::1".parse().unwrap())).unwrap();

        limits.check(RateClass::Login, &Key::Address("2001:db8::2".parse().unwrap())).unwrap_err();
        limits.check(RateClass::Login, &Key::Address("2001:db8:0:1::1".parse().unwrap())).unwrap();
    }

    #[test]
    fn keys_that_have_recovered_are_forgotten() {
        let limiter = Limiter::new(Quota::with_period(Duration::from_nanos(1)).unwrap());
        let clock = DefaultClock::default();
        for key in 0..u64::try_from(3 * Limiter::FIRST_SWEEP).unwrap() {
            limiter.check(key, &clock).unwrap();
        }

        assert!(limiter.keys.len() < 2 * Limiter::FIRST_SWEEP, "{}", limiter.keys.len());
    }

    #[test]
    fn a_rate_that_is_no_positive_number_is_refused() {
        for rate in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let rates = Rates { joins: Rate::new(rate, 1), ..Rates::default() };
            assert!(RateLimits::new(&rates).is_err(), "{rate}");
        }
    }
}
