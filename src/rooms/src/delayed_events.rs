//! Events that are sent later, unless they are taken back before. Spec: MSC4140.
//!
//! An event waits in the store, so it is also sent when the server was not running at the time: as soon as it runs
//! again. It leaves the store in the same commit that sends it.

mod due;

use std::time::Duration;

use rand::distr::{Alphanumeric, SampleString};
use ruma::events::{StateEventType, TimelineEventType};
use ruma::{DeviceId, EventId, RoomId, UserId};
use serde_json::value::RawValue;
use store::{Batch, DelayedEvent, EventTransaction, StateKeyNumber, StoreError, UserNumber};
use tokio::sync::{Mutex, Notify};

use crate::assembly::Assembly;
use crate::{RoomError, Rooms};

/// How many events of one user may wait.
const MOST_OF_USER: usize = 100;

/// What is to be sent later.
#[derive(Debug, Clone, Copy)]
pub struct Delayed<'a> {
    /// Who sends it.
    pub sender: &'a UserId,
    /// Its type.
    pub kind: &'a TimelineEventType,
    /// Its state key; `None` for a message.
    pub state_key: Option<&'a str>,
    /// The event that it redacts; for `m.room.redaction` only.
    pub redacts: Option<&'a EventId>,
    /// The device and its transaction; `None` for state.
    pub transaction: Option<(&'a DeviceId, &'a str)>,
    /// For how long to hold it back.
    pub delay: Duration,
}

/// An event that waits, with its name.
#[derive(Debug, Clone)]
pub struct Waiting {
    /// By which it can be sent or taken back by whoever knows it.
    pub delay_id: String,
    /// The event.
    pub event: DelayedEvent,
}

/// What can be done with an event that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DelayAction {
    /// It is never sent.
    Cancel,
    /// It waits for its whole delay once more.
    Restart,
    /// It is sent now.
    Send,
}

/// Why an event does not wait, or nothing was done with it.
#[derive(Debug, thiserror::Error)]
pub enum DelayError {
    /// The delay is longer than allowed.
    #[error("events may be delayed for at most {} ms", .0.as_millis())]
    TooLong(Duration),
    /// Too many events of the user wait.
    #[error("at most {MOST_OF_USER} of your events may wait")]
    TooMany,
    /// No event of that name waits.
    #[error("no such delayed event")]
    Unknown,
    /// The room refused the event, or could not be read.
    #[error(transparent)]
    Room(#[from] RoomError),
}

impl From<StoreError> for DelayError {
    fn from(error: StoreError) -> Self {
        Self::Room(error.into())
    }
}

/// What those who change what waits share.
#[derive(Debug, Default)]
pub(crate) struct Waitlist {
    /// Held while an event is sent, taken back or restarted, so that only one of these happens.
    turn: Mutex<()>,
    /// Something is due earlier than was known.
    changed: Notify,
}

impl Rooms {
    /// The delay ID of the event that a transaction has waiting.
    pub async fn delayed_in_transaction(
        &self,
        sender: &UserId,
        room_id: &RoomId,
        kind: &TimelineEventType,
        (device_id, transaction_id): (&DeviceId, &str),
    ) -> Result<Option<String>, DelayError> {
        let room = self.number_of_joined(sender, room_id).await?;
        let user = self.store().number_user(sender).await?;
        let transaction = EventTransaction {
            device_id: device_id.to_owned(),
            transaction_id: transaction_id.to_owned(),
        };
        let kind = kind.to_string();
        Ok(self.store().delayed_in_transaction(user, room, &kind, &transaction).await?)
    }

