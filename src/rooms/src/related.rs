//! Listing the events that relate to another.

use ruma::{EventId, RoomId, UserId};
use store::{Direction, RelationKind, RelationRange, TimelineEntry, TimelinePosition};

use crate::tokens::PaginationToken;
use crate::{Page, Placed, RoomError, Rooms, relations};

/// Which related events are asked for.
#[derive(Debug, Clone)]
pub struct RelationsWanted {
    /// Of this relation only.
    pub rel_type: Option<String>,
    /// Of this type only.
    pub event_type: Option<String>,
    /// Where to begin; the end of the timeline that `direction` begins at if `None`.
    pub from: Option<PaginationToken>,
    /// Where to stop.
    pub to: Option<PaginationToken>,
    /// Which way to go.
    pub direction: Direction,
    /// How many at most.
    pub limit: usize,
}

/// How many rows of relations are looked at for one page.
const MAX_LOOKED_AT: usize = 1_000;

impl Rooms {
    /// A page of the events that relate to another, as `reader` may see them.
    ///
    /// Fails with [`RoomError::UnknownEvent`] when the reader may not see the parent.
    /// Spec: client-server API, `GET /rooms/{roomId}/relations/{eventId}`.
    pub async fn related_events(
        &self,
        reader: &UserId,
        room_id: &RoomId,
        parent: &EventId,
        wanted: RelationsWanted,
    ) -> Result<Page, RoomError> {
        let room = self.number_of_seen(room_id).await?;
        let mut sight = self.sight(reader, room).await?;
        let (index, event) = self.event_by_id(room, parent).await?;
        if !sight.sees(&event, index.position).await? {
            return Err(RoomError::UnknownEvent(parent.to_owned()));
        }
        let mut found = self.related_rows(room, parent, &wanted).await?;
        let is_cut = found.len() > wanted.limit;
        let mut events: Vec<Placed> = Vec::new();
        let mut last = None;
        found.truncate(MAX_LOOKED_AT);
        for entry in found {
            if events.len() == wanted.limit {
                break;
            }
            last = Some(entry.position);
            let event = self.event(entry.event).await?;
            let is_wanted = wanted.covers(&event);
            if is_wanted && sight.sees(&event, entry.position).await? {
                events.push((entry, event));
            }
        }
        let next = last.filter(|_| is_cut).map(|position| match wanted.direction {
            Direction::Ascending => PaginationToken::after(position),
            Direction::Descending => PaginationToken::before(position),
        });
        Ok(Page { events, next })
    }

    /// The rows of all kinds that are asked for, merged in timeline order.
    async fn related_rows(
        &self,
        room: store::RoomNumber,
        parent: &EventId,
        wanted: &RelationsWanted,
    ) -> Result<Vec<TimelineEntry>, RoomError> {
        let kinds = match &wanted.rel_type {
            Some(rel_type) => vec![RelationKind::of(rel_type)],
            None => RelationKind::ALL.to_vec(),
        };
        let (after, before) = wanted.bounds();
        let mut rows = Vec::new();
        for kind in kinds {
            let (direction, limit) = (wanted.direction, MAX_LOOKED_AT);
            let range = RelationRange { kind, after, before, direction, limit };
            let related = self.store().relations(room, parent, range).await?;
            rows.extend(
                related
                    .iter()
                    .map(|row| TimelineEntry { position: row.position, event: row.event }),
            );
        }
        match wanted.direction {
            Direction::Ascending => rows.sort_by_key(|entry| entry.position),
            Direction::Descending => rows.sort_by_key(|entry| std::cmp::Reverse(entry.position)),
        }
        Ok(rows)
    }
}

impl RelationsWanted {
    /// The positions that the rows lie between, both excluded.
    fn bounds(&self) -> (TimelinePosition, TimelinePosition) {
        let above = |token: PaginationToken| TimelinePosition(token.0.0.saturating_add(1));
        let (low, high) = match self.direction {
            Direction::Ascending => (self.from, self.to),
            Direction::Descending => (self.to, self.from),
        };
        (
            low.map_or(TimelinePosition::MIN, |token| token.0),
            high.map_or(TimelinePosition::MAX, above),
        )
    }

    fn covers(&self, event: &crate::StoredEvent) -> bool {
        let of_type =
            self.event_type.as_ref().is_none_or(|kind| event.pdu.kind.to_string() == *kind);
        let of_relation = self.rel_type.as_ref().is_none_or(|rel_type| {
            relations::rel_type(&event.pdu.content).as_ref() == Some(rel_type)
        });
        of_type && of_relation
    }
}
