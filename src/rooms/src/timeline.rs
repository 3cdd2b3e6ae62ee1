//! Reading a room's timeline.

use std::sync::Arc;

use store::{Direction, TimelineEntry, TimelinePosition};

use crate::ignored::Ignored;
use crate::tokens::PaginationToken;
use crate::visibility::Sight;
use crate::{RoomError, Rooms, StoredEvent};

/// An event and where it stands.
pub type Placed = (TimelineEntry, Arc<StoredEvent>);

/// A page of a timeline, in the order it was asked for.
#[derive(Debug)]
pub struct Page {
    /// The events that the reader may see.
    pub events: Vec<Placed>,
    /// Where the next page begins; `None` at the end of the timeline.
    pub next: Option<PaginationToken>,
}

/// What part of a timeline is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Stretch {
    /// Where to begin.
    pub from: PaginationToken,
    /// Where to stop, if before the timeline's end.
    pub to: Option<PaginationToken>,
    /// Which way to go.
    pub direction: Direction,
    /// How many events at most.
    pub limit: usize,
}

/// How many events are looked at for one page when many are not to be shown.
const MAX_LOOKED_AT: usize = 2_000;

/// After how many bytes of content a page ends, whatever its limit: a thousand events may have 64 KiB each.
const MAX_BYTES: usize = 4 << 20;

/// How many events are read at once.
const SLICE: usize = 100;

impl Rooms {
    /// A page of a room's timeline, of what a reader sees of it and `wanted` accepts. It may have fewer events than
    /// there are, and goes on at its token then.
    ///
    /// Spec: client-server API, `GET /rooms/{roomId}/messages`.
    pub async fn page(
        &self,
        sight: &mut Sight<'_>,
        stretch: Stretch,
        wanted: impl Fn(&StoredEvent) -> bool,
    ) -> Result<Page, RoomError> {
        let room = sight.room();
        let ignored = self.ignored_by(sight.reader()).await?;
        let (mut after, mut before) = bounds(&stretch);
        let mut events: Vec<Placed> = Vec::new();
        let (mut looked_at, mut bytes) = (0, 0);
        let mut last = None;
        while events.len() < stretch.limit && looked_at < MAX_LOOKED_AT && bytes < MAX_BYTES {
            let missing = (stretch.limit - events.len()).min(SLICE);
            let entries =
                self.store().timeline(room, after, before, stretch.direction, missing).await?;
            let is_end = entries.len() < missing;
            looked_at += entries.len();
            if let Some(entry) = entries.last() {
                last = Some(entry.position);
                match stretch.direction {
                    Direction::Ascending => after = entry.position,
                    Direction::Descending => before = entry.position,
                }
            }
            let visible = sight.visible(entries).await?;
            for placed in visible {
                if wanted(&placed.1) && !self.is_hidden(&ignored, &placed.1).await? {
                    bytes += placed.1.pdu.content.get().len();
                    events.push(placed);
                }
            }
            if is_end {
                last = None;
                break;
            }
        }
        let next = last.map(|position| match stretch.direction {
            Direction::Ascending => PaginationToken::after(position),
            Direction::Descending => PaginationToken::before(position),
        });
        Ok(Page { events, next })
    }

    /// Whether an event is not shown to who ignores its sender.
    async fn is_hidden(&self, ignored: &Ignored, event: &StoredEvent) -> Result<bool, RoomError> {
        if ignored.is_empty() {
            return Ok(false);
        }
        let sender = self.store().user_number(&event.pdu.sender).await?;
        Ok(sender.is_some_and(|sender| ignored.hides(sender, event)))
    }

    /// The end of a room's timeline as it is now.
    pub fn end_of_timeline(&self) -> PaginationToken {
        PaginationToken::after(TimelinePosition::from(self.store().position()))
    }
}

/// The positions that a stretch lies between, both excluded.
fn bounds(stretch: &Stretch) -> (TimelinePosition, TimelinePosition) {
    let after = |token: PaginationToken| TimelinePosition(token.0.0);
    let before = |token: PaginationToken| TimelinePosition(token.0.0.saturating_add(1));
    match stretch.direction {
        Direction::Ascending => {
            (after(stretch.from), stretch.to.map_or(TimelinePosition::MAX, before))
        }
        Direction::Descending => {
            (stretch.to.map_or(TimelinePosition::MIN, after), before(stretch.from))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{ada, public_room, rooms_on_memory_store, send};

    #[tokio::test]
    async fn a_page_of_large_events_ends_early_and_goes_on() {
        let rooms = rooms_on_memory_store().await;
        let room = public_room(&rooms).await;
        let body = "x".repeat(50_000);
        for number in 0..250 {
            let (transaction, content) = (number.to_string(), json!({ "body": body }));
            send(&rooms, &room, ada(), &transaction, content).await.unwrap();
        }
        let number = rooms.number_of(&room).await.unwrap();
        let page = async |from| {
            let direction = Direction::Descending;
            let stretch = Stretch { from, to: None, direction, limit: 1_000 };
            let only = |event: &StoredEvent| event.pdu.state_key.is_none();
            rooms.page(&mut rooms.sight(ada(), number).await.unwrap(), stretch, only).await.unwrap()
        };

        let first = page(rooms.end_of_timeline()).await;
        assert!(first.events.len() < 200, "{}", first.events.len());
        let mut sent = first.events.len();
        let mut next = first.next;
        while let Some(from) = next {
            let page = page(from).await;
            sent += page.events.len();
            next = page.next;
        }
        assert_eq!(sent, 250);
    }
}
