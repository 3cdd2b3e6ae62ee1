use std::sync::Arc;

use ruma::{
    RoomVersionId,
    push::{
        EventMatchConditionData, NewConditionalPushRule, NewPatternedPushRule, NewPushRule,
        NewSimplePushRule, RuleKind, Tweak,
    },
};
use serde_json::value::RawValue;

use super::*;
use crate::test_room::{ADA, BO, TestRoom, user};

/// What an event of Bo's does at Ada, in a room of so many.
fn outcome_with(rules: &Ruleset, event: &Arc<Pdu>, members: u64) -> (bool, bool) {
    let room = TestRoom::new(RoomVersionId::V11);
    let levels = room.power_levels();
    let room = PushRoom { members, levels: &levels };
    let reader =
        Reader { user: &user(ADA), display_name: Some("Ada L."), thread: ThreadStanding::Outside };
    let outcome = evaluate(rules, &PushEvent::new(event), room, reader);
    (outcome.notify, outcome.highlight)
}

fn outcome(event: &Arc<Pdu>, members: u64) -> (bool, bool) {
    outcome_with(&default_rules(&user(ADA), LegacyMentions::Ignored), event, members)
}

fn event(sender: &str, kind: &str, state_key: Option<&str>, content: &Value) -> Arc<Pdu> {
    TestRoom::new(RoomVersionId::V11).event(sender, kind, state_key, content)
}

fn message(content: &Value) -> Arc<Pdu> {
    event(BO, "m.room.message", None, content)
}

const NOTHING: (bool, bool) = (false, false);
const NOTIFIES: (bool, bool) = (true, false);
const STANDS_OUT: (bool, bool) = (true, true);

#[test]
fn all_but_the_master_rule_are_on() {
    let rules = default_rules(&user(ADA), LegacyMentions::Ignored);
    let on = |rule: AnyPushRuleRef<'_>| rule.enabled() != (rule.rule_id() == ".m.rule.master");
    assert!(rules.iter().all(on));
}

#[test]
fn the_default_rules_decide_as_the_specification_says() {
    let text = json!({ "msgtype": "m.text", "body": "tea" });
    assert_eq!(outcome(&message(&text), 3), NOTIFIES);
    assert_eq!(outcome(&event(ADA, "m.room.message", None, &text), 3), NOTHING, "one's own");
    assert_eq!(outcome(&message(&json!({ "msgtype": "m.notice", "body": "tea" })), 3), NOTHING);
    assert_eq!(outcome(&event(BO, "m.room.encrypted", None, &json!({})), 2), NOTIFIES);
    assert_eq!(outcome(&event(BO, "m.reaction", None, &json!({})), 3), NOTHING);
    let poll = |kind: &str| event(BO, &format!("org.matrix.msc3381.poll.{kind}"), None, &json!({}));
    assert_eq!(outcome(&poll("start"), 3), NOTIFIES);
    assert_eq!(outcome(&poll("end"), 2), NOTIFIES);
    assert_eq!(outcome(&poll("response"), 2), NOTHING);
    assert_eq!(outcome(&event(BO, "m.room.topic", Some(""), &json!({})), 3), NOTHING);
    assert_eq!(outcome(&event(BO, "m.room.tombstone", Some(""), &json!({})), 3), STANDS_OUT);
    let invite = json!({ "membership": "invite" });
    assert_eq!(outcome(&event(BO, "m.room.member", Some(ADA), &invite), 3), NOTIFIES);
    assert_eq!(outcome(&event(ADA, "m.room.member", Some(BO), &invite), 3), NOTHING);
    let join = json!({ "membership": "join" });
    assert_eq!(outcome(&event(BO, "m.room.member", Some(BO), &join), 3), NOTHING);
    let edit =
        json!({ "msgtype": "m.text", "body": "*", "m.relates_to": { "rel_type": "m.replace" } });
    assert_eq!(outcome(&message(&edit), 3), NOTHING);
}

