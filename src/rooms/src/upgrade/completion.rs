//! What is to be done in other places when a room was replaced: its place in spaces, its replacer's settings. It stands in
//! the store from the commit that replaces the room until it is done, so it goes on after a restart.

use ruma::events::StateEventType;
use ruma::{OwnedRoomId, OwnedUserId, RoomId};
use serde_json::json;
use store::{Batch, OpenUpgrade, RoomNumber, SpaceLink};

use super::may_be_forbidden;
use crate::create::raw;
use crate::worker::rest;
use crate::{RoomError, Rooms};

/// In how many spaces the new room takes the place of the old one.
const MAX_PARENTS: usize = 20;

/// How many upgrades are read at once.
const PAGE: usize = 16;

/// Who put which room into whose place.
struct Replacement {
    user: OwnedUserId,
    old: RoomNumber,
    old_id: OwnedRoomId,
    new_id: OwnedRoomId,
}

impl Rooms {
    /// Does the rest of upgrades that a process left behind that ended, and of those for which the store failed. Never
    /// ends.
    pub async fn complete_upgrades(&self) {
        loop {
            rest(self.complete_all_upgrades().await, "upgrades", self.upgrades_left()).await;
        }
    }

    async fn complete_all_upgrades(&self) -> Result<(), RoomError> {
        loop {
            let open = self.store().open_upgrades(PAGE).await?;
            if open.is_empty() {
                return Ok(());
            }
            for upgrade in open {
                self.complete_upgrade(upgrade).await?;
            }
        }
    }

    /// Does what is left to do of an upgrade. Doing it again changes nothing.
    pub(super) async fn complete_upgrade(&self, upgrade: OpenUpgrade) -> Result<(), RoomError> {
        let OpenUpgrade { old, new, user } = upgrade;
        let ids = (self.store().room_id(old).await?, self.store().room_id(new).await?);
        let user = self.store().user_id(user).await?;
        if let (Some(user), (Some(old_id), Some(new_id))) = (user, ids)
            && self.store().room_head(new).await?.is_some()
        {
            self.settle_in(&user, new).await;
            self.replace_in_parents(&Replacement { user, old, old_id, new_id }).await?;
        }
        let mut batch = Batch::new();
        batch.close_upgrade(old);
        self.store().commit(batch).await?;
        Ok(())
    }

    /// Puts the new room into the place of the old one in the spaces that both sides say it is in, where the user
    /// may do that.
    async fn replace_in_parents(&self, replacement: &Replacement) -> Result<(), RoomError> {
        let parents = self.linked_rooms(replacement.old, SpaceLink::Parent).await?;
        for parent in parents.iter().take(MAX_PARENTS) {
            match self.replace_in(&parent.room_id, replacement).await {
                Ok(()) => {}
                Err(error @ (RoomError::Store(_) | RoomError::Busy)) => return Err(error),
                // It would be refused again and again, and the new room is to be in the other spaces all the same.
                Err(error) => {
                    let (space, new) = (&parent.room_id, &replacement.new_id);
                    tracing::warn!(%space, %new, %error, "a new room is not put into a space");
                }
            }
        }
        Ok(())
    }

    async fn replace_in(&self, space: &RoomId, replacement: &Replacement) -> Result<(), RoomError> {
        let Replacement { user, old_id, new_id, .. } = replacement;
        let Some(number) = self.store().room_number(space).await? else { return Ok(()) };
        if self.store().room_head(number).await?.is_none() {
            return Ok(());
        }
        let children = self.linked_rooms(number, SpaceLink::Child).await?;
        let Some(child) = children.iter().find(|child| child.room_id == *old_id) else {
            return Ok(());
        };
        let kind = StateEventType::SpaceChild;
        let named = self.set_state(space, user, &kind, new_id.as_str(), raw(&child.content)).await;
        if may_be_forbidden(named)?.is_some() {
            let gone = raw(&json!({}));
            let gone = self.set_state(space, user, &kind, old_id.as_str(), gone).await;
            may_be_forbidden(gone)?;
        }
        Ok(())
    }
}
