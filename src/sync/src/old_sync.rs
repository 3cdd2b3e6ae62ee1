//! What there was before `/sync`: an event stream, and snapshots to begin it with. Spec: client-server API, the
//! deprecated `/events` and `/initialSync`.

use std::sync::Arc;
use std::time::Duration;

use rooms::presence::PresenceState;
use rooms::{EventShape, RoomError, Stretch, Viewer};
use ruma::api::client::filter::FilterDefinition;
use ruma::api::client::sync::sync_events::v3::{JoinedRoom, LeftRoom, Response, State, Timeline};
use ruma::events::presence::PresenceEvent;
use ruma::serde::Raw;
use ruma::{DeviceId, OwnedRoomId, RoomId, UInt, UserId};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value};
use store::{Direction, Membership, Publication, StreamPosition};
use tokio::time::Instant;

use crate::token::MemoryPosition;
use crate::waiters::Wake;
use crate::{DeviceMessages, Extent, Place, Sync, SyncError, SyncRequest, SyncToken};

/// How many events of one room are told at once.
const MOST_EVENTS: u32 = 1_000;
/// How many events a peek brings at once.
const MOST_PEEKED: usize = 100;
/// The longest a request may wait.
const LONGEST_WAIT: Duration = Duration::from_mins(2);

/// A part of the event stream.
#[derive(Debug)]
pub struct EventStream {
    /// Where it goes on.
    pub end: String,
    /// Its events.
    pub chunk: Vec<Box<RawValue>>,
}

/// Whether rooms that the reader left are told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Archived {
    /// They are.
    Included,
    /// They are not.
    LeftOut,
}

/// Everything a reader is to know at one time.
#[derive(Debug)]
pub struct Snapshot {
    /// Where the event stream goes on.
    pub end: String,
    /// Who is online.
    pub presence: Vec<Raw<PresenceEvent>>,
    /// The reader's rooms.
    pub rooms: Vec<RoomSnapshot>,
    /// Their account data that is of no room.
    pub account_data: Vec<Box<RawValue>>,
}

/// A room as a reader is to know it.
#[derive(Debug)]
pub struct RoomSnapshot {
    /// The room.
    pub room_id: OwnedRoomId,
    /// What the reader is to it; `None` for who was never in it.
    pub membership: Option<Membership>,
    /// The invitation of who is invited.
    pub invite: Option<Box<RawValue>>,
    /// Where older events begin.
    pub start: Option<String>,
    /// Its last events, the oldest first.
    pub messages: Vec<Box<RawValue>>,
    /// Its state.
    pub state: Vec<Box<RawValue>>,
    /// The reader's account data of it.
    pub account_data: Vec<Box<RawValue>>,
    /// Whether the room directory lists it.
    pub publication: Publication,
}

impl Sync {
    /// The token of now.
    pub fn now(&self) -> SyncToken {
        let rooms = &self.0.rooms;
        let memory = MemoryPosition {
            typing: rooms.typing().position(),
            presence: rooms.presence().position(),
        };
        // Messages to devices are not told here: they wait for `/sync`.
        let (position, to_device) = (rooms.store().position(), StreamPosition::START);
        SyncToken { position, epoch: self.0.epoch, memory, to_device }
    }

    /// The events after `from` in a reader's rooms, as soon as there are any, or none when the timeout is over.
    ///
    /// Fails with [`SyncError::UnknownPosition`] for a token of the future.
    #[tracing::instrument(skip_all, fields(user = %user_id))]
    pub async fn events(
        &self,
        user_id: &UserId,
        device_id: &DeviceId,
        from: SyncToken,
        timeout: Duration,
    ) -> Result<EventStream, SyncError> {
        let filter = filter_of(UInt::from(MOST_EVENTS));
        let mut request = request(user_id, device_id, &filter);
        (request.since, request.timeout) = (Some(from), timeout);
        let answer = self.answer(request).await?;
        let mut chunk = Vec::new();
        for (room_id, room) in &answer.rooms.join {
            let timeline = room.timeline.events.iter().map(Raw::json);
            let all = timeline.chain(room.ephemeral.events.iter().map(Raw::json));
            chunk.extend(in_room(room_id, all)?);
        }
        for (room_id, room) in &answer.rooms.leave {
            chunk.extend(in_room(room_id, room.timeline.events.iter().map(Raw::json))?);
        }
        for room_id in answer.rooms.invite.keys() {
            chunk.extend(self.own_membership(user_id, room_id).await?);
        }
        chunk.extend(answer.presence.events.iter().map(|event| event.json().to_owned()));
        Ok(EventStream { end: answer.next_batch, chunk })
    }

