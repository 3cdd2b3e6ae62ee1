//! The state that a reader needs before a timeline makes sense to them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use rooms::{RoomError, Rooms, StoredEvent};
use store::{EventNumber, StateKeyNumber, StateRoot, TimelinePosition};

use crate::other_state::{self, OtherStates};
use crate::timeline::{self, Stretch, Timeline};

/// What state the reader has already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    /// None of it.
    Nothing,
    /// That at the start of the stretch.
    BeforeStretch,
    /// That at a position, and they want all of it nevertheless. Of members they must not miss what changed since, also if
    /// they load them lazily.
    Before(TimelinePosition),
}

/// Where the state is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Right before the timeline: the timeline's own state events come on top.
    BeforeTimeline,
    /// Right after it: the timeline's own state events are in it.
    AfterTimeline,
}

/// The state at a place, as far as the reader does not know it.
#[derive(Debug)]
pub(crate) struct NeededState {
    /// The whole state there; `None` when nothing in the stretch makes it worth looking.
    pub(crate) root: Option<StateRoot>,
    /// Its events that the reader is to get, in the order in which they were numbered: creation first.
    pub(crate) events: NeededEvents,
}

/// Events of a state.
#[derive(Debug)]
pub(crate) enum NeededEvents {
    /// Those of a state that the reader does not know, by number: there may be very many, and they need not be read to be
    /// sent.
    Whole(Vec<EventNumber>),
    /// Those that changed in a state that they know.
    Changes(Vec<Arc<StoredEvent>>),
}

impl NeededState {
    /// The numbers of events that are there whether the reader knows them or not, in order.
    pub(crate) fn whole(&self) -> &[EventNumber] {
        match &self.events {
            NeededEvents::Whole(numbers) => numbers,
            NeededEvents::Changes(_) => &[],
        }
    }

    /// The events that changed in a state that the reader knows.
    pub(crate) fn changes(&self) -> &[Arc<StoredEvent>] {
        match &self.events {
            NeededEvents::Whole(_) => &[],
            NeededEvents::Changes(events) => events,
        }
    }
}

/// Which member events are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Members {
    /// All.
    All,
    /// Those that changed; others that are needed are added one by one. A reader who knew the members before must not
    /// miss a change that is in no timeline. Spec: `GET /sync`, on lazy-loading and `limited`.
    Lazy,
}

/// What the reader needs to know of the state around `timeline`, the newest events of `stretch`.
///
/// Events that the reader's filter kept out of the timeline still change the state: before the timeline, the newest
/// of a key that the timeline does not set stands in for what was there.
pub(crate) async fn needed(
    rooms: &Rooms,
    others: &OtherStates,
    stretch: Stretch,
    timeline: &Timeline,
    (known, place, members): (Known, Place, Members),
) -> Result<NeededState, RoomError> {
    let is_quiet =
        !timeline.limited && timeline.events.is_empty() && timeline.passed_over.is_empty();
    let root = match (place, timeline.events.first()) {
        (Place::BeforeTimeline, Some(first)) => Some(first.event.record.state_before),
        _ if known == Known::BeforeStretch && is_quiet => None,
        _ => Some(root_at_end(rooms, stretch).await?),
    };
    let mut events: HashMap<StateKeyNumber, EventNumber> = HashMap::new();
    match (known, root) {
        (Known::Nothing | Known::Before(_), Some(root)) if members == Members::Lazy => {
            let other = others.of(rooms.store(), stretch.room, root).await?;
            events.extend(&other.entries);
        }
        (Known::Nothing | Known::Before(_), Some(root)) => {
            events.extend(rooms.store().state_entries(stretch.room, root).await?);
        }
        _ => {}
    }
    let gap = match known {
        Known::Nothing => None,
        Known::BeforeStretch => {
            Some(stretch).filter(|_| timeline.limited || place == Place::AfterTimeline)
        }
        Known::Before(after) => Some(Stretch { after, ..stretch }),
    };
    if let Some((gap, root)) = gap.zip(root)
        && let Some(first) = timeline::oldest(rooms, gap).await?
    {
        let since = first.record.state_before;
        let changes = rooms.store().state_difference(stretch.room, since, root).await?;
        events.extend(changes.iter().filter_map(|change| Some((change.key, change.after?))));
    }
    if place == Place::BeforeTimeline {
        stand_in(rooms, timeline, &mut events).await?;
    }
    let mut keyed: Vec<_> = events.into_iter().collect();
    keyed.sort_unstable_by_key(|(_, event)| *event);
    let mut numbers = Vec::with_capacity(keyed.len());
    for (key, number) in keyed {
        let leaves_out = members == Members::Lazy && known == Known::Nothing;
        if !leaves_out || !other_state::is_member(rooms.store(), key).await? {
            numbers.push(number);
        }
    }
    let events = match known {
        Known::Nothing | Known::Before(_) => NeededEvents::Whole(numbers),
        Known::BeforeStretch => NeededEvents::Changes(rooms.events(numbers).await?),
    };
    Ok(NeededState { root, events })
}

/// Adds the events that were kept out of the timeline.
async fn stand_in(
    rooms: &Rooms,
    timeline: &Timeline,
    events: &mut HashMap<StateKeyNumber, EventNumber>,
) -> Result<(), RoomError> {
    if timeline.passed_over.is_empty() {
        return Ok(());
    }
    let set_by_timeline: HashSet<_> =
        timeline.events.iter().filter_map(|placed| placed.event.pdu.state_entry()).collect();
    for event in &timeline.passed_over {
        let Some((kind, state_key)) = event.pdu.state_entry() else { continue };
        if set_by_timeline.contains(&(kind.clone(), state_key)) {
            continue;
        }
        if let Some(key) = rooms.store().state_key_number(&kind, state_key).await? {
            events.insert(key, event.number);
        }
    }
    Ok(())
}

/// The state right after the last event of a stretch.
pub(crate) async fn root_at_end(rooms: &Rooms, stretch: Stretch) -> Result<StateRoot, RoomError> {
    let whole = Stretch { after: TimelinePosition::MIN, ..stretch };
    match timeline::last(rooms, whole).await? {
        Some(last) => rooms.state_after(&last).await,
        None => Ok(StateRoot::EMPTY),
    }
}
