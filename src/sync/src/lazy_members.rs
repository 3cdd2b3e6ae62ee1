//! Member events that come only when they are needed. Spec: client-server API, "Lazy-loading room members".

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quick_cache::sync::Cache;
use ruma::{DeviceId, OwnedDeviceId};
use store::{EventNumber, StreamPosition, UserNumber};

/// How many devices' memories are kept.
const DEVICES: usize = 2_000;
/// How many events are remembered of one device. A device that was sent more is sent some of them again.
const EVENTS: usize = 20_000;
/// How many events are remembered of all devices together; beyond that, whoever is sent more begins anew.
const ALL_EVENTS: usize = 4_000_000;

/// Which member events each device has.
///
/// A device has what was sent to it in an answer whose token it came back with. So an answer that was lost on the way
/// is repeated in full.
#[derive(Debug)]
pub(crate) struct SentMembers {
    devices: Cache<(UserNumber, OwnedDeviceId), Arc<DeviceMemory>>,
    total: Arc<AtomicUsize>,
}

/// The member events sent to one device, each with the position of the answer in which it was.
#[derive(Debug, Default)]
pub(crate) struct DeviceMemory {
    events: Mutex<Sent>,
    /// How many there are of all devices.
    total: Arc<AtomicUsize>,
}

#[derive(Debug, Default)]
struct Sent {
    events: HashMap<EventNumber, StreamPosition>,
    /// The last answer with any.
    last: StreamPosition,
}

impl Drop for DeviceMemory {
    fn drop(&mut self) {
        let sent = self.events.get_mut().unwrap_or_else(PoisonError::into_inner);
        self.total.fetch_sub(sent.events.len(), Ordering::Relaxed);
    }
}

impl SentMembers {
    pub(crate) fn new() -> Self {
        Self { devices: Cache::new(DEVICES), total: Arc::default() }
    }

    /// Forgets what a device has: it starts anew, and may have thrown everything away.
    pub(crate) fn forget(&self, user: UserNumber, device: &DeviceId) {
        self.devices.remove(&(user, device.to_owned()));
    }

    /// What is remembered of a device.
    pub(crate) fn of(&self, user: UserNumber, device: &DeviceId) -> Arc<DeviceMemory> {
        let key = (user, device.to_owned());
        if let Some(known) = self.devices.get(&key) {
            return known;
        }
        let (events, total) = (Mutex::default(), Arc::clone(&self.total));
        let memory = Arc::new(DeviceMemory { events, total });
        self.devices.insert(key, Arc::clone(&memory));
        memory
    }
}

impl DeviceMemory {
    fn lock(&self) -> MutexGuard<'_, Sent> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The device came back with `since`: later answers did not arrive.
    pub(crate) fn come_back(&self, since: StreamPosition) {
        let mut memory = self.lock();
        if memory.last <= since {
            return;
        }
        let before = memory.events.len();
        memory.events.retain(|_, sent| *sent <= since);
        memory.last = since;
        self.total.fetch_sub(before - memory.events.len(), Ordering::Relaxed);
    }

    /// Whether a device that came back with `since` has this member event of a room that its user has been in since
    /// `joined`. Who left the room may have thrown away what they were sent of it before.
    pub(crate) fn has(
        &self,
        event: EventNumber,
        joined: StreamPosition,
        since: Option<StreamPosition>,
    ) -> bool {
        let events = &self.lock().events;
        let is_there =
            |sent: &StreamPosition| joined <= *sent && since.is_some_and(|since| *sent <= since);
        events.get(&event).is_some_and(is_there)
    }

    /// Notes member events of such a room that are in the answer with the token `until`.
    pub(crate) fn note(
        &self,
        sent: impl IntoIterator<Item = EventNumber>,
        joined: StreamPosition,
        until: StreamPosition,
    ) {
        let mut memory = self.lock();
        let Sent { events, last } = &mut *memory;
        for event in sent {
            *last = until;
            let is_full =
                events.len() >= EVENTS || self.total.load(Ordering::Relaxed) >= ALL_EVENTS;
            if is_full && !events.contains_key(&event) {
                self.total.fetch_sub(events.len(), Ordering::Relaxed);
                events.clear();
            }
            let before = events.len();
            // Sent before and now again: the first answer may be the one that arrived.
            let first = events.entry(event).or_insert(until);
            *first = if *first < joined { until } else { (*first).min(until) };
            self.total.fetch_add(events.len() - before, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JOIN: EventNumber = EventNumber(7);
    const START: StreamPosition = StreamPosition::START;

    #[test]
    fn a_device_has_an_event_once_it_came_back_with_the_answers_token() {
        let memory = DeviceMemory::default();
        memory.note([JOIN], START, StreamPosition(10));

        assert!(memory.has(JOIN, START, Some(StreamPosition(10))));
        assert!(!memory.has(JOIN, START, Some(StreamPosition(9))), "the answer may have been lost");
        assert!(!memory.has(JOIN, START, None), "it starts anew");
        assert!(!memory.has(EventNumber(8), START, Some(StreamPosition(10))));
    }

    #[test]
    fn what_was_in_an_answer_that_got_lost_is_not_there_later_either() {
        let memory = DeviceMemory::default();
        memory.note([EventNumber(6)], START, StreamPosition(10));
        memory.note([JOIN], START, StreamPosition(11));
        memory.come_back(StreamPosition(10));

        assert!(memory.has(EventNumber(6), START, Some(StreamPosition(12))));
        assert!(!memory.has(JOIN, START, Some(StreamPosition(12))));
    }

    #[test]
    fn who_came_back_to_a_room_has_what_was_sent_since() {
        let memory = DeviceMemory::default();
        memory.note([JOIN], START, StreamPosition(10));
        let (joined, later) = (StreamPosition(11), Some(StreamPosition(20)));
        assert!(!memory.has(JOIN, joined, later));
        memory.note([JOIN], joined, StreamPosition(12));
        assert!(memory.has(JOIN, joined, later));
        assert!(!memory.has(JOIN, joined, Some(StreamPosition(11))));
    }

    #[test]
    fn who_starts_anew_has_nothing() {
        let all = SentMembers::new();
        all.of(UserNumber(1), "PHONE".into()).note([JOIN], START, StreamPosition(10));
        all.of(UserNumber(1), "LAPTOP".into()).note([JOIN], START, StreamPosition(10));

        all.forget(UserNumber(1), "PHONE".into());

        let has = |device: &str| {
            all.of(UserNumber(1), device.into()).has(JOIN, START, Some(StreamPosition(11)))
        };
        assert!(!has("PHONE"));
        assert!(has("LAPTOP"));
        assert_eq!(all.total.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn all_devices_together_remember_no_more_than_they_hold() {
        let all = SentMembers::new();
        let memory = all.of(UserNumber(1), "PHONE".into());
        let sent = (0..=EVENTS as u64).map(EventNumber);
        memory.note(sent, START, StreamPosition(10));

        assert_eq!(all.total.load(Ordering::Relaxed), 1, "it began anew");
        memory.note([JOIN, JOIN], START, StreamPosition(11));
        assert_eq!(all.total.load(Ordering::Relaxed), 2);
        drop((memory, all.devices.remove(&(UserNumber(1), "PHONE".into()))));
        assert_eq!(all.total.load(Ordering::Relaxed), 0);
    }
}
