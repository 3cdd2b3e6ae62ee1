//! The state of a room as a client gets it. Spec: client-server API, "Syncing" and "Lazy-loading room members".

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use rooms::StoredEvent;
use ruma::RoomId;
use ruma::api::client::sync::sync_events::v3::{RoomSummary, State, StateEvents};
use ruma::events::{AnySyncStateEvent, StateEventType, TimelineEventType};
use ruma::serde::Raw;
use store::{EventNumber, StateRoot, StreamPosition};

use crate::SyncError;
use crate::filter::EventFilter;
use crate::lazy_members::DeviceMemory;
use crate::reader::{Reader, RedundantMembers};
use crate::state::{Known, NeededEvents, NeededState, Place};
use crate::timeline::{Stretch, Timeline};

/// What a state is given with.
#[derive(Clone, Copy)]
pub(crate) struct Around<'a> {
    pub(crate) room_id: &'a RoomId,
    pub(crate) stretch: Stretch,
    pub(crate) timeline: &'a Timeline,
    pub(crate) known: Known,
    /// Since when the reader is in the room; of a room that they left, when that was.
    pub(crate) joined: StreamPosition,
}

/// Whose member events are needed.
struct Wanted<'a> {
    users: BTreeSet<&'a str>,
    root: StateRoot,
    redundant: RedundantMembers,
    /// What is given already, in order.
    given: &'a [EventNumber],
}

impl Reader<'_> {
    /// The state as events, with the members that are needed.
    pub(crate) async fn client_state(
        &self,
        around: Around<'_>,
        state: NeededState,
        summary: &RoomSummary,
    ) -> Result<State, SyncError> {
        let filter = EventFilter::new(&self.request.filter.room.state, around.room_id);
        let mut events = self.state_events(&state, filter).await?;
        if let Some((redundant, root)) = self.lazy_members().zip(state.root) {
            let redundant = match around.known {
                Known::Nothing | Known::Before(_) => RedundantMembers::Sent,
                Known::BeforeStretch => redundant,
            };
            let mut users = self.needed_members(around, summary);
            for member in state.changes().iter().filter_map(|event| member_of(event)) {
                users.remove(member);
            }
            let wanted = Wanted { users, root, redundant, given: state.whole() };
            events.extend(self.members(around, filter, wanted).await?);
            let given = state.changes().iter().filter(|event| member_of(event).is_some());
            self.note_sent(around, given.map(|event| event.number));
        }
        Ok(self.in_place(StateEvents::with_events(events)))
    }

    /// State where the reader asked for it.
    pub(crate) fn in_place(&self, events: StateEvents) -> State {
        match self.request.place {
            Place::BeforeTimeline => State::Before(events),
            Place::AfterTimeline => State::After(events),
        }
    }

    async fn state_events(
        &self,
        state: &NeededState,
        filter: EventFilter<'_>,
    ) -> Result<Vec<Raw<AnySyncStateEvent>>, SyncError> {
        let mut events = Vec::new();
        match &state.events {
            NeededEvents::Whole(numbers) => {
                let covers_all = filter.covers_all();
                for number in numbers {
                    let is_wanted = covers_all || {
                        let event = self.sync.0.rooms.event(*number).await?;
                        filter.covers(&event.pdu)
                    };
                    if is_wanted {
                        events.push(self.event_at_first_sight(*number).await?);
                    }
                }
            }
            NeededEvents::Changes(changes) => {
                for event in changes.iter().filter(|event| filter.covers(&event.pdu)) {
                    events.push(self.event(event).await?);
                }
            }
        }
        Ok(events)
    }

    /// Whose member events a client needs that loads members lazily.
    fn needed_members<'a>(
        &'a self,
        around: Around<'a>,
        summary: &'a RoomSummary,
    ) -> BTreeSet<&'a str> {
        let pdus = around.timeline.events.iter().map(|placed| &placed.event.pdu);
        let mut users: BTreeSet<&str> = pdus.clone().map(|pdu| pdu.sender.as_str()).collect();
        users.extend(summary.heroes.iter().map(|hero| hero.as_str()));
        if around.known != Known::BeforeStretch {
            users.insert(self.request.user_id.as_str());
        }
        if self.request.place == Place::AfterTimeline {
            // The client takes no state from the timeline.
            let members = pdus.filter(|pdu| pdu.kind == TimelineEventType::RoomMember);
            users.extend(members.filter_map(|pdu| pdu.state_key.as_deref()));
        }
        users
    }

    /// The member events of some users, without those that the device has.
    async fn members(
        &self,
        around: Around<'_>,
        filter: EventFilter<'_>,
        wanted: Wanted<'_>,
    ) -> Result<Vec<Raw<AnySyncStateEvent>>, SyncError> {
        let rooms = &self.sync.0.rooms;
        let memory = self.sent_members();
        let kind = StateEventType::RoomMember;
        let kept_out = self.members_kept_out(around.timeline);
        let mut keys = Vec::with_capacity(wanted.users.len());
        let mut numbers = Vec::new();
        for user in wanted.users {
            match kept_out.get(user) {
                Some(number) => numbers.push(*number),
                None => keys.extend(rooms.store().state_key_number(&kind, user).await?),
            }
        }
        let found = rooms.store().state_events(around.stretch.room, wanted.root, &keys).await?;
        numbers.extend(found.into_iter().flatten());
        let mut events = Vec::new();
        let mut sent = Vec::new();
        for number in numbers {
            let leaves_out = wanted.redundant == RedundantMembers::LeftOut;
            let is_given = wanted.given.binary_search(&number).is_ok();
            if is_given || (leaves_out && memory.has(number, around.joined, self.since)) {
                continue;
            }
            let event = rooms.event(number).await?;
            if filter.covers(&event.pdu) {
                events.push(match around.known {
                    Known::Nothing | Known::Before(_) => self.event_at_first_sight(number).await?,
                    Known::BeforeStretch => self.event(&event).await?,
                });
                sent.push(number);
            }
        }
        let in_timeline = around.timeline.events.iter().map(|placed| &placed.event);
        let members = in_timeline.filter(|event| member_of(event).is_some());
        sent.extend(members.map(|event| event.number));
        self.note_sent(around, sent);
        Ok(events)
    }

    /// The last member events that the filter keeps out of a timeline which does not set these memberships itself: they
    /// stand in for those at its start.
    fn members_kept_out<'a>(&self, timeline: &'a Timeline) -> HashMap<&'a str, EventNumber> {
        if self.request.place == Place::AfterTimeline {
            return HashMap::new();
        }
        let kept_out = timeline.passed_over.iter();
        let mut members: HashMap<_, _> =
            kept_out.filter_map(|event| Some((member_of(event)?, event.number))).collect();
        for set in timeline.events.iter().filter_map(|placed| member_of(&placed.event)) {
            members.remove(set);
        }
        members
    }

    fn sent_members(&self) -> Arc<DeviceMemory> {
        self.sync.0.sent_members.of(self.user, self.request.device_id)
    }

    fn note_sent(&self, around: Around<'_>, events: impl IntoIterator<Item = EventNumber>) {
        self.sent_members().note(events, around.joined, self.until);
    }
}

/// Whose membership an event of a state is.
fn member_of(event: &StoredEvent) -> Option<&str> {
    let is_member = event.pdu.kind == TimelineEventType::RoomMember;
    event.pdu.state_key.as_deref().filter(|_| is_member)
}
