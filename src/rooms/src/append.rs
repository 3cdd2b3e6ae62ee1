//! Appending events to a room that exists.

use std::sync::Arc;

use ruma::UserId;
use ruma::events::room::member::{MembershipState, RoomMemberEventContent};
use ruma::events::{StateEventType, TimelineEventType};
use store::{Membership, RoomHead, StoreError, TransactionKey};

use crate::assembly::{Assembly, Draft};
use crate::cell::RoomCell;
use crate::guests::GuestsAffected;
use crate::send::transaction_path;
use crate::{RoomError, Rooms, StoredEvent};

/// How often a commit is built again after others changed what it was built on.
const ATTEMPTS: usize = 100;

impl Rooms {
    /// Appends events, all or none, and returns them when they are durable.
    pub(crate) async fn append(
        &self,
        cell: &RoomCell,
        drafts: &[Draft],
    ) -> Result<Vec<Arc<StoredEvent>>, RoomError> {
        self.append_with(cell, drafts, |_| Ok(())).await
    }

    /// As [`Rooms::append`], with more to put into the same batch once the events are known.
    pub(crate) async fn append_with(
        &self,
        cell: &RoomCell,
        drafts: &[Draft],
        also: impl Fn(&mut Assembly<'_>) -> Result<(), RoomError>,
    ) -> Result<Vec<Arc<StoredEvent>>, RoomError> {
        self.check_joins(cell, drafts).await?;
        self.number_names(drafts).await?;
        let guests = self.guests_affected(cell.number, drafts).await?;
        for _ in 0..ATTEMPTS {
            let mut writer = cell.writer.lock().await;
            let (head, generation) = writer.current(self.store(), cell.number).await?;
            let mut assembly = Assembly::on(self, cell.number, cell.room_id.clone(), head)?;
            for draft in drafts {
                assembly.add(draft.clone()).await?;
            }
            also(&mut assembly)?;
            if guests == GuestsAffected::Leaving {
                assembly.batch.close_to_guests(cell.number)?;
            }
            let (batch, head, events): (_, RoomHead, _) = assembly.finish().await?;
            let ticket = self.store().submit(batch);
            writer.advance(head);
            drop(writer);
            match ticket.await {
                Ok(_) => {
                    if guests == GuestsAffected::Joining {
                        self.recheck_guests(cell.number).await?;
                    }
                    return Ok(events);
                }
                Err(StoreError::Conflict) => cell.writer.lock().await.refused(generation),
                Err(error) => return Err(error.into()),
            }
            if let Some(events) = self.transaction_of(cell, drafts).await? {
                return Ok(events);
            }
        }
        Err(RoomError::Busy)
    }

    /// Nobody comes into a blocked room. Who is in it may still change their name there.
    async fn check_joins(&self, cell: &RoomCell, drafts: &[Draft]) -> Result<(), RoomError> {
        for draft in drafts.iter().filter(|draft| draft.kind == TimelineEventType::RoomMember) {
            let membership = serde_json::from_str::<RoomMemberEventContent>(draft.content.get());
            let is_join =
                membership.is_ok_and(|content| content.membership == MembershipState::Join);
            let Some(user) = draft.state_key.as_ref().filter(|_| is_join) else { continue };
            let known = match UserId::parse(user) {
                Ok(user) => self.membership_of(&user, cell.number).await?,
                Err(_) => None,
            };
            if known.is_none_or(|known| known.membership != Membership::Join) {
                self.check_not_blocked(&cell.room_id).await?;
            }
        }
        Ok(())
    }

    /// The event that the drafts' transaction made meanwhile, in another request.
    async fn transaction_of(
        &self,
        cell: &RoomCell,
        drafts: &[Draft],
    ) -> Result<Option<Vec<Arc<StoredEvent>>>, RoomError> {
        let [Draft { transaction: Some(transaction), sender, kind, redacts, .. }] = drafts else {
            return Ok(None);
        };
        let user = self.store().number_user(sender).await?;
        let key = TransactionKey {
            user,
            device_id: &transaction.device_id,
            room: cell.number,
            path: &transaction_path(kind, redacts.as_deref()),
            transaction_id: &transaction.transaction_id,
        };
        let Some(event_id) = self.store().transaction(key).await? else { return Ok(None) };
        let (_, event) = self.event_by_id(cell.number, &event_id).await?;
        Ok(Some(vec![event]))
    }

    /// Numbers what the drafts name for the first time, before the room's writer is held: that waits for the disk.
    pub(crate) async fn number_names(&self, drafts: &[Draft]) -> Result<(), RoomError> {
        for draft in drafts {
            let Some(state_key) = &draft.state_key else { continue };
            let kind = StateEventType::from(draft.kind.to_string());
            self.store().number_state_key(&kind, state_key).await?;
            if kind == StateEventType::RoomMember
                && let Ok(user) = UserId::parse(state_key)
            {
                self.store().number_user(&user).await?;
            }
        }
        Ok(())
    }
}
