//! Listing the events that relate to another.

use std::collections::HashSet;

use ruma::{EventId, RoomId, UserId};
use store::{Direction, EventNumber, RelationKind, RelationRange, TimelineEntry, TimelinePosition};

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
    /// Whether what relates to what relates to the event is wanted too.
    pub reach: Reach,
}

/// How far relations are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// To the events that relate to the one itself.
    Direct,
    /// Over [`DEPTH`] relations.
    Recursive,
}

/// Over how many relations one event is connected with another when they are followed.
/// Spec: client-server API, `GET /rooms/{roomId}/relations/{eventId}`, `recurse`.
pub const DEPTH: u8 = 3;

/// How many rows of relations are looked at for one page.
const MAX_LOOKED_AT: usize = 1_000;

/// How many rows are looked at when relations are followed, and of how many events.
const MAX_FOLLOWED: usize = 5_000;
const MAX_PARENTS: usize = 2_000;

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
        // Spec: 404 when "the parent event was not found or you do not have permission to read this event".
        let hide_room = |error| match error {
            RoomError::NotInRoom => RoomError::UnknownEvent(parent.to_owned()),
            other => other,
        };
        let room = self.number_of_seen(room_id).await.map_err(hide_room)?;
        self.visible_event_of(reader, room, parent).await.map_err(hide_room)?;
        let mut sight = self.sight_of_anybody(reader, room).await?;
        let mut found = self.related_rows(room, parent, &wanted).await?;
        let is_cut = found.len() > wanted.limit;
        let mut events: Vec<Placed> = Vec::new();
        let mut last = None;
        // Beyond that the rows of one kind may be missing.
        found.truncate(match wanted.reach {
            Reach::Direct => MAX_LOOKED_AT,
            Reach::Recursive => MAX_FOLLOWED,
        });
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
        if wanted.reach == Reach::Recursive {
            return self.followed_rows(room, parent, wanted).await;
        }
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
        wanted.sort(&mut rows);
        Ok(rows)
    }

    /// The rows of all events that are connected with `parent` over a few relations of any kind.
    async fn followed_rows(
        &self,
        room: store::RoomNumber,
        parent: &EventId,
        wanted: &RelationsWanted,
    ) -> Result<Vec<TimelineEntry>, RoomError> {
        let mut rows: Vec<TimelineEntry> = Vec::new();
        let mut seen: HashSet<EventNumber> = HashSet::new();
        let mut parents = vec![parent.to_owned()];
        for _ in 0..DEPTH {
            let mut children = Vec::new();
            for parent in parents {
                let left = MAX_FOLLOWED.saturating_sub(rows.len());
                for row in self.store().all_relations(room, &parent, left).await? {
                    if seen.insert(row.event) {
                        rows.push(TimelineEntry { position: row.position, event: row.event });
                        children.push(row.event);
                    }
                }
            }
            // The newest matter most to who reads on from the end.
            children.sort_unstable_by(|one, other| other.cmp(one));
            children.truncate(MAX_PARENTS);
            parents = Vec::with_capacity(children.len());
            for child in children {
                parents.push(self.event(child).await?.pdu.event_id.clone());
            }
        }
        let (after, before) = wanted.bounds();
        rows.retain(|row| after < row.position && row.position < before);
        wanted.sort(&mut rows);
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

    fn sort(&self, rows: &mut [TimelineEntry]) {
        match self.direction {
            Direction::Ascending => rows.sort_by_key(|entry| entry.position),
            Direction::Descending => rows.sort_by_key(|entry| std::cmp::Reverse(entry.position)),
        }
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
