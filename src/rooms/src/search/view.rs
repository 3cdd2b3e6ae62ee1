//! Which of what is found a reader may see.

use std::collections::HashMap;
use std::sync::Arc;

use ruma::UserId;
use store::{EventNumber, RoomNumber};

use super::index::Hit;
use crate::ignored::Ignored;
use crate::{RoomError, Rooms, Sight, StoredEvent};

/// What one reader may see of several rooms.
pub(super) struct View<'a> {
    rooms: &'a Rooms,
    reader: &'a UserId,
    ignored: Ignored,
    /// By room; `None` for those of which they may see nothing.
    sights: HashMap<RoomNumber, Option<Sight<'a>>>,
    /// What was looked at already.
    known: HashMap<EventNumber, Option<Arc<StoredEvent>>>,
}

impl<'a> View<'a> {
    pub(super) fn new(rooms: &'a Rooms, reader: &'a UserId, ignored: Ignored) -> Self {
        Self { rooms, reader, ignored, sights: HashMap::new(), known: HashMap::new() }
    }

    /// The event of a hit, if the reader may see it.
    pub(super) async fn visible(
        &mut self,
        hit: &Hit,
    ) -> Result<Option<Arc<StoredEvent>>, RoomError> {
        if let Some(known) = self.known.get(&hit.event) {
            return Ok(known.clone());
        }
        let visible = self.look_at(hit).await?;
        self.known.insert(hit.event, visible.clone());
        Ok(visible)
    }

    async fn look_at(&mut self, hit: &Hit) -> Result<Option<Arc<StoredEvent>>, RoomError> {
        let store = self.rooms.store();
        // The index may be behind: the event may be redacted, or gone with its room.
        if store.redaction(hit.event).await?.is_some() || store.event(hit.event).await?.is_none() {
            return Ok(None);
        }
        if !self.sights.contains_key(&hit.room) {
            let is_encrypted = self.rooms.is_encrypted(hit.room).await?;
            let sight = match self.rooms.sight(self.reader, hit.room).await {
                // Spec: "The search will not include rooms that are end to end encrypted".
                Ok(sight) => Some(sight).filter(|_| !is_encrypted),
                Err(RoomError::NotInRoom) => None,
                Err(error) => return Err(error),
            };
            self.sights.insert(hit.room, sight);
        }
        let Some(Some(sight)) = self.sights.get_mut(&hit.room) else { return Ok(None) };
        let event = self.rooms.event(hit.event).await?;
        if self.ignored.hides(hit.sender, &event) || !sight.sees(&event, hit.position).await? {
            return Ok(None);
        }
        // What is found is what the last edit says, so that must be seen too.
        if let Some(edit) = self.rooms.latest_edit(&event).await? {
            let index = store.event_index(&edit.pdu.event_id).await?;
            let position = index.map_or(hit.position, |index| index.position);
            if !sight.sees(&edit, position).await? {
                return Ok(None);
            }
        }
        Ok(Some(event))
    }
}