#[test]
fn others_memberships_are_heard_if_a_rule_may_notify_of_them() {
    let ada = user(ADA);
    let mut rules = default_rules(&ada, LegacyMentions::Ignored);
    assert!(!hear_memberships(&rules, &ada));

    rules.set_enabled(RuleKind::Override, ".m.rule.member_event", false).unwrap();
    assert!(hear_memberships(&rules, &ada), "then any rule may match");

    let join = event(BO, "m.room.member", Some(BO), &json!({ "membership": "join" }));
    for (key, pattern, actions, heard) in [
        ("type", "m.room.*", vec![Action::Notify], true),
        ("type", "m.room.message", vec![Action::Notify], false),
        ("room_id", "!kitchen:hearth.test", vec![], false),
        ("content.membership", "join", vec![Action::Notify], true),
    ] {
        let mut rules = default_rules(&ada, LegacyMentions::Ignored);
        let matches = EventMatchConditionData::new(key.to_owned(), pattern.to_owned());
        let conditions = vec![PushCondition::EventMatch(matches)];
        let rule = NewConditionalPushRule::new("mine".to_owned(), conditions, actions);
        rules.insert(NewPushRule::Override(rule), None, None).unwrap();
        assert_eq!(hear_memberships(&rules, &ada), heard, "{key} {pattern}");
        let notifies = outcome_with(&rules, &join, 3).0;
        assert!(heard || !notifies, "{key} {pattern}");
    }
}

#[test]
fn a_mention_stands_out_and_a_rooms_only_with_the_level() {
    let mention =
        |mentions: Value| json!({ "msgtype": "m.text", "body": "x", "m.mentions": mentions });
    assert_eq!(outcome(&message(&mention(json!({ "user_ids": [BO, ADA] }))), 3), STANDS_OUT);
    assert_eq!(outcome(&message(&mention(json!({ "user_ids": [BO] }))), 3), NOTIFIES);
    assert_eq!(outcome(&message(&mention(json!({ "user_ids": ADA }))), 3), NOTIFIES);
    assert_eq!(
        outcome(&message(&mention(json!({ "room": true }))), 3),
        NOTIFIES,
        "Bo has no level"
    );
    let rules = default_rules(&user(BO), LegacyMentions::Ignored);
    let room = TestRoom::new(RoomVersionId::V11);
    let levels = room.power_levels();
    let hers = event(ADA, "m.room.message", None, &mention(json!({ "room": true })));
    let reader = Reader { user: &user(BO), display_name: None, thread: ThreadStanding::Outside };
    let loud =
        evaluate(&rules, &PushEvent::new(&hers), PushRoom { members: 3, levels: &levels }, reader);
    assert!(loud.notify && loud.highlight);
}

#[test]
fn names_are_searched_for_only_on_demand_and_where_nobody_says_whom_they_mention() {
    let rules = default_rules(&user(ADA), LegacyMentions::Found);
    for body in ["Ada L.: tea?", "hello ada", "hello ADA!"] {
        let says = |mentions: Option<Value>| {
            let mut content = json!({ "msgtype": "m.text", "body": body });
            if let Some(mentions) = mentions {
                content["m.mentions"] = mentions;
            }
            message(&content)
        };
        assert_eq!(outcome_with(&rules, &says(None), 3), STANDS_OUT, "{body}");
        assert_eq!(outcome(&says(None), 3), NOTIFIES, "{body}");
        for mentions in [json!({}), json!({ "user_ids": [BO] }), json!({ "room": true })] {
            assert_eq!(outcome_with(&rules, &says(Some(mentions)), 3), NOTIFIES, "{body}");
        }
    }
    let all = json!({ "msgtype": "m.text", "body": "@room tea is ready" });
    assert_eq!(outcome_with(&rules, &message(&all), 3), NOTIFIES, "Bo has no level");
    let rules = default_rules(&user(BO), LegacyMentions::Found);
    let levels = TestRoom::new(RoomVersionId::V11).power_levels();
    let room = PushRoom { members: 3, levels: &levels };
    let reader = Reader { user: &user(BO), display_name: None, thread: ThreadStanding::Outside };
    let hers = PushEvent::new(&event(ADA, "m.room.message", None, &all));
    assert!(evaluate(&rules, &hers, room, reader).highlight);
}

