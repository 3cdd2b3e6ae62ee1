//! How many events a reader has not read. Spec: client-server API, "Receiving notifications".
//!
//! Counting is the reader's work: nothing is written when an event arrives, and the counts are brought up to date
//! over the events since they were last asked for. What is kept in memory is each unread event that notifies, so a
//! receipt that moves takes away exactly what it covers, and a redaction exactly what it redacts.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use quick_cache::Weighter;
use quick_cache::sync::Cache;
use rooms::{RoomError, Rooms, StoredEvent};
use ruma::events::TimelineEventType;
use ruma::events::receipt::ReceiptThread;
use ruma::{EventId, OwnedEventId, UserId};
use store::{
    Batch, Direction, RoomNumber, StoreError, StreamPosition, TallyBasis, TimelinePosition,
    UnreadEvent, UnreadTally, UserNumber,
};

use crate::heads::Heads;
use crate::judge::{Hearing, Judge};

/// How much is kept: a unit is about the size of one unread event.
const KEPT: u64 = 2_000_000;
/// What an entry weighs that counts nothing.
const EMPTY_WEIGHT: u64 = 8;

/// How many of a room's newest events are looked at when its unread ones are counted anew.
const MOST_LOOKED_AT: usize = 20_000;

/// How many unread events of a room are counted; of more, the newest.
const MOST_COUNTED: usize = 10_000;

/// How many events are counted before others have their turn.
const AT_ONCE: usize = 16;

/// After how many newly counted events the tally is written down.
const WORTH_KEEPING: usize = 500;

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

/// Counts unread events.
#[derive(Debug)]
pub(crate) struct Counter {
    pub(crate) judge: Judge,
    tallies: Cache<(UserNumber, RoomNumber), Arc<UnreadTally>, ByLength>,
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
        let tallies = Cache::with_weighter(10_000, KEPT, ByLength);
        Self { judge: Judge::new(), tallies }
    }

    /// What a user has not read of a room, of all events up to `until`.
    pub(crate) async fn count(
        &self,
        rooms: &Rooms,
        heads: &Heads,
        counted: Counted<'_>,
        until: StreamPosition,
    ) -> Result<RoomCounts, RoomError> {
        let tally = self.tally(rooms, heads, counted, until).await?;
        Ok(tally.map_or_else(RoomCounts::default, |tally| counts(&tally)))
    }

    /// The events of a room up to `until` that notify a user and that they have not read; `None` for a room that is
    /// not here. It may be of a later position.
    pub(crate) async fn tally(
        &self,
        rooms: &Rooms,
        heads: &Heads,
        counted: Counted<'_>,
        until: StreamPosition,
    ) -> Result<Option<Arc<UnreadTally>>, RoomError> {
        let Counted { user, user_id, room, joined } = counted;
        let rules = self.judge.rules_of(rooms, heads, user, user_id).await?;
        let Some(head) = rooms.store().room_head(room).await? else { return Ok(None) };
        let members = head.joined.min(rules.members);
        let legacy_mentions = rooms.settings().legacy_mentions;
        let known = self.tallies.get(&(user, room));
        let is_unchanged =
            |known: &Arc<UnreadTally>| heads.user(user).thread_subscriptions <= known.until;
        let subscriptions = match known.as_ref().filter(|known| is_unchanged(known)) {
            Some(known) => known.basis.subscriptions,
            None => rooms.store().thread_subscriptions_changed(user, room).await?,
        };
        let rules_changed = rules.changed;
        let basis =
            TallyBasis { rules: rules_changed, joined, members, legacy_mentions, subscriptions };
        let known = known.filter(|known| known.basis == basis);
        let since = known.as_ref().map(|known| known.until);
        let read = self.read_up_to(rooms, heads, counted, since).await?;
        let mut tally = match &known {
            Some(known) if known.until >= until && read.is_none() => {
                return Ok(Some(Arc::clone(known)));
            }
            Some(known) => UnreadTally::clone(known),
            None => kept(rooms, counted, basis).await?,
        };
        let mut after = TimelinePosition::from(tally.until);
        if since.is_none() {
            // What an unthreaded receipt covers need not be looked at.
            after = after.max(read.as_ref().and_then(|read| read.everything).unwrap_or(after));
        }
        let hearing = Hearing {
            judge: &self.judge,
            rooms,
            rules: &rules,
            user_id,
            user,
            room,
            members,
            uses_subscriptions: subscriptions.is_some(),
            last: None,
        };
        let added = add(hearing, &mut tally, after, until).await?;
        if let Some(read) = read {
            tally.events.retain(|event| !read.covers(event));
        }
        let most = tally.events.len().saturating_sub(MOST_COUNTED);
        tally.events.drain(..most);
        tally.until = tally.until.max(until);
        if known.is_none_or(|known| known.events != tally.events) {
            tally.changed = tally.until;
        }
        if added >= WORTH_KEEPING {
            keep(rooms, counted, &tally);
        }
        let tally = Arc::new(tally);
        self.tallies.insert((user, room), Arc::clone(&tally));
        Ok(Some(tally))
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
}

