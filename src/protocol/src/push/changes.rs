//! Adding and changing rules. Spec: client-server API, `PUT /pushrules/global/{kind}/{ruleId}`.

use ruma::push::{AnyPushRule, NewPushRule, RuleKind, Ruleset};

/// Where a rule is put among the user's own of its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RulePlace<'a> {
    /// A new rule above all others; one that is there stays where it is.
    Unchanged,
    /// Right above this one.
    Before(&'a str),
    /// Right below this one.
    After(&'a str),
}

/// Why a rule is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PutRuleError {
    /// Its ID begins with a dot, as those of the server's own rules.
    #[error("rule IDs that begin with a dot are the server's")]
    ReservedId,
    /// It is of a kind of which only the server has rules. Spec: MSC4306.
    #[error("rules of this kind are the server's")]
    ReservedKind,
    /// Its ID is empty or has a slash or backslash.
    #[error("a rule ID is not empty and has no slash or backslash")]
    InvalidId,
    /// There is no rule of the user's with this ID to put it next to.
    #[error("before/after rule not found: {0}")]
    UnknownNeighbour(String),
}

/// Adds a rule, or changes the one with its kind and ID. A new rule is enabled; one that is there stays as it was.
/// Nothing changes when it fails.
pub fn put_rule(
    rules: &mut Ruleset,
    rule: NewPushRule,
    place: RulePlace<'_>,
) -> Result<(), PutRuleError> {
    let (kind, id) = (rule.kind(), rule.rule_id().to_owned());
    if kind == RuleKind::PostContent {
        return Err(PutRuleError::ReservedKind);
    }
    if id.starts_with('.') {
        return Err(PutRuleError::ReservedId);
    }
    if id.is_empty() || id.contains(['/', '\\']) {
        return Err(PutRuleError::InvalidId);
    }
    let neighbour = match place {
        RulePlace::Unchanged => None,
        RulePlace::Before(neighbour) | RulePlace::After(neighbour) => Some(neighbour),
    };
    let is_own = |neighbour| {
        neighbour != id
            && rules.get(kind.clone(), neighbour).is_some_and(|rule| !rule.is_server_default())
    };
    if let Some(neighbour) = neighbour.filter(|neighbour| !is_own(*neighbour)) {
        return Err(PutRuleError::UnknownNeighbour(neighbour.to_owned()));
    }
    // Places a new rule on top and leaves a known one where and as enabled as it is. Its own way of placing a rule next
    // to another fails for rules that are moved down.
    rules.insert(rule, None, None).map_err(|_| PutRuleError::InvalidId)?;
    if place != RulePlace::Unchanged {
        move_rule(rules, &kind, &id, place);
    }
    Ok(())
}

/// Moves a rule next to another of its kind; both are there.
fn move_rule(rules: &mut Ruleset, kind: &RuleKind, id: &str, place: RulePlace<'_>) {
    let mut all: Vec<_> = std::mem::take(rules).into_iter().collect();
    let place_of = |all: &[AnyPushRule], id: &str| {
        all.iter().position(|rule| kind_of(rule).as_ref() == Some(kind) && rule.rule_id() == id)
    };
    if let Some(from) = place_of(&all, id) {
        let rule = all.remove(from);
        let to = match place {
            RulePlace::Unchanged => None,
            RulePlace::Before(neighbour) => place_of(&all, neighbour),
            RulePlace::After(neighbour) => place_of(&all, neighbour).map(|at| at + 1),
        };
        all.insert(to.unwrap_or(from), rule);
    }
    for rule in all {
        add(rules, rule);
    }
}

/// Adds a rule below the others of its kind.
fn add(rules: &mut Ruleset, rule: AnyPushRule) {
    match rule {
        AnyPushRule::Override(rule) => _ = rules.override_.insert(rule),
        AnyPushRule::Content(rule) => _ = rules.content.insert(rule),
        AnyPushRule::PostContent(rule) => _ = rules.postcontent.insert(rule),
        AnyPushRule::Room(rule) => _ = rules.room.insert(rule),
        AnyPushRule::Sender(rule) => _ = rules.sender.insert(rule),
        AnyPushRule::Underride(rule) => _ = rules.underride.insert(rule),
        // ruma may learn of kinds that the specification does not have yet: no rule of them is stored.
        _ => {}
    }
}

