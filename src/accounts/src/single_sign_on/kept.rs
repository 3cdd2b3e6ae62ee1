//! What providers were asked for, kept so that they are not asked at every turn.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ruma::MilliSecondsSinceUnixEpoch;

use super::ProviderError;
use crate::after;

/// How long what a provider says of itself is kept.
pub(super) const KEPT: Duration = Duration::from_hours(1);

/// How long a provider is let alone after it was asked, where it is down or has signed with a key that it did not show.
pub(super) const PAUSE: Duration = Duration::from_secs(5);

/// Something that a provider is asked for.
#[derive(Debug)]
pub(super) struct Kept<T>(Mutex<Option<Answer<T>>>);

#[derive(Debug)]
struct Answer<T> {
    /// `None` where it was of no use.
    value: Option<Arc<T>>,
    asked_at: MilliSecondsSinceUnixEpoch,
}

impl<T> Kept<T> {
    /// Nothing was asked yet.
    pub(super) fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// What was answered less than `age` ago, or else what is answered now. Nobody waits for the answer to another's
    /// request: a provider that is slow is slow to each.
    pub(super) async fn get(
        &self,
        age: Duration,
        now: MilliSecondsSinceUnixEpoch,
        ask: impl AsyncFnOnce() -> Result<T, ProviderError>,
    ) -> Result<Arc<T>, ProviderError> {
        if let Some(known) = self.known(age, now) {
            return known;
        }
        let answer = ask().await.map(Arc::new);
        self.keep(answer.as_ref().ok(), now);
        answer
    }

    fn lock(&self) -> MutexGuard<'_, Option<Answer<T>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What need not be asked for.
    fn known(
        &self,
        age: Duration,
        now: MilliSecondsSinceUnixEpoch,
    ) -> Option<Result<Arc<T>, ProviderError>> {
        let last = self.lock();
        let known = last.as_ref()?;
        match &known.value {
            Some(value) if now < after(known.asked_at, age) => Some(Ok(Arc::clone(value))),
            None if now < after(known.asked_at, PAUSE) => Some(Err(ProviderError::Resting)),
            Some(_) | None => None,
        }
    }

    /// Keeps an answer, unless somebody who asked later has one already.
    fn keep(&self, value: Option<&Arc<T>>, asked_at: MilliSecondsSinceUnixEpoch) {
        let mut last = self.lock();
        let is_late =
            last.as_ref().is_some_and(|last| last.value.is_some() && asked_at < last.asked_at);
        if !is_late {
            *last = Some(Answer { value: value.cloned(), asked_at });
        }
    }
}

#[cfg(test)]
mod tests {
    use ruma::UInt;

    use super::*;

    #[tokio::test]
    async fn an_answer_is_kept_and_one_of_no_use_is_not_asked_for_at_once() {
        let kept = Kept::new();
        let at =
            |seconds: u32| MilliSecondsSinceUnixEpoch(UInt::from(seconds) * UInt::from(1_000_u32));
        let get = async |seconds, age, answer: Result<u8, ProviderError>| {
            kept.get(age, at(seconds), async || answer).await.map(|value| *value)
        };
        let failed = get(100, KEPT, Err(ProviderError::Issuer)).await;
        assert!(matches!(failed, Err(ProviderError::Issuer)));
        let resting = get(104, KEPT, Ok(1)).await;
        assert!(matches!(resting, Err(ProviderError::Resting)));
        assert_eq!(get(105, KEPT, Ok(1)).await.unwrap(), 1);
        assert_eq!(get(109, PAUSE, Ok(2)).await.unwrap(), 1);
        assert_eq!(get(111, KEPT, Ok(2)).await.unwrap(), 1);
        assert_eq!(get(111, PAUSE, Ok(3)).await.unwrap(), 3);
        assert_eq!(get(111 + 3_600, KEPT, Ok(4)).await.unwrap(), 4);
    }

    #[tokio::test]
    async fn nobody_waits_for_anothers_answer_and_an_old_failure_replaces_no_newer_answer() {
        let kept = Kept::new();
        let at =
            |seconds: u32| MilliSecondsSinceUnixEpoch(UInt::from(seconds) * UInt::from(1_000_u32));
        let slow = kept.get(KEPT, at(100), async || {
            let meanwhile = kept.get(KEPT, at(101), async || Ok(1)).await;
            assert_eq!(*meanwhile.unwrap(), 1);
            Err(ProviderError::Issuer)
        });
        assert!(matches!(slow.await, Err(ProviderError::Issuer)));
        assert_eq!(*kept.get(KEPT, at(102), async || Ok(2)).await.unwrap(), 1);
    }
}
