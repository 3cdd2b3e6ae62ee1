//! The state of a room that a client wants and does not have. Spec: MSC4186, `RequiredStateRequest`.

use std::collections::BTreeSet;
use std::sync::Arc;

use rooms::{RoomError, StoredEvent};
use ruma::events::{StateEventType, TimelineEventType};
use store::{EventNumber, StateKeyNumber, StateRoot};

use super::Look;
use super::connections::SentRoom;
use super::required_state::RequiredState;
use crate::SyncError;
use crate::state::root_at_end;
use crate::timeline::{self, Stretch, Timeline};

/// How many member events are remembered of one room. A client that got more gets some of them again.
const REMEMBERED: usize = 500;

/// Which state of a room is wanted.
#[derive(Clone, Copy)]
pub(crate) struct StateWanted<'a> {
    pub(crate) required: &'a RequiredState,
    /// What the client has of the room; `None`: nothing.
    pub(crate) known: Option<&'a SentRoom>,
    /// What the client does not have yet.
    pub(crate) stretch: Stretch,
    /// What it gets of the timeline.
    pub(crate) timeline: &'a Timeline,
}

/// The state of a room that a client is to get.
#[derive(Debug, Default)]
pub(crate) struct RoomState {
    /// The state at the end of the stretch; `None` when it is not needed.
    pub(crate) root: Option<StateRoot>,
    /// The events, in the order in which they were numbered: creation first.
    pub(crate) events: Vec<Arc<StoredEvent>>,
    /// The member events that the client has then, beside what it wants by name.
    pub(crate) sent: Vec<EventNumber>,
    pub(crate) members_changed: bool,
    pub(crate) name_changed: bool,
    pub(crate) avatar_changed: bool,
    /// Those at the end of the stretch, where they changed or the room is new.
    pub(crate) name: Option<Arc<StoredEvent>>,
    pub(crate) avatar: Option<Arc<StoredEvent>>,
}

