//! One answer to one reader.

mod events;
mod passes;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use rooms::RoomError;
use ruma::api::client::filter::LazyLoadOptions;
use ruma::api::client::sync::sync_events::v3::Response;
use ruma::{OwnedRoomId, UInt};
use store::{
    AccountData, Forgotten, Membership, RoomMembership, RoomNumber, StoreError, StreamPosition,
    UserNumber,
};
use tokio::sync::OnceCell;

use crate::event_fields::EventFields;
use crate::filter::{covers_kind, covers_room, covers_sender};
use crate::heads::RoomChanges;
use crate::judge::Rules;
use crate::memberships::UserRooms;
use crate::timeline::Patience;
use crate::to_device::MOST_MESSAGES;
use crate::token::MemoryPosition;
use crate::v2::{DeviceMessages, Extent, SyncRequest};
use crate::{Sync, SyncError, SyncToken, ephemeral};

pub(crate) use self::passes::Passes;

/// How often a snapshot is taken again because the reader's memberships changed meanwhile.
const SNAPSHOTS: usize = 10;

/// What an answer is made of: the reader, and the two positions between which it tells what changed.
pub(crate) struct Reader<'a> {
    pub(crate) sync: &'a Sync,
    pub(crate) request: SyncRequest<'a>,
    pub(crate) user: UserNumber,
    /// What was seen is excluded; `None`: nothing was.
    pub(crate) since: Option<StreamPosition>,
    /// Included.
    pub(crate) until: StreamPosition,
    /// Whose messages, invitations and doings the reader does not want: asked for when there is something to tell.
    pub(crate) rules: OnceCell<Arc<Rules>>,
    /// For events that they do not get.
    pub(crate) patience: Patience,
    /// What changed of the account data of rooms; of an initial answer, all of it.
    pub(crate) account_data: HashMap<RoomNumber, Vec<AccountData>>,
    /// Included, of what lives in memory.
    pub(crate) memory: MemoryPosition,
    /// Which parts of events are wanted; `None`: all.
    pub(crate) fields: Option<EventFields>,
}

/// A room in which something may be new.
struct Candidate {
    membership: RoomMembership,
    changes: RoomChanges,
}

impl<'a> Reader<'a> {
    /// What is new now, and the rooms in which it was looked for.
    pub(crate) async fn answer(
        sync: &'a Sync,
        request: SyncRequest<'a>,
    ) -> Result<(Response, Arc<UserRooms>), SyncError> {
        let user = sync.0.rooms.store().number_user(request.user_id).await?;
        // Before anything is looked at: what changes meanwhile is told next time.
        let memory = MemoryPosition {
            typing: sync.0.rooms.typing().position(),
            presence: sync.0.rooms.presence().position(),
        };
        let (rooms, until) = snapshot(sync, user).await?;
        let since = request.since.map(|since| since.position);
        if since.is_some_and(|since| since > until) {
            return Err(SyncError::UnknownPosition);
        }
        if since.is_none() || request.state == Extent::Whole {
            sync.0.sent_members.forget(user, request.device_id);
        }
        let mut reader = Self {
            sync,
            request,
            user,
            since,
            until,
            rules: OnceCell::new(),
            patience: Patience::default(),
            account_data: HashMap::new(),
            memory,
            fields: request.filter.event_fields.as_deref().map(EventFields::new),
        };
        if let Some((_, since)) = reader.lazy_members().zip(since) {
            sync.0.sent_members.of(user, request.device_id).come_back(since);
        }
        let mut next = SyncToken { position: until, epoch: sync.0.epoch, memory, to_device: until };
        let mut response = Response::new(String::new());
        next.to_device = reader.add_device_messages(&mut response).await?;
        response.next_batch = next.to_string();
        reader.add_account_data(&mut response).await?;
        reader.add_rooms(&rooms, &mut response).await?;
        reader.add_presence(&rooms, &mut response).await?;
        Ok((response, rooms))
    }

    /// Adds the messages to the reader's device; returns up to where the reader has them then.
    async fn add_device_messages(
        &self,
        response: &mut Response,
    ) -> Result<StreamPosition, SyncError> {
        let since = self.request.since.map_or(StreamPosition::START, |since| since.to_device);
        if self.request.device_messages == DeviceMessages::Kept {
            return Ok(since);
        }
        let device = (self.user, self.request.device_id);
        let messages = self.sync.messages_to(device, since, self.until, MOST_MESSAGES).await?;
        response.to_device.events = messages.events;
        Ok(messages.next)
    }

    /// Whether a position is new to the reader.
    pub(crate) fn is_new(&self, position: StreamPosition) -> bool {
        self.since.is_none_or(|since| position > since)
    }

    /// The reader's push rules, and whom they ignore.
    pub(crate) async fn rules(&self) -> Result<&Rules, StoreError> {
        let inner = &self.sync.0;
        let read = || {
            let (judge, heads) = (&inner.unread.judge, &inner.feed.heads);
            judge.rules_of(&inner.rooms, heads, self.user, self.request.user_id)
        };
        self.rules.get_or_try_init(read).await.map(|rules| &**rules)
    }

    async fn add_account_data(&mut self, response: &mut Response) -> Result<(), SyncError> {
        let store = self.sync.0.rooms.store();
        let changed = match self.since {
            None => store.all_account_data(self.user).await?,
            Some(since) if self.sync.0.feed.heads.user(self.user).account_data > since => {
                store.account_data_since(self.user, since, self.until).await?
            }
            Some(_) => Vec::new(),
        };
        let filter = &self.request.filter.account_data;
        let is_wanted = covers_sender(filter, self.request.user_id);
        let events = &mut response.account_data.events;
        for entry in changed {
            match entry.room {
                Some(room) => self.account_data.entry(room).or_default().push(entry),
                None if is_wanted && covers_kind(filter, &entry.kind) => {
                    events.push(ephemeral::event(
                        &entry.kind,
                        self.sync.content_of(&entry, self.request.user_id)?,
                    )?);
                }
                None => {}
            }
        }
        keep_last(events, filter.limit);
        Ok(())
    }

