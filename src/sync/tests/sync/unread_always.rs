//! Counts of unread events, after anything that can happen, against what the specification says of it all.

use proptest::prelude::*;
use protocol::push::LegacyMentions;
use rooms::{MembershipChange, Settings};
use ruma::events::receipt::ReceiptThread;
use ruma::{OwnedEventId, OwnedRoomId, user_id};
use serde_json::{Value, json};
use store::{Batch, ReceiptKind};
use sync::Epoch;

use crate::house::{House, Wish, ada, bo, raw};

/// Something that happens in the room. Numbers choose among the events so far.
#[derive(Debug, Clone)]
enum Step {
    Say(Who),
    Mention,
    Reply(Who, usize),
    Edit(usize),
    Refer(Who, usize),
    Redact(usize),
    Read {
        kind: ReceiptKind,
        how: How,
        event: usize,
    },
    Rules(RuleChange),
    Ignore(bool),
    /// Bo is called something else in the room from now on.
    Rename,
    /// Ada says what Bo is called, or was called before.
    SayName {
        former: bool,
    },
    /// Ada says Bo's user name, and not whom she mentions.
    SayUserName,
    /// The server starts again, with this setting.
    Restart(LegacyMentions),
    Leave,
    /// Somebody else comes in or goes.
    Visit,
    Look,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Ada,
    Bo,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Threaded,
    Unthreaded,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RuleChange {
    /// Messages notify as they do by default.
    Default,
    /// Messages do not notify, mentions do.
    Quiet,
    /// Messages stand out.
    Loud,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let who = prop_oneof![4 => Just(Who::Ada), 1 => Just(Who::Bo)];
    let kind = prop_oneof![Just(ReceiptKind::Public), Just(ReceiptKind::Private)];
    let how = prop_oneof![2 => Just(How::Threaded), 1 => Just(How::Unthreaded)];
    let rules =
        prop_oneof![Just(RuleChange::Default), Just(RuleChange::Quiet), Just(RuleChange::Loud)];
    let step = prop_oneof![
        4 => who.clone().prop_map(Step::Say),
        2 => Just(Step::Mention),
        5 => (who.clone(), any::<usize>()).prop_map(|(who, of)| Step::Reply(who, of)),
        1 => any::<usize>().prop_map(Step::Edit),
        1 => (who, any::<usize>()).prop_map(|(who, of)| Step::Refer(who, of)),
        2 => any::<usize>().prop_map(Step::Redact),
        4 => (kind, how, any::<usize>())
            .prop_map(|(kind, how, event)| Step::Read { kind, how, event }),
        1 => rules.prop_map(Step::Rules),
        1 => any::<bool>().prop_map(Step::Ignore),
        1 => Just(Step::Rename),
        2 => any::<bool>().prop_map(|former| Step::SayName { former }),
        2 => Just(Step::SayUserName),
        1 => prop_oneof![Just(LegacyMentions::Ignored), Just(LegacyMentions::Found)]
            .prop_map(Step::Restart),
        1 => Just(Step::Leave),
        1 => Just(Step::Visit),
        6 => Just(Step::Look),
    ];
    prop::collection::vec(step, 1..40)
}

/// An event of the room, as far as it matters to Bo.
#[derive(Debug, Clone)]
struct Event {
    id: OwnedEventId,
    sender: Who,
    kind: Kind,
    /// The root of the thread it leads to, as an index, and over how many relations.
    link: Option<(usize, usize)>,
    is_redacted: bool,
}

impl Event {
    /// The root of its thread. Three relations are followed, no more.
    fn thread(&self) -> Option<usize> {
        self.link.filter(|(_, hops)| *hops <= 3).map(|(root, _)| root)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Message,
    Mention,
    /// A message with the name that Bo had in the room when it was sent.
    Named,
    /// A message with Bo's user name.
    UserNamed,
    /// An edit or a notice: never notifies.
    Silent,
    /// Notifies if everything in the room does.
    Redaction,
}

/// What the specification says of it all, without a server.
#[derive(Debug, Clone)]
struct Model {
    events: Vec<Event>,
    /// From where on Bo is in the room.
    joined: usize,
    /// Receipts: of a thread, or of everything, up to which event.
    threaded: Vec<(Option<usize>, usize)>,
    unthreaded: Option<usize>,
    rules: RuleChange,
    ignores: bool,
    legacy_mentions: LegacyMentions,
}

impl Model {
    fn is_unread(&self, index: usize) -> Option<bool> {
        let event = &self.events[index];
        if index < self.joined || event.sender == Who::Bo || event.is_redacted || self.ignores {
            return None;
        }
        let is_read = self.unthreaded.is_some_and(|read| index <= read)
            || self
                .threaded
                .iter()
                .any(|(thread, read)| *thread == event.thread() && index <= *read)
            || self.events[index..]
                .iter()
                .any(|later| later.sender == Who::Bo && later.thread() == event.thread());
        let kind = match (event.kind, self.legacy_mentions) {
            (Kind::UserNamed, LegacyMentions::Found) => Kind::Mention,
            (Kind::UserNamed, LegacyMentions::Ignored) => Kind::Message,
            (kind, _) => kind,
        };
        let highlight = match (kind, self.rules) {
            (Kind::Mention | Kind::Named, _)
            | (Kind::Message | Kind::Redaction, RuleChange::Loud) => true,
            (Kind::Message, RuleChange::Default) => false,
            (Kind::Silent | Kind::UserNamed, _)
            | (Kind::Message, RuleChange::Quiet)
            | (Kind::Redaction, RuleChange::Default | RuleChange::Quiet) => return None,
        };
        (!is_read).then_some(highlight)
    }

