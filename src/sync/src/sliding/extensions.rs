//! What there is to know beside rooms' events. Spec: MSC4186, "Extensions", and MSC3885, MSC3959, MSC3960, MSC3961 and MSC4308.

use std::collections::{HashMap, HashSet};

use rooms::tokens::PaginationToken;
use ruma::api::client::sync::sync_events::v5::request::{self, ExtensionRoomConfig};
use ruma::api::client::sync::sync_events::v5::response::ToDevice;
use ruma::api::client::threads::get_thread_subscriptions_changes::unstable::{
    ThreadSubscription, ThreadUnsubscription,
};
use ruma::events::AnySyncEphemeralRoomEvent;
use ruma::serde::Raw;
use ruma::{OwnedEventId, OwnedRoomId, UInt, UserId};
use store::{
    AccountData, ChangedSubscription, Membership, RoomNumber, StoredReceipt, StreamPosition,
    Subscription,
};

use super::Look;
use super::answer::SlidingAnswer;
use super::connections::{Changes, RoomAccountData, SentRoom};
use super::lists::{Relevance, Relevant};
use crate::to_device::MOST_MESSAGES;
use crate::{SyncError, ephemeral};

/// How many subscriptions to threads a client is told of that names no limit.
const SUBSCRIPTIONS: usize = 100;

/// For which rooms an extension is wanted. Where lists or rooms are not named, all are meant.
struct Scope<'a> {
    lists: Option<&'a [String]>,
    /// Whether all rooms are meant that are wanted by their ID.
    all_subscribed: bool,
    rooms: HashSet<RoomNumber>,
}

impl Scope<'_> {
    fn covers(&self, relevant: &Relevant) -> bool {
        let in_lists = match self.lists {
            None => !relevant.lists.is_empty(),
            Some(lists) => lists.iter().any(|list| {
                (list == "*" && !relevant.lists.is_empty()) || relevant.lists.contains(list)
            }),
        };
        in_lists
            || (self.all_subscribed && relevant.is_subscribed)
            || self.rooms.contains(&relevant.membership.room)
    }
}

