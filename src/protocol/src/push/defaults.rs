//! The rules that every user has. Spec: client-server API, "Predefined Rules".

use ruma::{
    UserId,
    push::{
        Action, ConditionalPushRule, ConditionalPushRuleInit, EventMatchConditionData,
        PushCondition, RoomMemberCountConditionData, RoomMemberCountIs, Ruleset, SoundTweakValue,
        Tweak,
    },
    uint,
};

use super::legacy::{LegacyMentions, add_legacy_rules};

/// The rules of a user who changed none: the specification's, and MSC3930's for polls, which clients still send
/// under their unstable names; on demand also those of older versions of the specification.
pub fn default_rules(user: &UserId, legacy_mentions: LegacyMentions) -> Ruleset {
    let mut rules = Ruleset::server_default(user);
    if legacy_mentions == LegacyMentions::Found {
        add_legacy_rules(&mut rules, user);
    }
    rules.override_.insert(poll_rule("poll_response", "response", Poll::Silent));
    for (event, one_to_one, any) in [
        ("start", "poll_start_one_to_one", "poll_start"),
        ("end", "poll_end_one_to_one", "poll_end"),
    ] {
        rules.underride.insert(poll_rule(one_to_one, event, Poll::OneToOne));
        rules.underride.insert(poll_rule(any, event, Poll::AnyRoom));
    }
    rules
}

/// What a rule about an event of a poll does.
#[derive(Debug, Clone, Copy)]
enum Poll {
    /// Nothing.
    Silent,
    /// Notifies in rooms of two, with a sound.
    OneToOne,
    /// Notifies.
    AnyRoom,
}

fn poll_rule(name: &str, event: &str, poll: Poll) -> ConditionalPushRule {
    let kind = format!("org.matrix.msc3381.poll.{event}");
    let mut conditions =
        vec![PushCondition::EventMatch(EventMatchConditionData::new("type".to_owned(), kind))];
    let mut actions = Vec::new();
    match poll {
        Poll::Silent => {}
        Poll::OneToOne => {
            let two = RoomMemberCountConditionData::new(RoomMemberCountIs::from(uint!(2)));
            conditions.insert(0, PushCondition::RoomMemberCount(two));
            let sound = Action::SetTweak(Tweak::Sound(SoundTweakValue::Default));
            actions.extend([Action::Notify, sound]);
        }
        Poll::AnyRoom => actions.push(Action::Notify),
    }
    ConditionalPushRule::from(ConditionalPushRuleInit {
        actions,
        default: true,
        enabled: true,
        rule_id: format!(".org.matrix.msc3930.rule.{name}"),
        conditions,
    })
}

#[cfg(test)]
mod tests {
    use ruma::user_id;
    use serde_json::{Value, json};

    use super::*;

    fn rule(rule_id: &str, conditions: &Value, actions: &Value) -> Value {
        json!({
            "rule_id": rule_id, "default": true, "enabled": rule_id != ".m.rule.master",
            "conditions": conditions, "actions": actions,
        })
    }

    fn matches(key: &str, pattern: &str) -> Value {
        json!({ "kind": "event_match", "key": key, "pattern": pattern })
    }

    /// Written down from the specification's text, so that another version of ruma cannot change them unseen.
    #[test]
    fn the_default_rules_are_word_by_word_those_of_the_specification() {
        let user = "@ada:hearth.test";
        let (nothing, notify) = (json!([]), json!(["notify"]));
        let sound = json!(["notify", { "set_tweak": "sound", "value": "default" }]);
        let highlight = json!(["notify", { "set_tweak": "highlight" }]);
        let ring = json!(["notify", { "set_tweak": "sound", "value": "ring" }]);
        let loud = json!([
            "notify", { "set_tweak": "sound", "value": "default" }, { "set_tweak": "highlight" },
        ]);
        let two = json!({ "kind": "room_member_count", "is": "2" });
        let state_of = |kind| json!([matches("type", kind), matches("state_key", "")]);
        let mention = json!([{
            "kind": "event_property_contains",
            "key": r"content.m\.mentions.user_ids",
            "value": user,
        }]);
        let room_mention = json!([
            { "kind": "event_property_is", "key": r"content.m\.mentions.room", "value": true },
            { "kind": "sender_notification_permission", "key": "room" },
        ]);
        let invite = json!([
            matches("type", "m.room.member"),
            matches("content.membership", "invite"),
            matches("state_key", user),
        ]);
        let edit = json!([{
            "kind": "event_property_is",
            "key": r"content.m\.relates_to.rel_type",
            "value": "m.replace",
        }]);
        let of_type = |kind| json!([matches("type", kind)]);
        let of_two = |kind| json!([two, matches("type", kind)]);
        let notice = json!([matches("content.msgtype", "m.notice")]);
        let overrides = json!([
            rule(".m.rule.master", &nothing, &nothing),
            rule(".m.rule.suppress_notices", &notice, &nothing),
            rule(".m.rule.invite_for_me", &invite, &sound),
            rule(".m.rule.member_event", &of_type("m.room.member"), &nothing),
            rule(".m.rule.is_user_mention", &mention, &loud),
            rule(".m.rule.is_room_mention", &room_mention, &highlight),
            rule(".m.rule.tombstone", &state_of("m.room.tombstone"), &highlight),
            rule(".m.rule.reaction", &of_type("m.reaction"), &nothing),
            rule(".m.rule.room.server_acl", &state_of("m.room.server_acl"), &nothing),
            rule(".m.rule.suppress_edits", &edit, &nothing),
            rule(
                ".org.matrix.msc3930.rule.poll_response",
                &of_type("org.matrix.msc3381.poll.response"),
                &nothing
            ),
        ]);
        let underrides = json!([
            rule(".m.rule.call", &of_type("m.call.invite"), &ring),
            rule(".m.rule.encrypted_room_one_to_one", &of_two("m.room.encrypted"), &sound),
            rule(".m.rule.room_one_to_one", &of_two("m.room.message"), &sound),
            rule(".m.rule.message", &of_type("m.room.message"), &notify),
            rule(".m.rule.encrypted", &of_type("m.room.encrypted"), &notify),
        ]);

        let rules = default_rules(user_id!("@ada:hearth.test"), LegacyMentions::Ignored);
        let rules = serde_json::to_value(rules).unwrap();

        assert_eq!(rules["override"], overrides);
        let (specified, polls) = rules["underride"].as_array().unwrap().split_at(5);
        assert_eq!(json!(specified), underrides);
        let polls: Vec<_> = polls.iter().map(|rule| rule["rule_id"].as_str().unwrap()).collect();
        assert_eq!(
            polls,
            [
                ".org.matrix.msc3930.rule.poll_start_one_to_one",
                ".org.matrix.msc3930.rule.poll_start",
                ".org.matrix.msc3930.rule.poll_end_one_to_one",
                ".org.matrix.msc3930.rule.poll_end",
            ]
        );
        for kind in ["content", "room", "sender"] {
            assert!(rules.get(kind).is_none(), "{kind}");
        }
    }
}
