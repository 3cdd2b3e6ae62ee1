//! What events say of their relation to others.

use protocol::{Pdu, limits};
use ruma::{EventId, OwnedEventId};
use serde::Deserialize;
use store::{
    Annotation, Batch, RelationKind, RoomNumber, Slot, StoreError, TimelinePosition, UserNumber,
};

use crate::assembly::Assembly;
use crate::{RoomError, StoredEvent};

/// The relation that an event's content states.
/// Spec: client-server API, "Forming relationships between events".
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Relation {
    pub(crate) parent: OwnedEventId,
    pub(crate) kind: RelationKind,
    /// What an annotation says.
    key: Option<String>,
    /// The type of the event that states it.
    stated_by: String,
}

impl Relation {
    /// The relation that an event states; `None` when there is none, or none that names an event: no event has an ID of
    /// more than 255 bytes.
    pub(crate) fn of(event: &Pdu) -> Option<Self> {
        #[derive(Deserialize)]
        struct Content {
            #[serde(rename = "m.relates_to")]
            relates_to: RelatesTo,
        }
        #[derive(Deserialize)]
        struct RelatesTo {
            event_id: OwnedEventId,
            rel_type: String,
            #[serde(default)]
            key: Option<String>,
        }
        // Most messages relate to nothing; looking is cheaper than parsing.
        if !event.content.get().contains("m.relates_to") {
            return None;
        }
        let content: Content = event.content_as().ok()?;
        let RelatesTo { event_id, rel_type, key } = content.relates_to;
        if event_id.as_str().len() > limits::IDENTIFIER {
            return None;
        }
        let kind = RelationKind::of(&rel_type);
        Some(Self { parent: event_id, kind, key, stated_by: event.kind.to_string() })
    }

    /// What the relation says as an annotation of `sender`; `None` when it is another kind of relation.
    fn annotation(&self, sender: UserNumber) -> Option<Annotation<'_>> {
        let Self { parent, kind: RelationKind::Annotation, key: Some(key), stated_by } = self
        else {
            return None;
        };
        Some(Annotation { parent, sender, kind: stated_by, key })
    }
}

/// The `rel_type` that an event's content states.
pub fn rel_type(content: &serde_json::value::RawValue) -> Option<String> {
    #[derive(Deserialize)]
    struct Content {
        #[serde(rename = "m.relates_to")]
        relates_to: RelatesTo,
    }
    #[derive(Deserialize)]
    struct RelatesTo {
        rel_type: String,
    }
    let content: Content = serde_json::from_str(content.get()).ok()?;
    Some(content.relates_to.rel_type)
}

impl Relation {
    /// Takes back what the event of `sender` that stands at `position` related to; at `slot` it goes.
    pub(crate) fn remove(
        &self,
        batch: &mut Batch,
        room: RoomNumber,
        (sender, position): (UserNumber, TimelinePosition),
        slot: Slot,
    ) -> Result<(), StoreError> {
        if let Some(annotation) = self.annotation(sender) {
            batch.remove_annotation(room, annotation);
        }
        if self.kind == RelationKind::Thread {
            batch.remove_thread_reply(room, &self.parent, (sender, position), slot)?;
        }
        batch.remove_relation(room, &self.parent, self.kind, position);
        Ok(())
    }
}

impl Assembly<'_> {
    /// Notes what a new event relates to. State events relate to nothing.
    ///
    /// Fails with [`RoomError::DuplicateAnnotation`] when its sender reacted to that event in that way already, and with
    /// [`RoomError::NestedThread`] for a reply in a thread that cannot be.
    pub(crate) async fn relate(
        &mut self,
        event: &StoredEvent,
        slot: Slot,
    ) -> Result<(), RoomError> {
        if event.pdu.state_key.is_some() {
            return Ok(());
        }
        let Some(relation) = Relation::of(&event.pdu) else { return Ok(()) };
        let room = self.room();
        let sender = self.rooms.store().number_user(&event.pdu.sender).await?;
        if let Some(annotation) = relation.annotation(sender) {
            if self.rooms.store().annotation(room, annotation).await?.is_some() {
                return Err(RoomError::DuplicateAnnotation);
            }
            self.batch.create_annotation(room, annotation, event.number)?;
        }
        if relation.kind == RelationKind::Thread {
            self.check_root(&relation.parent).await?;
            self.batch.create_thread_reply(room, &relation.parent, sender, slot)?;
        }
        let (to, what) = ((&*relation.parent, relation.kind), (event.number, sender));
        Ok(self.batch.create_relation(room, to, what, slot)?)
    }

    /// Fails with [`RoomError::NestedThread`] when an event relates to another itself.
    /// Spec: client-server API, "Validation of `m.thread` relationships".
    async fn check_root(&self, root: &EventId) -> Result<(), RoomError> {
        let root = match self.rooms.event_by_id(self.room(), root).await {
            Err(RoomError::UnknownEvent(_)) => return Ok(()),
            outcome => outcome?.1,
        };
        let root = self.rooms.after_redaction(&root).await?;
        match Relation::of(&root) {
            Some(_) => Err(RoomError::NestedThread),
            None => Ok(()),
        }
    }

    /// Takes back what an event, standing at `position` and redacted at `slot`, related to.
    pub(crate) async fn unrelate(
        &mut self,
        event: &StoredEvent,
        position: TimelinePosition,
        slot: Slot,
    ) -> Result<(), RoomError> {
        let Some(relation) = Relation::of(&event.pdu) else { return Ok(()) };
        let sender = self.rooms.store().number_user(&event.pdu.sender).await?;
        relation.remove(&mut self.batch, event.record.room, (sender, position), slot)?;
        Ok(())
    }
}