#[test]
fn one_to_one_messages_make_a_sound() {
    let rules = default_rules(&user(ADA), LegacyMentions::Ignored);
    let levels = TestRoom::new(RoomVersionId::V11).power_levels();
    let event = PushEvent::new(&message(&json!({ "body": "tea" })));
    let reader = Reader { user: &user(ADA), display_name: None, thread: ThreadStanding::Outside };
    let sound = |members| {
        let outcome = evaluate(&rules, &event, PushRoom { members, levels: &levels }, reader);
        outcome.sound().map(|sound| sound.as_str().to_owned())
    };
    assert_eq!((sound(2).as_deref(), sound(3)), (Some("default"), None));
}

#[test]
fn rules_of_ones_own_come_before_the_defaults() {
    let mut rules = default_rules(&user(ADA), LegacyMentions::Ignored);
    let loud = vec![
        Action::Notify,
        Action::SetTweak(Tweak::Highlight(ruma::push::HighlightTweakValue::Yes)),
    ];
    let keyword = NewPatternedPushRule::new("tea".to_owned(), "tea".to_owned(), loud);
    rules.insert(NewPushRule::Content(keyword), None, None).unwrap();
    let tea = message(&json!({ "body": "Tea?" }));
    assert_eq!(outcome_with(&rules, &tea, 3), STANDS_OUT);
    assert_eq!(outcome_with(&rules, &message(&json!({ "body": "teapot" })), 3), NOTIFIES);

    let mut muted = default_rules(&user(ADA), LegacyMentions::Ignored);
    let silence = NewSimplePushRule::new(user(BO), vec![]);
    muted.insert(NewPushRule::Sender(silence), None, None).unwrap();
    assert_eq!(outcome_with(&muted, &tea, 3), NOTHING);
    let mut muted = default_rules(&user(ADA), LegacyMentions::Ignored);
    let silence = NewSimplePushRule::new(tea.room_id.clone(), vec![]);
    muted.insert(NewPushRule::Room(silence), None, None).unwrap();
    assert_eq!(outcome_with(&muted, &tea, 3), NOTHING);

    rules.set_enabled(RuleKind::Override, ".m.rule.master", true).unwrap();
    assert_eq!(outcome_with(&rules, &tea, 3), NOTHING);
}

#[test]
fn conditions_of_ones_own_rules_are_asked_about_any_property() {
    let holds_for = |condition: Value, content: &Value| {
        let mut rules = Ruleset::new();
        let rule = json!({
            "rule_id": "own", "default": false, "enabled": true, "actions": ["notify"], "conditions": [condition],
        });
        rules.override_.insert(serde_json::from_value(rule).unwrap());
        outcome_with(&rules, &message(content), 5) == NOTIFIES
    };
    let is = |value: Value| json!({ "kind": "event_property_is", "key": "content.a\\.b.c\\\\d", "value": value });
    for value in [json!(null), json!(true), json!(-7), json!("x")] {
        assert!(holds_for(is(value.clone()), &json!({ "a.b": { "c\\d": value } })));
        assert!(!holds_for(is(value.clone()), &json!({ "a.b": { "c\\d": [value] } })));
        assert!(!holds_for(is(value), &json!({ "a": { "b": 1 } })));
    }
    let contains = json!({ "kind": "event_property_contains", "key": "content.list", "value": 3 });
    assert!(holds_for(contains.clone(), &json!({ "list": [1, {}, 3] })));
    assert!(!holds_for(contains, &json!({ "list": 3 })));
    let matches =
        |key: &str, pattern: &str| json!({ "kind": "event_match", "key": key, "pattern": pattern });
    assert!(holds_for(matches("room_id", "!kitchen:*"), &json!({})));
    assert!(holds_for(matches("content.url", "mxc://*"), &json!({ "url": "mxc://x/y" })));
    assert!(!holds_for(matches("content.url", "*"), &json!({ "url": 5 })));
    assert!(holds_for(json!({ "kind": "room_member_count", "is": ">=5" }), &json!({})));
    assert!(!holds_for(json!({ "kind": "room_member_count", "is": "<5" }), &json!({})));
    let name = json!({ "kind": "contains_display_name" });
    assert!(holds_for(name.clone(), &json!({ "body": "hello ada l. and all" })));
    assert!(!holds_for(name, &json!({ "body": "hello ada" })));
    assert!(!holds_for(json!({ "kind": "org.example.unheard_of" }), &json!({})));
}

