//! The state of a room as a client gets it. Spec: client-server API, "Syncing" and "Lazy-loading room members".

use std::collections::BTreeSet;
use std::sync::Arc;

use rooms::StoredEvent;
use ruma::RoomId;
use ruma::api::client::sync::sync_events::v3::{RoomSummary, State, StateEvents};
use ruma::events::{AnySyncStateEvent, StateEventType, TimelineEventType};
use ruma::serde::Raw;
use store::{EventNumber, StateRoot};

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
}

/// Whose member events are needed.
struct Wanted<'a> {
    users: BTreeSet<&'a str>,
    root: StateRoot,
    redundant: RedundantMembers,
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
                Known::Nothing => RedundantMembers::Sent,
                Known::BeforeStretch => redundant,
            };
            let mut users = self.needed_members(around, summary);
            for member in state.changes().iter().filter_map(|event| member_of(event)) {
                users.remove(member);
            }
            let wanted = Wanted { users, root, redundant };
            events.extend(self.members(around, filter, wanted).await?);
            let given = state.changes().iter().filter(|event| member_of(event).is_some());
            self.note_sent(given.map(|event| event.number));
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
        if around.known == Known::Nothing {
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
        let mut keys = Vec::with_capacity(wanted.users.len());
        for user in wanted.users {
            keys.extend(rooms.store().state_key_number(&kind, user).await?);
        }
        let found = rooms.store().state_events(around.stretch.room, wanted.root, &keys).await?;
        let mut events = Vec::new();
        let mut sent = Vec::new();
        for number in found.into_iter().flatten() {
            let leaves_out = wanted.redundant == RedundantMembers::LeftOut;
            if leaves_out && memory.has(number, self.since) {
                continue;
            }
            let event = rooms.event(number).await?;
            if filter.covers(&event.pdu) {
                events.push(match around.known {
                    Known::Nothing => self.event_at_first_sight(number).await?,
                    Known::BeforeStretch => self.event(&event).await?,
                });
                sent.push(number);
            }
        }
        let in_timeline = around.timeline.events.iter().map(|placed| &placed.event);
        let members = in_timeline.filter(|event| member_of(event).is_some());
        sent.extend(members.map(|event| event.number));
        self.note_sent(sent);
        Ok(events)
    }

    fn sent_members(&self) -> Arc<DeviceMemory> {
        self.sync.0.sent_members.of(self.user, self.request.device_id)
    }

    fn note_sent(&self, events: impl IntoIterator<Item = EventNumber>) {
        self.sent_members().note(events, self.until);
    }
}

/// Whose membership an event of a state is.
fn member_of(event: &StoredEvent) -> Option<&str> {
    let is_member = event.pdu.kind == TimelineEventType::RoomMember;
    event.pdu.state_key.as_deref().filter(|_| is_member)
}
