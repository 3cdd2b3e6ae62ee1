//! The state that clients put together from answers, after anything that can happen, against the room's.

use std::collections::BTreeMap;

use proptest::prelude::*;
use rooms::MembershipChange;
use ruma::{OwnedRoomId, UserId, user_id};
use serde_json::{Value, json};

use crate::house::{House, Wish, ada, bo};

/// Something that happens. Numbers choose among the clients.
#[derive(Debug, Clone)]
enum Step {
    Say(Who),
    Topic,
    Come(Who),
    Go(Who),
    /// A client of Bo's asks for what is new.
    Ask(usize, Outcome),
    Look,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Ada,
    Bo,
    Cy,
    Dee,
}

/// What becomes of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Arrives,
    IsLost,
    /// It arrives, and the client had thrown everything away before.
    BeginsAnew,
    /// It arrives, with the full state.
    IsWhole,
}

impl Who {
    fn user(self) -> &'static UserId {
        match self {
            Self::Ada => ada(),
            Self::Bo => bo(),
            Self::Cy => user_id!("@cy:hearth.test"),
            Self::Dee => user_id!("@dee:hearth.test"),
        }
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let anybody = prop_oneof![Just(Who::Ada), Just(Who::Bo), Just(Who::Cy), Just(Who::Dee)];
    let guest = prop_oneof![1 => Just(Who::Bo), 3 => Just(Who::Cy), 3 => Just(Who::Dee)];
    let outcome = prop_oneof![
        8 => Just(Outcome::Arrives),
        2 => Just(Outcome::IsLost),
        1 => Just(Outcome::BeginsAnew),
        1 => Just(Outcome::IsWhole),
    ];
    let step = prop_oneof![
        5 => anybody.prop_map(Step::Say),
        2 => Just(Step::Topic),
        3 => guest.clone().prop_map(Step::Come),
        2 => guest.prop_map(Step::Go),
        8 => (any::<usize>(), outcome).prop_map(|(client, outcome)| Step::Ask(client, outcome)),
        2 => Just(Step::Look),
    ];
    prop::collection::vec(step, 1..40)
}

/// A client of Bo's, on a device of its own.
struct Client {
    device: String,
    filter: Value,
    after: bool,
    since: Option<String>,
    is_in: bool,
    /// The IDs of the events that it takes for the room's state, by type and state key.
    state: BTreeMap<(String, String), String>,
}

/// One of each kind.
fn clients() -> Vec<Client> {
    let mut clients = Vec::new();
    let timelines = [
        json!({}),
        json!({ "limit": 1 }),
        json!({ "limit": 3 }),
        json!({ "types": [] }),
        json!({ "types": ["m.room.message"], "limit": 2 }),
    ];
    for timeline in timelines {
        for state in [
            json!({}),
            json!({ "lazy_load_members": true }),
            json!({ "lazy_load_members": true, "include_redundant_members": true }),
        ] {
            for after in [false, true] {
                clients.push(Client {
                    device: format!("D{}", clients.len()),
                    filter: json!({ "room": { "timeline": timeline, "state": state } }),
                    after,
                    since: None,
                    is_in: false,
                    state: BTreeMap::new(),
                });
            }
        }
    }
    clients
}

impl Client {
    fn is_lazy(&self) -> bool {
        self.filter["room"]["state"]["lazy_load_members"] == true
    }

    async fn ask(&mut self, house: &House, room: &OwnedRoomId, outcome: Outcome) {
        if outcome == Outcome::BeginsAnew {
            self.since = None;
        }
        let wish = Wish {
            since: self.since.clone(),
            whole: outcome == Outcome::IsWhole,
            after: self.after,
            device: self.device.clone(),
            ..Wish::default()
        };
        let answer = house.sync(bo(), wish.filter(&self.filter)).await;
        if outcome == Outcome::IsLost {
            return;
        }
        if self.since.is_none() {
            (self.is_in, self.state) = (false, BTreeMap::new());
        }
        self.since = Some(answer.next_batch.clone());
        if let Some(joined) = answer.rooms.join.get(room) {
            if !self.is_in {
                (self.is_in, self.state) = (true, BTreeMap::new());
            }
            self.take(&serde_json::to_value(joined).unwrap());
        }
        if answer.rooms.leave.contains_key(room) {
            self.is_in = false;
        }
    }

    /// Does with an answer what the specification says. Spec: `GET /sync`, `state` and `state_after`.
    fn take(&mut self, room: &Value) {
        let events = |of: &str| room[of]["events"].as_array().cloned().unwrap_or_default();
        let timeline = events("timeline");
        let mut state = events(if self.after { "state_after" } else { "state" });
        if !self.after {
            state.extend(timeline.iter().filter(|event| event["state_key"].is_string()).cloned());
        }
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        for event in state {
            let key = (text(&event["type"]), text(&event["state_key"]));
            self.state.insert(key, text(&event["event_id"]));
        }
        for event in &timeline {
            let sender = ("m.room.member".to_owned(), text(&event["sender"]));
            assert!(self.state.contains_key(&sender), "{} knows no sender of {event}", self.device);
        }
    }
}

/// The room's state, as [`Client::state`].
async fn state_of(house: &House, room: &OwnedRoomId) -> BTreeMap<(String, String), String> {
    let (number, root) = house.rooms.readable_state(ada(), room).await.unwrap();
    let events = house.rooms.state_events_at(number, root).await.unwrap();
    let entry = |event: &std::sync::Arc<rooms::StoredEvent>| {
        let key = event.pdu.state_key.clone().unwrap();
        ((event.pdu.kind.to_string(), key), event.pdu.event_id.to_string())
    };
    events.iter().map(entry).collect()
}

async fn check(steps: Vec<Step>) {
    let house = House::new().await;
    let room = house.shared_room().await;
    let mut clients = clients();
    let mut present = vec![Who::Ada, Who::Bo];
    let mut said = 0;
    for step in steps.into_iter().chain([Step::Look]) {
        match step {
            Step::Say(who) if present.contains(&who) => {
                said += 1;
                house.say(&room, who.user(), &said.to_string()).await;
            }
            Step::Topic => {
                said += 1;
                house.set_topic(&room, &said.to_string()).await;
            }
            Step::Come(who) if !present.contains(&who) => {
                house.change(&room, who.user(), MembershipChange::Join).await;
                present.push(who);
            }
            Step::Go(who) if present.contains(&who) => {
                house.change(&room, who.user(), MembershipChange::Leave).await;
                present.retain(|other| *other != who);
            }
            Step::Ask(client, outcome) => {
                let index = client % clients.len();
                clients[index].ask(&house, &room, outcome).await;
            }
            Step::Look => {
                let state = state_of(&house, &room).await;
                for client in &mut clients {
                    client.ask(&house, &room, Outcome::Arrives).await;
                    assert_eq!(client.is_in, present.contains(&Who::Bo), "{}", client.device);
                    if !client.is_in {
                        continue;
                    }
                    let known = state.iter().filter(|(key, _)| {
                        !client.is_lazy()
                            || key.0 != "m.room.member"
                            || client.state.contains_key(key)
                    });
                    let known: BTreeMap<_, _> = known.collect();
                    let has: BTreeMap<_, _> = client.state.iter().collect();
                    assert_eq!(has, known, "{} {} {}", client.device, client.filter, client.after);
                    let own = ("m.room.member".to_owned(), bo().to_string());
                    assert!(client.state.contains_key(&own), "{}", client.device);
                }
            }
            Step::Say(_) | Step::Come(_) | Step::Go(_) => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn clients_put_together_the_rooms_state(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(check(steps));
    }
}
