//! What events say, as search finds them. Spec: client-server API, "Search Categories".

use std::sync::Arc;

use ruma::OwnedEventId;
use ruma::events::TimelineEventType;
use serde::Deserialize;
use store::{EventNumber, RelationKind, TimelinePosition};

use super::SearchKey;
use super::index::{Entry, IndexChange};
use crate::relations::Relation;
use crate::{RoomError, Rooms, StoredEvent};

impl Rooms {
    /// What changes in the index with the arrival of an event.
    pub(super) async fn index_changes(
        &self,
        event: &StoredEvent,
    ) -> Result<Vec<IndexChange>, RoomError> {
        let room = event.record.room;
        if let Some(redacted) = &event.pdu.redacts {
            let Some((_, target)) = self.event_if_here(room, redacted).await? else {
                return Ok(Vec::new());
            };
            let mut changes = vec![self.index_change(&target).await?];
            changes.extend(self.edited_by(&target).await?);
            return Ok(changes);
        }
        if let Some(change) = self.edited_by(event).await? {
            return Ok(vec![change]);
        }
        let change = self.index_change(event).await?;
        Ok(match change {
            IndexChange::Replace(entry) => vec![IndexChange::Add(entry)],
            IndexChange::Add(_) | IndexChange::Remove(_) => Vec::new(),
        })
    }

    async fn event_if_here(
        &self,
        room: store::RoomNumber,
        event_id: &OwnedEventId,
    ) -> Result<Option<(store::EventIndex, Arc<StoredEvent>)>, RoomError> {
        match self.event_by_id(room, event_id).await {
            Ok(found) => Ok(Some(found)),
            Err(RoomError::UnknownEvent(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The change to the event that this one edits; `None` when it is no edit.
    async fn edited_by(&self, edit: &StoredEvent) -> Result<Option<IndexChange>, RoomError> {
        let relation = Relation::of(&edit.pdu);
        let Some(relation) = relation.filter(|relation| relation.kind == RelationKind::Replace)
        else {
            return Ok(None);
        };
        match self.event_if_here(edit.record.room, &relation.parent).await? {
            Some((_, edited)) => Ok(Some(self.index_change(&edited).await?)),
            None => Ok(None),
        }
    }

    /// What an event says now, after edits and redactions.
    async fn index_change(&self, event: &StoredEvent) -> Result<IndexChange, RoomError> {
        let nothing = Ok(IndexChange::Remove(event.number));
        if self.store().redaction(event.number).await?.is_some() {
            return nothing;
        }
        let said = match self.latest_edit(event).await? {
            Some(edit) => new_content(&edit).and_then(|content| content.body),
            None => text_of(event).map(|(_, text)| text),
        };
        let (Some((key, _)), Some(text)) = (text_of(event), said) else { return nothing };
        let index = self.store().event_index(&event.pdu.event_id).await?;
        let Some(position) = index.map(|index| index.position) else { return nothing };
        Ok(IndexChange::Replace(entry(self, event, position, key, text).await?))
    }
}

async fn entry(
    rooms: &Rooms,
    event: &StoredEvent,
    position: TimelinePosition,
    key: SearchKey,
    text: String,
) -> Result<Entry, RoomError> {
    let sender = rooms.store().number_user(&event.pdu.sender).await?;
    let event_number: EventNumber = event.number;
    Ok(Entry { event: event_number, room: event.record.room, sender, position, key, text })
}

#[derive(Deserialize)]
struct Said {
    #[serde(default)]
    body: Option<String>,
}

fn new_content(edit: &StoredEvent) -> Option<Said> {
    #[derive(Deserialize)]
    struct Content {
        #[serde(rename = "m.new_content")]
        new_content: Said,
    }
    edit.pdu.content_as::<Content>().ok().map(|content| content.new_content)
}

/// What an event says and under which key. Spec: client-server API, "Search Categories".
pub(super) fn text_of(event: &StoredEvent) -> Option<(SearchKey, String)> {
    #[derive(Deserialize)]
    struct Name {
        name: String,
    }
    match event.pdu.kind {
        TimelineEventType::RoomMessage if event.pdu.state_key.is_none() => {
            let said = event.pdu.content_as::<Said>().ok()?;
            Some((SearchKey::Body, said.body?))
        }
        TimelineEventType::RoomName if event.pdu.state_key.is_some() => {
            Some((SearchKey::Name, event.pdu.content_as::<Name>().ok()?.name))
        }
        TimelineEventType::RoomTopic if event.pdu.state_key.is_some() => {
            Some((SearchKey::Topic, topic_of(event)?))
        }
        _ => None,
    }
}

/// A topic with its representation as plain text, where that says something else.
fn topic_of(event: &StoredEvent) -> Option<String> {
    #[derive(Deserialize)]
    struct Content {
        #[serde(default)]
        topic: Option<String>,
        #[serde(rename = "m.topic", default)]
        representations: Option<Representations>,
    }
    #[derive(Deserialize)]
    struct Representations {
        #[serde(rename = "m.text", default)]
        text: Vec<Representation>,
    }
    #[derive(Deserialize)]
    struct Representation {
        body: String,
        #[serde(default)]
        mimetype: Option<String>,
    }
    let content = event.pdu.content_as::<Content>().ok()?;
    let is_plain =
        |one: &Representation| one.mimetype.as_ref().is_none_or(|kind| kind == "text/plain");
    let plain = content.representations.and_then(|all| all.text.into_iter().find(is_plain));
    match (content.topic, plain.map(|plain| plain.body)) {
        (Some(topic), Some(plain)) if topic != plain => Some(format!("{topic}\n{plain}")),
        (topic, plain) => topic.or(plain),
    }
}