    /// The events after `from` in one room that the reader may see without being in it, as soon as there are any, or
    /// none when the timeout is over or more of the reader's requests wait than may.
    ///
    /// Fails with [`RoomError::NotInRoom`] when the room is not open to them.
    /// Spec: client-server API, "Room previews".
    #[tracing::instrument(skip_all, fields(%room_id))]
    pub async fn peek(
        &self,
        viewer: Viewer<'_>,
        room_id: &RoomId,
        mut from: SyncToken,
        timeout: Duration,
    ) -> Result<EventStream, SyncError> {
        let deadline = Instant::now() + timeout.min(LONGEST_WAIT);
        let rooms = &self.0.rooms;
        let room = rooms.number_of_seen(room_id).await?;
        let user = rooms.store().number_user(viewer.user_id).await?;
        let watch = self.0.waiters.watch(user, room);
        let mut is_last_look = timeout.is_zero();
        loop {
            let mut end = self.now();
            if from.position > end.position {
                return Err(SyncError::UnknownPosition);
            }
            let direction = Direction::Ascending;
            let to = Some(end.into());
            let stretch = Stretch { from: from.into(), to, direction, limit: MOST_PEEKED };
            let mut sight = rooms.sight(viewer.user_id, room).await?;
            let page = rooms.page(&mut sight, stretch, |_| true).await?;
            if let Some(next) = page.next {
                end.position = next.0.stream_position().max(from.position);
            }
            let mut chunk = Vec::new();
            for (_, event) in &page.events {
                chunk.push(rooms.client_event(viewer, event, EventShape::Whole).await?);
            }
            if !chunk.is_empty() || is_last_look {
                return Ok(EventStream { end: end.to_string(), chunk });
            }
            from = end;
            let woken = match page.next {
                Some(_) => Ok(Wake::News),
                None => tokio::time::timeout_at(deadline, watch.woken()).await,
            };
            is_last_look = woken != Ok(Wake::News) || Instant::now() >= deadline;
        }
    }

    /// Everything a reader is to know now, with at most `limit` events of each room; of one room alone if `only` is
    /// given.
    #[tracing::instrument(skip_all, fields(user = %user_id))]
    pub async fn snapshot(
        &self,
        user_id: &UserId,
        device_id: &DeviceId,
        limit: UInt,
        archived: Archived,
        only: Option<&RoomId>,
    ) -> Result<Snapshot, SyncError> {
        let mut filter = filter_of(limit);
        filter.room.include_leave = archived == Archived::Included;
        filter.room.rooms = only.map(|room_id| vec![room_id.to_owned()]);
        let answer = self.answer(request(user_id, device_id, &filter)).await?;
        let Response { next_batch, rooms, presence, account_data, .. } = answer;
        let mut snapshots = Vec::new();
        for (room_id, JoinedRoom { timeline, state, account_data, .. }) in rooms.join {
            let data = account_data.events.iter().map(|event| event.json().to_owned()).collect();
            snapshots.push(room_snapshot(room_id, Membership::Join, timeline, state, data)?);
        }
        for (room_id, LeftRoom { timeline, state, account_data, .. }) in rooms.leave {
            let data = account_data.events.iter().map(|event| event.json().to_owned()).collect();
            let number = self.0.rooms.number_of_seen(&room_id).await?;
            let known = self.0.rooms.membership_of(user_id, number).await?;
            let membership = known.map_or(Membership::Leave, |known| known.membership);
            snapshots.push(room_snapshot(room_id, membership, timeline, state, data)?);
        }
        for room_id in rooms.invite.into_keys() {
            let mut room = RoomSnapshot::of(room_id, Some(Membership::Invite));
            room.invite = self.own_membership(user_id, &room.room_id).await?;
            snapshots.push(room);
        }
        for room in &mut snapshots {
            room.publication = self.publication(&room.room_id).await?;
        }
        let account_data = account_data.events.iter().map(|event| event.json().to_owned());
        Ok(Snapshot {
            end: next_batch,
            presence: presence.events,
            rooms: snapshots,
            account_data: account_data.collect(),
        })
    }

