//! Tables of events that relate to others.
//!
//! | table | key | value |
//! | --- | --- | --- |
//! | `relation` | room number, parent's event ID, kind, timeline position | event number, its sender's number |
//! | `annotation` | room number, parent's event ID, sender's number, event type, key | event number |
//!
//! A redacted event relates to nothing: its rows go with its redaction. The parent need not be known.
//! Spec: client-server API, "Relationship types".

use ruma::EventId;
use sha2::{Digest, Sha256};

use crate::batch::{Slot, Stamp, StampEncoding, encode};
use crate::engine::{Direction, KeyRange};
use crate::key::{Key, KeyReader};
use crate::store::decode;
use crate::{
    Batch, EventNumber, RoomNumber, Store, StoreError, Table, TimelinePosition, UserNumber,
};

pub(crate) const RELATION: Table = Table::new(18, "relation");
pub(crate) const ANNOTATION: Table = Table::new(19, "annotation");

/// How an event relates to its parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RelationKind {
    /// `m.replace`: an edit.
    Replace,
    /// `m.thread`: a reply in the thread that the parent began.
    Thread,
    /// `m.reference`.
    Reference,
    /// `m.annotation`: a reaction.
    Annotation,
    /// A `rel_type` that the specification does not name.
    Other,
}

impl RelationKind {
    /// Every kind.
    pub const ALL: [Self; 5] =
        [Self::Replace, Self::Thread, Self::Reference, Self::Annotation, Self::Other];

    /// The kind that a `rel_type` names.
    pub fn of(rel_type: &str) -> Self {
        match rel_type {
            "m.replace" => Self::Replace,
            "m.thread" => Self::Thread,
            "m.reference" => Self::Reference,
            "m.annotation" => Self::Annotation,
            _ => Self::Other,
        }
    }

    fn byte(self) -> u8 {
        match self {
            Self::Replace => 1,
            Self::Thread => 2,
            Self::Reference => 3,
            Self::Annotation => 4,
            Self::Other => 5,
        }
    }
}

/// An event that relates to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RelatedEvent {
    /// Where it stands.
    pub position: TimelinePosition,
    /// The event.
    pub event: EventNumber,
    /// Who sent it.
    pub sender: UserNumber,
}

/// Which of the events that relate to another are asked for: those after `after` and before `before`, both excluded.
#[derive(Debug, Clone, Copy)]
pub struct RelationRange {
    /// How they relate.
    pub kind: RelationKind,
    /// The lower end.
    pub after: TimelinePosition,
    /// The upper end.
    pub before: TimelinePosition,
    /// Which end to begin at.
    pub direction: Direction,
    /// How many at most.
    pub limit: usize,
}

fn parent_key(room: RoomNumber, parent: &EventId) -> Key {
    Key::new().room(room).text(parent.as_str())
}

/// What makes two annotations of a user the same.
#[derive(Debug, Clone, Copy)]
pub struct Annotation<'a> {
    /// What is annotated.
    pub parent: &'a EventId,
    /// Who annotates it.
    pub sender: UserNumber,
    /// The type of the event that does.
    pub kind: &'a str,
    /// What it says.
    pub key: &'a str,
}

impl Annotation<'_> {
    fn row(&self, room: RoomNumber) -> Vec<u8> {
        let Self { parent, sender, kind, key } = self;
        let row = parent_key(room, parent).user(*sender).text(kind);
        if key.len() <= LONGEST_KEY {
            return row.last(key).into_bytes();
        }
        // No text has such a byte, so no short key is taken for this.
        row.raw(&[0xFF]).raw(&Sha256::digest(key.as_bytes())).into_bytes()
    }
}

/// What an annotation says may be of any length, but not a row's key: longer ones are known by their hash.
const LONGEST_KEY: usize = 255;

