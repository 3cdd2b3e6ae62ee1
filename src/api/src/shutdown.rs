//! The server's end, for those who wait.

use std::time::Duration;

use tokio::sync::watch;

/// Tells whether the server is about to stop. Cheap to clone.
///
/// A long-poll watches it and answers at once, so that its client comes back to the next process without an error.
#[derive(Clone, Debug)]
pub struct Shutdown(watch::Receiver<bool>);

/// Starts the shutdown that [`Shutdown`] tells of.
#[derive(Debug)]
pub struct ShutdownTrigger(watch::Sender<bool>);

impl Shutdown {
    /// A shutdown that has not started.
    pub fn new() -> (ShutdownTrigger, Self) {
        let (trigger, shutdown) = watch::channel(false);
        (ShutdownTrigger(trigger), Self(shutdown))
    }

    /// Returns when the server is to stop.
    pub async fn started(&mut self) {
        // A trigger that is gone without having been pulled: whoever would stop the server is no more.
        let _ = self.0.wait_for(|started| *started).await;
    }

    /// What is answered within `timeout`, or at once when the server is to stop before: who still waits is told that there
    /// is nothing, and asks the next process.
    pub async fn cut_short<A: Future>(
        mut self,
        timeout: Duration,
        answer: impl Fn(Duration) -> A,
    ) -> A::Output {
        tokio::select! {
            answer = answer(timeout) => answer,
            () = self.started() => answer(Duration::ZERO).await,
        }
    }
}

impl ShutdownTrigger {
    /// Has everybody stop.
    pub fn start(&self) {
        self.0.send_replace(true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_waits_is_answered_at_once_when_the_server_is_to_stop() {
        let (trigger, shutdown) = Shutdown::new();
        let answer = async |timeout: Duration| {
            tokio::time::sleep(timeout).await;
            timeout
        };
        let short = Duration::from_millis(1);
        assert_eq!(shutdown.clone().cut_short(short, answer).await, short);
        let waiting = tokio::spawn(shutdown.cut_short(Duration::from_hours(1), answer));
        trigger.start();
        assert_eq!(waiting.await.unwrap(), Duration::ZERO);
    }
}