    /// One room as a reader is to know it, who is in it, was in it, or may look into it from outside, and where the
    /// event stream goes on.
    ///
    /// Fails with [`RoomError::NotInRoom`] for others.
    /// Spec: client-server API, `GET /rooms/{roomId}/initialSync`.
    pub async fn room_snapshot(
        &self,
        viewer: Viewer<'_>,
        device_id: &DeviceId,
        room_id: &RoomId,
        limit: UInt,
    ) -> Result<(RoomSnapshot, String), SyncError> {
        let rooms = &self.0.rooms;
        let (room, root) = rooms.readable_state(viewer.user_id, room_id).await?;
        let archived = Archived::Included;
        let snapshot =
            self.snapshot(viewer.user_id, device_id, limit, archived, Some(room_id)).await?;
        let is_inside = |room: &RoomSnapshot| room.membership != Some(Membership::Invite);
        let inside = snapshot.rooms.into_iter().find(is_inside);
        if let Some(inside) = inside {
            return Ok((inside, snapshot.end));
        }
        let mut outside = RoomSnapshot::of(room_id.to_owned(), None);
        outside.publication = self.publication(room_id).await?;
        for event in rooms.state_events_at(room, root).await? {
            outside.state.push(rooms.client_event(viewer, &event, EventShape::Whole).await?);
        }
        let limit = usize::try_from(limit).unwrap_or(MOST_PEEKED).min(MOST_PEEKED);
        let (from, direction) = (rooms.end_of_timeline(), Direction::Descending);
        let stretch = Stretch { from, to: None, direction, limit };
        let mut sight = rooms.sight(viewer.user_id, room).await?;
        let page = rooms.page(&mut sight, stretch, |_| true).await?;
        for (_, event) in page.events.iter().rev() {
            outside.messages.push(rooms.client_event(viewer, event, EventShape::Whole).await?);
        }
        outside.start = page.next.map(|next| next.to_string());
        Ok((outside, snapshot.end))
    }

    /// Whether the room directory lists a room.
    async fn publication(&self, room_id: &RoomId) -> Result<Publication, RoomError> {
        let store = self.0.rooms.store();
        let room = self.0.rooms.number_of_seen(room_id).await?;
        let head = store.room_head(room).await?;
        Ok(head.map_or(Publication::Private, |head| head.publication))
    }

    /// The event that made a reader what they are to a room.
    async fn own_membership(
        &self,
        user_id: &UserId,
        room_id: &RoomId,
    ) -> Result<Option<Box<RawValue>>, RoomError> {
        let rooms = &self.0.rooms;
        let room = rooms.number_of_seen(room_id).await?;
        let Some(known) = rooms.membership_of(user_id, room).await? else { return Ok(None) };
        let event: Arc<_> = rooms.event(known.event).await?;
        let viewer = Viewer { user_id, device_id: None };
        rooms.client_event(viewer, &event, EventShape::Whole).await.map(Some)
    }
}

impl RoomSnapshot {
    fn of(room_id: OwnedRoomId, membership: Option<Membership>) -> Self {
        Self {
            room_id,
            membership,
            invite: None,
            start: None,
            messages: Vec::new(),
            state: Vec::new(),
            account_data: Vec::new(),
            publication: Publication::Private,
        }
    }
}

fn room_snapshot(
    room_id: OwnedRoomId,
    membership: Membership,
    timeline: Timeline,
    state: State,
    account_data: Vec<Box<RawValue>>,
) -> Result<RoomSnapshot, SyncError> {
    let state = match state {
        State::Before(events) | State::After(events) => events.events,
        _ => Vec::new(),
    };
    let messages = in_room(&room_id, timeline.events.iter().map(Raw::json))?;
    let state = in_room(&room_id, state.iter().map(Raw::json))?;
    let room = RoomSnapshot::of(room_id, Some(membership));
    Ok(RoomSnapshot { messages, state, account_data, start: timeline.prev_batch, ..room })
}

fn filter_of(limit: UInt) -> FilterDefinition {
    let mut filter = FilterDefinition::default();
    filter.room.timeline.limit = Some(limit);
    filter
}

/// A request for everything, at once.
fn request<'a>(
    user_id: &'a UserId,
    device_id: &'a DeviceId,
    filter: &'a FilterDefinition,
) -> SyncRequest<'a> {
    SyncRequest {
        user_id,
        device_id,
        filter,
        since: None,
        state: Extent::Changes,
        place: Place::AfterTimeline,
        device_messages: DeviceMessages::Kept,
        presence: PresenceState::Online,
        timeout: Duration::ZERO,
    }
}

/// Events of a room, with its ID, which `/sync` leaves out.
fn in_room<'a>(
    room_id: &RoomId,
    events: impl Iterator<Item = &'a RawValue>,
) -> Result<Vec<Box<RawValue>>, serde_json::Error> {
    let with_room = |event: &RawValue| {
        let mut event: Map<String, Value> = serde_json::from_str(event.get())?;
        event.insert("room_id".to_owned(), room_id.as_str().into());
        to_raw_value(&event)
    };
    events.map(with_room).collect()
}
