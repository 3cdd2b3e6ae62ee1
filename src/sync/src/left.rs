//! Rooms that the reader left, or was removed from.

use rooms::tokens::PaginationToken;
use rooms::{RoomError, StoredEvent};
use ruma::RoomId;
use ruma::api::client::sync::sync_events::v3::{LeftRoom, RoomSummary, State, StateEvents};
use ruma::events::StateEventType;
use ruma::events::room::member::{MembershipState, RoomMemberEventContent};
use store::{RoomMembership, TimelinePosition};

use crate::SyncError;
use crate::client_state::Around;
use crate::filter::EventFilter;
use crate::joined::Start;
use crate::reader::{Passes, Reader};
use crate::state::{Known, Place};
use crate::timeline::{self, Placed, Stretch, Timeline};

impl Reader<'_> {
    /// A room up to the departure of the reader.
    pub(crate) async fn left_room(
        &self,
        room_id: &RoomId,
        membership: &RoomMembership,
    ) -> Result<LeftRoom, SyncError> {
        let mut answer = LeftRoom::new();
        let number = membership.room;
        let changed = self.account_data.get(&number).map_or(&[][..], Vec::as_slice);
        answer.account_data = self.room_account_data(room_id, changed)?;

        let filter = EventFilter::new(&self.request.filter.room.timeline, room_id);
        let departure = self.sync.0.rooms.event(membership.event).await?;
        let until = TimelinePosition::from(membership.since);
        if !self.was_in_before(&departure).await? {
            // An invitation that was refused or taken back, or a ban of somebody who was not there.
            answer.state = self.state_of(room_id, &departure).await?;
            let events: Vec<_> = Some(Placed { position: until, event: departure })
                .filter(|placed| filter.covers(&placed.event.pdu))
                .into_iter()
                .collect();
            let start = PaginationToken::before(until);
            let timeline = Timeline { events, passed_over: Vec::new(), limited: false, start };
            answer.timeline = self.client_timeline(room_id, &timeline, Start::OfEvents).await?;
            return Ok(answer);
        }
        let after = self.since.map_or(TimelinePosition::MIN, TimelinePosition::from);
        let stretch = Stretch { room: number, after, until };
        let mut passes = Passes {
            reader: self,
            filter,
            sees_all_from: TimelinePosition::MAX,
            room: number,
            sight: None,
        };
        let timeline = self.newest(stretch, filter, &mut passes).await?;
        let known = match timeline::oldest(&self.sync.0.rooms, stretch).await? {
            Some(first) if self.since.is_some() && self.was_in_before(&first).await? => {
                Known::BeforeStretch
            }
            _ => Known::Nothing,
        };
        let state = self.needed_state(stretch, &timeline, known).await?;
        let nobody = RoomSummary::new();
        let joined = membership.since;
        let around = Around { room_id, stretch, timeline: &timeline, known, joined };
        answer.state = self.client_state(around, state, &nobody).await?;
        answer.timeline = self.client_timeline(room_id, &timeline, Start::Always).await?;
        Ok(answer)
    }

    /// The state of a room of which the reader knows their own departure alone.
    async fn state_of(
        &self,
        room_id: &RoomId,
        departure: &StoredEvent,
    ) -> Result<State, SyncError> {
        let filter = EventFilter::new(&self.request.filter.room.state, room_id);
        let is_told = self.request.place == Place::AfterTimeline && filter.covers(&departure.pdu);
        let mut events = Vec::new();
        if is_told {
            events.push(self.event(departure).await?);
        }
        Ok(self.in_place(StateEvents::with_events(events)))
    }

    /// Whether the reader was in the room right before an event of it.
    pub(crate) async fn was_in_before(&self, event: &StoredEvent) -> Result<bool, RoomError> {
        let (record, user) = (&event.record, self.request.user_id.as_str());
        let kind = StateEventType::RoomMember;
        let member =
            self.sync.0.rooms.state_at(record.room, record.state_before, &kind, user).await?;
        let content =
            member.and_then(|event| event.pdu.content_as::<RoomMemberEventContent>().ok());
        Ok(content.is_some_and(|content| content.membership == MembershipState::Join))
    }
}
