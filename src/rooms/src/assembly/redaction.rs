//! What follows when an event redacts another.

use protocol::redaction::may_redact;
use ruma::UserId;
use ruma::events::{StateEventType, TimelineEventType};
use store::{RedactedEvent, Slot};

use super::{Assembly, AuthState};
use crate::guests::lets_guests_in;
use crate::{RoomError, StoredEvent, summary};

impl Assembly<'_> {
    /// Applies a redaction: to the event it names, if that is here and the sender may redact it.
    pub(super) async fn redact(
        &mut self,
        event: &StoredEvent,
        auth_state: &AuthState,
        slot: Slot,
    ) -> Result<(), RoomError> {
        let Some(redacts) = &event.pdu.redacts else { return Ok(()) };
        let levels = self.power_levels(auth_state);
        let target = match self.rooms.event_by_id(self.room, redacts).await {
            Ok(found) => found,
            // A moderator may redact what is not here yet.
            Err(RoomError::UnknownEvent(_)) if levels.can_redact_others(&event.pdu.sender) => {
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        // Of users of one server the rules would let each redact the other's events; clients are promised otherwise.
        let (sender, of) = (&event.pdu.sender, &target.1.pdu.sender);
        let may =
            sender == of || levels.can_redact_others(sender) || self.rules_over(sender, of).await?;
        if !may || !may_redact(&event.pdu, &target.1.pdu, &levels, &self.rules) {
            return Err(RoomError::Forbidden("you may not redact this event".to_owned()));
        }
        if self.rooms.store().redaction(target.1.number).await?.is_some() {
            // The first redaction has done all there is to do.
            return Ok(());
        }
        self.batch.redact_event(target.1.number, event.number)?;
        let kept = RedactedEvent { at: self.rooms.clock().now(), event: target.1.number };
        self.batch.keep_redacted_content(kept)?;
        let redacted = target.1.pdu.state_entry();
        self.is_described_anew |= redacted.is_some_and(|(kind, _)| summary::describes(&kind));
        self.redacted.push(target.1.number);
        self.close_if_nothing_lets_guests_in(&target.1).await?;
        self.unrelate(&target.1, target.0.position, slot).await
    }

    /// Has guests leave when what let them in is redacted: then it does so no more.
    /// Spec: client-server API, "Guest Access": "If the `m.room.guest_access` event is changed to stop this from being the
    /// case, the server MUST set those users' `m.room.member` state to `leave`".
    async fn close_if_nothing_lets_guests_in(
        &mut self,
        redacted: &StoredEvent,
    ) -> Result<(), RoomError> {
        let kind = StateEventType::RoomGuestAccess;
        if !redacted.pdu.is_state(&TimelineEventType::RoomGuestAccess, "")
            || !lets_guests_in(&redacted.pdu.content)
        {
            return Ok(());
        }
        let current = self.rooms.state_at(self.room, self.head.state, &kind, "").await?;
        if current.is_some_and(|current| current.number == redacted.number) {
            self.batch.close_to_guests(self.room)?;
        }
        Ok(())
    }

    /// Whether a user administers the server that another is of.
    /// Spec: client-server API, `PUT /rooms/{roomId}/redact/{eventId}/{txnId}`: "Server administrators may redact events
    /// sent by users on their server".
    async fn rules_over(&self, admin: &UserId, user: &UserId) -> Result<bool, RoomError> {
        let is_ours = user.server_name() == self.rooms.server_name();
        Ok(is_ours && self.rooms.is_administrator(admin).await?)
    }
}
