//! Which events of a timeline a reader gets.

use rooms::{RoomError, Sight};
use ruma::events::TimelineEventType;
use store::{RoomNumber, TimelinePosition};

use super::Reader;
use crate::filter::EventFilter;
use crate::timeline::{Pass, Patience, Placed};

/// Which events of a room's timeline a reader gets.
pub(crate) struct Passes<'a> {
    pub(crate) reader: &'a Reader<'a>,
    pub(crate) filter: EventFilter<'a>,
    /// From here on the reader sees everything: they are in the room.
    pub(crate) sees_all_from: TimelinePosition,
    pub(crate) room: RoomNumber,
    pub(crate) sight: Option<Sight<'a>>,
}

impl Pass for Passes<'_> {
    fn patience(&self) -> &Patience {
        &self.reader.patience
    }

    async fn passes(&mut self, placed: &Placed) -> Result<bool, RoomError> {
        let pdu = &placed.event.pdu;
        let is_wanted = self.filter.covers(pdu)
            && (pdu.state_key.is_some() || !self.reader.rules().await?.ignores(&pdu.sender));
        if !is_wanted {
            return Ok(false);
        }
        if placed.position >= self.sees_all_from {
            return Ok(true);
        }
        if self.sight.is_none() {
            let rooms = &self.reader.sync.0.rooms;
            match rooms.sight(self.reader.request.user_id, self.room).await {
                Ok(sight) => self.sight = Some(sight),
                Err(RoomError::NotInRoom) => {
                    let user = self.reader.request.user_id.as_str();
                    return Ok(pdu.is_state(&TimelineEventType::RoomMember, user));
                }
                Err(error) => return Err(error),
            }
        }
        match &mut self.sight {
            Some(sight) => sight.sees(&placed.event, placed.position).await,
            None => Ok(false),
        }
    }
}
