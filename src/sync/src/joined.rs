//! Rooms that the reader is in.

use rooms::RoomError;
use rooms::tokens::PrevBatch;
use ruma::api::client::sync::sync_events::UnreadNotificationsCount;
use ruma::api::client::sync::sync_events::v3::{Ephemeral, JoinedRoom, Timeline as ClientTimeline};
use ruma::events::{AnySyncEphemeralRoomEvent, TimelineEventType};
use ruma::serde::Raw;
use ruma::{RoomId, UInt, UserId};
use store::{RoomMembership, StreamPosition, TimelinePosition};

use crate::client_state::Around;
use crate::filter::EventFilter;
use crate::heads::RoomChanges;
use crate::reader::{Passes, Reader, keep_last};
use crate::state::{self, Known, Members, NeededState};
use crate::timeline::{self, Stretch, Timeline};
use crate::unread::{Counted, Counts};
use crate::v2::Extent;
use crate::{SyncError, ephemeral, summary};

/// A joined room under construction.
struct Room<'a> {
    id: &'a RoomId,
    membership: &'a RoomMembership,
    changes: RoomChanges,
    /// The reader was not in it at `since`.
    is_new: bool,
}

impl Reader<'_> {
    /// What is new in a room that the reader is in; `None` when nothing is.
    pub(crate) async fn joined_room(
        &self,
        room_id: &RoomId,
        membership: &RoomMembership,
        changes: RoomChanges,
    ) -> Result<Option<JoinedRoom>, SyncError> {
        let is_new = self.is_new(membership.since);
        let room = Room { id: room_id, membership, changes, is_new };
        let is_whole = is_new || self.request.state == Extent::Whole;
        let start = if is_whole { Start::Always } else { Start::OfEvents };

        let (stretch, timeline) = self.timeline_of(&room).await?;
        let mut answer = JoinedRoom::new();
        answer.ephemeral = self.ephemeral_of(&room).await?;
        answer.account_data = self.account_data_of(&room).await?;
        let known = if is_whole { self.known_of(&room).await? } else { Known::BeforeStretch };
        let state = self.needed_state(stretch, &timeline, known).await?;
        let speaks_of_members = is_whole || timeline.limited || names_the_room(&timeline, &state);
        if speaks_of_members {
            answer.summary =
                summary::of_room(&self.sync.0.rooms, membership.room, self.user).await?;
        }
        let joined = membership.since;
        let around = Around { room_id, stretch, timeline: &timeline, known, joined };
        answer.state = self.client_state(around, state, &answer.summary).await?;
        answer.timeline = self.client_timeline(room_id, &timeline, start).await?;
        if answer.is_empty() && !is_whole && !self.has_other_counts(&room).await? {
            return Ok(None);
        }
        if self.is_from_before() && !self.is_typing_new(membership.room) {
            // They may take somebody to type who does no more.
            answer.ephemeral.events.extend(self.typing_in(&room).await?);
        }
        self.add_counts(membership, &mut answer).await?;
        Ok(Some(answer))
    }

    /// What the reader knows of a room of which they get everything.
    async fn known_of(&self, room: &Room<'_>) -> Result<Known, RoomError> {
        let Some(since) = self.since.map(TimelinePosition::from) else { return Ok(Known::Nothing) };
        if !room.is_new {
            return Ok(Known::Before(since));
        }
        // Who left and came back between two questions was not told that they left.
        let gap = Stretch { room: room.membership.room, after: since, until: self.until.into() };
        match timeline::oldest(&self.sync.0.rooms, gap).await? {
            Some(first) if self.was_in_before(&first).await? => Ok(Known::Before(since)),
            _ => Ok(Known::Nothing),
        }
    }

    async fn timeline_of(&self, room: &Room<'_>) -> Result<(Stretch, Timeline), SyncError> {
        let filter = EventFilter::new(&self.request.filter.room.timeline, room.id);
        let joined = TimelinePosition::from(room.membership.since);
        let (after, sees_all_from) = match self.since {
            Some(since) if !room.is_new => (since.into(), TimelinePosition::MIN),
            _ => (TimelinePosition::MIN, joined),
        };
        let number = room.membership.room;
        let stretch = Stretch { room: number, after, until: self.until.into() };
        if !room.is_new && !self.is_new(room.changes.timeline) {
            return Ok((stretch, Timeline::empty_until(stretch.until)));
        }
        let mut passes = Passes { reader: self, filter, sees_all_from, room: number, sight: None };
        let mut timeline = self.newest(stretch, filter, &mut passes).await?;
        // Who comes back may know an older part of the timeline: this one does not follow on it.
        timeline.limited |= room.is_new && self.since.is_some();
        Ok((stretch, timeline))
    }

    /// The newest events of a stretch that the reader wants and may see.
    pub(crate) async fn newest(
        &self,
        stretch: Stretch,
        filter: EventFilter<'_>,
        passes: &mut Passes<'_>,
    ) -> Result<Timeline, RoomError> {
        let rooms = &self.sync.0.rooms;
        if !filter.is_empty() {
            return timeline::newest(rooms, stretch, filter.limit(), passes).await;
        }
        // Nothing would pass: no need to look at the events, only the state may have changed.
        let mut timeline = Timeline::empty_until(stretch.until);
        timeline.limited = timeline::last(rooms, stretch).await?.is_some();
        Ok(timeline)
    }

    pub(crate) async fn needed_state(
        &self,
        stretch: Stretch,
        timeline: &Timeline,
        known: Known,
    ) -> Result<NeededState, RoomError> {
        let members = if self.lazy_members().is_some() { Members::Lazy } else { Members::All };
        let what = (known, self.request.place, members);
        let inner = &self.sync.0;
        state::needed(&inner.rooms, &inner.other_states, stretch, timeline, what).await
    }

    pub(crate) async fn client_timeline(
        &self,
        room_id: &RoomId,
        timeline: &Timeline,
        start: Start,
    ) -> Result<ClientTimeline, SyncError> {
        let mut answer = ClientTimeline::new();
        // Of who wants no event at all, no limit keeps any.
        let filter = EventFilter::new(&self.request.filter.room.timeline, room_id);
        answer.limited = timeline.limited && !filter.is_empty();
        for placed in &timeline.events {
            answer.events.push(self.event(&placed.event).await?);
        }
        if answer.limited || start == Start::Always || !answer.events.is_empty() {
            let prev_batch = PrevBatch { place: timeline.start, as_of: self.until };
            answer.prev_batch = Some(prev_batch.to_string());
        }
        Ok(answer)
    }

    /// What others do in a room.
    async fn ephemeral_of(&self, room: &Room<'_>) -> Result<Ephemeral, SyncError> {
        let filter = EventFilter::new(&self.request.filter.room.ephemeral, room.id);
        let mut answer = Ephemeral::new();
        let number = room.membership.room;
        if (room.is_new || self.is_new(room.changes.receipts)) && filter.covers_kind("m.receipt") {
            let store = self.sync.0.rooms.store();
            let since = self.since.filter(|_| !room.is_new).unwrap_or(StreamPosition::START);
            let receipts = store.receipts_since(number, since, self.until).await?;
            let rules = self.rules().await?;
            let shown = |user: &UserId| filter.covers_sender(user) && !rules.ignores(user);
            answer.events = ephemeral::receipts(store, self.user, &receipts, shown).await?;
        }
        let typing = self.sync.0.rooms.typing();
        if self.is_typing_new(number) || (room.is_new && typing.is_news(number, None)) {
            answer.events.extend(self.typing_in(room).await?);
        }
        keep_last(&mut answer.events, filter.own_limit());
        Ok(answer)
    }

    /// Who types in a room, without those whom the reader ignores or their filter leaves out.
    async fn typing_in(
        &self,
        room: &Room<'_>,
    ) -> Result<Option<Raw<AnySyncEphemeralRoomEvent>>, SyncError> {
        let filter = EventFilter::new(&self.request.filter.room.ephemeral, room.id);
        if filter.is_empty() || !filter.covers_kind("m.typing") {
            return Ok(None);
        }
        let mut users = self.sync.0.rooms.typing().users(room.membership.room);
        let rules = self.rules().await?;
        users.retain(|user| filter.covers_sender(user) && !rules.ignores(user));
        Ok(Some(ephemeral::typing(&users)?))
    }

    /// Whether the reader's counts may be others although the filter leaves out what made them so.
    /// Spec: client-server API, "Receiving notifications": the counts "MUST" be updated as they change.
    async fn has_other_counts(&self, room: &Room<'_>) -> Result<bool, SyncError> {
        if !self.is_new(room.changes.timeline) && !self.is_new(room.changes.receipts) {
            return Ok(false);
        }
        let inner = &self.sync.0;
        let counted = self.counted(room.membership);
        let tally =
            inner.unread.tally(&inner.rooms, &inner.feed.heads, counted, self.until).await?;
        Ok(tally.is_some_and(|tally| self.is_new(tally.changed)))
    }

    async fn account_data_of(
        &self,
        room: &Room<'_>,
    ) -> Result<ruma::api::client::sync::sync_events::v3::RoomAccountData, SyncError> {
        let number = room.membership.room;
        if room.is_new && self.since.is_some() {
            let store = self.sync.0.rooms.store();
            let all = store.room_account_data(self.user, number).await?;
            return self.room_account_data(room.id, &all);
        }
        let changed = self.account_data.get(&number).map_or(&[][..], Vec::as_slice);
        self.room_account_data(room.id, changed)
    }

    /// The reader as one whose unread events are counted.
    fn counted(&self, membership: &RoomMembership) -> Counted<'_> {
        Counted {
            user_id: self.request.user_id,
            user: self.user,
            room: membership.room,
            joined: membership.since,
        }
    }

    async fn add_counts(
        &self,
        membership: &RoomMembership,
        answer: &mut JoinedRoom,
    ) -> Result<(), SyncError> {
        let inner = &self.sync.0;
        let counted = self.counted(membership);
        let counts =
            inner.unread.count(&inner.rooms, &inner.feed.heads, counted, self.until).await?;
        if self.request.filter.room.timeline.unread_thread_notifications {
            answer.unread_notifications = client_counts(counts.main);
            let threads = counts.threads.into_iter();
            answer.unread_thread_notifications =
                threads.map(|(root, counts)| (root, client_counts(counts))).collect();
        } else {
            answer.unread_notifications = client_counts(counts.total());
        }
        Ok(())
    }
}

/// When a timeline says where to read on backwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// Always: the reader sees the room for the first time.
    Always,
    /// When it has events or leaves some out.
    OfEvents,
}

fn client_counts(counts: Counts) -> UnreadNotificationsCount {
    let mut answer = UnreadNotificationsCount::new();
    answer.notification_count = Some(UInt::new_saturating(counts.notifications));
    answer.highlight_count = Some(UInt::new_saturating(counts.highlights));
    answer
}

/// Whether the room's name, or what stands in for one, may have changed.
fn names_the_room(timeline: &Timeline, state: &NeededState) -> bool {
    let in_timeline = timeline.events.iter().map(|placed| &placed.event);
    in_timeline.chain(&timeline.passed_over).chain(state.changes()).any(|event| {
        event.pdu.state_key.is_some()
            && matches!(
                event.pdu.kind,
                TimelineEventType::RoomMember
                    | TimelineEventType::RoomName
                    | TimelineEventType::RoomCanonicalAlias
            )
    })
}
