//! Sending delayed events when they are due. Spec: MSC4140.

use std::time::Duration;

use ruma::events::StateEventType;
use serde_json::value::RawValue;
use store::{Batch, DelayedEvent, StoreError};

use super::DelayError;
use crate::assembly::Draft;
use crate::{RoomError, Rooms};

/// How many due events are read at once.
const PAGE: usize = 100;

/// How long an event that cannot be sent for a fault of ours waits to be tried again.
const RECOVERY: Duration = Duration::from_secs(10);

/// How long to sleep at most: the clock may be set.
pub(super) const LONGEST_SLEEP: Duration = Duration::from_secs(30);

impl Rooms {
    /// Sends events when they are due; runs until it is dropped.
    pub async fn run_delayed_events(&self) {
        loop {
            let sleep = match self.send_due().await {
                Ok(sleep) => sleep,
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(error, "delayed events are not sent");
                    RECOVERY
                }
            };
            tokio::select! {
                () = tokio::time::sleep(sleep.min(LONGEST_SLEEP)) => {}
                () = self.waitlist().changed.notified() => {}
            }
        }
    }

    /// Sends what is due, and says how long nothing more will be. An event that cannot be sent for a fault of ours holds
    /// none of those behind it up.
    pub(super) async fn send_due(&self) -> Result<Duration, DelayError> {
        loop {
            let due = self.store().delayed_due(PAGE).await?;
            let mut outcome = Ok(());
            for (time, delay_id) in &due {
                let now = u64::from(self.clock().now().get());
                if *time > now {
                    return outcome.map(|()| Duration::from_millis(time - now));
                }
                if let Err(error) = self.send_if_due(delay_id, now).await {
                    outcome = Err(error);
                }
            }
            outcome?;
            if due.len() < PAGE {
                return Ok(LONGEST_SLEEP);
            }
        }
    }

    async fn send_if_due(&self, delay_id: &str, now: u64) -> Result<(), DelayError> {
        let _turn = self.waitlist().turn.lock().await;
        let event = self.store().delayed_event(delay_id).await?;
        let Some(event) = event.filter(|event| event.due() <= now) else { return Ok(()) };
        match self.send_delayed(delay_id, &event).await {
            Err(DelayError::Room(error)) if is_refusal(&error) => {
                tracing::debug!(%error, "a delayed event is refused");
                Ok(())
            }
            outcome => outcome,
        }
    }

    /// Sends an event that waited. One that is refused, or whose sender may not act any more, waits no more.
    pub(super) async fn send_delayed(
        &self,
        delay_id: &str,
        event: &DelayedEvent,
    ) -> Result<(), DelayError> {
        let outcome = self.append_delayed(delay_id, event).await;
        let is_settled = match &outcome {
            Ok(is_sent) => *is_sent,
            Err(error) => !is_refusal(error),
        };
        if !is_settled {
            let mut batch = Batch::new();
            batch.remove_delayed_event(delay_id, event)?;
            match self.store().commit(batch).await {
                Ok(_) | Err(StoreError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        outcome?;
        Ok(())
    }

    /// Appends an event that waited to its room, and takes it off the list with that; `false` when it would change
    /// nothing.
    async fn append_delayed(
        &self,
        delay_id: &str,
        event: &DelayedEvent,
    ) -> Result<bool, RoomError> {
        let damaged = |what: &str| RoomError::Damaged(format!("a delayed event has no {what}"));
        self.check_standing(event.user).await?;
        let sender = self.store().user_id(event.user).await?.ok_or_else(|| damaged("sender"))?;
        let cell = self.cell(event.room).await?.ok_or_else(|| damaged("room"))?;
        let content = RawValue::from_string(event.content.clone())
            .map_err(|error| RoomError::Damaged(error.to_string()))?;
        let draft = match &event.state {
            Some((_, key)) => {
                let kind = event.state_type();
                match self.state_draft(&cell, &sender, (&kind, key), content).await? {
                    Ok(draft) => draft,
                    Err(_) => return Ok(false),
                }
            }
            None => Draft {
                redacts: event.redacts.clone(),
                transaction: event.transaction.clone(),
                ..Draft::new(sender, event.event_type(), None, content)
            },
        };
        let sent = self
            .append_with(&cell, &[draft], |assembly| {
                Ok(assembly.batch.remove_delayed_event(delay_id, event)?)
            })
            .await?;
        if event.state.is_some() && event.state_type() == StateEventType::RoomMember {
            self.after_membership(cell.number, &sent).await;
        }
        Ok(true)
    }
}

/// Whether the room will not take the event, now or later.
fn is_refusal(error: &RoomError) -> bool {
    match error {
        RoomError::Busy => false,
        RoomError::Store(error) => error.is_too_large(),
        _ => true,
    }
}
