//! Push rules: which events concern a user, and how loudly.
//!
//! The rules are ruma's types; the evaluation is ours. It takes no detour over futures, reads an event once for all its readers, and
//! has a bound for every pattern and body: ruma's recurses once per word of a body and panics on a pattern whose
//! regular expression gets too large.
//! Spec: client-server API, "Push Notifications".

mod changes;
mod defaults;
mod legacy;
mod stored;

use std::{ops::RangeBounds, sync::OnceLock};

use ruma::{
    OwnedRoomId, OwnedUserId, UInt, UserId,
    push::{Action, AnyPushRuleRef, PushCondition, Ruleset, ScalarJsonValue, SoundTweakValue},
};
use serde_json::{Value, json};

pub use self::changes::{PutRuleError, RulePlace, put_rule};
pub use self::defaults::default_rules;
pub use self::legacy::LegacyMentions;
pub use self::stored::{PUSH_RULES, content_of, lists, rules_in};

use self::legacy::is_legacy;
use crate::{
    Pdu,
    glob::{folded, matches_whole, matches_words},
    power_levels::PowerLevels,
};

/// How many characters of an event all patterns of a reader are compared to, taken together. Rules may be many hundred and
/// a body 64 KiB long; the more patterns there are, the less of a very long text each of them sees.
const MOST_COMPARED: usize = 1 << 20;

/// An event as push rules see it, read once for all its readers.
#[derive(Debug)]
pub struct PushEvent {
    sender: OwnedUserId,
    room_id: OwnedRoomId,
    /// The event as clients get it, without `unsigned`.
    fields: Value,
    /// Its body as patterns want it, made when the first rule asks.
    body: OnceLock<Option<Vec<char>>>,
}

impl PushEvent {
    /// Reads an event. Content that is no JSON that can be held in memory, as it nests too deep, counts as empty.
    pub fn new(event: &Pdu) -> Self {
        let content = event.content_as().unwrap_or_else(|_| json!({}));
        let mut fields = json!({
            "type": event.kind.to_string(),
            "sender": event.sender,
            "room_id": event.room_id,
            "event_id": event.event_id,
            "content": content,
        });
        if let Some(state_key) = &event.state_key {
            fields["state_key"] = Value::from(state_key.as_str());
        }
        Self {
            sender: event.sender.clone(),
            room_id: event.room_id.clone(),
            fields,
            body: OnceLock::new(),
        }
    }

    /// The value at a path such as `content.m\.mentions.room`.
    /// Spec: appendices, "Dot-separated property paths".
    fn get(&self, path: &str) -> Option<&Value> {
        let mut value = &self.fields;
        let mut name = String::new();
        let mut characters = path.chars();
        while let Some(character) = characters.next() {
            match character {
                '.' => {
                    value = value.as_object()?.get(&name)?;
                    name.clear();
                }
                '\\' => match characters.next() {
                    Some(escaped @ ('.' | '\\')) => name.push(escaped),
                    other => name.extend(std::iter::once('\\').chain(other)),
                },
                _ => name.push(character),
            }
        }
        value.as_object()?.get(&name)
    }

    /// Whether the pattern is found in the first `reach` characters of the body.
    fn has_in_body(&self, pattern: &str, reach: usize) -> bool {
        let read = || self.get("content.body").and_then(Value::as_str).map(folded);
        let body = self.body.get_or_init(read).as_ref();
        body.is_some_and(|body| matches_words(pattern, body.get(..reach).unwrap_or(body)))
    }

    fn says_whom_it_mentions(&self) -> bool {
        self.fields["content"].get("m.mentions").is_some()
    }
}

/// What push rules ask about the room.
#[derive(Debug, Clone, Copy)]
pub struct PushRoom<'a> {
    /// How many members it has.
    pub members: u64,
    /// Its power levels.
    pub levels: &'a PowerLevels,
}

/// Whose rules are asked.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    /// The user.
    pub user: &'a UserId,
    /// Their display name in the room.
    pub display_name: Option<&'a str>,
    /// How they stand to the thread that the event is part of.
    pub thread: ThreadStanding,
}

/// How a reader stands to the thread that an event is part of. Spec: MSC4306.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ThreadStanding {
    /// It is part of none, or the reader never subscribed to any: they do not use subscriptions.
    #[default]
    Outside,
    /// They are subscribed to it.
    Subscribed,
    /// They are not.
    Unsubscribed,
}

/// What an event does at a user.
#[derive(Debug, Clone, Copy, Default)]
pub struct PushOutcome<'a> {
    /// Whether it notifies, and so counts as unread.
    pub notify: bool,
    /// Whether it stands out, as a mention does.
    pub highlight: bool,
    /// The actions of the rule that applied; none if no rule did.
    pub actions: &'a [Action],
}

impl<'a> PushOutcome<'a> {
    /// The sound to play.
    pub fn sound(&self) -> Option<&'a SoundTweakValue> {
        self.actions.iter().find_map(Action::sound)
    }
}

/// How many members a room has at least when one more makes no difference to the rules.
pub fn distinguished_members(rules: &Ruleset) -> u64 {
    let conditions = rules.override_.iter().chain(&rules.underride);
    let conditions = conditions.flat_map(|rule| &rule.conditions);
    let counts = conditions.filter_map(|condition| match condition {
        PushCondition::RoomMemberCount(data) => Some(u64::from(data.is.count).saturating_add(1)),
        _ => None,
    });
    counts.max().unwrap_or_default()
}