/// Adds the events after `after` up to `until` to a tally, and says how many were looked at.
async fn add(
    mut hearing: Hearing<'_>,
    tally: &mut UnreadTally,
    after: TimelinePosition,
    until: StreamPosition,
) -> Result<usize, RoomError> {
    let (store, room) = (hearing.rooms.store(), hearing.room);
    let before = TimelinePosition(TimelinePosition::from(until).0.saturating_add(1));
    let (direction, most) = (Direction::Descending, MOST_LOOKED_AT);
    let newest = if hearing.rules.hear_memberships {
        store.timeline(room, after, before, direction, most).await?
    } else {
        // One's own among them changes nothing either: a new name or picture is not said by hand.
        store.timeline_without_own_memberships(room, after, before, direction, most).await?
    };
    for (index, entry) in newest.iter().rev().enumerate() {
        // Without it, counting many events keeps others from the processor: none of them is waited for.
        if index % AT_ONCE == 0 {
            tokio::task::yield_now().await;
        }
        let event = hearing.rooms.event(entry.event).await?;
        add_event(&mut hearing, tally, entry.position, &event).await?;
    }
    Ok(newest.len())
}

async fn add_event(
    hearing: &mut Hearing<'_>,
    tally: &mut UnreadTally,
    position: TimelinePosition,
    event: &StoredEvent,
) -> Result<(), RoomError> {
    if let Some(redacts) = &event.pdu.redacts {
        take_redacted(hearing, tally, redacts).await?;
    }
    if event.pdu.sender == hearing.user_id {
        // A new name or picture is not said by hand.
        let is_profile =
            event.pdu.is_state(&TimelineEventType::RoomMember, hearing.user_id.as_str());
        if !is_profile && !tally.events.is_empty() {
            // Who sends something has read what is before it.
            let thread = hearing.rooms.thread_of(event).await?;
            tally.events.retain(|unread| unread.thread != thread);
        }
        return Ok(());
    }
    let outcome = hearing.outcome(event).await?;
    if outcome.notify {
        let thread = hearing.rooms.thread_of(event).await?;
        tally.events.push(UnreadEvent { position, thread, highlight: outcome.highlight });
    }
    Ok(())
}

/// Takes an event out of a tally that a redaction names, if it really is redacted.
async fn take_redacted(
    hearing: &Hearing<'_>,
    tally: &mut UnreadTally,
    redacts: &EventId,
) -> Result<(), RoomError> {
    if tally.events.is_empty() {
        return Ok(());
    }
    let (index, target) = match hearing.rooms.event_by_id(hearing.room, redacts).await {
        Ok(found) => found,
        Err(RoomError::UnknownEvent(_)) => return Ok(()),
        Err(error) => return Err(error),
    };
    if hearing.rooms.store().redaction(target.number).await?.is_some() {
        tally.events.retain(|unread| unread.position != index.position);
    }
    Ok(())
}

/// What was counted before the process started, or nothing.
async fn kept(
    rooms: &Rooms,
    counted: Counted<'_>,
    basis: TallyBasis,
) -> Result<UnreadTally, StoreError> {
    let kept = rooms.store().unread_tally(counted.user, counted.room).await?;
    let (until, changed) = (counted.joined, counted.joined);
    let nothing = || UnreadTally { until, basis: basis.clone(), events: Vec::new(), changed };
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
