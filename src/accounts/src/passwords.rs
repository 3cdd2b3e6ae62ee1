//! Hashing passwords, off the async threads and a few at a time.

use std::{
    io,
    num::NonZero,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    time::Duration,
};

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use tokio::sync::oneshot;

/// Bytes of the longest password: hashing must not become a way to keep the server busy.
const MAX_PASSWORD: usize = 512;

/// How many may wait for a password to be hashed before others are turned away.
const MAX_WAITING: usize = 256;

/// What hashing one password costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PasswordCost {
    /// Memory, in KiB.
    pub memory_kib: u32,
    /// How often the memory is gone over.
    pub passes: u32,
}

impl Default for PasswordCost {
    /// What OWASP recommends for argon2id.
    fn default() -> Self {
        Self { memory_kib: Params::DEFAULT_M_COST, passes: Params::DEFAULT_T_COST }
    }
}

impl PasswordCost {
    /// Next to nothing, for tests.
    #[cfg(test)]
    pub(crate) fn trivial() -> Self {
        Self { memory_kib: Params::MIN_M_COST, passes: 1 }
    }
}

/// Why a password was not hashed or compared.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// It is empty or longer than 512 bytes.
    #[error("a password has 1 to {MAX_PASSWORD} bytes")]
    Length,
    /// Too many wrong ones were tried; after this time another may be.
    #[error("too many wrong passwords were tried")]
    TooManyGuesses(Duration),
    /// Too many wait already.
    #[error("too many log in at once")]
    Busy,
    /// The stored hash is damaged, or the hash function failed.
    #[error("password hashing failed: {0}")]
    Failed(String),
}

impl PasswordError {
    fn failed<E: std::fmt::Display>(error: E) -> Self {
        Self::Failed(format!("{error}"))
    }
}

/// Whether a password is the right one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Right,
    Wrong,
}

/// One password to hash or compare.
type Job = Box<dyn FnOnce() + Send>;

/// Hashes and compares passwords, on threads of its own that end with it: a hash takes some 19 MiB, and memory that
/// comes and goes on ever other threads is not given back by the allocator.
#[derive(Debug)]
pub(crate) struct Passwords {
    argon2: Argon2<'static>,
    /// Compared with when there is no hash, so that an unknown user takes as long as a known one.
    decoy: String,
    jobs: SyncSender<Job>,
}

impl Passwords {
    /// Fails when the system gives no threads.
    pub(crate) fn new(cost: PasswordCost) -> io::Result<Self> {
        // A cost out of argon2's bounds falls back to the recommended one.
        let params = Params::new(cost.memory_kib, cost.passes, 1, None).unwrap_or_default();
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let decoy = hash(&argon2, "decoy").unwrap_or_default();
        let (jobs, waiting) = sync_channel(MAX_WAITING);
        let waiting = Arc::new(Mutex::new(waiting));
        // Half of the processors go on serving everybody else while many log in.
        let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
        for _ in 0..(threads / 2).max(1) {
            let waiting = Arc::clone(&waiting);
            std::thread::Builder::new()
                .name("passwords".to_owned())
                .spawn(move || work_off(&waiting))?;
        }
        Ok(Self { argon2, decoy, jobs })
    }

    /// The hash of a new password, as a PHC string with its own salt.
    pub(crate) async fn hash(&self, password: &str) -> Result<String, PasswordError> {
        check_length(password)?;
        let (argon2, password) = (self.argon2.clone(), password.to_owned());
        self.run(move || hash(&argon2, &password)).await
    }

