//! The newest events of a room that a reader has not seen.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rooms::tokens::PaginationToken;
use rooms::{RoomError, Rooms, StoredEvent};
use store::{Direction, RoomNumber, TimelinePosition};

/// How many events are looked at for one timeline, whatever the filter lets pass.
const MOST_LOOKED_AT: usize = 2_000;

/// How many events that the reader does not get are looked at for one answer, over all rooms. From then on each room has
/// what its first page has.
const MOST_PASSED_OVER: usize = 20_000;

/// How many timeline entries are read at once.
const PAGE: usize = 100;

/// A stretch of a timeline: what is after `after` up to `until`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stretch {
    pub(crate) room: RoomNumber,
    pub(crate) after: TimelinePosition,
    pub(crate) until: TimelinePosition,
}

impl Stretch {
    /// The position that is excluded at its end.
    fn before(&self) -> TimelinePosition {
        TimelinePosition(self.until.0.saturating_add(1))
    }
}

/// An event and its place.
#[derive(Debug, Clone)]
pub(crate) struct Placed {
    pub(crate) position: TimelinePosition,
    pub(crate) event: Arc<StoredEvent>,
}

/// The newest events of a stretch that pass the reader's filter, oldest first.
#[derive(Debug)]
pub(crate) struct Timeline {
    pub(crate) events: Vec<Placed>,
    /// State events of the stretch that did not pass and are newer than the first event, oldest first.
    pub(crate) passed_over: Vec<Arc<StoredEvent>>,
    /// Whether there is more of the stretch before the first event.
    pub(crate) limited: bool,
    /// Where to read on backwards.
    pub(crate) start: PaginationToken,
}

impl Timeline {
    /// One without events, at the end of a stretch.
    pub(crate) fn empty_until(until: TimelinePosition) -> Self {
        let start = PaginationToken::after(until);
        Self { events: Vec::new(), passed_over: Vec::new(), limited: false, start }
    }
}

/// Decides which events of a timeline a reader gets.
pub(crate) trait Pass {
    /// Whether the reader gets an event at a position.
    async fn passes(&mut self, placed: &Placed) -> Result<bool, RoomError>;

    /// How long to look on for one that they get.
    fn patience(&self) -> &Patience;
}

/// How many events were looked at in vain. A filter that lets hardly anything pass must not have all rooms read.
#[derive(Debug, Default)]
pub(crate) struct Patience {
    passed_over: AtomicUsize,
}

impl Patience {
    /// Counts events that were looked at in vain.
    fn spend(&self, events: usize) {
        self.passed_over.fetch_add(events, Ordering::Relaxed);
    }

    fn is_over(&self) -> bool {
        self.passed_over.load(Ordering::Relaxed) >= MOST_PASSED_OVER
    }
}

/// The newest `limit` events of a stretch that `pass`.
pub(crate) async fn newest(
    rooms: &Rooms,
    stretch: Stretch,
    limit: usize,
    pass: &mut impl Pass,
) -> Result<Timeline, RoomError> {
    let mut found: Vec<Placed> = Vec::new();
    let mut passed_over = Vec::new();
    // Those that are older than everything found so far: they count only if something older is found.
    let mut older = Vec::new();
    let mut before = stretch.before();
    let mut looked_at = 0;
    let limited = 'walk: loop {
        // Most of the time the newest are those that are wanted; who has to look on reads more at once.
        let page = if looked_at == 0 { PAGE.min(limit + 1) } else { PAGE };
        let before_page = found.len();
        let entries = rooms
            .store()
            .timeline(stretch.room, stretch.after, before, Direction::Descending, page)
            .await?;
        for entry in &entries {
            let event = rooms.event(entry.event).await?;
            let placed = Placed { position: entry.position, event };
            looked_at += 1;
            if pass.passes(&placed).await? {
                if found.len() == limit {
                    break 'walk true;
                }
                found.push(placed);
                passed_over.append(&mut older);
            } else if placed.event.pdu.state_key.is_some() {
                older.push(placed.event);
            }
            before = entry.position;
        }
        if entries.len() < page {
            passed_over.append(&mut older);
            break false;
        }
        pass.patience().spend(entries.len().saturating_sub(found.len() - before_page));
        if looked_at >= MOST_LOOKED_AT || pass.patience().is_over() {
            break true;
        }
    };
    found.reverse();
    passed_over.reverse();
    let start = match found.first() {
        Some(first) => PaginationToken::before(first.position),
        None => PaginationToken::after(stretch.until),
    };
    Ok(Timeline { events: found, passed_over, limited, start })
}

/// The oldest event of a stretch.
pub(crate) async fn oldest(
    rooms: &Rooms,
    stretch: Stretch,
) -> Result<Option<Arc<StoredEvent>>, RoomError> {
    end(rooms, stretch, Direction::Ascending).await
}

/// The newest event of a stretch.
pub(crate) async fn last(
    rooms: &Rooms,
    stretch: Stretch,
) -> Result<Option<Arc<StoredEvent>>, RoomError> {
    end(rooms, stretch, Direction::Descending).await
}

async fn end(
    rooms: &Rooms,
    stretch: Stretch,
    from: Direction,
) -> Result<Option<Arc<StoredEvent>>, RoomError> {
    let (after, before) = (stretch.after, stretch.before());
    let entries = rooms.store().timeline(stretch.room, after, before, from, 1).await?;
    match entries.first() {
        Some(entry) => rooms.event(entry.event).await.map(Some),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_ends_after_so_many_events_in_vain() {
        let patience = Patience::default();
        patience.spend(MOST_PASSED_OVER - 1);
        assert!(!patience.is_over());
        patience.spend(1);
        assert!(patience.is_over());
    }
}
