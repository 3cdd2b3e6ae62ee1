//! Redaction: what is left of an event, and whether a redaction counts.

use ruma::{
    CanonicalJsonObject,
    canonical_json::{redact_content_in_place, redact_in_place},
    events::TimelineEventType,
    room_version_rules::RoomVersionRules,
};
use serde_json::value::RawValue;

use crate::{Pdu, power_levels::PowerLevels};

/// Why an event cannot be redacted.
#[derive(Debug, thiserror::Error)]
pub enum RedactionError {
    /// It is not an object of canonical JSON.
    #[error("not canonical JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// It has no `type`, or its content is no object.
    #[error("not an event: {0}")]
    Event(String),
}

/// Whether a redaction leaves any content of events of this type, in any room version.
pub(crate) fn keeps_content(kind: &str) -> bool {
    matches!(
        kind,
        "m.room.member"
            | "m.room.create"
            | "m.room.join_rules"
            | "m.room.power_levels"
            | "m.room.history_visibility"
            | "m.room.redaction"
            | "m.room.aliases"
    )
}

/// Strips an event of all that a redaction takes away. What is left keeps its id and its signatures. Stripping twice is
/// stripping once.
/// Spec: client-server API, "Redactions"; room versions, "Redactions".
pub fn redact(
    event: &mut CanonicalJsonObject,
    rules: &RoomVersionRules,
) -> Result<(), RedactionError> {
    redact_in_place(event, &rules.redaction, None)
        .map_err(|error| RedactionError::Event(error.to_string()))
}

/// The canonical JSON of an event as a redaction leaves it.
pub fn redact_json(json: &str, rules: &RoomVersionRules) -> Result<String, RedactionError> {
    let mut event: CanonicalJsonObject = serde_json::from_str(json)?;
    redact(&mut event, rules)?;
    Ok(serde_json::to_string(&event)?)
}

/// The parsed event as a redaction leaves it.
pub fn redacted(event: &Pdu, rules: &RoomVersionRules) -> Result<Pdu, RedactionError> {
    let kind = event.kind.to_string();
    let content = if keeps_content(&kind) {
        let mut content: CanonicalJsonObject = event.content_as()?;
        redact_content_in_place(&mut content, &rules.redaction, &kind);
        serde_json::to_string(&content)?
    } else {
        "{}".to_owned()
    };
    Ok(Pdu {
        content: RawValue::from_string(content)?,
        redacts: event.redacts.clone().filter(|_| rules.redaction.keep_room_redaction_redacts),
        unsigned: None,
        ..event.clone()
    })
}

/// Whether a redaction that was accepted applies to the event that it names. `levels` are those at the redaction.
///
/// From room version 3 on the receiver decides this, as soon as it has both; before, the authorisation rules have done so.
/// Until it applies, a redaction is not shown to clients.
/// Spec: room version 3, "Handling redactions".
pub fn may_redact(
    redaction: &Pdu,
    target: &Pdu,
    levels: &PowerLevels,
    rules: &RoomVersionRules,
) -> bool {
    let named = redaction.kind == TimelineEventType::RoomRedaction
        && redaction.redacts.as_ref() == Some(&target.event_id)
        && redaction.room_id == target.room_id
        && !redaction.rejected;
    named
        && (rules.authorization.special_case_room_redaction
            || levels.of(&redaction.sender) >= levels.redact()
            || redaction.sender.server_name() == target.sender.server_name())
}