    /// Compares a password with a hash. Without a hash, or with a password no account can have, the answer takes
    /// as long and is no.
    pub(crate) async fn verify(
        &self,
        password: &str,
        stored: Option<String>,
    ) -> Result<Verdict, PasswordError> {
        let possible = stored.is_some() && check_length(password).is_ok();
        let stored = stored.unwrap_or_else(|| self.decoy.clone());
        let password = if possible { password.to_owned() } else { "decoy?".to_owned() };
        let argon2 = self.argon2.clone();
        self.run(move || {
            let parsed = PasswordHash::new(&stored).map_err(PasswordError::failed)?;
            let equal = argon2.verify_password(password.as_bytes(), &parsed).is_ok();
            Ok(if equal && possible { Verdict::Right } else { Verdict::Wrong })
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, PasswordError> + Send + 'static,
    ) -> Result<T, PasswordError> {
        let (answer, result) = oneshot::channel();
        // Whoever asked may hang up; the work is still being done.
        let job = Box::new(move || drop(answer.send(work())));
        self.jobs.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => PasswordError::Busy,
            TrySendError::Disconnected(_) => PasswordError::failed(error),
        })?;
        result.await.map_err(PasswordError::failed)?
    }
}

/// Does what comes, until nothing can come any more.
fn work_off(waiting: &Mutex<Receiver<Job>>) {
    loop {
        let job = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        // A job that panics costs its asker the answer, not everybody the thread.
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
    }
}

fn check_length(password: &str) -> Result<(), PasswordError> {
    if password.is_empty() || password.len() > MAX_PASSWORD {
        return Err(PasswordError::Length);
    }
    Ok(())
}

fn hash(argon2: &Argon2<'_>, password: &str) -> Result<String, PasswordError> {
    let hash = argon2.hash_password(password.as_bytes()).map_err(PasswordError::failed)?;
    Ok(hash.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_recognised_by_its_hash() {
        let passwords = Passwords::new(PasswordCost::trivial()).unwrap();
        let hash = passwords.hash("übers3kr1t").await.unwrap();
        assert!(hash.starts_with("$argon2id$"));
        let verify = |password| passwords.verify(password, Some(hash.clone()));
        assert_eq!(verify("übers3kr1t").await.unwrap(), Verdict::Right);
        assert_eq!(verify("ubers3kr1t").await.unwrap(), Verdict::Wrong);
    }

    #[tokio::test]
    async fn nothing_is_right_where_there_is_no_hash() {
        let passwords = Passwords::new(PasswordCost::trivial()).unwrap();
        for password in ["decoy", "decoy?", ""] {
            assert_eq!(passwords.verify(password, None).await.unwrap(), Verdict::Wrong);
        }
    }

    #[tokio::test]
    async fn an_overlong_password_is_refused_when_set_and_wrong_when_tried() {
        let passwords = Passwords::new(PasswordCost::trivial()).unwrap();
        let long = "x".repeat(513);
        assert!(matches!(passwords.hash(&long).await, Err(PasswordError::Length)));
        assert!(matches!(passwords.hash("").await, Err(PasswordError::Length)));
        let hash = passwords.hash("decoy?").await.unwrap();
        assert_eq!(passwords.verify(&long, Some(hash)).await.unwrap(), Verdict::Wrong);
    }

    #[tokio::test]
    async fn more_than_can_be_hashed_are_turned_away() {
        let passwords = Passwords::new(PasswordCost::trivial()).unwrap();
        let (done, until) = std::sync::mpsc::channel::<()>();
        let until = Arc::new(Mutex::new(until));
        let wait = || {
            let until = Arc::clone(&until);
            let job: Job = Box::new(move || drop(until.lock().map(|until| until.recv())));
            job
        };
        while passwords.jobs.try_send(wait()).is_ok() {
            // The threads take what waits until all of them wait themselves.
            std::thread::yield_now();
        }
        let refused = passwords.hash("x").await;
        assert!(matches!(refused, Err(PasswordError::Busy)));
        drop(done);
    }

    #[tokio::test]
    async fn the_default_cost_is_what_is_used() {
        let hash = Passwords::new(PasswordCost::default()).unwrap().hash("x").await.unwrap();
        assert!(hash.contains("m=19456,t=2,p=1"), "{hash}");
    }
}