    /// Has an event wait and returns its delay ID once that is durable. Whether it may be sent is decided when it
    /// is.
    #[tracing::instrument(skip_all, fields(%room_id))]
    pub async fn delay_event(
        &self,
        room_id: &RoomId,
        delayed: Delayed<'_>,
        content: &RawValue,
    ) -> Result<String, DelayError> {
        let longest = self.settings().max_event_delay;
        if delayed.delay > longest {
            return Err(DelayError::TooLong(longest));
        }
        let limit = protocol::limits::EVENT;
        if content.get().len() > limit {
            return Err(RoomError::TooLarge { field: "content", limit }.into());
        }
        let room = self.number_of_joined(delayed.sender, room_id).await?;
        let user = self.store().number_user(delayed.sender).await?;
        if self.store().delayed_events_of(user, None, MOST_OF_USER).await?.len() == MOST_OF_USER {
            return Err(DelayError::TooMany);
        }
        let state = match delayed.state_key {
            Some(key) => {
                let kind = StateEventType::from(delayed.kind.to_string());
                Some((self.store().number_state_key(&kind, key).await?, key.to_owned()))
            }
            None => None,
        };
        let transaction = delayed.transaction.map(|(device_id, transaction_id)| EventTransaction {
            device_id: device_id.to_owned(),
            transaction_id: transaction_id.to_owned(),
        });
        let event = DelayedEvent {
            user,
            room,
            kind: delayed.kind.to_string(),
            state,
            content: content.get().to_owned(),
            redacts: delayed.redacts.map(ToOwned::to_owned),
            transaction,
            delay: u64::try_from(delayed.delay.as_millis()).unwrap_or(u64::MAX),
            running_since: self.clock().now().get().into(),
        };
        let id = Alphanumeric.sample_string(&mut rand::rng(), 24);
        let mut batch = Batch::new();
        batch.create_delayed_event(&id, &event)?;
        match self.store().commit(batch).await {
            Ok(_) => {}
            Err(StoreError::Conflict) => {
                // The same transaction, in another request.
                let transaction = event.transaction.as_ref().ok_or(RoomError::Busy)?;
                let (store, kind) = (self.store(), &event.kind);
                let made = store.delayed_in_transaction(user, room, kind, transaction).await?;
                return Ok(made.ok_or(RoomError::Busy)?);
            }
            Err(error) => return Err(error.into()),
        }
        self.waitlist().changed.notify_one();
        Ok(id)
    }

    /// The events of a user that wait, those first that are due first.
    pub async fn delayed_events(&self, user: &UserId) -> Result<Vec<Waiting>, DelayError> {
        let Some(user) = self.store().user_number(user).await? else { return Ok(Vec::new()) };
        let mut waiting = Vec::new();
        for delay_id in self.store().delayed_events_of(user, None, MOST_OF_USER).await? {
            // It may have been sent since.
            if let Some(event) = self.store().delayed_event(&delay_id).await? {
                waiting.push(Waiting { delay_id, event });
            }
        }
        waiting.sort_by_key(|waiting| waiting.event.due());
        Ok(waiting)
    }