    /// Notifications and highlights of a thread.
    fn count(&self, thread: Option<usize>) -> (u64, u64) {
        let of_thread = |index: &usize| self.events[*index].thread() == thread;
        let unread: Vec<_> = (0..self.events.len())
            .filter(of_thread)
            .filter_map(|index| self.is_unread(index))
            .collect();
        (unread.len() as u64, unread.iter().filter(|highlight| **highlight).count() as u64)
    }
}

/// A room of Ada's and Bo's, and what is to be expected in it.
struct Case {
    house: House,
    room: OwnedRoomId,
    model: Model,
    sent: usize,
    /// What Bo is called in the room, and was before.
    names: [String; 2],
    visitor: MembershipChange,
}

impl Case {
    async fn new() -> Self {
        let house = House::new().await;
        let room = house.shared_room().await;
        let (rules, ignores) = (RuleChange::Default, false);
        let legacy_mentions = LegacyMentions::default();
        let (events, threaded) = (Vec::new(), Vec::new());
        let (joined, unthreaded) = (0, None);
        let model = Model { events, joined, threaded, unthreaded, rules, ignores, legacy_mentions };
        let names = ["nobody".to_owned(), "nobody".to_owned()];
        let mut case = Self { house, room, model, sent: 0, names, visitor: MembershipChange::Join };
        case.rename().await;
        case.rename().await;
        case.set_rules(rules).await;
        case
    }

    async fn send(
        &mut self,
        sender: Who,
        kind: Kind,
        link: Option<(usize, usize)>,
        mut content: Value,
    ) {
        self.sent += 1;
        let name = content["name"].as_str().unwrap_or_default();
        content["body"] = json!(format!("{} {name}", self.sent));
        let user = if sender == Who::Ada { ada() } else { bo() };
        let id = self.house.send(&self.room, user, &content).await;
        self.model.events.push(Event { id, sender, kind, link, is_redacted: false });
    }

    fn relation(&self, kind: &str, msgtype: &str, to: usize) -> Value {
        let id = &self.model.events[to].id;
        json!({ "msgtype": msgtype, "m.relates_to": { "rel_type": kind, "event_id": id } })
    }

