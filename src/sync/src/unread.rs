//! How many events a reader has not read. Spec: client-server API, "Receiving notifications".
//!
//! Counting is the reader's work: nothing is written when an event arrives, and the counts are brought up to date
//! over the events since they were last asked for. What is kept in memory is each unread event that notifies, so a
//! receipt that moves takes away exactly what it covers.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use protocol::power_levels::PowerLevels;
use protocol::push::{self, PushEvent, PushRoom, Reader};
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use rooms::{RoomError, Rooms, StoredEvent};
use ruma::events::StateEventType;
use ruma::events::receipt::ReceiptThread;
use ruma::push::Ruleset;
use ruma::{OwnedEventId, UserId};
use serde::Deserialize;
use store::{
    Batch, Direction, EventNumber, RoomNumber, StateRoot, StoreError, StreamPosition, TallyBasis,
    TimelinePosition, UnreadEvent, UnreadTally, UserNumber,
};

use crate::heads::Heads;

/// How much is kept: a unit is about the size of one unread event.
const KEPT: u64 = 2_000_000;
/// What an entry weighs that counts nothing.
const EMPTY_WEIGHT: u64 = 8;
/// How many events, users' rules and rooms' levels are kept as push rules need them.
const EVENTS: usize = 2_000;
const RULES: usize = 5_000;
const ROOMS: usize = 5_000;

/// How many timeline entries are read at once.
const PAGE: usize = 200;

/// After how many newly counted events the tally is written down.
const WORTH_KEEPING: usize = 500;

/// The type of account data that holds a user's rules.
const PUSH_RULES: &str = "m.push_rules";

/// The counts of one thread, or of the main timeline.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) notifications: u64,
    pub(crate) highlights: u64,
}

/// The counts of a room.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RoomCounts {
    pub(crate) main: Counts,
    pub(crate) threads: BTreeMap<OwnedEventId, Counts>,
}

impl RoomCounts {
    /// Those of the main timeline and all threads together.
    pub(crate) fn total(&self) -> Counts {
        self.threads.values().fold(self.main, |sum, counts| Counts {
            notifications: sum.notifications + counts.notifications,
            highlights: sum.highlights + counts.highlights,
        })
    }
}

/// Whose unread events are counted, and where.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counted<'a> {
    pub(crate) user_id: &'a UserId,
    pub(crate) user: UserNumber,
    pub(crate) room: RoomNumber,
    /// Since when the user is in the room: nothing before that is counted.
    pub(crate) joined: StreamPosition,
}

#[derive(Debug, Clone)]
struct ByLength;

impl Weighter<(UserNumber, RoomNumber), Arc<UnreadTally>> for ByLength {
    fn weight(&self, _: &(UserNumber, RoomNumber), tally: &Arc<UnreadTally>) -> u64 {
        EMPTY_WEIGHT + tally.events.len() as u64
    }
}

/// A user's rules, as of a position.
#[derive(Debug)]
struct Rules {
    as_of: StreamPosition,
    changed: StreamPosition,
    all: Ruleset,
}

/// What a state of a room says that matters to push rules.
#[derive(Debug)]
struct RoomLevels {
    root: StateRoot,
    levels: PowerLevels,
}

/// Counts unread events.
#[derive(Debug)]
pub(crate) struct Counter {
    tallies: Cache<(UserNumber, RoomNumber), Arc<UnreadTally>, ByLength>,
    events: Cache<EventNumber, Arc<PushEvent>>,
    rules: Cache<UserNumber, Arc<Rules>>,
    levels: Cache<RoomNumber, Arc<RoomLevels>>,
}

/// Up to where each thread is read.
#[derive(Debug, Default)]
struct ReadUpTo {
    everything: Option<TimelinePosition>,
    main: Option<TimelinePosition>,
    threads: HashMap<OwnedEventId, TimelinePosition>,
}

impl ReadUpTo {
    fn covers(&self, event: &UnreadEvent) -> bool {
        let thread = match &event.thread {
            Some(root) => self.threads.get(root).copied(),
            None => self.main,
        };
        self.everything.max(thread).is_some_and(|read| event.position <= read)
    }
}

impl Counter {
    pub(crate) fn new() -> Self {
        Self {
            tallies: Cache::with_weighter(10_000, KEPT, ByLength),
            events: Cache::new(EVENTS),
            rules: Cache::new(RULES),
            levels: Cache::new(ROOMS),
        }
    }

