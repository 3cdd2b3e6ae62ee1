//! What is told of a room to those who are not in it.

use protocol::{Pdu, redaction, room_version};
use ruma::directory::PublicRoomsChunk;
use ruma::events::StateEventType;
use ruma::room::{JoinRule, JoinRuleSummary, RoomSummary, RoomType};
use ruma::{OwnedMxcUri, OwnedRoomAliasId, RoomId, UInt};
use serde::de::DeserializeOwned;
use serde_json::Value;
use store::{EventNumber, RoomHead, RoomNumber};

use crate::{RoomError, Rooms};

/// The most bytes of a name or a topic that are told. Those who want more read the room's state.
const MAX_TEXT: usize = 4_096;

/// Whether the state of this type and an empty key stands in a room's summary.
pub(crate) fn describes(kind: &StateEventType) -> bool {
    matches!(
        kind,
        StateEventType::RoomCreate
            | StateEventType::RoomName
            | StateEventType::RoomTopic
            | StateEventType::RoomAvatar
            | StateEventType::RoomCanonicalAlias
            | StateEventType::RoomJoinRules
            | StateEventType::RoomGuestAccess
            | StateEventType::RoomHistoryVisibility
            | StateEventType::RoomEncryption
    )
}

/// A room's head, read for its summary.
struct Described<'a> {
    rooms: &'a Rooms,
    room: RoomNumber,
    head: &'a RoomHead,
    /// Events that are being redacted and are not yet known to be.
    redacted: &'a [EventNumber],
}

impl Rooms {
    /// The summary of a room as its head has it.
    /// Spec: client-server API, `GET /room_summary/{roomIdOrAlias}`.
    pub(crate) async fn summary_at(
        &self,
        room: RoomNumber,
        room_id: &RoomId,
        head: &RoomHead,
        redacted: &[EventNumber],
    ) -> Result<RoomSummary, RoomError> {
        let described = Described { rooms: self, room, head, redacted };
        let content = async |kind: StateEventType| described.content(&kind).await;
        let join_rule = join_rule(content(StateEventType::RoomJoinRules).await?);
        let guests = content(StateEventType::RoomGuestAccess).await?;
        let history = content(StateEventType::RoomHistoryVisibility).await?;
        let mut summary = RoomSummary::new(
            room_id.to_owned(),
            join_rule,
            guests["guest_access"] == "can_join",
            UInt::new_saturating(head.joined),
            history["history_visibility"] == "world_readable",
        );
        summary.name = text(&content(StateEventType::RoomName).await?, "name");
        summary.topic = plain_topic(&content(StateEventType::RoomTopic).await?);
        let alias = content(StateEventType::RoomCanonicalAlias).await?;
        summary.canonical_alias = parsed::<OwnedRoomAliasId>(&alias["alias"]);
        let avatar = content(StateEventType::RoomAvatar).await?;
        let avatar = text(&avatar, "url").map(OwnedMxcUri::from);
        summary.avatar_url = avatar.filter(|url| url.is_valid());
        let create = content(StateEventType::RoomCreate).await?;
        summary.room_type = text(&create, "type").map(RoomType::from);
        let encryption = content(StateEventType::RoomEncryption).await?;
        summary.encryption = text(&encryption, "algorithm").map(Into::into);
        summary.room_version = Some(head.version.clone());
        Ok(summary)
    }

    /// What the directory tells of a room; `None` of one that strangers can do nothing with.
    /// Spec: client-server API, `GET /publicRooms`: "rooms with `invite` join rules are not expected here".
    pub(crate) async fn listing(
        &self,
        room: RoomNumber,
        room_id: &RoomId,
        head: &RoomHead,
        redacted: &[EventNumber],
    ) -> Result<Option<PublicRoomsChunk>, RoomError> {
        if head.joined == 0 {
            return Ok(None);
        }
        let summary = self.summary_at(room, room_id, head, redacted).await?;
        let is_closed = matches!(
            summary.join_rule,
            JoinRuleSummary::Invite | JoinRuleSummary::Private | JoinRuleSummary::Restricted(_)
        );
        Ok((!is_closed || summary.world_readable).then(|| summary.into()))
    }
}

impl Rooms {
    /// The content of a room's state of this type and an empty key, as it is shown; `null` if there is none.
    pub(crate) async fn shown_state(
        &self,
        room: RoomNumber,
        head: &RoomHead,
        kind: &StateEventType,
    ) -> Result<Value, RoomError> {
        Described { rooms: self, room, head, redacted: &[] }.content(kind).await
    }
}

