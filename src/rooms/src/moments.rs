//! Finding events by the time they were sent.

use std::sync::Arc;

use ruma::{MilliSecondsSinceUnixEpoch, RoomId, UserId};
use store::{Direction, Moment, TimelinePosition};

use crate::{RoomError, Rooms, StoredEvent};

/// How many events are read at once.
const PAGE: usize = 100;

/// How many events are looked at when the nearest ones are not to be seen.
const MAX_LOOKED_AT: usize = 5_000;

impl Rooms {
    /// The event nearest to a time that `reader` may see: the first sent then or later, or for
    /// [`Direction::Descending`] the last sent then or before.
    ///
    /// Fails with [`RoomError::NotInRoom`] and [`RoomError::NoEventThen`].
    /// Spec: client-server API, `GET /rooms/{roomId}/timestamp_to_event`.
    #[tracing::instrument(skip_all, fields(%room_id))]
    pub async fn nearest_event(
        &self,
        reader: &UserId,
        room_id: &RoomId,
        time: MilliSecondsSinceUnixEpoch,
        direction: Direction,
    ) -> Result<Arc<StoredEvent>, RoomError> {
        let room = self.number_of_seen(room_id).await?;
        let mut sight = self.sight(reader, room).await?;
        let position = match direction {
            Direction::Ascending => TimelinePosition::MIN,
            Direction::Descending => TimelinePosition::MAX,
        };
        let mut moment = Moment { time, position };
        let mut looked_at = 0;
        while looked_at < MAX_LOOKED_AT {
            let page = self.store().events_around(room, moment, direction, PAGE).await?;
            for (_, entry) in &page {
                let event = self.event(entry.event).await?;
                if sight.sees(&event, entry.position).await? {
                    return Ok(event);
                }
            }
            match page.last() {
                Some((last, _)) if page.len() == PAGE => moment = *last,
                _ => break,
            }
            looked_at += page.len();
        }
        Err(RoomError::NoEventThen)
    }
}
