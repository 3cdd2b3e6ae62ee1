//! What the clients of simplified sliding sync have of their rooms. Spec: MSC4186, "Connections".

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quick_cache::Weighter;
use quick_cache::sync::Cache;
use rooms::typing::TypingPosition;
use ruma::OwnedDeviceId;
use store::{EventNumber, Membership, RoomNumber, StreamPosition, UserNumber};
use tokio::time::Instant;

use super::required_state::RequiredState;
use super::token::StateNumber;

/// How many connections a device has; the one longest unused makes room for a new one.
const CONNECTIONS: usize = 8;
/// How many answers to one request are kept until the client says which arrived.
const ANSWERS: usize = 3;
/// How much is kept of all devices together: a unit is a room.
const KEPT: u64 = 2_000_000;
/// What a device weighs beside its rooms.
const DEVICE_WEIGHT: u64 = 8;
/// How many remembered member events weigh as much as a room.
const MEMBERS_OF_A_UNIT: usize = 16;
/// How long an unused connection is good.
const LONGEST_REST: Duration = Duration::from_hours(7 * 24);

/// What a client has of one room.
#[derive(Debug, Clone)]
pub(crate) struct SentRoom {
    /// It has what was new up to here.
    pub(crate) until: StreamPosition,
    /// What the reader was in the room, and since when.
    pub(crate) membership: (Membership, StreamPosition),
    /// How many of the latest events it has for sure.
    pub(crate) latest_events: usize,
    /// Which state it has.
    pub(crate) required: Arc<RequiredState>,
    /// Which member events it has beside that, in order.
    pub(crate) members: Vec<EventNumber>,
    pub(crate) is_direct: bool,
    pub(crate) bump_stamp: StreamPosition,
    /// Up to where it has the room's receipts; `None`: it never got any.
    pub(crate) receipts: Option<StreamPosition>,
    /// Up to where it knows who types.
    pub(crate) typing: Option<TypingPosition>,
    pub(crate) account_data: RoomAccountData,
}

/// What a client has of a room's account data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RoomAccountData {
    /// Nothing, or not the latest.
    Stale,
    /// What there was when account data was last told.
    Told,
}

/// What a client has.
#[derive(Debug, Clone, Default)]
pub(crate) struct State {
    pub(crate) rooms: HashMap<RoomNumber, SentRoom>,
    /// Up to where it has account data; `None`: it never got any.
    pub(crate) account_data: Option<StreamPosition>,
    /// Up to where it has subscriptions to threads.
    pub(crate) thread_subscriptions: Option<StreamPosition>,
}

/// What an answer changes in what its client has.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// `None`: the client needs to hear of the room no more.
    pub(crate) rooms: HashMap<RoomNumber, Option<SentRoom>>,
    pub(crate) account_data: Option<StreamPosition>,
    pub(crate) thread_subscriptions: Option<StreamPosition>,
}

impl Changes {
    pub(crate) fn is_empty(&self) -> bool {
        self.rooms.is_empty() && self.account_data.is_none() && self.thread_subscriptions.is_none()
    }
}

impl State {
    /// That of a client without rooms, which had all else up to a position.
    pub(crate) fn without_rooms(position: StreamPosition) -> Self {
        let position = Some(position);
        Self { rooms: HashMap::new(), account_data: position, thread_subscriptions: position }
    }

    fn apply(&mut self, changes: Changes) {
        for (room, sent) in changes.rooms {
            match sent {
                Some(sent) => self.rooms.insert(room, sent),
                None => self.rooms.remove(&room),
            };
        }
        self.account_data = changes.account_data.or(self.account_data);
        self.thread_subscriptions = changes.thread_subscriptions.or(self.thread_subscriptions);
    }
}

/// One connection. A client that comes back with the number of an answer has that answer, and no other that was given
/// to the same request.
#[derive(Debug)]
struct Connection {
    id: Option<String>,
    number: StateNumber,
    state: Arc<State>,
    answers: Vec<(StateNumber, Changes)>,
    used: Instant,
}

/// The connections of a device, the one used last at the end.
#[derive(Debug, Default)]
struct Device(Mutex<Vec<Connection>>);

/// Whose connection it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ConnectionKey<'a> {
    pub(crate) user: UserNumber,
    pub(crate) device: &'a ruma::DeviceId,
    pub(crate) id: Option<&'a str>,
}