impl Described<'_> {
    /// The content of the room's state of this type, as it is shown; `null` if there is none.
    async fn content(&self, kind: &StateEventType) -> Result<Value, RoomError> {
        let Self { rooms, room, head, redacted } = self;
        let Some(event) = rooms.state_at(*room, head.state, kind, "").await? else {
            return Ok(Value::Null);
        };
        let is_redacted = redacted.contains(&event.number)
            || rooms.store().redaction(event.number).await?.is_some();
        if !is_redacted {
            return content(&event.pdu);
        }
        let rules = room_version::rules(&head.version)
            .ok_or_else(|| RoomError::UnsupportedVersion(head.version.clone()))?;
        let damaged = |error: redaction::RedactionError| RoomError::Damaged(error.to_string());
        content(&redaction::redacted(&event.pdu, &rules).map_err(damaged)?)
    }
}

fn content(event: &Pdu) -> Result<Value, RoomError> {
    event.content_as().map_err(|error| RoomError::Damaged(error.to_string()))
}

/// A value that is written as it should be.
fn parsed<T: DeserializeOwned>(value: &Value) -> Option<T> {
    T::deserialize(value).ok()
}

/// Who may join. What is not understood lets nobody in but by invitation.
fn join_rule(content: Value) -> JoinRuleSummary {
    let rule = serde_json::from_value::<JoinRule>(content).map(JoinRuleSummary::from);
    match rule {
        Ok(
            rule @ (JoinRuleSummary::Public
            | JoinRuleSummary::Knock
            | JoinRuleSummary::Private
            | JoinRuleSummary::Restricted(_)
            | JoinRuleSummary::KnockRestricted(_)),
        ) => rule,
        _ => JoinRuleSummary::Invite,
    }
}

/// A topic as plain text: its representation of that kind, or else what is there for clients that know none.
/// Spec: client-server API, `m.room.topic`.
fn plain_topic(content: &Value) -> Option<String> {
    let representations = content["m.topic"]["m.text"].as_array().into_iter().flatten();
    let mut plain = representations.filter(|one| match &one["mimetype"] {
        Value::Null => true,
        mimetype => mimetype == "text/plain",
    });
    plain.find_map(|one| text(one, "body")).or_else(|| text(content, "topic"))
}

/// A text of a content, if it is one and not empty, as far as it is told.
fn text(content: &Value, key: &str) -> Option<String> {
    let text = content[key].as_str().filter(|text| !text.is_empty())?;
    Some(text[..text.floor_char_boundary(MAX_TEXT)].to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_join_rule_that_is_not_understood_counts_as_invite() {
        for content in [Value::Null, json!({}), json!({ "join_rule": 5 })] {
            assert_eq!(join_rule(content), JoinRuleSummary::Invite);
        }
        let unknown = join_rule(json!({ "join_rule": "org.example.lottery" }));
        assert_eq!(unknown, JoinRuleSummary::Invite);
        assert_eq!(join_rule(json!({ "join_rule": "knock" })), JoinRuleSummary::Knock);
    }

    #[test]
    fn a_topic_is_told_as_plain_text() {
        let representations = |all: Value| json!({ "topic": "old", "m.topic": { "m.text": all } });
        for (content, expected) in [
            (json!({ "topic": "tea" }), Some("tea")),
            (representations(json!([{ "body": "tea" }])), Some("tea")),
            (representations(json!([{ "body": "tea", "mimetype": "text/plain" }])), Some("tea")),
            (
                representations(
                    json!([{ "body": "<i>", "mimetype": "text/html" }, { "body": "tea" }]),
                ),
                Some("tea"),
            ),
            (representations(json!([{ "body": "<i>", "mimetype": "text/html" }])), Some("old")),
            (representations(json!("tea")), Some("old")),
            (json!({ "topic": 5, "m.topic": [] }), None),
            (Value::Null, None),
        ] {
            assert_eq!(plain_topic(&content).as_deref(), expected, "{content}");
        }
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let long = json!({ "name": "é".repeat(MAX_TEXT) });
        assert_eq!(text(&long, "name").unwrap().len(), MAX_TEXT);
        let odd = json!({ "name": format!("x{}", "é".repeat(MAX_TEXT)) });
        assert_eq!(text(&odd, "name").unwrap().len(), MAX_TEXT - 1);
        for nothing in [json!({}), json!({ "name": "" }), json!({ "name": 5 }), Value::Null] {
            assert_eq!(text(&nothing, "name"), None);
        }
    }
}
