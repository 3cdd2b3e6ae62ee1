//! Rules from before events could say whom they mention: they search messages for names. They were predefined up to
//! version 1.16 of the specification, and an administrator may want them still: for bots and bridges that send no
//! `m.mentions`. Spec: version 1.16 of the client-server API, "Predefined Rules".

use ruma::{
    UserId,
    power_levels::NotificationPowerLevelsKey,
    push::{
        Action, ConditionalPushRule, ConditionalPushRuleInit, EventMatchConditionData,
        HighlightTweakValue, PatternedPushRule, PatternedPushRuleInit, PushCondition, Ruleset,
        SenderNotificationPermissionConditionData, SoundTweakValue, Tweak,
    },
};
use serde::{Deserialize, Serialize};

const DISPLAY_NAME: &str = ".m.rule.contains_display_name";
const WHOLE_ROOM: &str = ".m.rule.roomnotif";
const USER_NAME: &str = ".m.rule.contains_user_name";

/// Whether messages that do not say whom they mention are searched for names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
pub enum LegacyMentions {
    /// They are not, as the specification has it.
    #[default]
    Ignored,
    /// They are.
    Found,
}

/// Whether a rule searches for names. It says nothing of an event that says itself whom it mentions.
pub(super) fn is_legacy(rule_id: &str) -> bool {
    [DISPLAY_NAME, WHOLE_ROOM, USER_NAME].contains(&rule_id)
}

/// Adds the rules to the predefined ones, each below the one that took its place.
pub(super) fn add_legacy_rules(rules: &mut Ruleset, user: &UserId) {
    for (successor, rule) in
        [(".m.rule.is_user_mention", display_name()), (".m.rule.is_room_mention", whole_room())]
    {
        let overrides = &mut rules.override_;
        let place = overrides.get_index_of(successor).map_or(overrides.len(), |index| index + 1);
        overrides.shift_insert(place, rule);
    }
    rules.content.insert(user_name(user));
}

fn display_name() -> ConditionalPushRule {
    #[expect(deprecated, reason = "the rule is of the same time as its condition")]
    let named = PushCondition::ContainsDisplayName;
    let actions = vec![Action::Notify, sound(), highlight()];
    conditional(DISPLAY_NAME, vec![named], actions)
}

fn whole_room() -> ConditionalPushRule {
    let named = EventMatchConditionData::new("content.body".to_owned(), "@room".to_owned());
    let level = SenderNotificationPermissionConditionData::new(NotificationPowerLevelsKey::Room);
    let conditions =
        vec![PushCondition::EventMatch(named), PushCondition::SenderNotificationPermission(level)];
    conditional(WHOLE_ROOM, conditions, vec![Action::Notify, highlight()])
}

fn user_name(user: &UserId) -> PatternedPushRule {
    PatternedPushRule::from(PatternedPushRuleInit {
        actions: vec![Action::Notify, sound(), highlight()],
        default: true,
        enabled: true,
        rule_id: USER_NAME.to_owned(),
        pattern: user.localpart().to_owned(),
    })
}

fn conditional(
    id: &str,
    conditions: Vec<PushCondition>,
    actions: Vec<Action>,
) -> ConditionalPushRule {
    ConditionalPushRule::from(ConditionalPushRuleInit {
        actions,
        default: true,
        enabled: true,
        rule_id: id.to_owned(),
        conditions,
    })
}

fn sound() -> Action {
    Action::SetTweak(Tweak::Sound(SoundTweakValue::Default))
}

fn highlight() -> Action {
    Action::SetTweak(Tweak::Highlight(HighlightTweakValue::Yes))
}

#[cfg(test)]
mod tests {
    use ruma::user_id;
    use serde_json::{Value, json};

    use super::*;
    use crate::push::default_rules;

    /// Written down from the text of version 1.16.
    #[test]
    fn the_rules_are_word_by_word_those_of_the_older_specification() {
        let user = user_id!("@ada:hearth.test");
        let loud = json!([
            "notify", { "set_tweak": "sound", "value": "default" }, { "set_tweak": "highlight" },
        ]);
        let display_name = json!({
            "rule_id": ".m.rule.contains_display_name", "default": true, "enabled": true,
            "conditions": [{ "kind": "contains_display_name" }], "actions": loud,
        });
        let whole_room = json!({
            "rule_id": ".m.rule.roomnotif", "default": true, "enabled": true,
            "conditions": [
                { "kind": "event_match", "key": "content.body", "pattern": "@room" },
                { "kind": "sender_notification_permission", "key": "room" },
            ],
            "actions": ["notify", { "set_tweak": "highlight" }],
        });
        let user_name = json!({
            "rule_id": ".m.rule.contains_user_name", "default": true, "enabled": true,
            "pattern": "ada", "actions": loud,
        });

        let rules = default_rules(user, LegacyMentions::Found);
        let rules = serde_json::to_value(rules).unwrap();

        let overrides = rules["override"].as_array().unwrap();
        assert_eq!(rules["content"], json!([user_name]));
        assert_eq!(overrides[5], display_name);
        assert_eq!(overrides[7], whole_room);
        let without = default_rules(user, LegacyMentions::Ignored);
        let without = serde_json::to_value(without).unwrap();
        let mut others: Vec<Value> = overrides.clone();
        others.retain(|rule| !is_legacy(rule["rule_id"].as_str().unwrap()));
        assert_eq!(without["override"], json!(others));
        assert!(without.get("content").is_none());
    }
}
