//! `/sync`. Spec: client-server API, "Syncing".

use std::time::Duration;

use rooms::presence::PresenceState;
use ruma::api::client::filter::FilterDefinition;
use ruma::api::client::sync::sync_events::v3::Response;
use ruma::{DeviceId, UserId};
use tokio::time::Instant;

use crate::reader::Reader;
use crate::waiters::Wake;
use crate::{Sync, SyncError, SyncToken};

/// The longest a request may wait.
const LONGEST_WAIT: Duration = Duration::from_mins(2);

/// How much of the rooms' state is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// What changed; in rooms that are new to the reader, all.
    Changes,
    /// All of it, whether it changed or not (`full_state`).
    Whole,
}

/// Whether messages to the reader's device are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceMessages {
    /// They are, and those told before the token are forgotten.
    Told,
    /// They wait for another request.
    Kept,
}

pub use crate::state::Place;

/// A request for what is new.
#[derive(Debug, Clone, Copy)]
pub struct SyncRequest<'a> {
    /// Who asks.
    pub user_id: &'a UserId,
    /// From which device.
    pub device_id: &'a DeviceId,
    /// What they want to see.
    pub filter: &'a FilterDefinition,
    /// What they have seen; `None`: nothing.
    pub since: Option<SyncToken>,
    /// How much of the rooms' state they want.
    pub state: Extent,
    /// Where in the rooms' state they want it.
    pub place: Place,
    /// Whether they want the messages to their device.
    pub device_messages: DeviceMessages,
    /// How present asking makes them.
    pub presence: PresenceState,
    /// How long to wait for something new.
    pub timeout: Duration,
}

impl Sync {
    /// What is new for a reader, as soon as there is something, or nothing when the timeout is over or more of the
    /// reader's requests wait than may. The first request, and one for the whole state, is answered at once.
    ///
    /// Fails with [`SyncError::UnknownPosition`] for a token of the future.
    #[tracing::instrument(name = "sync", skip_all, fields(user = %request.user_id))]
    pub async fn answer(&self, request: SyncRequest<'_>) -> Result<Response, SyncError> {
        let deadline = Instant::now() + request.timeout.min(LONGEST_WAIT);
        let user = self.0.rooms.store().number_user(request.user_id).await?;
        let _connection = self.0.rooms.presence().connect(
            user,
            request.device_id,
            request.presence,
            Instant::now().into_std(),
        );
        let (answer, _) = Reader::answer(self, request).await?;
        if request.timeout.is_zero()
            || request.since.is_none()
            || request.state == Extent::Whole
            || !is_empty(&answer)
        {
            return Ok(answer);
        }
        let known = self.0.memberships.of_user(self.0.rooms.store(), &self.0.feed.heads, user);
        let waiting = self.0.waiters.register(user, known.await?);
        loop {
            // Between the last look and the registration something may have come.
            let (answer, rooms) = Reader::answer(self, request).await?;
            if !is_empty(&answer) {
                return Ok(answer);
            }
            waiting.update(&rooms);
            match tokio::time::timeout_at(deadline, waiting.woken()).await {
                Ok(Wake::News) => {}
                Ok(Wake::Superseded) | Err(_) => return Ok(answer),
            }
        }
    }
}

fn is_empty(answer: &Response) -> bool {
    answer.rooms.is_empty()
        && answer.account_data.is_empty()
        && answer.to_device.is_empty()
        && answer.device_lists.is_empty()
        && answer.presence.is_empty()
}