#[cfg(test)]
mod tests {
    use ruma::{RoomVersionId, owned_event_id};
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        room_version,
        test_room::{ADA, BO, CY, TestRoom},
    };

    fn rules(version: u8) -> room_version::Rules {
        room_version::rules(&RoomVersionId::try_from(version.to_string()).unwrap()).unwrap()
    }

    /// What is left of `content` in an event of type `kind`.
    fn content_left(kind: &str, content: &Value, version: u8) -> Value {
        let event = json!({ "type": kind, "content": content }).to_string();
        let left: Value =
            serde_json::from_str(&redact_json(&event, &rules(version)).unwrap()).unwrap();
        left["content"].clone()
    }

    #[test]
    fn the_protected_fields_are_left() {
        let fields = json!({
            "event_id": "$e:x", "type": "m.room.message", "room_id": "!r:x", "sender": "@a:x", "state_key": "k",
            "content": {}, "hashes": {}, "signatures": {}, "depth": 1, "prev_events": [], "prev_state": [],
            "auth_events": [], "origin": "x", "origin_server_ts": 1, "membership": "join",
        });
        let mut event = fields.clone();
        event["redacts"] = json!("$f:x");
        event["unsigned"] = json!({ "age": 1 });
        event["content"] = json!({ "body": "gone" });
        for version in 1..=12 {
            let mut expected = fields.clone();
            if version >= 11 {
                for gone in ["origin", "membership", "prev_state"] {
                    expected.as_object_mut().unwrap().remove(gone);
                }
            }
            let left = redact_json(&event.to_string(), &rules(version)).unwrap();
            assert_eq!(
                serde_json::from_str::<Value>(&left).unwrap(),
                expected,
                "version {version}"
            );
        }
    }

    #[test]
    fn the_protected_content_is_left_of_each_type() {
        let member = json!({
            "membership": "join", "displayname": "A", "join_authorised_via_users_server": "@b:x",
            "third_party_invite": { "signed": { "token": "t" }, "display_name": "a" },
        });
        let signed = json!({ "signed": { "token": "t" } });
        let via = "@b:x";
        assert_eq!(content_left("m.room.member", &member, 8), json!({ "membership": "join" }));
        let from_9 = json!({ "membership": "join", "join_authorised_via_users_server": via });
        assert_eq!(content_left("m.room.member", &member, 9), from_9);
        let from_11 = json!({
            "membership": "join", "join_authorised_via_users_server": via, "third_party_invite": signed,
        });
        assert_eq!(content_left("m.room.member", &member, 11), from_11);

        let create = json!({ "creator": ADA, "m.federate": false });
        assert_eq!(content_left("m.room.create", &create, 10), json!({ "creator": ADA }));
        assert_eq!(content_left("m.room.create", &create, 11), create);

        let rules = json!({ "join_rule": "restricted", "allow": [], "x": 1 });
        assert_eq!(
            content_left("m.room.join_rules", &rules, 7),
            json!({ "join_rule": "restricted" })
        );
        let from_8 = json!({ "join_rule": "restricted", "allow": [] });
        assert_eq!(content_left("m.room.join_rules", &rules, 8), from_8);

        let levels = json!({
            "ban": 1, "events": {}, "events_default": 1, "invite": 1, "kick": 1, "redact": 1,
            "state_default": 1, "users": {}, "users_default": 1, "notifications": {},
        });
        let mut kept = levels.clone();
        kept.as_object_mut().unwrap().remove("notifications");
        assert_eq!(content_left("m.room.power_levels", &levels, 11), kept);
        kept.as_object_mut().unwrap().remove("invite");
        assert_eq!(content_left("m.room.power_levels", &levels, 10), kept);

        let aliases = json!({ "aliases": ["#a:x"], "x": 1 });
        assert_eq!(content_left("m.room.aliases", &aliases, 5), json!({ "aliases": ["#a:x"] }));
        assert_eq!(content_left("m.room.aliases", &aliases, 6), json!({}));

        let visibility = json!({ "history_visibility": "joined", "x": 1 });
        for version in 1..=12 {
            let kept = json!({ "history_visibility": "joined" });
            assert_eq!(content_left("m.room.history_visibility", &visibility, version), kept);
            assert_eq!(content_left("m.room.message", &json!({ "body": "x" }), version), json!({}));
        }

        let redaction = json!({ "redacts": "$e", "reason": "r" });
        assert_eq!(content_left("m.room.redaction", &redaction, 10), json!({}));
        assert_eq!(content_left("m.room.redaction", &redaction, 11), json!({ "redacts": "$e" }));
    }

    #[test]
    fn a_parsed_event_is_stripped_like_its_json() {
        for mut room in TestRoom::of_all_versions() {
            let join = json!({ "membership": "join", "displayname": "Bo" });
            let event = room.event(BO, "m.room.member", Some(BO), &join);
            let left = redacted(&event, &room.rules).unwrap();
            assert_eq!(left.content.get(), r#"{"membership":"join"}"#);
            assert_eq!((&left.event_id, &left.state_key), (&event.event_id, &event.state_key));

            let redaction = room.event_with(
                BO,
                "m.room.redaction",
                None,
                &json!({ "reason": "r" }),
                |template| {
                    template.redacts = Some(owned_event_id!("$gone"));
                },
            );
            let left = redacted(&redaction, &room.rules).unwrap();
            let kept = room.rules.redaction.keep_room_redaction_redacts;
            assert_eq!(left.content.get(), if kept { r#"{"redacts":"$gone"}"# } else { "{}" });
            assert_eq!(left.redacts.is_some(), kept);
        }
    }

    #[test]
    fn what_is_no_event_cannot_be_redacted() {
        for json in ["", "[]", "{}", r#"{"type":5}"#, r#"{"type":"m","content":1.5}"#] {
            assert!(redact_json(json, &rules(11)).is_err(), "{json}");
        }
    }

    #[test]
    fn a_redaction_applies_by_level_or_by_server() {
        for mut room in TestRoom::of_all_versions() {
            room.join(BO);
            room.join(CY);
            let by_rules = room.rules.authorization.special_case_room_redaction;
            let message = room.event(BO, "m.room.message", None, &json!({ "body": "spam" }));
            let mut applies = |sender: &str| {
                let redaction =
                    room.event_with(sender, "m.room.redaction", None, &json!({}), |template| {
                        template.redacts = Some(message.event_id.clone());
                    });
                may_redact(&redaction, &message, &room.power_levels(), &room.rules)
            };
            assert!(applies(ADA) && applies(BO), "{}", room.version);
            assert_eq!(applies(CY), by_rules, "{}", room.version);
        }
    }

    #[test]
    fn a_redaction_applies_only_to_the_event_that_it_names() {
        let mut room = TestRoom::new(RoomVersionId::V11);
        let (spam, other) = (
            room.event(ADA, "m.room.message", None, &json!({ "body": "spam" })),
            room.event(ADA, "m.room.message", None, &json!({ "body": "other" })),
        );
        let redaction =
            room.event(ADA, "m.room.redaction", None, &json!({ "redacts": spam.event_id }));
        let levels = room.power_levels();
        assert!(may_redact(&redaction, &spam, &levels, &room.rules));
        assert!(!may_redact(&redaction, &other, &levels, &room.rules));
        let rejected = (*redaction).clone().into_rejected();
        assert!(!may_redact(&rejected, &spam, &levels, &room.rules));
        let elsewhere = Pdu { room_id: ruma::owned_room_id!("!elsewhere:x"), ..(*spam).clone() };
        assert!(!may_redact(&redaction, &elsewhere, &levels, &room.rules));
    }
}