    async fn add_rooms(
        &mut self,
        rooms: &UserRooms,
        response: &mut Response,
    ) -> Result<(), SyncError> {
        let candidates = self.candidates(rooms);
        if candidates.is_empty() {
            return Ok(());
        }
        for Candidate { membership, changes } in candidates {
            let room_id = self.room_id(membership.room).await?;
            if !covers_room(&self.request.filter.room, &room_id) {
                continue;
            }
            let answer = &mut response.rooms;
            match membership.membership {
                Membership::Join => {
                    let room = self.joined_room(&room_id, &membership, changes).await?;
                    answer.join.extend(room.map(|room| (room_id, room)));
                }
                Membership::Invite => {
                    let room = self.invited_room(&membership).await?;
                    answer.invite.extend(room.map(|room| (room_id, room)));
                }
                Membership::Knock => {
                    answer.knock.insert(room_id, self.knocked_room(&membership).await?);
                }
                Membership::Leave | Membership::Ban => {
                    let room = self.left_room(&room_id, &membership).await?;
                    answer.leave.insert(room_id, room);
                }
            }
        }
        Ok(())
    }

    /// The rooms in which something may be new, found in memory alone.
    fn candidates(&self, rooms: &UserRooms) -> Vec<Candidate> {
        let heads = &self.sync.0.feed.heads;
        let numbers = rooms.rooms.iter().map(|membership| membership.room);
        let changes = heads.rooms(numbers);
        let pairs = rooms.rooms.iter().zip(changes);
        let typing = self.sync.0.rooms.typing().news(
            rooms.rooms.iter().map(|membership| membership.room),
            self.seen_in_memory().map(|seen| seen.typing),
        );
        let mut candidates = Vec::new();
        for (membership, changes) in pairs {
            if self.may_be_new(membership, changes, &typing) {
                candidates.push(Candidate { membership: *membership, changes });
            }
        }
        candidates
    }

    fn may_be_new(
        &self,
        membership: &RoomMembership,
        changes: RoomChanges,
        typing: &HashSet<RoomNumber>,
    ) -> bool {
        let is_new = self.is_new(membership.since);
        match membership.membership {
            Membership::Join => {
                is_new
                    || self.request.state == Extent::Whole
                    || self.is_new(changes.timeline)
                    || self.is_new(changes.receipts)
                    || self.account_data.contains_key(&membership.room)
                    || typing.contains(&membership.room)
            }
            Membership::Invite | Membership::Knock => is_new,
            Membership::Leave | Membership::Ban => {
                // Another device has to learn of a departure even if the room is forgotten by now.
                let is_kept = membership.forgotten == Forgotten::No;
                let wanted = self.request.filter.room.include_leave && is_kept;
                is_new && (wanted || self.since.is_some())
            }
        }
    }

    /// What the reader has seen of what lives in memory; `None`: nothing since the process started.
    pub(crate) fn seen_in_memory(&self) -> Option<MemoryPosition> {
        let since = self.request.since.filter(|since| since.epoch == self.sync.0.epoch);
        since.map(|since| since.memory)
    }

    /// Whether the reader was here before the process started.
    pub(crate) fn is_from_before(&self) -> bool {
        self.since.is_some() && self.seen_in_memory().is_none()
    }

    /// Whether who types in a room is news to the reader.
    pub(crate) fn is_typing_new(&self, room: RoomNumber) -> bool {
        let seen = self.seen_in_memory().map(|seen| seen.typing);
        self.sync.0.rooms.typing().is_news(room, seen)
    }

    pub(crate) async fn room_id(&self, room: RoomNumber) -> Result<OwnedRoomId, SyncError> {
        let room_id = self.sync.0.rooms.store().room_id(room).await?;
        Ok(room_id.ok_or_else(|| RoomError::Damaged(format!("room {room} has no id")))?)
    }

    /// Whether only those member events are wanted that are needed, and among these also those sent before.
    pub(crate) fn lazy_members(&self) -> Option<RedundantMembers> {
        match self.request.filter.room.state.lazy_load_options {
            LazyLoadOptions::Disabled => None,
            LazyLoadOptions::Enabled { include_redundant_members: true } => {
                Some(RedundantMembers::Sent)
            }
            LazyLoadOptions::Enabled { .. } => Some(RedundantMembers::LeftOut),
        }
    }
}

/// Leaves as many events as are wanted at most, the latest.
pub(crate) fn keep_last<T>(events: &mut Vec<T>, limit: Option<UInt>) {
    let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
    events.drain(..events.len().saturating_sub(limit));
}

/// What becomes of member events that the client has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RedundantMembers {
    /// They are sent again.
    Sent,
    /// They are left out.
    LeftOut,
}

/// The reader's memberships and a position such that they are exactly those at the position.
pub(crate) async fn snapshot(
    sync: &Sync,
    user: UserNumber,
) -> Result<(Arc<UserRooms>, StreamPosition), SyncError> {
    let (store, heads) = (sync.0.rooms.store(), &sync.0.feed.heads);
    for _ in 0..SNAPSHOTS {
        let rooms = sync.0.memberships.of_user(store, heads, user).await?;
        let until = store.position();
        // Whatever is up to `until` was noted before.
        if heads.user(user).memberships <= rooms.as_of {
            return Ok((rooms, until));
        }
    }
    Err(RoomError::Busy.into())
}
