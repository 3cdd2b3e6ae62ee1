//! What an event is shown with of the events that relate to it.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use store::{Direction, RelatedEvent, RelationKind, RelationRange, TimelinePosition};

use crate::client_event::Viewer;
use crate::{RoomError, Rooms, StoredEvent};

/// How many rows of relations are read at once.
const PAGE: usize = 500;

/// The most references that are listed with an event.
const MAX_REFERENCES: usize = 100;

/// The most edits that are looked at to find one that counts.
const MAX_EDITS: usize = 200;

/// Whether edits of an event are shown with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Edits {
    Shown,
    /// They are not: the event is redacted.
    Ignored,
}

impl Rooms {
    /// The `m.relations` of an event; empty when it has none. Edits of a redacted event do not count.
    /// Spec: client-server API, "Aggregations of child events".
    pub(crate) async fn aggregations(
        &self,
        viewer: Viewer<'_>,
        event: &StoredEvent,
        edits: Edits,
    ) -> Result<Map<String, Value>, RoomError> {
        let mut relations = Map::new();
        if !self.store().has_relations(event.record.room, &event.pdu.event_id).await? {
            return Ok(relations);
        }
        if edits == Edits::Shown
            && let Some(edit) = self.latest_edit(event).await?
        {
            let edit = self.plain_event(viewer, &edit).await?;
            relations.insert("m.replace".to_owned(), edit);
        }
        if let Some(thread) = self.thread(viewer, event).await? {
            relations.insert("m.thread".to_owned(), thread);
        }
        let references = self.references(event).await?;
        if !references.is_empty() {
            relations.insert("m.reference".to_owned(), json!({ "chunk": references }));
        }
        Ok(relations)
    }

    /// The last edit that its sender was allowed to make.
    /// Spec: client-server API, "Validity of replacement events".
    pub async fn latest_edit(
        &self,
        event: &StoredEvent,
    ) -> Result<Option<Arc<StoredEvent>>, RoomError> {
        let wanted = range(RelationKind::Replace, Direction::Descending, MAX_EDITS);
        let room = event.record.room;
        for related in self.store().relations(room, &event.pdu.event_id, wanted).await? {
            let edit = self.event(related.event).await?;
            if is_edit_of(&edit, event) {
                return Ok(Some(edit));
            }
        }
        Ok(None)
    }

    async fn thread(
        &self,
        viewer: Viewer<'_>,
        root: &StoredEvent,
    ) -> Result<Option<Value>, RoomError> {
        let reader = self.store().user_number(viewer.user_id).await?;
        let mut participated = root.pdu.sender == viewer.user_id;
        let mut count: usize = 0;
        let mut last: Option<RelatedEvent> = None;
        loop {
            let mut wanted = range(RelationKind::Thread, Direction::Ascending, PAGE);
            wanted.after = last.map_or(TimelinePosition::MIN, |last| last.position);
            let room = root.record.room;
            let replies = self.store().relations(room, &root.pdu.event_id, wanted).await?;
            count += replies.len();
            participated |= replies.iter().any(|reply| Some(reply.sender) == reader);
            last = replies.last().copied().or(last);
            if replies.len() < PAGE {
                break;
            }
        }
        let Some(last) = last else { return Ok(None) };
        let latest = self.event(last.event).await?;
        let mut latest_event = self.plain_event(viewer, &latest).await?;
        if let Some(edit) = self.latest_edit(&latest).await? {
            let edit = self.plain_event(viewer, &edit).await?;
            latest_event["unsigned"]["m.relations"] = json!({ "m.replace": edit });
        }
        Ok(Some(json!({
            "latest_event": latest_event,
            "count": count,
            "current_user_participated": participated,
        })))
    }

    async fn references(&self, event: &StoredEvent) -> Result<Vec<Value>, RoomError> {
        let wanted = range(RelationKind::Reference, Direction::Ascending, MAX_REFERENCES);
        let room = event.record.room;
        let mut references = Vec::new();
        for related in self.store().relations(room, &event.pdu.event_id, wanted).await? {
            let reference = self.event(related.event).await?;
            references.push(json!({ "event_id": reference.pdu.event_id }));
        }
        Ok(references)
    }
}

fn range(kind: RelationKind, direction: Direction, limit: usize) -> RelationRange {
    let (after, before) = (TimelinePosition::MIN, TimelinePosition::MAX);
    RelationRange { kind, after, before, direction, limit }
}

/// Whether `edit` may stand in for `event`: the same sender and type, neither a state event, the edited not an edit.
fn is_edit_of(edit: &StoredEvent, event: &StoredEvent) -> bool {
    #[derive(serde::Deserialize)]
    struct Content {
        #[serde(rename = "m.new_content")]
        _new_content: serde::de::IgnoredAny,
    }
    let is_encrypted = edit.pdu.kind == ruma::events::TimelineEventType::RoomEncrypted;
    let is_plain_edit = || edit.pdu.content_as::<Content>().is_ok();
    let edited = crate::relations::Relation::of(&event.pdu.content);
    edit.pdu.sender == event.pdu.sender
        && edit.pdu.kind == event.pdu.kind
        && edit.pdu.state_key.is_none()
        && event.pdu.state_key.is_none()
        && edited.is_none_or(|relation| relation.kind != RelationKind::Replace)
        && (is_encrypted || is_plain_edit())
}