#[test]
fn content_that_no_memory_holds_counts_as_empty() {
    let plain = message(&json!({}));
    for content in [
        format!("{{\"a\":{}1{}}}", "[".repeat(5_000), "]".repeat(5_000)),
        "{\"a\":1e999}".to_owned(),
    ] {
        let content = RawValue::from_string(content).unwrap();
        let event = Arc::new(Pdu { content, ..(*plain).clone() });
        assert_eq!(outcome(&event, 3), NOTIFIES);
    }
}

#[test]
fn rules_tell_rooms_apart_up_to_the_largest_number_they_name() {
    let mut rules = default_rules(&user(ADA), LegacyMentions::Ignored);
    assert_eq!(distinguished_members(&rules), 3);
    let condition = json!({ "kind": "room_member_count", "is": ">10" });
    let condition = serde_json::from_value(condition).unwrap();
    let rule = NewConditionalPushRule::new("large".to_owned(), vec![condition], Vec::new());
    put_rule(&mut rules, NewPushRule::Override(rule), RulePlace::Unchanged).unwrap();
    assert_eq!(distinguished_members(&rules), 11);
    assert_eq!(distinguished_members(&Ruleset::new()), 0);
}

#[test]
fn many_patterns_share_what_is_read_of_a_long_text() {
    let rules_of = |count: usize| {
        let mut rules = Ruleset::new();
        for number in 0..count {
            let rule = NewPatternedPushRule::new(
                format!("r{number}"),
                format!("{number}*tea"),
                vec![Action::Notify],
            );
            put_rule(&mut rules, NewPushRule::Content(rule), RulePlace::Unchanged).unwrap();
        }
        rules
    };
    let late = message(&json!({ "body": format!("{} 0 tea", "0 ".repeat(30_000)) }));
    let soon = message(&json!({ "body": format!("0 tea {}", "0 ".repeat(30_000)) }));

    let (few, many) = (rules_of(3), rules_of(1_000));

    assert_eq!(outcome_with(&few, &late, 3), NOTIFIES);
    assert_eq!(outcome_with(&many, &soon, 3), NOTIFIES);
    let compared = std::time::Instant::now();
    assert_eq!(outcome_with(&many, &late, 3), NOTHING);
    // All of it would be sixty million steps, and the processor's for seconds.
    assert!(compared.elapsed().as_millis() < 2_000, "{:?}", compared.elapsed());
}

#[test]
fn threads_are_heard_by_who_is_subscribed_and_not_by_who_is_not() {
    let levels = TestRoom::new(RoomVersionId::V11).power_levels();
    let mut rules = default_rules(&user(ADA), LegacyMentions::Ignored);
    let outcome = |rules: &Ruleset, thread, content: Value| {
        let event = PushEvent::new(&message(&content));
        let reader = Reader { user: &user(ADA), display_name: None, thread };
        let outcome = evaluate(rules, &event, PushRoom { members: 5, levels: &levels }, reader);
        (outcome.notify, outcome.sound().is_some())
    };
    let plain = || json!({ "body": "tea" });
    let mention = || json!({ "body": "tea", "m.mentions": { "user_ids": [user(ADA)] } });
    assert!(asks_for_threads(&rules));
    assert_eq!(outcome(&rules, ThreadStanding::Outside, plain()), (true, false));
    assert_eq!(outcome(&rules, ThreadStanding::Subscribed, plain()), (true, true));
    assert_eq!(outcome(&rules, ThreadStanding::Unsubscribed, plain()), (false, false));
    assert_eq!(outcome(&rules, ThreadStanding::Unsubscribed, mention()), (true, true));

    for id in ["unsubscribed_thread", "subscribed_thread"] {
        let id = format!(".io.element.msc4306.rule.{id}");
        rules.set_enabled(RuleKind::PostContent, id, false).unwrap();
    }
    assert!(!asks_for_threads(&rules));
    for thread in [ThreadStanding::Subscribed, ThreadStanding::Unsubscribed] {
        assert_eq!(outcome(&rules, thread, plain()), (true, false));
    }
}