    async fn take(&mut self, step: Step) {
        let count = self.model.events.len();
        let chosen = |number: usize| (count > 0).then(|| number % count);
        match step {
            Step::Say(who) => {
                self.send(who, Kind::Message, None, json!({ "msgtype": "m.text" })).await;
            }
            Step::Mention => {
                let content = json!({ "msgtype": "m.text", "m.mentions": { "user_ids": [bo()] } });
                self.send(Who::Ada, Kind::Mention, None, content).await;
            }
            Step::Reply(who, number) => {
                // A thread begins at what relates to nothing.
                let is_root = |index: &usize| {
                    let event = &self.model.events[*index];
                    event.link.is_none() && matches!(event.kind, Kind::Message | Kind::Mention)
                };
                let roots: Vec<_> = (0..count).filter(is_root).collect();
                if !roots.is_empty() {
                    let root = roots[number % roots.len()];
                    let content = self.relation("m.thread", "m.text", root);
                    self.send(who, Kind::Message, Some((root, 1)), content).await;
                }
            }
            Step::Edit(number) => {
                if let Some(of) = chosen(number) {
                    let content = self.relation("m.replace", "m.text", of);
                    self.send(Who::Ada, Kind::Silent, self.link_over(of), content).await;
                }
            }
            Step::Refer(who, number) => {
                if let Some(of) = chosen(number) {
                    let content = self.relation("m.reference", "m.notice", of);
                    self.send(who, Kind::Silent, self.link_over(of), content).await;
                }
            }
            Step::Redact(number) => {
                if let Some(of) = chosen(number) {
                    let target = self.model.events[of].id.clone();
                    let id = self.house.redact(&self.room, ada(), &target).await;
                    self.model.events[of].is_redacted = true;
                    let (sender, kind) = (Who::Ada, Kind::Redaction);
                    let event = Event { id, sender, kind, link: None, is_redacted: false };
                    self.model.events.push(event);
                }
            }
            Step::Read { kind, how, event } => {
                if let Some(event) = chosen(event) {
                    self.read(kind, how, event).await;
                }
            }
            Step::Rules(rules) => self.set_rules(rules).await,
            Step::Ignore(ignores) => {
                let users = if ignores { json!({ ada(): {} }) } else { json!({}) };
                let content = json!({ "ignored_users": users });
                self.set_account_data("m.ignored_user_list", &content).await;
                self.model.ignores = ignores;
            }
            Step::Rename => self.rename().await,
            Step::SayName { former } => {
                let name = self.names[usize::from(former)].clone();
                let content = json!({ "msgtype": "m.text", "name": name });
                let kind = if former { Kind::Message } else { Kind::Named };
                self.send(Who::Ada, kind, None, content).await;
            }
            Step::SayUserName => {
                let content = json!({ "msgtype": "m.text", "name": bo().localpart() });
                self.send(Who::Ada, Kind::UserNamed, None, content).await;
            }
            Step::Restart(legacy_mentions) => {
                self.model.legacy_mentions = legacy_mentions;
                self.house = self.another_house();
            }
            Step::Visit => {
                let cy = user_id!("@cy:hearth.test");
                self.house.change(&self.room, cy, self.visitor).await;
                self.visitor = match self.visitor {
                    MembershipChange::Join => MembershipChange::Leave,
                    _ => MembershipChange::Join,
                };
            }
            Step::Leave => {
                self.house.change(&self.room, bo(), MembershipChange::Leave).await;
                self.house.change(&self.room, bo(), MembershipChange::Join).await;
                self.model.joined = count;
                // Who comes back is called what their profile says.
                self.rename().await;
            }
            Step::Look => self.check().await,
        }
    }

    /// Where an event leads to that relates to `of`.
    fn link_over(&self, of: usize) -> Option<(usize, usize)> {
        self.model.events[of].link.map(|(root, hops)| (root, hops + 1))
    }