impl Look<'_> {
    pub(super) async fn add_extensions(
        &self,
        relevance: &Relevance,
        answer: &mut SlidingAnswer,
        changes: &mut Changes,
    ) -> Result<(), SyncError> {
        let wanted = &self.request.wanted.extensions;
        if wanted.to_device.enabled == Some(true) {
            answer.extensions.to_device = Some(self.device_messages(&wanted.to_device).await?);
        }
        if wanted.account_data.enabled == Some(true) {
            let (lists, rooms) = (&wanted.account_data.lists, &wanted.account_data.rooms);
            let rooms = self.rooms_in(relevance, (lists.as_deref(), rooms.as_deref())).await?;
            self.add_account_data(&rooms, answer, changes).await?;
        }
        if wanted.receipts.enabled == Some(true) {
            let (lists, rooms) = (&wanted.receipts.lists, &wanted.receipts.rooms);
            let rooms = self.rooms_in(relevance, (lists.as_deref(), rooms.as_deref())).await?;
            self.add_receipts(&rooms, answer, changes).await?;
        }
        if wanted.typing.enabled == Some(true) {
            let (lists, rooms) = (&wanted.typing.lists, &wanted.typing.rooms);
            let rooms = self.rooms_in(relevance, (lists.as_deref(), rooms.as_deref())).await?;
            self.add_typing(&rooms, answer, changes).await?;
        }
        if wanted.thread_subscriptions.enabled == Some(true) {
            self.add_thread_subscriptions(answer, changes).await?;
        }
        Ok(())
    }

    /// The messages to the client's device, which counts them by a token of their own.
    async fn device_messages(&self, wanted: &request::ToDevice) -> Result<ToDevice, SyncError> {
        let since = wanted.since.as_deref().and_then(|since| since.parse().ok());
        let since = since.map_or(StreamPosition::START, StreamPosition);
        let limit = wanted.limit.and_then(|limit| usize::try_from(limit).ok());
        let limit = limit.unwrap_or(MOST_MESSAGES).clamp(1, MOST_MESSAGES);
        let device = (self.user, self.request.device_id);
        let found = self.sync.messages_to(device, since, self.until, limit).await?;
        let mut messages = ToDevice::default();
        (messages.events, messages.next_batch) = (found.events, found.next.to_string());
        Ok(messages)
    }

    /// The rooms for which an extension is wanted.
    async fn rooms_in<'a>(
        &self,
        relevance: &'a Relevance,
        (lists, rooms): (Option<&[String]>, Option<&[ExtensionRoomConfig]>),
    ) -> Result<Vec<&'a Relevant>, SyncError> {
        let store = self.sync.0.rooms.store();
        let mut scope = Scope { lists, all_subscribed: rooms.is_none(), rooms: HashSet::new() };
        for room in rooms.unwrap_or_default() {
            match room {
                ExtensionRoomConfig::AllSubscribed => scope.all_subscribed = true,
                ExtensionRoomConfig::Room(room) => {
                    scope.rooms.extend(store.room_number(room).await?);
                }
                // ruma may learn of other ways to name rooms.
                _ => {}
            }
        }
        Ok(relevance.rooms.values().filter(|relevant| scope.covers(relevant)).collect())
    }

    async fn room_id(&self, room: RoomNumber) -> Result<OwnedRoomId, SyncError> {
        self.reader(None).room_id(room).await
    }

    /// What the client has of a room, with what is changed in this answer.
    fn known<'b>(&'b self, changes: &'b Changes, room: RoomNumber) -> Option<&'b SentRoom> {
        match changes.rooms.get(&room) {
            Some(sent) => sent.as_ref(),
            None => self.state.rooms.get(&room),
        }
    }

    /// Changes what the client has of a room.
    fn change(&self, changes: &mut Changes, room: RoomNumber, change: impl FnOnce(&mut SentRoom)) {
        let sent =
            changes.rooms.entry(room).or_insert_with(|| self.state.rooms.get(&room).cloned());
        if let Some(sent) = sent {
            change(sent);
        }
    }

    /// The account's data that changed, and that of the rooms. Of a room that was out of sight when its data changed,
    /// all of it is told when it comes back.
    async fn add_account_data(
        &self,
        rooms: &[&Relevant],
        answer: &mut SlidingAnswer,
        changes: &mut Changes,
    ) -> Result<(), SyncError> {
        let inner = &self.sync.0;
        let store = inner.rooms.store();
        let changed = match self.state.account_data {
            None => {
                let all = store.all_account_data(self.user).await?;
                changes.account_data = Some(self.until);
                all.into_iter().filter(|entry| entry.room.is_none()).collect()
            }
            Some(since) if inner.feed.heads.user(self.user).account_data > since => {
                changes.account_data = Some(self.until);
                store.account_data_since(self.user, since, self.until).await?
            }
            Some(_) => Vec::new(),
        };
        let mut of_rooms: HashMap<RoomNumber, Vec<AccountData>> = HashMap::new();
        for entry in changed {
            if let Some(room) = entry.room {
                of_rooms.entry(room).or_default().push(entry);
                continue;
            }
            let content = self.sync.content_of(&entry, self.request.user_id)?;
            let event = ephemeral::event(&entry.kind, content)?;
            answer.extensions.account_data.global.push(event);
        }
        for room in rooms {
            let number = room.membership.room;
            let changed = of_rooms.remove(&number).unwrap_or_default();
            let is_told = self.known(changes, number).map(|sent| sent.account_data);
            let entries = match is_told {
                Some(RoomAccountData::Stale) => {
                    self.change(changes, number, |sent| sent.account_data = RoomAccountData::Told);
                    store.room_account_data(self.user, number).await?
                }
                _ => changed,
            };
            if entries.is_empty() {
                continue;
            }
            let mut events = Vec::with_capacity(entries.len());
            for entry in &entries {
                events.push(ephemeral::event(&entry.kind, &entry.content)?);
            }
            let room_id = self.room_id(number).await?;
            answer.extensions.account_data.rooms.insert(room_id, events);
        }
        for room in of_rooms.into_keys() {
            if self
                .known(changes, room)
                .is_some_and(|sent| sent.account_data == RoomAccountData::Told)
            {
                self.change(changes, room, |sent| sent.account_data = RoomAccountData::Stale);
            }
        }
        Ok(())
    }

    /// The receipts that moved. Of a room that the client sees for the first time, the reader's own and those at the
    /// events of the timeline.
    async fn add_receipts(
        &self,
        rooms: &[&Relevant],
        answer: &mut SlidingAnswer,
        changes: &mut Changes,
    ) -> Result<(), SyncError> {
        let inner = &self.sync.0;
        let store = inner.rooms.store();
        let heads = inner.feed.heads.rooms(rooms.iter().map(|room| room.membership.room));
        for (room, heads) in rooms.iter().zip(heads) {
            if room.membership.membership != Membership::Join {
                continue;
            }
            let number = room.membership.room;
            let told = self.known(changes, number).and_then(|sent| sent.receipts);
            let receipts = match told {
                Some(told) if heads.receipts <= told => continue,
                Some(told) => store.receipts_since(number, told, self.until).await?,
                None => self.first_receipts(room, answer).await?,
            };
            self.change(changes, number, |sent| sent.receipts = Some(self.until));
            if let Some(event) = self.receipt_event(receipts).await? {
                let room_id = self.room_id(number).await?;
                answer.extensions.receipts.rooms.insert(room_id, event.cast_unchecked());
            }
        }
        Ok(())
    }

    /// The reader's own receipts, and those at the events of a timeline that is in the answer.
    async fn first_receipts(
        &self,
        room: &Relevant,
        answer: &SlidingAnswer,
    ) -> Result<Vec<StoredReceipt>, SyncError> {
        let store = self.sync.0.rooms.store();
        let room_id = self.room_id(room.membership.room).await?;
        let timeline = answer.rooms.get(&room_id).map_or(&[][..], |room| &room.timeline);
        let events: Vec<OwnedEventId> = timeline
            .iter()
            .filter_map(|event| event.get_field("event_id").ok().flatten())
            .collect();
        let mut receipts = Vec::new();
        if let Some(first) = events.first()
            && let Some(index) = store.event_index(first).await?
        {
            // No receipt is older than its event.
            let since = StreamPosition(index.position.stream_position().0.saturating_sub(1));
            let moved = store.receipts_since(room.membership.room, since, self.until).await?;
            let at_timeline = |stored: &StoredReceipt| events.contains(&stored.receipt.event_id);
            receipts.extend(moved.into_iter().filter(at_timeline));
        }
        for own in store.user_receipts(room.membership.room, self.user).await? {
            if own.moved <= self.until && !receipts.contains(&own) {
                receipts.push(own);
            }
        }
        Ok(receipts)
    }

    /// One event with all of some receipts. Where a reader has several at one event, the one of no thread says most.
    async fn receipt_event(
        &self,
        mut receipts: Vec<StoredReceipt>,
    ) -> Result<Option<Raw<AnySyncEphemeralRoomEvent>>, SyncError> {
        receipts.sort_by_key(|stored| stored.receipt.thread.as_str().is_some());
        let store = self.sync.0.rooms.store();
        let shown = |user: &UserId| !self.rules.ignores(user);
        Ok(ephemeral::receipts(store, self.user, &receipts, shown).await?.into_iter().next())
    }

    /// The subscriptions to threads that changed, the latest of them. Spec: MSC4308.
    async fn add_thread_subscriptions(
        &self,
        answer: &mut SlidingAnswer,
        changes: &mut Changes,
    ) -> Result<(), SyncError> {
        let inner = &self.sync.0;
        let told = self.state.thread_subscriptions;
        let changed = inner.feed.heads.user(self.user).thread_subscriptions;
        if told.is_some_and(|told| changed <= told) {
            return Ok(());
        }
        changes.thread_subscriptions = Some(self.until);
        let limit = self.request.wanted.extensions.thread_subscriptions.limit;
        let limit =
            limit.map_or(SUBSCRIPTIONS, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
        let since = told.unwrap_or(StreamPosition::START);
        let page =
            inner.rooms.thread_subscription_changes(self.user, since, self.until, limit).await?;
        let told = &mut answer.extensions.thread_subscriptions;
        told.prev_batch = page.next.map(|next| PaginationToken::after(next.into()).to_string());
        for (room_id, ChangedSubscription { root, changed, .. }) in page.changes {
            let bump_stamp = UInt::new_saturating(changed.since.0);
            if changed.subscription == Subscription::Ended {
                let ended = ThreadUnsubscription::new(bump_stamp);
                told.unsubscribed.entry(room_id).or_default().insert(root, ended);
            } else {
                let is_automatic = changed.subscription == Subscription::Automatic;
                let subscription = ThreadSubscription::new(is_automatic, bump_stamp);
                told.subscribed.entry(room_id).or_default().insert(root, subscription);
            }
        }
        Ok(())
    }

    /// Who types where that changed.
    async fn add_typing(
        &self,
        rooms: &[&Relevant],
        answer: &mut SlidingAnswer,
        changes: &mut Changes,
    ) -> Result<(), SyncError> {
        let typing = self.sync.0.rooms.typing();
        for room in rooms {
            let number = room.membership.room;
            let Some(sent) = self.known(changes, number) else { continue };
            let is_joined = room.membership.membership == Membership::Join;
            if !is_joined || !typing.is_news(number, sent.typing) {
                continue;
            }
            self.change(changes, number, |sent| sent.typing = Some(self.memory.typing));
            let mut users = typing.users(number);
            users.retain(|user| !self.rules.ignores(user));
            let event = ephemeral::typing(&users)?.cast_unchecked();
            let room_id = self.room_id(number).await?;
            answer.extensions.typing.rooms.insert(room_id, event);
        }
        Ok(())
    }
}
