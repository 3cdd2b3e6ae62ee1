//! What providers were asked for, kept so that they are not asked at every turn.

use std::sync::Arc;
use std::time::Duration;

use ruma::MilliSecondsSinceUnixEpoch;
use tokio::sync::Mutex;

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

    /// What was answered less than `age` ago, or else what is answered now. One request waits for the answer to another's.
    pub(super) async fn get(
        &self,
        age: Duration,
        now: MilliSecondsSinceUnixEpoch,
        ask: impl AsyncFnOnce() -> Result<T, ProviderError>,
    ) -> Result<Arc<T>, ProviderError> {
        let mut last = self.0.lock().await;
        if let Some(known) = &*last {
            match &known.value {
                Some(value) if now < after(known.asked_at, age) => return Ok(Arc::clone(value)),
                None if now < after(known.asked_at, PAUSE) => return Err(ProviderError::Resting),
                Some(_) | None => {}
            }
        }
        let answer = ask().await.map(Arc::new);
        *last = Some(Answer { value: answer.as_ref().ok().cloned(), asked_at: now });
        answer
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
}