    /// Does something with an event that waits, on behalf of whoever knows its delay ID.
    ///
    /// Fails with [`DelayError::Unknown`]. An event that the room refuses now is still gone.
    #[tracing::instrument(skip_all, fields(?action))]
    pub async fn act_on_delayed_event(
        &self,
        delay_id: &str,
        action: DelayAction,
    ) -> Result<(), DelayError> {
        let _turn = self.waitlist().turn.lock().await;
        let event = self.store().delayed_event(delay_id).await?.ok_or(DelayError::Unknown)?;
        let mut batch = Batch::new();
        match action {
            DelayAction::Send => return self.send_delayed(delay_id, &event).await,
            DelayAction::Cancel => batch.remove_delayed_event(delay_id, &event)?,
            DelayAction::Restart => {
                batch.restart_delayed_event(delay_id, &event, self.clock().now())?;
            }
        }
        match self.store().commit(batch).await {
            // Somebody else's state has taken it off the list in between.
            Err(StoreError::Conflict) => Err(DelayError::Unknown),
            outcome => Ok(outcome.map(|_| ())?),
        }
    }
}

impl Assembly<'_> {
    /// Takes back events of others that would set what a state event has set now.
    pub(crate) async fn take_back_delayed(
        &mut self,
        sender: &UserId,
        state: StateKeyNumber,
    ) -> Result<(), RoomError> {
        let store = self.rooms.store();
        let delayed = store.delayed_states(self.room(), state, MOST_OF_USER).await?;
        if delayed.is_empty() {
            return Ok(());
        }
        let sender: UserNumber = store.number_user(sender).await?;
        for (delay_id, user) in delayed {
            if user == sender {
                continue;
            }
            if let Some(event) = store.delayed_event(&delay_id).await? {
                self.batch.remove_delayed_event(&delay_id, &event)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::create::raw;
    use crate::testing::{ada, bo, public_room, rooms_on_memory_store};

    const KIND: &str = "com.example.lamp";

    fn delayed<'a>(state_key: Option<&'a str>, kind: &'a TimelineEventType) -> Delayed<'a> {
        let delay = Duration::from_secs(5);
        let (redacts, transaction) = (None, None);
        Delayed { sender: ada(), kind, state_key, redacts, transaction, delay }
    }

    async fn state(rooms: &Rooms, room_id: &RoomId) -> Option<String> {
        let room = rooms.number_of(room_id).await.unwrap();
        let root = rooms.current_state(room).await.unwrap();
        let event = rooms.state_at(room, root, &KIND.into(), "").await.unwrap();
        event.map(|event| event.pdu.content.get().to_owned())
    }

    #[tokio::test]
    async fn a_delayed_event_is_sent_when_it_is_due_and_not_before() {
        let rooms = rooms_on_memory_store().await;
        let room = public_room(&rooms).await;
        let kind = KIND.into();
        let content = raw(&json!({ "on": true }));
        rooms.delay_event(&room, delayed(Some(""), &kind), &content).await.unwrap();

        let sleep = rooms.send_due().await.unwrap();
        assert_eq!(sleep, Duration::from_secs(5));
        assert_eq!(state(&rooms, &room).await, None);
        let waiting = rooms.delayed_events(ada()).await.unwrap();
        let id = &waiting[0].delay_id;
        rooms.act_on_delayed_event(id, DelayAction::Send).await.unwrap();

        assert_eq!(state(&rooms, &room).await.unwrap(), content.get());
        assert!(rooms.delayed_events(ada()).await.unwrap().is_empty());
        let again = rooms.act_on_delayed_event(id, DelayAction::Cancel).await;
        assert!(matches!(again, Err(DelayError::Unknown)));
        assert_eq!(rooms.send_due().await.unwrap(), due::LONGEST_SLEEP);
    }

    #[tokio::test]
    async fn state_of_somebody_else_takes_back_what_would_replace_it() {
        let rooms = rooms_on_memory_store().await;
        let room = public_room(&rooms).await;
        let join = crate::MembershipChange::Join;
        rooms.change_membership(&room, bo(), bo(), join, None).await.unwrap();
        let kind = KIND.into();
        let of_bo = Delayed { sender: bo(), ..delayed(Some(""), &kind) };
        rooms.delay_event(&room, of_bo, &raw(&json!({ "on": true }))).await.unwrap();
        let own = delayed(Some(""), &kind);
        rooms.delay_event(&room, own, &raw(&json!({ "on": true }))).await.unwrap();

        let off = raw(&json!({ "on": false }));
        rooms.set_state(&room, ada(), &KIND.into(), "", off).await.unwrap();

        assert!(rooms.delayed_events(bo()).await.unwrap().is_empty());
        assert_eq!(rooms.delayed_events(ada()).await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn what_the_room_refuses_waits_no_more() {
        let rooms = rooms_on_memory_store().await;
        let room = public_room(&rooms).await;
        let join = crate::MembershipChange::Join;
        rooms.change_membership(&room, bo(), bo(), join, None).await.unwrap();
        let kind = KIND.into();
        let of_bo = Delayed { sender: bo(), ..delayed(Some(""), &kind) };
        let id = rooms.delay_event(&room, of_bo, &raw(&json!({}))).await.unwrap();
        let outcome = rooms.act_on_delayed_event(&id, DelayAction::Send).await;
        assert!(matches!(outcome, Err(DelayError::Room(RoomError::Forbidden(_)))), "{outcome:?}");
        assert!(rooms.delayed_events(bo()).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn delays_and_their_number_are_bounded() {
        let rooms = rooms_on_memory_store().await;
        let room = public_room(&rooms).await;
        let kind = KIND.into();
        let content = raw(&json!({}));
        let long = Delayed { delay: Duration::from_hours(25), ..delayed(None, &kind) };
        let outcome = rooms.delay_event(&room, long, &content).await;
        assert!(matches!(outcome, Err(DelayError::TooLong(_))));
        for _ in 0..MOST_OF_USER {
            rooms.delay_event(&room, delayed(None, &kind), &content).await.unwrap();
        }
        let outcome = rooms.delay_event(&room, delayed(None, &kind), &content).await;
        assert!(matches!(outcome, Err(DelayError::TooMany)));
    }
}