    async fn read(&mut self, kind: ReceiptKind, how: How, event: usize) {
        let id = self.model.events[event].id.clone();
        let thread = self.model.events[event].thread();
        let receipt = match (how, thread) {
            (How::Unthreaded, _) => ReceiptThread::Unthreaded,
            (How::Threaded, None) => ReceiptThread::Main,
            (How::Threaded, Some(root)) => {
                ReceiptThread::Thread(self.model.events[root].id.clone())
            }
        };
        self.house.rooms.move_receipt(bo(), &self.room, kind, receipt, &id).await.unwrap();
        match how {
            How::Unthreaded => self.model.unthreaded = self.model.unthreaded.max(Some(event)),
            How::Threaded => self.model.threaded.push((thread, event)),
        }
    }

    async fn set_account_data(&self, kind: &str, content: &Value) {
        let store = self.house.rooms.store();
        let user = store.number_user(bo()).await.unwrap();
        let before = store.account_data(user, None, kind).await.unwrap();
        let mut batch = Batch::new();
        batch.set_account_data(user, None, kind, before.as_ref(), &raw(content)).unwrap();
        store.commit(batch).await.unwrap();
    }

    async fn set_rules(&mut self, rules: RuleChange) {
        let rule = |enabled: bool, actions: Value| {
            json!([{
                "rule_id": self.room, "default": false, "enabled": enabled, "actions": actions,
            }])
        };
        let loud = json!(["notify", { "set_tweak": "highlight" }]);
        let room = match rules {
            RuleChange::Default => rule(false, json!([])),
            RuleChange::Quiet => rule(true, json!([])),
            RuleChange::Loud => rule(true, loud),
        };
        let named = json!([{
            "rule_id": "named", "default": false, "enabled": true,
            "conditions": [
                { "kind": "event_match", "key": "type", "pattern": "m.room.message" },
                { "kind": "contains_display_name" },
            ],
            "actions": ["notify", { "set_tweak": "highlight" }],
        }]);
        let content = json!({ "global": { "override": named, "room": room } });
        self.set_account_data("m.push_rules", &content).await;
        self.model.rules = rules;
    }

    /// Gives Bo another name in the room.
    async fn rename(&mut self) {
        let rooms = &self.house.rooms;
        let name = format!("bo{}", rooms.store().position());
        let content = raw(&json!({ "membership": "join", "displayname": name }));
        let kind = ruma::events::StateEventType::RoomMember;
        rooms.set_state(&self.room, bo(), &kind, bo().as_str(), content).await.unwrap();
        self.names = [name, std::mem::take(&mut self.names[0])];
    }

    /// A new process on the same store, with the same settings.
    fn another_house(&self) -> House {
        let legacy_mentions = self.model.legacy_mentions;
        let settings = Settings { legacy_mentions, ..Settings::default() };
        House::with(self.house.rooms.store().clone(), Epoch(2), settings)
    }

    /// Compares what this process counted along the way, and what a new one counts, with the model.
    async fn check(&self) {
        let anew = self.another_house();
        for house in [&self.house, &anew] {
            let filter = json!({ "room": { "timeline": { "unread_thread_notifications": true } } });
            let answer = house.sync(bo(), Wish::default().filter(&filter)).await;
            let room = &answer.rooms.join[&self.room];
            let pair = |counts: &ruma::api::client::sync::sync_events::UnreadNotificationsCount| {
                let number = |count: Option<ruma::UInt>| u64::from(count.unwrap_or_default());
                (number(counts.notification_count), number(counts.highlight_count))
            };
            assert_eq!(pair(&room.unread_notifications), self.model.count(None), "main");
            for (index, event) in self.model.events.iter().enumerate() {
                let found = room.unread_thread_notifications.get(&event.id);
                let found = found.map_or((0, 0), pair);
                assert_eq!(found, self.model.count(Some(index)), "thread {index}");
            }
        }
    }
}

proptest! {
    #[test]
    fn counts_are_what_the_specification_says_whatever_happens(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut case = Case::new().await;
            for step in steps {
                case.take(step).await;
            }
            case.check().await;
        });
    }
}
