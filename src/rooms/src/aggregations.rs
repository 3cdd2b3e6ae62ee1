//! What an event is shown with of the events that relate to it.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use store::{Direction, RelationKind, RelationRange, TimelinePosition};

use crate::client_event::Viewer;
use crate::ignored::Ignored;
use crate::{RoomError, Rooms, Sight, StoredEvent};

/// The most references that are listed with an event.
const MAX_REFERENCES: usize = 100;

/// The most replies that are passed over to find the latest one that is shown.
const MAX_PASSED_OVER: usize = 200;

/// The most edits that are looked at to find one that counts.
const MAX_EDITS: usize = 200;

/// Whether edits of an event are shown with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Edits {
    Shown,
    /// They are not: the event is redacted.
    Ignored,
}

/// What a viewer sees of what relates to an event.
struct View<'a> {
    viewer: Viewer<'a>,
    ignored: Ignored,
    /// They are shown nothing that came after this.
    until: TimelinePosition,
    sight: Sight<'a>,
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
        let mut view = self.view(viewer, event).await?;
        if edits == Edits::Shown
            && let Some(edit) = self.latest_edit_seen(event, &mut view).await?
        {
            let edit = self.plain_event(viewer, &edit).await?;
            relations.insert("m.replace".to_owned(), edit);
        }
        if let Some(thread) = self.thread(event, &mut view).await? {
            relations.insert("m.thread".to_owned(), thread);
        }
        let references = self.references(event, &mut view).await?;
        if !references.is_empty() {
            relations.insert("m.reference".to_owned(), json!({ "chunk": references }));
        }
        Ok(relations)
    }

    async fn view<'a>(
        &'a self,
        viewer: Viewer<'a>,
        event: &StoredEvent,
    ) -> Result<View<'a>, RoomError> {
        let (user, room) = (viewer.user_id, event.record.room);
        let sight = self.sight_of_anybody(user, room).await?;
        let until = self.sees_until(user, room).await?;
        Ok(View { viewer, ignored: self.ignored_by(user).await?, until, sight })
    }

    /// The most recent edit that its sender was allowed to make, whoever sees it.
    pub(crate) async fn latest_edit(
        &self,
        event: &StoredEvent,
    ) -> Result<Option<Arc<StoredEvent>>, RoomError> {
        self.latest_edit_among(event, TimelinePosition::MAX, None).await
    }

    async fn latest_edit_seen(
        &self,
        event: &StoredEvent,
        view: &mut View<'_>,
    ) -> Result<Option<Arc<StoredEvent>>, RoomError> {
        self.latest_edit_among(event, view.until, Some(view)).await
    }

    /// The most recent valid edit up to `until`. That is the one sent last by its own date; as those who come later mostly
    /// are dated later, the first one found is it, but for those of the same time.
    /// Spec: client-server API, "Validity of replacement events" and "Server-side aggregation of `m.replace`".
    async fn latest_edit_among(
        &self,
        event: &StoredEvent,
        until: TimelinePosition,
        mut view: Option<&mut View<'_>>,
    ) -> Result<Option<Arc<StoredEvent>>, RoomError> {
        let wanted = range(RelationKind::Replace, Direction::Descending, MAX_EDITS, until);
        let room = event.record.room;
        let mut latest: Option<Arc<StoredEvent>> = None;
        for related in self.store().relations(room, &event.pdu.event_id, wanted).await? {
            let edit = self.event(related.event).await?;
            let time = |edit: &StoredEvent| edit.pdu.origin_server_ts;
            if latest.as_ref().is_some_and(|latest| time(&edit) < time(latest)) {
                break;
            }
            let is_seen = match &mut view {
                Some(view) => view.sight.sees(&edit, related.position).await?,
                None => true,
            };
            let is_later = latest.as_ref().is_none_or(|latest| is_more_recent(&edit, latest));
            if is_seen && is_later && is_edit_of(&edit, event) {
                latest = Some(edit);
            }
        }
        Ok(latest)
    }

    async fn thread(
        &self,
        root: &StoredEvent,
        view: &mut View<'_>,
    ) -> Result<Option<Value>, RoomError> {
        let (room, root_id, viewer) = (root.record.room, &root.pdu.event_id, view.viewer);
        let Some(latest) = self.latest_reply_seen(root, view).await? else { return Ok(None) };
        let hidden = self.ignored_replies(room, root_id, &view.ignored).await?;
        let count = self.thread_length(room, root_id, view.until).await?.saturating_sub(hidden);
        let mut latest_event = self.plain_event(viewer, &latest).await?;
        if let Some(edit) = self.latest_edit_seen(&latest, view).await? {
            let edit = self.plain_event(viewer, &edit).await?;
            latest_event["unsigned"]["m.relations"] = json!({ "m.replace": edit });
        }
        Ok(Some(json!({
            "latest_event": latest_event,
            "count": count,
            "current_user_participated": self.takes_part(viewer.user_id, root).await?,
        })))
    }

    /// The last reply in a thread that is shown.
    async fn latest_reply_seen(
        &self,
        root: &StoredEvent,
        view: &mut View<'_>,
    ) -> Result<Option<Arc<StoredEvent>>, RoomError> {
        // Mostly it is the last one.
        for limit in [1, MAX_PASSED_OVER] {
            let wanted = range(RelationKind::Thread, Direction::Descending, limit, view.until);
            let (room, root) = (root.record.room, &root.pdu.event_id);
            for reply in self.store().relations(room, root, wanted).await? {
                let event = self.event(reply.event).await?;
                if !view.ignored.sent(&reply) && view.sight.sees(&event, reply.position).await? {
                    return Ok(Some(event));
                }
            }
        }
        Ok(None)
    }

    async fn references(
        &self,
        event: &StoredEvent,
        view: &mut View<'_>,
    ) -> Result<Vec<Value>, RoomError> {
        let (kind, direction) = (RelationKind::Reference, Direction::Ascending);
        let wanted = range(kind, direction, MAX_REFERENCES, view.until);
        let room = event.record.room;
        let mut references = Vec::new();
        for related in self.store().relations(room, &event.pdu.event_id, wanted).await? {
            let reference = self.event(related.event).await?;
            if !view.ignored.sent(&related) && view.sight.sees(&reference, related.position).await?
            {
                references.push(json!({ "event_id": reference.pdu.event_id }));
            }
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

/// Whether an edit was sent after another. Of those of one time the larger ID counts as later.
fn is_more_recent(edit: &StoredEvent, other: &StoredEvent) -> bool {
    let recency = |edit: &StoredEvent| (edit.pdu.origin_server_ts, edit.pdu.event_id.clone());
    recency(edit) > recency(other)
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
    let edited = crate::relations::Relation::of(&event.pdu);
    edit.pdu.sender == event.pdu.sender
        && edit.pdu.kind == event.pdu.kind
        && edit.pdu.state_key.is_none()
        && event.pdu.state_key.is_none()
        && edited.is_none_or(|relation| relation.kind != RelationKind::Replace)
        && (is_encrypted || is_plain_edit())
}
