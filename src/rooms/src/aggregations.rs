//! What an event is shown with of the events that relate to it.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use store::{Direction, RelationKind, RelationRange, TimelinePosition};

use crate::client_event::Viewer;
use crate::ignored::Ignored;
use crate::{RoomError, Rooms, StoredEvent};

/// The most references that are listed with an event.
const MAX_REFERENCES: usize = 100;

/// The most replies of ignored users that are passed over to find the latest of somebody else.
const MAX_IGNORED: usize = 200;

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
        let until = self.sees_until(viewer.user_id, event.record.room).await?;
        let ignored = self.ignored_by(viewer.user_id).await?;
        if edits == Edits::Shown
            && let Some(edit) = self.latest_edit_until(event, until).await?
        {
            let edit = self.plain_event(viewer, &edit).await?;
            relations.insert("m.replace".to_owned(), edit);
        }
        if let Some(thread) = self.thread(viewer, event, until, &ignored).await? {
            relations.insert("m.thread".to_owned(), thread);
        }
        let references = self.references(event, until, &ignored).await?;
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
        self.latest_edit_until(event, TimelinePosition::MAX).await
    }

    /// As [`Rooms::latest_edit`], of those up to `until`.
    async fn latest_edit_until(
        &self,
        event: &StoredEvent,
        until: TimelinePosition,
    ) -> Result<Option<Arc<StoredEvent>>, RoomError> {
        let wanted = range(RelationKind::Replace, Direction::Descending, MAX_EDITS, until);
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
        until: TimelinePosition,
        ignored: &Ignored,
    ) -> Result<Option<Value>, RoomError> {
        let (room, root_id) = (root.record.room, &root.pdu.event_id);
        let limit = if ignored.is_empty() { 1 } else { MAX_IGNORED };
        let wanted = range(RelationKind::Thread, Direction::Descending, limit, until);
        let last = self.store().relations(room, root_id, wanted).await?;
        let Some(last) = last.iter().find(|reply| !ignored.sent(reply)) else { return Ok(None) };
        let hidden = self.ignored_replies(room, root_id, ignored).await?;
        let count = self.thread_length(room, root_id, until).await?.saturating_sub(hidden);
        let latest = self.event(last.event).await?;
        let mut latest_event = self.plain_event(viewer, &latest).await?;
        if let Some(edit) = self.latest_edit_until(&latest, until).await? {
            let edit = self.plain_event(viewer, &edit).await?;
            latest_event["unsigned"]["m.relations"] = json!({ "m.replace": edit });
        }
        Ok(Some(json!({
            "latest_event": latest_event,
            "count": count,
            "current_user_participated": self.takes_part(viewer.user_id, root).await?,
        })))
    }

    async fn references(
        &self,
        event: &StoredEvent,
        until: TimelinePosition,
        ignored: &Ignored,
    ) -> Result<Vec<Value>, RoomError> {
        let wanted = range(RelationKind::Reference, Direction::Ascending, MAX_REFERENCES, until);
        let room = event.record.room;
        let mut references = Vec::new();
        for related in self.store().relations(room, &event.pdu.event_id, wanted).await? {
            if ignored.sent(&related) {
                continue;
            }
            let reference = self.event(related.event).await?;
            references.push(json!({ "event_id": reference.pdu.event_id }));
        }
        Ok(references)
    }
}

fn range(
    kind: RelationKind,
    direction: Direction,
    limit: usize,
    until: TimelinePosition,
) -> RelationRange {
    let before = TimelinePosition(until.0.saturating_add(1));
    RelationRange { kind, after: TimelinePosition::MIN, before, direction, limit }
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