impl Look<'_> {
    /// The state that a client wants and does not have.
    pub(crate) async fn state(&self, wanted: StateWanted<'_>) -> Result<RoomState, SyncError> {
        let StateWanted { required, known, stretch, timeline } = wanted;
        let rooms = &self.sync.0.rooms;
        let mut state = RoomState::default();
        let mut numbers = BTreeSet::new();
        let changed = match known {
            None => Vec::new(),
            Some(_) => self.changed(stretch, &mut state).await?,
        };
        let is_expanded = known.is_some_and(|known| required.exceeds(&known.required));
        let lazy = if required.lazy_members { needed_members(timeline) } else { BTreeSet::new() };
        if state.root.is_none() && (known.is_none() || is_expanded || !lazy.is_empty()) {
            state.root = Some(root_at_end(rooms, stretch).await?);
        }
        let Some(root) = state.root else {
            state.sent = known.map(|known| known.members.clone()).unwrap_or_default();
            return Ok(state);
        };
        for event in &changed {
            if self.is_wanted_change(event, wanted) {
                numbers.insert(event.number);
            }
        }
        if known.is_none() || is_expanded {
            let before = known.map(|known| &*known.required);
            numbers.extend(self.wanted_now(stretch, root, (required, before)).await?);
        }
        let mut sent: BTreeSet<EventNumber> =
            known.map(|known| known.members.iter().copied().collect()).unwrap_or_default();
        for number in self.members(stretch, root, lazy).await? {
            if !sent.contains(&number) {
                numbers.insert(number);
            }
        }
        state.events = rooms.events(numbers).await?;
        for event in &state.events {
            if event.pdu.kind == TimelineEventType::RoomMember {
                sent.insert(event.number);
            }
        }
        if sent.len() > REMEMBERED {
            sent.clear();
        }
        state.sent = sent.into_iter().collect();
        if known.is_none() || state.name_changed {
            let kind = StateEventType::RoomName;
            state.name = rooms.state_at(stretch.room, root, &kind, "").await?;
        }
        if known.is_none() || state.avatar_changed {
            let kind = StateEventType::RoomAvatar;
            state.avatar = rooms.state_at(stretch.room, root, &kind, "").await?;
        }
        Ok(state)
    }

    /// The state events that came to stand in a stretch, and what they say of the room.
    async fn changed(
        &self,
        stretch: Stretch,
        state: &mut RoomState,
    ) -> Result<Vec<Arc<StoredEvent>>, RoomError> {
        let rooms = &self.sync.0.rooms;
        let Some(first) = timeline::oldest(rooms, stretch).await? else { return Ok(Vec::new()) };
        let root = root_at_end(rooms, stretch).await?;
        state.root = Some(root);
        let before = first.record.state_before;
        let changes = rooms.store().state_difference(stretch.room, before, root).await?;
        let numbers: Vec<_> = changes.iter().filter_map(|change| change.after).collect();
        let events = rooms.events(numbers).await?;
        for event in &events {
            match event.pdu.kind {
                TimelineEventType::RoomMember => state.members_changed = true,
                TimelineEventType::RoomName => state.name_changed = true,
                TimelineEventType::RoomAvatar => state.avatar_changed = true,
                _ => {}
            }
        }
        Ok(events)
    }

    /// Whether a client wants to know of a change. Who loads members lazily is told of all their changes where it
    /// misses nothing of the timeline, and has to load them anew where it does.
    fn is_wanted_change(&self, event: &StoredEvent, wanted: StateWanted<'_>) -> bool {
        let Some((kind, key)) = event.pdu.state_entry() else { return false };
        let is_member = kind == StateEventType::RoomMember;
        wanted.required.covers(&kind.to_string(), key, self.request.user_id)
            || (wanted.required.lazy_members && is_member && !wanted.timeline.limited)
    }

    /// The events of a state that are wanted, and were not before.
    async fn wanted_now(
        &self,
        stretch: Stretch,
        root: StateRoot,
        (required, before): (&RequiredState, Option<&RequiredState>),
    ) -> Result<Vec<EventNumber>, SyncError> {
        let (store, me) = (self.sync.0.rooms.store(), self.request.user_id);
        let is_new = |kind: &str, key: &str| before.is_none_or(|had| !had.covers(kind, key, me));
        let mut keys = Vec::new();
        let named: Vec<_> = required.named(me).filter(|(kind, key)| is_new(kind, key)).collect();
        for (kind, key) in named {
            keys.extend(store.state_key_number(&StateEventType::from(kind), key).await?);
        }
        let found = store.state_events(stretch.room, root, &keys).await?;
        let mut numbers: Vec<_> = found.into_iter().flatten().collect();
        for (key, number) in self.searched(stretch, root, required).await? {
            let Some((kind, key)) = store.state_key(key).await? else { continue };
            let kind = kind.to_string();
            if required.covers(&kind, &key, me) && is_new(&kind, &key) {
                numbers.push(number);
            }
        }
        Ok(numbers)
    }

    /// The entries of a state among which wanted ones have to be looked for.
    async fn searched(
        &self,
        stretch: Stretch,
        root: StateRoot,
        required: &RequiredState,
    ) -> Result<Vec<(StateKeyNumber, EventNumber)>, SyncError> {
        let inner = &self.sync.0;
        let store = inner.rooms.store();
        if required.searches_members() {
            return Ok(store.state_entries(stretch.room, root).await?);
        }
        if required.searches() {
            let others = inner.other_states.of(store, stretch.room, root).await?;
            return Ok(others.entries.iter().map(|(key, event)| (*key, *event)).collect());
        }
        Ok(Vec::new())
    }

    /// The member events of some users in a state.
    async fn members(
        &self,
        stretch: Stretch,
        root: StateRoot,
        users: BTreeSet<&str>,
    ) -> Result<Vec<EventNumber>, SyncError> {
        let store = self.sync.0.rooms.store();
        let mut keys = Vec::with_capacity(users.len());
        for user in users {
            keys.extend(store.state_key_number(&StateEventType::RoomMember, user).await?);
        }
        let found = store.state_events(stretch.room, root, &keys).await?;
        Ok(found.into_iter().flatten().collect())
    }
}

/// Whose member events a client needs to show a timeline.
fn needed_members(timeline: &Timeline) -> BTreeSet<&str> {
    let pdus = timeline.events.iter().map(|placed| &placed.event.pdu);
    let senders = pdus.clone().map(|pdu| pdu.sender.as_str());
    let members = pdus.filter(|pdu| pdu.kind == TimelineEventType::RoomMember);
    senders.chain(members.filter_map(|pdu| pdu.state_key.as_deref())).collect()
}