/// A device and what it weighed when something last changed.
#[derive(Debug, Clone)]
struct Weighed {
    device: Arc<Device>,
    weight: u64,
}

#[derive(Debug, Clone)]
struct ByRooms;

impl Weighter<(UserNumber, OwnedDeviceId), Weighed> for ByRooms {
    fn weight(&self, _: &(UserNumber, OwnedDeviceId), device: &Weighed) -> u64 {
        device.weight
    }
}

/// All connections, as many as fit.
#[derive(Debug)]
pub(crate) struct Connections {
    devices: Cache<(UserNumber, OwnedDeviceId), Weighed, ByRooms>,
    last: AtomicU64,
}

impl Device {
    fn lock(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connections {
    pub(crate) fn new() -> Self {
        Self { devices: Cache::with_weighter(10_000, KEPT, ByRooms), last: AtomicU64::new(0) }
    }

    /// What a client has that comes back with the number of an answer; `None` when that is not remembered. Other
    /// answers are forgotten.
    pub(crate) fn resume(
        &self,
        key: ConnectionKey<'_>,
        number: StateNumber,
        now: Instant,
    ) -> Option<Arc<State>> {
        let known = self.devices.get(&(key.user, key.device.to_owned()))?;
        let mut connections = known.device.lock();
        let place = connections.iter().position(|known| known.id.as_deref() == key.id)?;
        let mut connection = connections.remove(place);
        if now.saturating_duration_since(connection.used) > LONGEST_REST {
            return None;
        }
        connection.used = now;
        let is_known = connection.arrived(number);
        let state = Arc::clone(&connection.state);
        connections.push(connection);
        is_known.then_some(state)
    }

    /// Notes an answer to a client that has the state `before`, and gives it a number. Without a state before, the
    /// connection begins anew with `state`.
    pub(crate) fn answered(
        &self,
        key: ConnectionKey<'_>,
        (before, state): (StateNumber, Arc<State>),
        changes: Changes,
        now: Instant,
    ) -> StateNumber {
        let number = StateNumber(self.last.fetch_add(1, Ordering::Relaxed) + 1);
        let device_key = (key.user, key.device.to_owned());
        let device = self.devices.get(&device_key).map(|known| known.device).unwrap_or_default();
        let mut connections = device.lock();
        let place = connections.iter().position(|known| known.id.as_deref() == key.id);
        let known = place.map(|place| connections.remove(place));
        let mut connection = match known.filter(|_| before != StateNumber::NOTHING) {
            Some(known) => known,
            None => Connection {
                id: key.id.map(str::to_owned),
                number: before,
                state,
                answers: Vec::new(),
                used: now,
            },
        };
        // Otherwise a later request of the same client was answered first: it has given this one up.
        if connection.number == before {
            connection.answers.push((number, changes));
            let surplus = connection.answers.len().saturating_sub(ANSWERS);
            connection.answers.drain(..surplus);
        }
        connections.push(connection);
        let surplus = connections.len().saturating_sub(CONNECTIONS);
        connections.drain(..surplus);
        let weight = DEVICE_WEIGHT + connections.iter().map(Connection::weight).sum::<u64>();
        drop(connections);
        self.devices.insert(device_key, Weighed { device, weight });
        number
    }
}

impl Connection {
    /// Notes that the client has the answer with a number; `false` when there is none.
    fn arrived(&mut self, number: StateNumber) -> bool {
        if number == self.number {
            return true;
        }
        let Some(place) = self.answers.iter().position(|(known, _)| *known == number) else {
            return false;
        };
        let (_, changes) = self.answers.swap_remove(place);
        self.answers.clear();
        Arc::make_mut(&mut self.state).apply(changes);
        self.number = number;
        true
    }

    fn weight(&self) -> u64 {
        let units = |sent: &SentRoom| 1 + sent.members.len() / MEMBERS_OF_A_UNIT;
        let answered = self.answers.iter().flat_map(|(_, changes)| changes.rooms.values());
        let rooms = self.state.rooms.values().map(units);
        rooms.chain(answered.map(|sent| sent.as_ref().map_or(1, units))).sum::<usize>() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: RoomNumber = RoomNumber(1);

    fn key(id: Option<&str>) -> ConnectionKey<'_> {
        ConnectionKey { user: UserNumber(1), device: "PHONE".into(), id }
    }

    fn sent(until: u64) -> Changes {
        let until = StreamPosition(until);
        let sent = SentRoom {
            until,
            membership: (Membership::Join, StreamPosition(1)),
            latest_events: 1,
            required: Arc::default(),
            members: Vec::new(),
            is_direct: false,
            bump_stamp: until,
            receipts: None,
            typing: None,
            account_data: RoomAccountData::Stale,
        };
        Changes { rooms: HashMap::from([(ROOM, Some(sent))]), ..Changes::default() }
    }

    /// Up to where a client has the room; 0 without it.
    fn until(state: &State) -> u64 {
        state.rooms.get(&ROOM).map_or(0, |sent| sent.until.0)
    }

    /// Answers a request that was made with `before`.
    fn answer(
        all: &Connections,
        id: Option<&str>,
        before: StateNumber,
        changes: Changes,
    ) -> StateNumber {
        let now = Instant::now();
        let state = match before {
            StateNumber::NOTHING => Arc::default(),
            before => all.resume(key(id), before, now).unwrap(),
        };
        all.answered(key(id), (before, state), changes, now)
    }

    fn resume(all: &Connections, id: Option<&str>, number: StateNumber) -> Option<u64> {
        all.resume(key(id), number, Instant::now()).map(|state| until(&state))
    }

    #[test]
    fn a_client_has_the_answer_it_comes_back_with_and_no_other() {
        let all = Connections::new();
        let first = answer(&all, None, StateNumber::NOTHING, sent(10));
        let lost = answer(&all, None, first, sent(20));
        let second = answer(&all, None, first, sent(30));

        assert_eq!(resume(&all, None, second), Some(30));
        assert_eq!(resume(&all, None, second), Some(30), "as often as it likes");
        assert_eq!(resume(&all, None, lost), None);
        assert_eq!(resume(&all, None, first), None, "it moved on");
    }

    #[test]
    fn a_client_that_lost_an_answer_still_has_what_it_had() {
        let all = Connections::new();
        let first = answer(&all, None, StateNumber::NOTHING, sent(10));
        for until in 20..30 {
            answer(&all, None, first, sent(until));
            assert_eq!(resume(&all, None, first), Some(10));
        }
        let gone = Changes { rooms: HashMap::from([(ROOM, None)]), ..Changes::default() };
        let last = answer(&all, None, first, gone);
        assert_eq!(resume(&all, None, last), Some(0));
    }

    #[test]
    fn a_request_that_was_given_up_takes_nothing_from_a_later_one() {
        let all = Connections::new();
        let first = answer(&all, None, StateNumber::NOTHING, sent(10));
        let second = answer(&all, None, first, sent(20));
        let state = all.resume(key(None), second, Instant::now()).unwrap();

        let late = all.answered(key(None), (first, state), sent(15), Instant::now());

        assert_eq!(resume(&all, None, late), None);
        assert_eq!(resume(&all, None, second), Some(20));
    }

    #[test]
    fn connections_of_a_device_are_apart_and_the_longest_unused_goes() {
        let all = Connections::new();
        let unnamed = answer(&all, None, StateNumber::NOTHING, sent(10));
        let names: Vec<_> = (1..=CONNECTIONS).map(|number| number.to_string()).collect();
        let mut numbers = Vec::new();
        for (at, name) in names.iter().enumerate() {
            numbers.push(answer(&all, Some(name), StateNumber::NOTHING, sent(at as u64)));
        }

        assert_eq!(resume(&all, None, unnamed), None);
        for (at, name) in names.iter().enumerate() {
            assert_eq!(resume(&all, Some(name), numbers[at]), Some(at as u64));
        }
        assert_eq!(resume(&all, Some("1"), numbers[1]), None, "another's number");
    }

    #[test]
    fn a_connection_that_rested_too_long_is_forgotten() {
        let all = Connections::new();
        let first = answer(&all, None, StateNumber::NOTHING, sent(10));
        let later = Instant::now() + LONGEST_REST + Duration::from_secs(1);
        assert!(all.resume(key(None), first, later).is_none());
        assert_eq!(resume(&all, None, first), None);
    }
}
