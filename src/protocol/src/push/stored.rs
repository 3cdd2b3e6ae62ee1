//! Push rules as account data. Spec: client-server API, "Push Rules: Events".

use ruma::{UserId, push::Ruleset};
use serde::Deserialize;
use serde_json::{
    Value, json,
    value::{RawValue, to_raw_value},
};

use super::{LegacyMentions, default_rules};

/// The type of account data that push rules are.
pub const PUSH_RULES: &str = "m.push_rules";

/// Every kind of rule.
const KINDS: [&str; 6] = ["override", "content", "postcontent", "room", "sender", "underride"];

/// The rules in a user's `m.push_rules`; without any, those of a user who changed none. Default rules that came
/// after it was written are there too, and those that were given up are not; what the user changed of one stays.
pub fn rules_in(
    content: Option<&RawValue>,
    user: &UserId,
    legacy_mentions: LegacyMentions,
) -> Result<Ruleset, serde_json::Error> {
    #[derive(Deserialize)]
    struct Content {
        global: Ruleset,
    }
    let defaults = default_rules(user, legacy_mentions);
    let Some(content) = content else { return Ok(defaults) };
    let mut rules = serde_json::from_str::<Content>(content.get())?.global;
    rules.update_with_server_default(defaults);
    Ok(rules)
}

/// The rules as clients get them: every kind is there, as a list, even if it has no rule.
pub fn lists(rules: &Ruleset) -> Result<Value, serde_json::Error> {
    let mut lists = serde_json::to_value(rules)?;
    for kind in KINDS {
        if lists.get(kind).is_none() {
            lists[kind] = json!([]);
        }
    }
    Ok(lists)
}

/// The content of the `m.push_rules` that holds these rules.
pub fn content_of(rules: &Ruleset) -> Result<Box<RawValue>, serde_json::Error> {
    to_raw_value(&json!({ "global": lists(rules)? }))
}

#[cfg(test)]
mod tests {
    use ruma::{
        push::{AnyPushRuleRef, RuleKind},
        user_id,
    };

    use super::*;

    #[test]
    fn stored_rules_are_joined_with_the_default_rules_of_today() {
        let stored = json!({ "global": {
            "override": [
                {
                    "rule_id": "mine", "default": false, "enabled": true, "conditions": [],
                    "actions": [],
                },
                {
                    "rule_id": ".m.rule.master", "default": true, "enabled": true,
                    "conditions": [], "actions": [],
                },
                {
                    "rule_id": ".m.rule.given_up", "default": true, "enabled": true,
                    "conditions": [], "actions": ["notify"],
                },
            ],
        } });
        let user = user_id!("@ada:hearth.test");

        let read =
            |content: &RawValue| rules_in(Some(content), user, LegacyMentions::Ignored).unwrap();
        let rules = read(&to_raw_value(&stored).unwrap());

        let ids: Vec<_> = rules.override_.iter().map(|rule| rule.rule_id.as_str()).collect();
        assert_eq!(ids[..3], [".m.rule.master", "mine", ".m.rule.suppress_notices"]);
        assert!(!ids.contains(&".m.rule.given_up"));
        assert!(rules.get(RuleKind::Override, ".m.rule.master").unwrap().enabled());
        assert!(rules.get(RuleKind::Underride, ".m.rule.message").is_some());
        let again = read(&content_of(&rules).unwrap());
        assert_eq!(lists(&again).unwrap(), lists(&rules).unwrap());
    }

    #[test]
    fn rules_that_search_for_names_come_and_go_with_the_setting() {
        let user = user_id!("@ada:hearth.test");
        let (kind, id) = (RuleKind::Content, ".m.rule.contains_user_name");
        let mut rules = default_rules(user, LegacyMentions::Found);
        rules.set_enabled(kind.clone(), id, false).unwrap();
        let stored = content_of(&rules).unwrap();

        let with = rules_in(Some(&stored), user, LegacyMentions::Found).unwrap();
        let without = rules_in(Some(&stored), user, LegacyMentions::Ignored).unwrap();

        assert!(with.get(kind.clone(), id).is_some_and(|rule| !rule.enabled()));
        assert!(without.get(kind.clone(), id).is_none());
        let stored = content_of(&without).unwrap();
        let again = rules_in(Some(&stored), user, LegacyMentions::Found).unwrap();
        assert!(again.get(kind, id).is_some_and(AnyPushRuleRef::enabled));
        assert!(again.get(RuleKind::Override, ".m.rule.roomnotif").is_some());
    }

    #[test]
    fn all_kinds_are_listed_even_without_rules() {
        let user = user_id!("@ada:hearth.test");
        let lists = lists(&default_rules(user, LegacyMentions::Ignored)).unwrap();
        for kind in KINDS {
            assert!(lists[kind].is_array(), "{kind}");
        }
    }
}
