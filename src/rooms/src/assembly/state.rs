//! What follows when the state of a room changes: who is in it, and how the directory lists it.

use ruma::events::StateEventType;
use ruma::{OwnedUserId, RoomId};
use store::{
    DirectoryPlace, Forgotten, Membership, MembershipChange, Publication, RoomHead, Slot,
    SpaceLink, StatedMembership,
};

use super::Assembly;
use crate::{RoomError, StoredEvent, membership, summary};

impl Assembly<'_> {
    /// Puts a state event into the room's state, and a membership into the lists of members.
    pub(super) async fn change_state(
        &mut self,
        event: &StoredEvent,
        slot: Slot,
    ) -> Result<(), RoomError> {
        let Some((kind, state_key)) = event.pdu.state_entry() else { return Ok(()) };
        let store = self.rooms.store();
        if kind == StateEventType::RoomMember {
            self.change_membership(event, state_key, slot).await?;
        }
        let link = match kind {
            StateEventType::SpaceChild => Some(SpaceLink::Child),
            StateEventType::SpaceParent => Some(SpaceLink::Parent),
            _ => None,
        };
        if let Some(link) = link
            && let Ok(other) = RoomId::parse(state_key)
        {
            self.batch.set_space_link(self.room, link, &other, event.number)?;
        }
        self.is_described_anew |= state_key.is_empty() && summary::describes(&kind);
        let key = store.number_state_key(&kind, state_key).await?;
        self.take_back_delayed(&event.pdu.sender, key).await?;
        let change = [(key, Some(event.number))];
        self.head.state =
            store.set_state(&mut self.batch, self.room, self.head.state, &change).await?;
        if matches!(kind, StateEventType::RoomJoinRules | StateEventType::RoomHistoryVisibility) {
            self.note_openness(self.head.state).await?;
        }
        Ok(())
    }

    async fn change_membership(
        &mut self,
        event: &StoredEvent,
        state_key: &str,
        slot: Slot,
    ) -> Result<(), RoomError> {
        let malformed = || RoomError::Malformed(format!("{state_key} is no user id"));
        let user: OwnedUserId = state_key.try_into().map_err(|_| malformed())?;
        let after = membership::of(&event.pdu).ok_or_else(malformed)?;
        let kind = StateEventType::RoomMember;
        let before = self.rooms.state_at(self.room, self.head.state, &kind, state_key).await?;
        let before = before.and_then(|event| {
            let membership = membership::of(&event.pdu)?;
            Some(StatedMembership { event: event.number, membership })
        });
        let after = StatedMembership { event: event.number, membership: after };
        let is_gone = matches!(after.membership, Membership::Leave | Membership::Ban);
        let is_ours = user.server_name() == self.rooms.server_name();
        let forgotten =
            if is_gone && is_ours && self.rooms.settings().after_leaving == Forgotten::Yes {
                Forgotten::Yes
            } else {
                Forgotten::No
            };
        let user = self.rooms.store().number_user(&user).await?;
        let change = MembershipChange { before, after, forgotten };
        self.batch.set_membership(user, self.room, change, slot)?;
        let (before, after) = (before.map(|before| before.membership), after.membership);
        for (membership, count) in [
            (Membership::Join, &mut self.head.joined),
            (Membership::Invite, &mut self.head.invited),
        ] {
            if before == Some(membership) {
                *count = count.saturating_sub(1);
            }
            if after == membership {
                *count += 1;
            }
        }
        Ok(())
    }

    /// Keeps the directory in step with the room.
    pub(super) async fn change_listing(&mut self) -> Result<(), RoomError> {
        let place = |head: &RoomHead| {
            let place = DirectoryPlace { joined: head.joined, room: self.room };
            (head.publication == Publication::Published).then_some(place)
        };
        let (before, after) = (self.before.as_ref().and_then(place), place(&self.head));
        if before == after && !self.is_described_anew {
            return Ok(());
        }
        let listing = match after {
            Some(_) => {
                let redacted = &self.redacted;
                self.rooms.listing(self.room, &self.room_id, &self.head, redacted).await?
            }
            None => None,
        };
        match (after, &listing) {
            (Some(place), Some(listing)) => self.batch.list_room(place, listing)?,
            (Some(place), None) => self.batch.unlist_room(place),
            (None, _) => {}
        }
        if let Some(before) = before.filter(|_| before != after) {
            self.batch.unlist_room(before);
        }
        Ok(())
    }
}
