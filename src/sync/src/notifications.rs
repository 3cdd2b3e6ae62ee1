//! What a reader was notified of. Spec: client-server API, "Listing Notifications".
//!
//! Nothing is kept for it: the newest events of the reader's rooms are judged again, from the end backwards. A room
//! is read only when nothing that is newer can be elsewhere.

use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::sync::Arc;

use rooms::{EventShape, RoomError, Viewer};
use ruma::push::Action;
use ruma::{DeviceId, MilliSecondsSinceUnixEpoch, OwnedRoomId, UserId};
use serde_json::value::RawValue;
use store::{
    Direction, Membership, RoomMembership, RoomNumber, StreamPosition, TimelineEntry,
    TimelinePosition, UnreadTally, UserNumber,
};

use crate::judge::{Hearing, Rules, Scene};
use crate::reader::snapshot;
use crate::unread::Counted;
use crate::{Sync, SyncError};

/// How many timeline entries of a room are read at once.
const PAGE: usize = 50;

/// How many events are looked at for one answer.
const MOST_LOOKED_AT: usize = 2_000;

/// Which notifications a reader wants.
#[derive(Debug, Clone, Copy)]
pub struct NotificationsWanted<'a> {
    /// The reader.
    pub user_id: &'a UserId,
    /// Their device.
    pub device_id: &'a DeviceId,
    /// Those of events before this position; `None`: the newest.
    pub before: Option<StreamPosition>,
    /// How many at most.
    pub limit: usize,
    /// Of which kind.
    pub only: Only,
}

/// Of which kind notifications are to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Only {
    /// Of any.
    Anything,
    /// Those that stand out.
    Highlights,
}

/// An event that notified its reader.
#[derive(Debug)]
pub struct Notification {
    /// What it did.
    pub actions: Vec<Action>,
    /// The event as the reader sees it.
    pub event: Box<RawValue>,
    /// Whether they have read it.
    pub is_read: bool,
    /// Its room.
    pub room_id: OwnedRoomId,
    /// When it was sent.
    pub sent_at: MilliSecondsSinceUnixEpoch,
}

/// A page of notifications, the newest first.
#[derive(Debug)]
pub struct Notifications {
    /// The notifications.
    pub notifications: Vec<Notification>,
    /// Before which position the next page begins; `None` when there is none.
    pub next: Option<StreamPosition>,
}

/// A room on the way backwards.
struct Lane {
    membership: RoomMembership,
    /// What was read and not yet looked at, the newest first.
    entries: VecDeque<TimelineEntry>,
    members: u64,
    uses_subscriptions: bool,
    scene: Option<Scene>,
}

impl Sync {
    /// A page of what notified a reader, as their push rules judge it now, in the rooms that they are in, since they
    /// are in them, and of their invitations.
    #[tracing::instrument(skip_all, fields(user = %wanted.user_id))]
    pub async fn notifications(
        &self,
        wanted: NotificationsWanted<'_>,
    ) -> Result<Notifications, SyncError> {
        let rooms = &self.0.rooms;
        let user = rooms.store().number_user(wanted.user_id).await?;
        let (memberships, until) = snapshot(self, user).await?;
        let judge = &self.0.unread.judge;
        let rules = judge.rules_of(rooms, &self.0.feed.heads, user, wanted.user_id).await?;
        let until = wanted
            .before
            .map_or(until, |before| until.min(StreamPosition(before.0.saturating_sub(1))));
        let mut walk = Walk {
            sync: self,
            wanted,
            user,
            rules: &rules,
            until,
            lanes: HashMap::new(),
            order: BinaryHeap::new(),
            tallies: HashMap::new(),
        };
        walk.begin(&memberships.rooms);
        walk.page().await
    }
}

/// The way backwards through all rooms of a reader.
struct Walk<'a> {
    sync: &'a Sync,
    wanted: NotificationsWanted<'a>,
    user: UserNumber,
    rules: &'a Rules,
    until: StreamPosition,
    lanes: HashMap<RoomNumber, Lane>,
    /// Each room by the position that its next event is not after.
    order: BinaryHeap<(StreamPosition, RoomNumber)>,
    tallies: HashMap<RoomNumber, Option<Arc<UnreadTally>>>,
}

