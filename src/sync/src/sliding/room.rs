//! What is new in a room. Spec: MSC4186, "Room results".

use std::sync::Arc;

use rooms::tokens::{PaginationToken, PrevBatch};
use ruma::RoomId;
use ruma::events::StateEventType;
use store::{EventNumber, Membership, RoomMembership, StreamPosition, TimelinePosition};

use super::answer::{Hero, RoomAnswer};
use super::connections::{RoomAccountData, SentRoom};
use super::lists::Relevant;
use super::nature::{Field, text_in};
use super::room_state::{RoomState, StateWanted};
use super::{EVERYTHING, Look};
use crate::filter::EventFilter;
use crate::heads::RoomChanges;
use crate::reader::{Passes, Reader};
use crate::timeline::{self, Placed, Stretch, Timeline};
use crate::unread::Counted;
use crate::{SyncError, summary};

/// A room of which the client has everything there ever was that it may see.
const ALL_EVENTS: usize = usize::MAX;

/// What a client is told of a room, and what it has then.
#[derive(Debug)]
pub(crate) struct Told {
    /// `None` where nothing is worth telling after all.
    pub(crate) answer: Option<RoomAnswer>,
    /// `None`: nothing will ever be new there.
    pub(crate) sent: Option<SentRoom>,
}

/// A room with a timeline under construction.
struct Room<'a> {
    id: &'a RoomId,
    relevant: &'a Relevant,
    /// What the client has of it; `None`: nothing it could build on.
    known: Option<&'a SentRoom>,
    /// The end of what the reader sees of it.
    until: StreamPosition,
    reader: Reader<'a>,
}