fn kind_of(rule: &AnyPushRule) -> Option<RuleKind> {
    Some(match rule {
        AnyPushRule::Override(_) => RuleKind::Override,
        AnyPushRule::Content(_) => RuleKind::Content,
        AnyPushRule::PostContent(_) => RuleKind::PostContent,
        AnyPushRule::Room(_) => RuleKind::Room,
        AnyPushRule::Sender(_) => RuleKind::Sender,
        AnyPushRule::Underride(_) => RuleKind::Underride,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use ruma::{
        push::{NewConditionalPushRule, NewPatternedPushRule},
        user_id,
    };

    use super::*;
    use crate::push::{LegacyMentions, default_rules};

    fn content(id: &str) -> NewPushRule {
        NewPushRule::Content(NewPatternedPushRule::new(id.to_owned(), "tea".to_owned(), Vec::new()))
    }

    fn override_(id: &str) -> NewPushRule {
        let rule = NewConditionalPushRule::new(id.to_owned(), Vec::new(), Vec::new());
        NewPushRule::Override(rule)
    }

    fn postcontent(id: &str) -> NewPushRule {
        let rule = NewConditionalPushRule::new(id.to_owned(), Vec::new(), Vec::new());
        NewPushRule::PostContent(rule)
    }

    fn rules() -> Ruleset {
        let mut rules = default_rules(user_id!("@ada:hearth.test"), LegacyMentions::Ignored);
        for id in ["c", "b", "a"] {
            put_rule(&mut rules, content(id), RulePlace::Unchanged).unwrap();
            put_rule(&mut rules, override_(id), RulePlace::Unchanged).unwrap();
        }
        rules
    }

    fn order(rules: &Ruleset) -> String {
        rules.content.iter().map(|rule| rule.rule_id.as_str()).collect()
    }

    #[test]
    fn a_rule_goes_where_it_is_put() {
        assert_eq!(order(&rules()), "abc");
        for (id, place, expected) in [
            ("x", RulePlace::Unchanged, "xabc"),
            ("b", RulePlace::Unchanged, "abc"),
            ("x", RulePlace::Before("b"), "axbc"),
            ("x", RulePlace::After("c"), "abcx"),
            ("a", RulePlace::After("c"), "bca"),
            ("a", RulePlace::Before("c"), "bac"),
            ("c", RulePlace::Before("a"), "cab"),
            ("c", RulePlace::After("a"), "acb"),
        ] {
            let mut rules = rules();
            put_rule(&mut rules, content(id), place).unwrap();
            assert_eq!(order(&rules), expected, "{id} {place:?}");
        }
    }

    #[test]
    fn overrides_of_the_user_stand_between_the_master_rule_and_the_servers() {
        let mut rules = rules();
        put_rule(&mut rules, override_("a"), RulePlace::After("c")).unwrap();
        let ids: Vec<_> = rules.override_.iter().map(|rule| rule.rule_id.as_str()).collect();
        let expected = [".m.rule.master", "b", "c", "a", ".m.rule.suppress_notices"];
        assert_eq!(ids[..5], expected);
    }

    #[test]
    fn a_changed_rule_stays_disabled() {
        let mut rules = rules();
        rules.set_enabled(RuleKind::Content, "b", false).unwrap();
        put_rule(&mut rules, content("b"), RulePlace::After("c")).unwrap();
        assert!(!rules.get(RuleKind::Content, "b").unwrap().enabled());
    }

    #[test]
    fn what_is_not_allowed_changes_nothing() {
        let neighbour = |id: &str| PutRuleError::UnknownNeighbour(id.to_owned());
        for (rule, place, expected) in [
            (content(".x"), RulePlace::Unchanged, PutRuleError::ReservedId),
            (postcontent("x"), RulePlace::Unchanged, PutRuleError::ReservedKind),
            (content("x/y"), RulePlace::Unchanged, PutRuleError::InvalidId),
            (content(r"x\y"), RulePlace::Unchanged, PutRuleError::InvalidId),
            (content(""), RulePlace::Unchanged, PutRuleError::InvalidId),
            (content("x"), RulePlace::Before("nobody"), neighbour("nobody")),
            (content("a"), RulePlace::After("a"), neighbour("a")),
            (
                override_("x"),
                RulePlace::Before(".m.rule.suppress_notices"),
                neighbour(".m.rule.suppress_notices"),
            ),
        ] {
            let mut rules = rules();
            assert_eq!(put_rule(&mut rules, rule, place), Err(expected));
            assert_eq!(order(&rules), "abc");
        }
    }
}