impl Walk<'_> {
    fn begin(&mut self, memberships: &[RoomMembership]) {
        for membership in memberships {
            let newest = match membership.membership {
                Membership::Join => self.sync.0.feed.heads.room(membership.room).timeline,
                Membership::Invite => membership.since,
                _ => continue,
            };
            if membership.since <= self.until {
                let (entries, members, scene) = (VecDeque::new(), 0, None);
                let lane = Lane {
                    membership: *membership,
                    entries,
                    members,
                    uses_subscriptions: false,
                    scene,
                };
                self.order.push((newest.min(self.until), membership.room));
                self.lanes.insert(membership.room, lane);
            }
        }
    }

    async fn page(mut self) -> Result<Notifications, SyncError> {
        let mut notifications = Vec::new();
        let mut looked_at = 0;
        let mut last = None;
        while let Some((position, room)) = self.order.pop() {
            if notifications.len() == self.wanted.limit || looked_at == MOST_LOOKED_AT {
                return Ok(Notifications { notifications, next: last });
            }
            let Some(mut lane) = self.lanes.remove(&room) else { continue };
            let next = if let Some(entry) = lane.entries.pop_front() {
                looked_at += 1;
                last = Some(position);
                notifications.extend(self.look_at(&mut lane, entry).await?);
                let next = lane.entries.front().map(|next| next.position.stream_position());
                Some(next.unwrap_or(StreamPosition(position.0.saturating_sub(1))))
            } else {
                self.read_on(&mut lane, position).await?;
                lane.entries.front().map(|next| next.position.stream_position())
            };
            if let Some(next) = next {
                self.order.push((next, room));
                self.lanes.insert(room, lane);
            }
        }
        Ok(Notifications { notifications, next: None })
    }

    /// Reads the next entries of a room, up to `until`.
    async fn read_on(&self, lane: &mut Lane, until: StreamPosition) -> Result<(), SyncError> {
        let (store, membership) = (self.sync.0.rooms.store(), lane.membership);
        if membership.membership == Membership::Invite {
            let position = membership.since.into();
            let entry = TimelineEntry { position, event: membership.event };
            lane.entries.extend(Some(entry).filter(|_| membership.since <= until));
            return Ok(());
        }
        if lane.members == 0 {
            let head = store.room_head(membership.room).await?;
            lane.members = head.map_or(0, |head| head.joined).min(self.rules.members);
            let changed = store.thread_subscriptions_changed(self.user, membership.room).await?;
            lane.uses_subscriptions = changed.is_some();
        }
        let after = membership.since.into();
        let before = TimelinePosition(TimelinePosition::from(until).0.saturating_add(1));
        let page = store.timeline(membership.room, after, before, Direction::Descending, PAGE);
        lane.entries = page.await?.into();
        Ok(())
    }

    async fn look_at(
        &mut self,
        lane: &mut Lane,
        entry: TimelineEntry,
    ) -> Result<Option<Notification>, SyncError> {
        // Without it, looking at many events keeps others from the processor: none of them is waited for.
        tokio::task::yield_now().await;
        let rooms = &self.sync.0.rooms;
        let event = rooms.event(entry.event).await?;
        let is_invitation = lane.membership.membership == Membership::Invite;
        if is_invitation && self.rules.ignores(&event.pdu.sender) {
            return Ok(None);
        }
        let mut hearing = Hearing {
            judge: &self.sync.0.unread.judge,
            rooms,
            rules: self.rules,
            user_id: self.wanted.user_id,
            user: self.user,
            room: lane.membership.room,
            members: lane.members,
            uses_subscriptions: lane.uses_subscriptions,
            last: lane.scene.take(),
        };
        let outcome = hearing.outcome(&event).await?;
        lane.scene = hearing.last;
        if !outcome.notify || (self.wanted.only == Only::Highlights && !outcome.highlight) {
            return Ok(None);
        }
        let is_read = !is_invitation && self.is_read(lane.membership, entry.position).await?;
        let NotificationsWanted { user_id, device_id, .. } = self.wanted;
        let viewer = Viewer { user_id, device_id: Some(device_id) };
        Ok(Some(Notification {
            actions: outcome.actions.to_vec(),
            event: rooms.client_event(viewer, &event, EventShape::InRoom).await?,
            is_read,
            room_id: event.pdu.room_id.clone(),
            sent_at: event.pdu.origin_server_ts,
        }))
    }

    /// Whether an event that notifies the reader counts as unread no more.
    async fn is_read(
        &mut self,
        membership: RoomMembership,
        position: TimelinePosition,
    ) -> Result<bool, RoomError> {
        let (inner, room) = (&self.sync.0, membership.room);
        if !self.tallies.contains_key(&room) {
            let counted = Counted {
                user_id: self.wanted.user_id,
                user: self.user,
                room,
                joined: membership.since,
            };
            let heads = &inner.feed.heads;
            let until = inner.rooms.store().position();
            let tally = inner.unread.tally(&inner.rooms, heads, counted, until).await?;
            self.tallies.insert(room, tally);
        }
        let tally = self.tallies.get(&room).and_then(Option::as_ref);
        let is_unread = tally.is_some_and(|tally| {
            tally.events.binary_search_by_key(&position, |event| event.position).is_ok()
        });
        Ok(!is_unread)
    }
}