    /// What a user has not read of a room, of all events up to `until`.
    pub(crate) async fn count(
        &self,
        rooms: &Rooms,
        heads: &Heads,
        counted: Counted<'_>,
        until: StreamPosition,
    ) -> Result<RoomCounts, RoomError> {
        let rules = self.rules_of(rooms, heads, counted).await?;
        let Some(head) = rooms.store().room_head(counted.room).await? else {
            return Ok(RoomCounts::default());
        };
        let basis = TallyBasis {
            rules: rules.changed,
            joined: counted.joined,
            display_name: display_name(rooms, counted, head.state).await?,
            // Rules tell rooms of two from larger ones.
            members: head.joined.min(3),
        };
        let key = (counted.user, counted.room);
        let known = self.tallies.get(&key).filter(|known| known.basis == basis);
        let since = known.as_ref().map(|known| known.until);
        let read = self.read_up_to(rooms, heads, counted, since).await?;
        let mut tally = match known {
            Some(known) if known.until >= until && read.is_none() => return Ok(counts(&known)),
            Some(known) => UnreadTally::clone(&known),
            None => kept(rooms, counted, basis).await?,
        };
        let mut after = TimelinePosition::from(tally.until);
        if since.is_none() {
            // What an unthreaded receipt covers need not be looked at.
            after = after.max(read.as_ref().and_then(|read| read.everything).unwrap_or(after));
        }
        let context = Context { rooms, rules: &rules.all, counted, root: head.state };
        let added = self.add(&context, &mut tally, after, until).await?;
        if let Some(read) = read {
            tally.events.retain(|event| !read.covers(event));
        }
        tally.until = tally.until.max(until);
        if added >= WORTH_KEEPING {
            keep(rooms, counted, &tally);
        }
        let counts = counts(&tally);
        self.tallies.insert(key, Arc::new(tally));
        Ok(counts)
    }

    /// Adds the events after `after` up to `until`, and says how many it looked at.
    async fn add(
        &self,
        context: &Context<'_>,
        tally: &mut UnreadTally,
        mut after: TimelinePosition,
        until: StreamPosition,
    ) -> Result<usize, RoomError> {
        let store = context.rooms.store();
        let mut added = 0;
        let before = TimelinePosition(TimelinePosition::from(until).0.saturating_add(1));
        loop {
            let room = context.counted.room;
            let page = store.timeline(room, after, before, Direction::Ascending, PAGE).await?;
            for entry in &page {
                let event = context.rooms.event(entry.event).await?;
                self.add_event(context, tally, entry.position, &event).await?;
                after = entry.position;
            }
            added += page.len();
            if page.len() < PAGE {
                return Ok(added);
            }
        }
    }

    async fn add_event(
        &self,
        context: &Context<'_>,
        tally: &mut UnreadTally,
        position: TimelinePosition,
        event: &StoredEvent,
    ) -> Result<(), RoomError> {
        let Context { rooms, counted, .. } = *context;
        if event.pdu.sender == counted.user_id {
            // Who sends something has read what is before it.
            if !tally.events.is_empty() {
                let thread = rooms.thread_of(event).await?;
                tally.events.retain(|unread| unread.thread != thread);
            }
            return Ok(());
        }
        let seen = self.push_event(event);
        let levels = self.levels_of(rooms, counted.room, context.root).await?;
        let room = PushRoom { members: tally.basis.members, levels: &levels.levels };
        let reader =
            Reader { user: counted.user_id, display_name: tally.basis.display_name.as_deref() };
        let outcome = push::evaluate(context.rules, &seen, room, reader);
        if outcome.notify {
            let thread = rooms.thread_of(event).await?;
            tally.events.push(UnreadEvent { position, thread, highlight: outcome.highlight });
        }
        Ok(())
    }

    fn push_event(&self, event: &StoredEvent) -> Arc<PushEvent> {
        if let Some(known) = self.events.get(&event.number) {
            return known;
        }
        let seen = Arc::new(PushEvent::new(&event.pdu));
        self.events.insert(event.number, Arc::clone(&seen));
        seen
    }

    /// Where the user's receipts stand; `None` if none in the room moved after `since`.
    async fn read_up_to(
        &self,
        rooms: &Rooms,
        heads: &Heads,
        counted: Counted<'_>,
        since: Option<StreamPosition>,
    ) -> Result<Option<ReadUpTo>, StoreError> {
        if since.is_some_and(|since| heads.room(counted.room).receipts <= since) {
            return Ok(None);
        }
        let mut read = ReadUpTo::default();
        for stored in rooms.store().user_receipts(counted.room, counted.user).await? {
            let position = Some(stored.receipt.event_position);
            match stored.receipt.thread {
                ReceiptThread::Unthreaded => read.everything = read.everything.max(position),
                ReceiptThread::Main => read.main = read.main.max(position),
                ReceiptThread::Thread(root) => {
                    let known = read.threads.entry(root).or_insert(TimelinePosition::MIN);
                    *known = (*known).max(stored.receipt.event_position);
                }
                _ => {}
            }
        }
        Ok(Some(read))
    }