/// Whether a user's rules may notify them of an event in which another user states their own membership, such as that they
/// joined. Mostly none does, and such events, of which there are many, need not be asked about.
pub fn hear_memberships(rules: &Ruleset, user: &UserId) -> bool {
    for rule in rules.override_.iter().filter(|rule| rule.enabled) {
        let is_silent = !rule.actions.iter().any(Action::should_notify);
        if rule.rule_id == ".m.rule.member_event" && is_silent {
            return false;
        }
        if !is_silent && rule.conditions.iter().all(|condition| fits_membership(condition, user)) {
            return true;
        }
    }
    true
}

/// Whether a condition may hold for another user's own membership.
fn fits_membership(condition: &PushCondition, user: &UserId) -> bool {
    match condition {
        PushCondition::EventMatch(data) if data.key == "type" => {
            matches_whole(&data.pattern, "m.room.member")
        }
        PushCondition::EventMatch(data) if data.key == "state_key" => data.pattern != user.as_str(),
        _ => true,
    }
}

/// Whether it matters to the rules how their owner stands to threads.
pub fn asks_for_threads(rules: &Ruleset) -> bool {
    let asks =
        |condition: &PushCondition| matches!(condition, PushCondition::ThreadSubscription(_));
    let all = rules.override_.iter().chain(&rules.postcontent).chain(&rules.underride);
    all.filter(|rule| rule.enabled).any(|rule| rule.conditions.iter().any(asks))
}

/// What `event` does at `reader`, by the first of their rules that applies. One's own events do nothing.
pub fn evaluate<'a>(
    rules: &'a Ruleset,
    event: &PushEvent,
    room: PushRoom<'_>,
    reader: Reader<'_>,
) -> PushOutcome<'a> {
    if event.sender == reader.user {
        return PushOutcome::default();
    }
    let question = Question { event, room, reader, reach: reach(rules) };
    let Some(rule) = rules.iter().find(|rule| question.applies(*rule)) else {
        return PushOutcome::default();
    };
    let notify = rule.triggers_notification();
    let highlight = notify && rule.triggers_highlight();
    PushOutcome { notify, highlight, actions: rule.actions() }
}

/// How far into a text or list each of the rules looks.
fn reach(rules: &Ruleset) -> usize {
    let conditions = rules.override_.iter().chain(&rules.underride);
    let conditions = conditions.map(|rule| rule.conditions.len()).sum::<usize>();
    MOST_COMPARED / (conditions + rules.content.len()).max(1)
}

/// What rules are asked about.
struct Question<'a> {
    event: &'a PushEvent,
    room: PushRoom<'a>,
    reader: Reader<'a>,
    reach: usize,
}

impl Question<'_> {
    fn applies(&self, rule: AnyPushRuleRef<'_>) -> bool {
        if !rule.enabled() || (is_legacy(rule.rule_id()) && self.event.says_whom_it_mentions()) {
            return false;
        }
        match rule {
            AnyPushRuleRef::Override(rule)
            | AnyPushRuleRef::PostContent(rule)
            | AnyPushRuleRef::Underride(rule) => {
                rule.conditions.iter().all(|condition| self.holds(condition))
            }
            AnyPushRuleRef::Content(rule) => self.event_matches("content.body", &rule.pattern),
            AnyPushRuleRef::Room(rule) => rule.rule_id == self.event.room_id,
            AnyPushRuleRef::Sender(rule) => rule.rule_id == self.event.sender,
            // ruma may learn of kinds that the specification does not have yet.
            _ => false,
        }
    }

    fn holds(&self, condition: &PushCondition) -> bool {
        let Self { event, room, reader, reach } = *self;
        match condition {
            PushCondition::EventMatch(data) => self.event_matches(&data.key, &data.pattern),
            PushCondition::RoomMemberCount(data) => {
                data.is.contains(&UInt::new_saturating(room.members))
            }
            PushCondition::SenderNotificationPermission(data) => {
                room.levels.can_notify(&event.sender, data.key.as_str())
            }
            PushCondition::EventPropertyIs(data) => {
                event.get(&data.key).is_some_and(|value| equals(value, &data.value))
            }
            PushCondition::EventPropertyContains(data) => {
                let list = event.get(&data.key).and_then(Value::as_array);
                let is_there =
                    |list: &Vec<_>| list.iter().take(reach).any(|value| equals(value, &data.value));
                list.is_some_and(is_there)
            }
            PushCondition::ThreadSubscription(data) => match reader.thread {
                ThreadStanding::Outside => false,
                ThreadStanding::Subscribed => data.subscribed,
                ThreadStanding::Unsubscribed => !data.subscribed,
            },
            condition if condition.kind() == "contains_display_name" => {
                reader.display_name.is_some_and(|name| event.has_in_body(name, reach))
            }
            // An unknown condition never holds.
            _ => false,
        }
    }

    fn event_matches(&self, key: &str, pattern: &str) -> bool {
        if key == "content.body" {
            return self.event.has_in_body(pattern, self.reach);
        }
        let value = self.event.get(key).and_then(Value::as_str);
        let value = value.filter(|value| value.len() <= self.reach);
        value.is_some_and(|value| matches_whole(pattern, value))
    }
}

fn equals(value: &Value, scalar: &ScalarJsonValue) -> bool {
    match scalar {
        ScalarJsonValue::Null => value.is_null(),
        ScalarJsonValue::Bool(flag) => value.as_bool() == Some(*flag),
        ScalarJsonValue::Integer(number) => value.as_i64() == Some((*number).into()),
        ScalarJsonValue::String(text) => value.as_str() == Some(text),
    }
}

#[cfg(test)]
mod tests;