impl Store {
    /// Whether anything relates to `parent`.
    pub async fn has_relations(
        &self,
        room: RoomNumber,
        parent: &EventId,
    ) -> Result<bool, StoreError> {
        let range = KeyRange::prefix(parent_key(room, parent).into_bytes());
        Ok(!self.scan(RELATION, range, Direction::Ascending, 1).await?.is_empty())
    }

    /// Events that relate to `parent`.
    pub async fn relations(
        &self,
        room: RoomNumber,
        parent: &EventId,
        wanted: RelationRange,
    ) -> Result<Vec<RelatedEvent>, StoreError> {
        let prefix = parent_key(room, parent).raw(&[wanted.kind.byte()]);
        let range = KeyRange {
            start: std::ops::Bound::Excluded(prefix.clone().timeline(wanted.after).into_bytes()),
            end: std::ops::Bound::Excluded(prefix.timeline(wanted.before).into_bytes()),
        };
        let entries = self.scan(RELATION, range, wanted.direction, wanted.limit).await?;
        entries.iter().map(|(key, value)| related_event(key, value)).collect()
    }

    /// At most `limit` events that relate to `parent` in any way, by kind and then in timeline order.
    pub async fn all_relations(
        &self,
        room: RoomNumber,
        parent: &EventId,
        limit: usize,
    ) -> Result<Vec<RelatedEvent>, StoreError> {
        let range = KeyRange::prefix(parent_key(room, parent).into_bytes());
        let entries = self.scan(RELATION, range, Direction::Ascending, limit).await?;
        entries.iter().map(|(key, value)| related_event(key, value)).collect()
    }

    /// The event with which a user annotated another in that way already.
    pub async fn annotation(
        &self,
        room: RoomNumber,
        annotation: Annotation<'_>,
    ) -> Result<Option<EventNumber>, StoreError> {
        self.get(ANNOTATION, annotation.row(room)).await
    }
}

fn related_event(key: &[u8], value: &[u8]) -> Result<RelatedEvent, StoreError> {
    let position = key.last_chunk::<8>().and_then(|last| KeyReader::new(last).timeline());
    let position = position.ok_or_else(|| StoreError::Undecodable {
        table: RELATION.name(),
        reason: "key too short".to_owned(),
    })?;
    let (event, sender) = decode(RELATION, value)?;
    Ok(RelatedEvent { position, event, sender })
}

impl Batch {
    /// Notes that `event` of `sender`, which is appended at `slot`, relates to `parent`.
    pub fn create_relation(
        &mut self,
        room: RoomNumber,
        (parent, kind): (&EventId, RelationKind),
        (event, sender): (EventNumber, UserNumber),
        slot: Slot,
    ) -> Result<(), StoreError> {
        let key = parent_key(room, parent).raw(&[kind.byte()]).u64(0).into_bytes();
        let stamp = Stamp { offset: key.len() - 8, slot, encoding: StampEncoding::Timeline };
        self.put_stamped(RELATION, key, Some(stamp), encode(RELATION, &(event, sender))?, None)
    }

    /// Forgets that the event at `position` relates to `parent`.
    pub fn remove_relation(
        &mut self,
        room: RoomNumber,
        parent: &EventId,
        kind: RelationKind,
        position: TimelinePosition,
    ) {
        let key = parent_key(room, parent).raw(&[kind.byte()]).timeline(position);
        self.remove(RELATION, key.into_bytes());
    }

    /// Notes an annotation. Committing fails with [`StoreError::Conflict`] when its sender gave the same one already.
    pub fn create_annotation(
        &mut self,
        room: RoomNumber,
        annotation: Annotation<'_>,
        event: EventNumber,
    ) -> Result<(), StoreError> {
        self.insert_new(ANNOTATION, annotation.row(room), &event)
    }

    /// Forgets an annotation.
    pub fn remove_annotation(&mut self, room: RoomNumber, annotation: Annotation<'_>) {
        self.remove(ANNOTATION, annotation.row(room));
    }
}
