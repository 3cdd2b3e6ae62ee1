//! Work behind requests that the store remembers, so that it goes on after a restart.

use std::time::Duration;

use tokio::sync::Notify;

use crate::RoomError;

/// How long to wait after the store failed.
const PAUSE: Duration = Duration::from_secs(30);

/// Rests after all work of a kind was tried: until `more` says that there is some, or for a while if it failed.
pub(crate) async fn rest(outcome: Result<(), RoomError>, name: &'static str, more: &Notify) {
    match outcome {
        Ok(()) => more.notified().await,
        Err(error) => {
            tracing::warn!(%error, work = name, "cannot do all work, trying again later");
            tokio::time::sleep(PAUSE).await;
        }
    }
}