    async fn rules_of(
        &self,
        rooms: &Rooms,
        heads: &Heads,
        counted: Counted<'_>,
    ) -> Result<Arc<Rules>, StoreError> {
        #[derive(Deserialize)]
        struct Content {
            global: Ruleset,
        }
        let Counted { user, user_id, .. } = counted;
        if let Some(known) = self.rules.get(&user)
            && heads.user(user).account_data <= known.as_of
        {
            return Ok(known);
        }
        let as_of = rooms.store().position();
        let stored = rooms.store().account_data(user, None, PUSH_RULES).await?;
        let changed = stored.as_ref().map_or(StreamPosition::START, |stored| stored.position);
        let own =
            stored.and_then(|stored| serde_json::from_str::<Content>(stored.content.get()).ok());
        let rules = own.map_or_else(|| push::default_rules(user_id), |content| content.global);
        let rules = Arc::new(Rules { as_of, changed, all: rules });
        self.rules.insert(user, Arc::clone(&rules));
        Ok(rules)
    }

    async fn levels_of(
        &self,
        rooms: &Rooms,
        room: RoomNumber,
        root: StateRoot,
    ) -> Result<Arc<RoomLevels>, RoomError> {
        if let Some(known) = self.levels.get(&room).filter(|known| known.root == root) {
            return Ok(known);
        }
        let levels = rooms.state_at(room, root, &StateEventType::RoomPowerLevels, "").await?;
        let create = rooms.state_at(room, root, &StateEventType::RoomCreate, "").await?;
        let rules = rooms.rules_of(room).await?;
        let pdu =
            |event: &Option<Arc<StoredEvent>>| event.as_ref().map(|event| Arc::clone(&event.pdu));
        let levels = PowerLevels::new(pdu(&levels).as_ref(), pdu(&create).as_ref(), &rules);
        let levels = Arc::new(RoomLevels { root, levels });
        self.levels.insert(room, Arc::clone(&levels));
        Ok(levels)
    }
}

/// What one count is made with.
struct Context<'a> {
    rooms: &'a Rooms,
    rules: &'a Ruleset,
    counted: Counted<'a>,
    root: StateRoot,
}

/// What was counted before the process started, or nothing.
async fn kept(
    rooms: &Rooms,
    counted: Counted<'_>,
    basis: TallyBasis,
) -> Result<UnreadTally, StoreError> {
    let kept = rooms.store().unread_tally(counted.user, counted.room).await?;
    let nothing =
        || UnreadTally { until: counted.joined, basis: basis.clone(), events: Vec::new() };
    Ok(kept.filter(|kept| kept.basis == basis).unwrap_or_else(nothing))
}

/// Keeps what was counted for the next start of the process.
fn keep(rooms: &Rooms, counted: Counted<'_>, tally: &UnreadTally) {
    let mut batch = Batch::new();
    // One that is too large is counted again then.
    if batch.put_unread_tally(counted.user, counted.room, tally).is_ok() {
        // Nobody waits for it: when it fails, it is counted again as well.
        drop(rooms.store().submit(batch));
    }
}

fn counts(tally: &UnreadTally) -> RoomCounts {
    let mut counts = RoomCounts::default();
    for event in &tally.events {
        let counts = match &event.thread {
            Some(root) => counts.threads.entry(root.clone()).or_default(),
            None => &mut counts.main,
        };
        counts.notifications += 1;
        counts.highlights += u64::from(event.highlight);
    }
    counts
}

/// What a user calls themselves in a room.
async fn display_name(
    rooms: &Rooms,
    counted: Counted<'_>,
    root: StateRoot,
) -> Result<Option<String>, RoomError> {
    #[derive(Deserialize)]
    struct Content {
        displayname: Option<String>,
    }
    let kind = StateEventType::RoomMember;
    let event = rooms.state_at(counted.room, root, &kind, counted.user_id.as_str()).await?;
    let content = event.and_then(|event| event.pdu.content_as::<Content>().ok());
    Ok(content.and_then(|content| content.displayname))
}
