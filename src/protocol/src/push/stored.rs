//! Push rules as account data. Spec: client-server API, "Push Rules: Events".

use ruma::{UserId, push::Ruleset};
use serde::Deserialize;
use serde_json::{
    Value, json,
    value::{RawValue, to_raw_value},
};

use super::default_rules;

/// The type of account data that push rules are.
pub const PUSH_RULES: &str = "m.push_rules";

/// Every kind of rule.
const KINDS: [&str; 5] = ["override", "content", "room", "sender", "underride"];

/// The rules in a user's `m.push_rules`; without any, those of a user who changed none. Default rules that came
/// after it was written are there too, and those that were given up are not; what the user changed of one stays.
pub fn rules_in(content: Option<&RawValue>, user: &UserId) -> Result<Ruleset, serde_json::Error> {
    #[derive(Deserialize)]
    struct Content {
        global: Ruleset,
    }
    let Some(content) = content else { return Ok(default_rules(user)) };
    let mut rules = serde_json::from_str::<Content>(content.get())?.global;
    rules.update_with_server_default(default_rules(user));
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
    use ruma::{push::RuleKind, user_id};

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

        let rules = rules_in(Some(&to_raw_value(&stored).unwrap()), user).unwrap();

        let ids: Vec<_> = rules.override_.iter().map(|rule| rule.rule_id.as_str()).collect();
        assert_eq!(ids[..3], [".m.rule.master", "mine", ".m.rule.suppress_notices"]);
        assert!(!ids.contains(&".m.rule.given_up"));
        assert!(rules.get(RuleKind::Override, ".m.rule.master").unwrap().enabled());
        assert!(rules.get(RuleKind::Underride, ".m.rule.message").is_some());
        let again = rules_in(Some(&content_of(&rules).unwrap()), user).unwrap();
        assert_eq!(lists(&again).unwrap(), lists(&rules).unwrap());
    }

    #[test]
    fn all_kinds_are_listed_even_without_rules() {
        let lists = lists(&default_rules(user_id!("@ada:hearth.test"))).unwrap();
        for kind in KINDS {
            assert!(lists[kind].is_array(), "{kind}");
        }
    }
}
