//! The server's end, for those who wait.

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
}

impl ShutdownTrigger {
    /// Has everybody stop.
    pub fn start(&self) {
        self.0.send_replace(true);
    }
}
