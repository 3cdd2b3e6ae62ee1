//! Where guests may be. Spec: client-server API, "Guest Access".

use ruma::UserId;
use ruma::events::room::guest_access::{GuestAccess, RoomGuestAccessEventContent};
use ruma::events::{StateEventType, TimelineEventType};
use serde_json::value::RawValue;
use store::{Batch, RoomNumber, UserKind};

use crate::assembly::Draft;
use crate::{RoomError, Rooms};

/// What new events of a room are to its guests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GuestsAffected {
    /// None comes and none has to go.
    No,
    /// A guest joins.
    Joining,
    /// All have to go.
    Leaving,
}

impl Rooms {
    /// What drafts are to guests. Fails with [`RoomError::GuestsForbidden`] when one joins who may not.
    pub(crate) async fn guests_affected(
        &self,
        room: RoomNumber,
        drafts: &[Draft],
    ) -> Result<GuestsAffected, RoomError> {
        let mut affected = GuestsAffected::No;
        for draft in drafts {
            let Some(state_key) = draft.state_key.as_deref() else { continue };
            match draft.kind {
                TimelineEventType::RoomMember
                    if self.is_guest_joining(state_key, draft).await? =>
                {
                    if !self.is_open_to_guests(room).await? {
                        return Err(RoomError::GuestsForbidden);
                    }
                    affected = GuestsAffected::Joining;
                }
                TimelineEventType::RoomGuestAccess
                    if state_key.is_empty()
                        && !lets_guests_in(&draft.content)
                        && self.is_open_to_guests(room).await? =>
                {
                    affected = GuestsAffected::Leaving;
                }
                _ => {}
            }
        }
        Ok(affected)
    }

    /// Has a guest leave again who joined while the room was closed to them.
    pub(crate) async fn recheck_guests(&self, room: RoomNumber) -> Result<(), RoomError> {
        if !self.is_open_to_guests(room).await? {
            let mut batch = Batch::new();
            batch.close_to_guests(room)?;
            self.store().commit(batch).await?;
        }
        Ok(())
    }

    async fn is_guest_joining(&self, state_key: &str, draft: &Draft) -> Result<bool, RoomError> {
        let Ok(user) = <&UserId>::try_from(state_key) else { return Ok(false) };
        let joins = crate::membership::stated(&draft.content) == Some(store::Membership::Join);
        if !joins || user.server_name() != self.server_name() {
            return Ok(false);
        }
        let Some(number) = self.store().user_number(user).await? else { return Ok(false) };
        let record = self.store().user(number).await?;
        Ok(record.is_some_and(|record| record.kind == UserKind::Guest))
    }

    async fn is_open_to_guests(&self, room: RoomNumber) -> Result<bool, RoomError> {
        let root = self.current_state(room).await?;
        let event = self.state_at(room, root, &StateEventType::RoomGuestAccess, "").await?;
        let Some(event) = event else { return Ok(false) };
        Ok(lets_guests_in(&self.after_redaction(&event).await?.content))
    }
}

/// Whether the content of `m.room.guest_access` lets guests join; one that is not understood does not.
pub(crate) fn lets_guests_in(content: &RawValue) -> bool {
    serde_json::from_str::<RoomGuestAccessEventContent>(content.get())
        .is_ok_and(|content| content.guest_access == GuestAccess::CanJoin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_can_join_lets_guests_in() {
        for (content, expected) in [
            (r#"{"guest_access":"can_join"}"#, true),
            (r#"{"guest_access":"forbidden"}"#, false),
            (r#"{"guest_access":"org.example.sometimes"}"#, false),
            (r#"{"guest_access":1}"#, false),
            ("{}", false),
        ] {
            let content = RawValue::from_string(content.to_owned()).unwrap();
            assert_eq!(lets_guests_in(&content), expected, "{content}");
        }
    }
}
