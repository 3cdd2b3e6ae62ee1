//! Who is online. Kept in memory, but for what users say of it: after a restart everybody is offline until they come
//! back.

mod order;
mod tracking;
mod user;

use std::time::Instant;

use ruma::{DeviceId, UserId};
use store::{Batch, Membership, RoomMembership, StoreError, UserNumber};

use self::order::MOST_USERS;
pub use self::order::{Change, PresencePosition, Seen};
pub use self::tracking::{Connection, Presence, PresenceObserver, Tracking};
pub use self::user::{PresenceState, Status};
use crate::{RoomError, Rooms};

/// Bytes of the longest status message.
pub const LONGEST_MESSAGE: usize = 4_096;

/// How many users' messages are read at once.
const PAGE: usize = 1_000;

/// What can go wrong with presence.
#[derive(Debug, thiserror::Error)]
pub enum PresenceError {
    /// The asker shares no room with the user.
    #[error("you share no room with this user")]
    NotShared,
    /// The status message is longer than [`LONGEST_MESSAGE`].
    #[error("a status message has at most {LONGEST_MESSAGE} bytes")]
    MessageTooLong,
    /// The rooms could not be read.
    #[error(transparent)]
    Room(#[from] RoomError),
}

impl Rooms {
    /// A user says how they are, from one of their devices.
    ///
    /// Fails with [`PresenceError::MessageTooLong`].
    /// Spec: client-server API, `PUT /presence/{userId}/status`.
    #[tracing::instrument(skip_all, fields(%user))]
    pub async fn set_presence(
        &self,
        user: &UserId,
        device: &DeviceId,
        state: PresenceState,
        message: Option<String>,
    ) -> Result<(), PresenceError> {
        if message.as_ref().is_some_and(|message| message.len() > LONGEST_MESSAGE) {
            return Err(PresenceError::MessageTooLong);
        }
        let user = self.store().number_user(user).await.map_err(RoomError::from)?;
        self.keep_message(user, message.as_deref()).await.map_err(RoomError::from)?;
        self.presence().set(user, device, state, message, Instant::now());
        Ok(())
    }

    /// Writes down what a user says of their presence, if it is something else than before.
    async fn keep_message(
        &self,
        user: UserNumber,
        message: Option<&str>,
    ) -> Result<(), StoreError> {
        let presence = self.presence();
        let known = presence.of(user, Instant::now()).status.message;
        if presence.tracking() == Tracking::Off || known.as_deref() == message {
            return Ok(());
        }
        let mut batch = Batch::new();
        batch.set_presence_message(user, message)?;
        self.store().commit(batch).await.map(drop)
    }

    /// Recalls what users said of their presence before the server was started.
    pub async fn recall_presence(&self) -> Result<(), StoreError> {
        let (presence, now) = (self.presence(), Instant::now());
        let mut last = None;
        for _ in 0..MOST_USERS / PAGE {
            let page = self.store().presence_messages(last, PAGE).await?;
            let Some((user, _)) = page.last() else { break };
            last = Some(*user);
            for (user, message) in page {
                presence.change(user, now, |user| user.recall(message));
            }
        }
        Ok(())
    }

    /// The presence of a user as `asker` may see it.
    ///
    /// Fails with [`PresenceError::NotShared`] when they share no room, also when there is no such user.
    /// Spec: client-server API, `GET /presence/{userId}/status`.
    pub async fn presence_of(&self, asker: &UserId, user: &UserId) -> Result<Seen, PresenceError> {
        let store = self.store();
        let number = store.user_number(user).await.map_err(RoomError::from)?;
        let number = number.ok_or(PresenceError::NotShared)?;
        if asker != user {
            let asker = store.number_user(asker).await.map_err(RoomError::from)?;
            let own = store.memberships(asker).await.map_err(RoomError::from)?;
            let theirs = store.memberships(number).await.map_err(RoomError::from)?;
            if !share_a_room(&own, &theirs) {
                return Err(PresenceError::NotShared);
            }
        }
        Ok(self.presence().of(number, Instant::now()))
    }

    /// Notes that a user did something that tells they are there.
    pub(crate) async fn note_activity(&self, user: &UserId) -> Result<(), RoomError> {
        let user = self.store().number_user(user).await?;
        self.presence().act(user, Instant::now());
        Ok(())
    }
}

/// Whether two users, given their memberships in order of room number, are joined to one room.
pub fn share_a_room(one: &[RoomMembership], other: &[RoomMembership]) -> bool {
    let (mut one, mut other) = (one.iter().peekable(), other.iter().peekable());
    while let (Some(left), Some(right)) = (one.peek(), other.peek()) {
        match left.room.cmp(&right.room) {
            std::cmp::Ordering::Less => drop(one.next()),
            std::cmp::Ordering::Greater => drop(other.next()),
            std::cmp::Ordering::Equal => {
                if [left, right].iter().all(|known| known.membership == Membership::Join) {
                    return true;
                }
                one.next();
                other.next();
            }
        }
    }
    false
}