impl Look<'_> {
    /// Whether something may be new in a room, found in memory alone.
    pub(crate) fn may_be_new(&self, relevant: &Relevant, changes: RoomChanges) -> bool {
        let Relevant { membership, timeline_limit, required, .. } = relevant;
        let Some(sent) = self.state.rooms.get(&membership.room) else { return true };
        if sent.membership != (membership.membership, membership.since)
            || sent.is_direct != self.direct.contains(&membership.room)
        {
            return true;
        }
        let wants_more = *timeline_limit > sent.latest_events
            || (!Arc::ptr_eq(required, &sent.required) && required.exceeds(&sent.required));
        match membership.membership {
            Membership::Join => {
                wants_more || changes.timeline > sent.until || changes.receipts > sent.until
            }
            Membership::Leave | Membership::Ban => wants_more,
            Membership::Invite | Membership::Knock => false,
        }
    }

    /// What is new in a room.
    pub(crate) async fn room(&self, id: &RoomId, relevant: &Relevant) -> Result<Told, SyncError> {
        let membership = &relevant.membership;
        let sent = self.state.rooms.get(&membership.room);
        let is_same = |sent: &&SentRoom| {
            sent.membership == (membership.membership, membership.since)
                || (sent.membership.0 == Membership::Join
                    && membership.membership != Membership::Join)
        };
        let known = sent.filter(is_same);
        let reader = self.reader(known.map(|known| known.until));
        let room = Room { id, relevant, known, until: self.until, reader };
        match membership.membership {
            Membership::Join => self.joined(room).await,
            Membership::Invite | Membership::Knock => self.stripped(room).await,
            Membership::Leave | Membership::Ban => {
                let until = membership.since.min(self.until);
                self.left(Room { until, ..room }).await
            }
        }
    }

    async fn joined(&self, room: Room<'_>) -> Result<Told, SyncError> {
        let membership = &room.relevant.membership;
        let timeline = self.timeline(&room).await?;
        let state = self.state_of(&room, &timeline).await?;
        let mut answer = self.with_timeline(&room, &timeline, &state).await?;
        let has_read_on = self.has_read_on(&room).await?;
        if answer.initial || state.members_changed || state.name_changed {
            self.add_summary(&room, &state, &mut answer).await?;
        }
        let inner = &self.sync.0;
        let changed = inner.feed.heads.room(membership.room).timeline;
        let activity = inner.sliding.activities.of(&inner.rooms, membership.room, changed).await?;
        let sent = self.sent(&room, &timeline, state.sent, activity.bump_stamp);
        let is_bumped = room.known.is_none_or(|known| known.bump_stamp < activity.bump_stamp);
        answer.bump_stamp = is_bumped.then_some(activity.bump_stamp.0);
        if !tells_something(&answer) && !has_read_on {
            return Ok(Told { answer: None, sent: Some(sent) });
        }
        let counted = Counted {
            user_id: self.request.user_id,
            user: self.user,
            room: membership.room,
            joined: membership.since,
        };
        let counts = inner.unread.count(&inner.rooms, &inner.feed.heads, counted, self.until);
        let counts = counts.await?.main;
        answer.notification_count = counts.notifications;
        answer.highlight_count = counts.highlights;
        Ok(Told { answer: Some(answer), sent: Some(sent) })
    }

    /// A room that the reader is invited to, or has knocked on.
    async fn stripped(&self, room: Room<'_>) -> Result<Told, SyncError> {
        let membership = &room.relevant.membership;
        let mut answer = self.empty_answer(&room);
        answer.invite_state = match membership.membership {
            Membership::Invite => {
                let invited = room.reader.invited_room(membership).await?;
                invited.map(|invited| invited.invite_state.events).unwrap_or_default()
            }
            _ => room.reader.knocked_room(membership).await?.knock_state.events,
        };
        answer.bump_stamp = Some(membership.since.0);
        let timeline = Timeline::empty_until(self.until.into());
        let sent = self.sent(&room, &timeline, Vec::new(), membership.since);
        Ok(Told { answer: Some(answer), sent: Some(sent) })
    }

    /// A room up to the departure of the reader.
    async fn left(&self, room: Room<'_>) -> Result<Told, SyncError> {
        let membership = &room.relevant.membership;
        let departure = self.sync.0.rooms.event(membership.event).await?;
        let was_in = room.reader.was_in_before(&departure).await?;
        let (mut answer, sent) = if was_in {
            let timeline = self.timeline(&room).await?;
            let state = self.state_of(&room, &timeline).await?;
            let answer = self.with_timeline(&room, &timeline, &state).await?;
            (answer, self.sent(&room, &timeline, state.sent, membership.since))
        } else {
            // An invitation that was refused or taken back: that is all the reader sees.
            let position = TimelinePosition::from(membership.since);
            let mut answer = self.empty_answer(&room);
            answer.required_state.push(room.reader.event(&departure).await?);
            answer.timeline.push(room.reader.event(&departure).await?);
            answer.limited = Some(false);
            let timeline = Timeline {
                events: vec![Placed { position, event: departure.clone() }],
                passed_over: Vec::new(),
                limited: false,
                start: PaginationToken::before(position),
            };
            answer.num_live = Some(self.live(&timeline));
            (answer, self.sent(&room, &timeline, Vec::new(), membership.since))
        };
        answer.bump_stamp = Some(membership.since.0);
        let is_removal = departure.pdu.sender != self.request.user_id && was_in;
        Ok(Told { answer: Some(answer), sent: is_removal.then_some(sent) })
    }

    /// The latest events that the reader may see: as many as are wanted where the client has less than that, else
    /// those that are new.
    async fn timeline(&self, room: &Room<'_>) -> Result<Timeline, SyncError> {
        let Relevant { membership, timeline_limit, .. } = room.relevant;
        let stretch = room.stretch();
        let is_joined = membership.membership == Membership::Join;
        let (stretch, sees_all_from) = match room.known {
            Some(_) if !room.expands() && is_joined => (stretch, TimelinePosition::MIN),
            Some(_) if !room.expands() => (stretch, TimelinePosition::MAX),
            _ if is_joined => (room.whole(), TimelinePosition::from(membership.since)),
            _ => (room.whole(), TimelinePosition::MAX),
        };
        let filter = EventFilter::new(&EVERYTHING.room.timeline, room.id);
        let number = membership.room;
        let mut passes =
            Passes { reader: &room.reader, filter, sees_all_from, room: number, sight: None };
        let rooms = &self.sync.0.rooms;
        Ok(timeline::newest(rooms, stretch, *timeline_limit, &mut passes).await?)
    }

    async fn state_of(&self, room: &Room<'_>, timeline: &Timeline) -> Result<RoomState, SyncError> {
        let wanted = StateWanted {
            required: &room.relevant.required,
            known: room.known,
            stretch: room.stretch(),
            timeline,
        };
        self.state(wanted).await
    }

    /// What is told of every room that the reader is or was in.
    async fn with_timeline(
        &self,
        room: &Room<'_>,
        timeline: &Timeline,
        state: &RoomState,
    ) -> Result<RoomAnswer, SyncError> {
        let mut answer = self.empty_answer(room);
        for event in &state.events {
            answer.required_state.push(if answer.initial {
                room.reader.event_at_first_sight(event.number).await?
            } else {
                room.reader.event(event).await?
            });
        }
        for placed in &timeline.events {
            answer.timeline.push(room.reader.event(&placed.event).await?);
        }
        if answer.initial || state.name_changed {
            let name = state.name.as_ref().and_then(|event| text_in(&event.pdu, Field::Name));
            answer.name = (!answer.initial || name.is_some()).then_some(name);
        }
        if answer.initial || state.avatar_changed {
            let url = state.avatar.as_ref().and_then(|event| text_in(&event.pdu, Field::Url));
            answer.avatar = (!answer.initial || url.is_some()).then_some(url);
        }
        let known_until = room.known.map(|known| TimelinePosition::from(known.until));
        let is_expanded = known_until.is_some_and(|until| {
            timeline.events.first().is_some_and(|first| first.position <= until)
        });
        answer.expanded_timeline = is_expanded;
        answer.unstable_expanded_timeline = is_expanded;
        answer.limited = Some(timeline.limited);
        answer.num_live = Some(self.live(timeline));
        let prev_batch = PrevBatch { place: timeline.start, as_of: room.until };
        answer.prev_batch = Some(prev_batch.to_string());
        Ok(answer)
    }

    /// What is told of a room whatever it is to the reader.
    fn empty_answer(&self, room: &Room<'_>) -> RoomAnswer {
        let membership = &room.relevant.membership;
        let is_direct = self.direct.contains(&membership.room);
        let is_told = match room.known {
            Some(known) => known.is_direct != is_direct,
            None => is_direct,
        };
        RoomAnswer {
            initial: room.known.is_none(),
            is_dm: is_told.then_some(is_direct),
            membership: membership.membership.as_str(),
            lists: room.relevant.lists.clone(),
            ..RoomAnswer::default()
        }
    }

    /// How many events of a timeline came after what the client saw last.
    fn live(&self, timeline: &Timeline) -> usize {
        let Some(since) = self.since.map(TimelinePosition::from) else { return 0 };
        timeline.events.iter().filter(|placed| placed.position > since).count()
    }

    /// How many are in the room, and who names it.
    async fn add_summary(
        &self,
        room: &Room<'_>,
        state: &RoomState,
        answer: &mut RoomAnswer,
    ) -> Result<(), SyncError> {
        let rooms = &self.sync.0.rooms;
        let number = room.relevant.membership.room;
        let summary = summary::of_room(rooms, number, self.user).await?;
        answer.joined_count = summary.joined_member_count.map(u64::from);
        answer.invited_count = summary.invited_member_count.map(u64::from);
        for user_id in summary.heroes {
            let member = match state.root {
                Some(root) => {
                    let kind = StateEventType::RoomMember;
                    rooms.state_at(number, root, &kind, user_id.as_str()).await?
                }
                None => None,
            };
            let text = |field| member.as_ref().and_then(|member| text_in(&member.pdu, field));
            answer.heroes.push(Hero {
                displayname: text(Field::DisplayName),
                avatar_url: text(Field::AvatarUrl),
                user_id,
            });
        }
        Ok(())
    }

    /// Whether the reader's own receipts moved, which changes their counts.
    async fn has_read_on(&self, room: &Room<'_>) -> Result<bool, SyncError> {
        let number = room.relevant.membership.room;
        let Some(known) = room.known else { return Ok(false) };
        if self.sync.0.feed.heads.room(number).receipts <= known.until {
            return Ok(false);
        }
        let own = self.sync.0.rooms.store().user_receipts(number, self.user).await?;
        Ok(own.iter().any(|stored| stored.moved > known.until))
    }

    /// What the client has of a room with an answer.
    fn sent(
        &self,
        room: &Room<'_>,
        timeline: &Timeline,
        members: Vec<EventNumber>,
        bump_stamp: StreamPosition,
    ) -> SentRoom {
        let Relevant { membership, timeline_limit, required, .. } = room.relevant;
        let latest_events = match room.known {
            _ if timeline.limited => *timeline_limit,
            Some(known) if !room.expands() => known.latest_events,
            _ => ALL_EVENTS,
        };
        let before = self.state.rooms.get(&membership.room);
        let RoomMembership { membership: kind, since, .. } = *membership;
        SentRoom {
            until: self.until,
            membership: (kind, since),
            latest_events,
            required: Arc::clone(required),
            members,
            is_direct: self.direct.contains(&membership.room),
            bump_stamp,
            receipts: before.and_then(|before| before.receipts),
            typing: before.and_then(|before| before.typing),
            account_data: before.map_or(RoomAccountData::Stale, |before| before.account_data),
        }
    }
}

impl Room<'_> {
    /// What is new of its timeline.
    fn stretch(&self) -> Stretch {
        let whole = self.whole();
        let after = self.known.map_or(TimelinePosition::MIN, |known| known.until.into());
        // Nothing is new in a room that the reader left before the client heard of it last.
        Stretch { after: after.min(whole.until), ..whole }
    }

    fn whole(&self) -> Stretch {
        let (room, until) = (self.relevant.membership.room, self.until.into());
        Stretch { room, after: TimelinePosition::MIN, until }
    }

    /// Whether the client is to get events that are older than what it has.
    fn expands(&self) -> bool {
        self.known.is_some_and(|known| self.relevant.timeline_limit > known.latest_events)
    }
}

/// Whether there is anything in an answer but counts.
fn tells_something(answer: &RoomAnswer) -> bool {
    answer.initial
        || answer.is_dm.is_some()
        || answer.name.is_some()
        || answer.avatar.is_some()
        || answer.joined_count.is_some()
        || !answer.required_state.is_empty()
        || !answer.timeline.is_empty()
}
