//! The rooms of a user in order, and which of them are wanted. Spec: MSC4186, "Lists and subscriptions".

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use rooms::{InvitePermission, RoomError};
use store::{Forgotten, Membership, RoomMembership, RoomNumber, StreamPosition};

use super::Look;
use super::filters::{ListFilters, Outside};
use super::nature::Nature;
use super::own_rooms::Tags;
use super::required_state::{RequiredState, RequiredStates};
use crate::SyncError;
use crate::memberships::UserRooms;

/// A room that the user may be told of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Listed {
    pub(crate) membership: RoomMembership,
    /// When something last happened there; to those outside, when they became what they are.
    last_activity: StreamPosition,
}

/// A room that is wanted.
#[derive(Debug)]
pub(crate) struct Relevant {
    pub(crate) membership: RoomMembership,
    /// How many events and which state are wanted, by all rules together.
    pub(crate) timeline_limit: usize,
    pub(crate) required: Arc<RequiredState>,
    /// The lists in which it is.
    pub(crate) lists: Vec<String>,
    /// Whether it is wanted by its ID.
    pub(crate) is_subscribed: bool,
}

/// Why a room is wanted, and how much of it.
#[derive(Debug, Clone, Copy)]
struct Rule<'a> {
    timeline_limit: usize,
    required: &'a Arc<RequiredState>,
    list: Option<&'a String>,
}

/// What is wanted of a user's rooms.
#[derive(Debug, Default)]
pub(crate) struct Relevance {
    /// How many rooms each list has.
    pub(crate) counts: BTreeMap<String, usize>,
    pub(crate) rooms: BTreeMap<RoomNumber, Relevant>,
}

/// How somebody came to be outside of a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Departure {
    /// They left, refused an invitation, or never were in it.
    Own,
    /// They were in it and somebody removed them.
    Removal,
}

impl Look<'_> {
    /// The rooms that are wanted.
    pub(crate) async fn relevance(&self, rooms: &UserRooms) -> Result<Relevance, SyncError> {
        let wanted = self.request.wanted;
        let mut relevance = Relevance::default();
        if wanted.has_no_rooms() {
            return Ok(relevance);
        }
        let listed = self.listed(rooms).await?;
        let known = &self.sync.0.sliding.required;
        for (name, list) in &wanted.lists {
            let places = match &list.filters {
                Some(filters) => self.filtered(rooms, &listed, filters).await?,
                None => listed.iter().collect(),
            };
            relevance.counts.insert(name.clone(), places.len());
            let required = &known.shared(&list.config.required_state);
            let timeline_limit = list.config.timeline_limit;
            let rule = Rule { timeline_limit, required, list: Some(name) };
            for (place, room) in places.into_iter().enumerate() {
                if list.covers(place) {
                    relevance.add(room.membership, rule, known);
                }
            }
        }
        for (room_id, config) in &wanted.room_subscriptions {
            let Some(room) = self.sync.0.rooms.store().room_number(room_id).await? else {
                continue;
            };
            if let Some(room) = listed.iter().find(|listed| listed.membership.room == room) {
                let required = &known.shared(&config.required_state);
                let rule = Rule { timeline_limit: config.timeline_limit, required, list: None };
                relevance.add(room.membership, rule, known);
            }
        }
        Ok(relevance)
    }

    /// The rooms that the user may be told of, the one with the latest activity first.
    async fn listed(&self, rooms: &UserRooms) -> Result<Vec<Listed>, SyncError> {
        let inner = &self.sync.0;
        let numbers = rooms.rooms.iter().map(|membership| membership.room);
        let changes = inner.feed.heads.rooms(numbers);
        let mut listed = Vec::with_capacity(rooms.rooms.len());
        for (membership, changes) in rooms.rooms.iter().zip(changes) {
            let last_activity = match membership.membership {
                Membership::Join => {
                    let activities = &inner.sliding.activities;
                    activities.of(&inner.rooms, membership.room, changes.timeline).await?.last
                }
                Membership::Invite if !self.is_welcome(membership).await? => continue,
                Membership::Leave | Membership::Ban if !self.is_shown(membership).await? => {
                    continue;
                }
                _ => membership.since,
            };
            listed.push(Listed { membership: *membership, last_activity });
        }
        listed.sort_by_key(|room| {
            (std::cmp::Reverse(room.last_activity), std::cmp::Reverse(room.membership.room))
        });
        Ok(listed)
    }

    /// Whether the user wants to hear of an invitation.
    async fn is_welcome(&self, membership: &RoomMembership) -> Result<bool, RoomError> {
        let rooms = &self.sync.0.rooms;
        let invitation = rooms.event(membership.event).await?;
        let inviter = &invitation.pdu.sender;
        Ok(!self.rules.ignores(inviter)
            && rooms.invite_permission(self.request.user_id, inviter).await?
                == InvitePermission::Allow)
    }

    /// Whether a room that the user is not in any more is shown: it is until the client has been told of the
    /// departure, and one that they were removed from stays.
    async fn is_shown(&self, membership: &RoomMembership) -> Result<bool, SyncError> {
        let sent = self.state.rooms.get(&membership.room);
        if sent.is_some_and(|sent| sent.membership.1 < membership.since) {
            return Ok(true);
        }
        if membership.forgotten == Forgotten::Yes {
            return Ok(false);
        }
        let inner = &self.sync.0;
        let departures = &inner.sliding.departures;
        if let Some(known) = departures.get(&membership.event) {
            return Ok(known == Departure::Removal);
        }
        let event = inner.rooms.event(membership.event).await?;
        let is_own = event.pdu.sender == self.request.user_id;
        let departure = if !is_own && self.reader(None).was_in_before(&event).await? {
            Departure::Removal
        } else {
            Departure::Own
        };
        departures.insert(membership.event, departure);
        Ok(departure == Departure::Removal)
    }

    /// The rooms of which everything holds that a filter says, in the same order.
    async fn filtered<'a>(
        &self,
        rooms: &UserRooms,
        listed: &'a [Listed],
        filters: &ListFilters,
    ) -> Result<Vec<&'a Listed>, SyncError> {
        let inner = &self.sync.0;
        let store = inner.rooms.store();
        let tags = if filters.asks_for_tags() {
            inner.sliding.own_rooms.tags(store, &inner.feed.heads, self.user).await?
        } else {
            Arc::<Tags>::default()
        };
        let children = self.children(rooms, filters).await?;
        let mut found = Vec::new();
        for room in listed {
            let number = room.membership.room;
            let outside = Outside {
                is_direct: self.direct.contains(&number),
                is_invite: room.membership.membership == Membership::Invite,
                tags: tags.get(&number).map_or(&[], Vec::as_slice),
            };
            let is_child = children.as_ref().is_none_or(|rooms| rooms.contains(&number));
            if !is_child || !filters.covers(outside) {
                continue;
            }
            if !filters.asks_for_nature()
                || filters.covers_nature(&*self.nature(&room.membership).await?)
            {
                found.push(room);
            }
        }
        Ok(found)
    }

    /// The rooms that are in the spaces of a filter, as far as the user is in these; `None` where it names none.
    async fn children(
        &self,
        rooms: &UserRooms,
        filters: &ListFilters,
    ) -> Result<Option<HashSet<RoomNumber>>, SyncError> {
        let Some(spaces) = &filters.spaces else { return Ok(None) };
        let inner = &self.sync.0;
        let store = inner.rooms.store();
        let mut children = HashSet::new();
        let mut seen = HashSet::new();
        for space in spaces {
            let Some(space) = store.room_number(space).await? else { continue };
            if !rooms.is_joined(space) || !seen.insert(space) {
                continue;
            }
            for child in inner.rooms.children_of(space).await? {
                children.extend(store.room_number(&child).await?);
            }
        }
        Ok(Some(children))
    }

    /// What kind of room a room is to the user: to those outside, what it was when they became what they are.
    async fn nature(&self, membership: &RoomMembership) -> Result<Arc<Nature>, RoomError> {
        let inner = &self.sync.0;
        let room = membership.room;
        if membership.membership == Membership::Join {
            let changed = inner.feed.heads.room(room).timeline;
            return inner.sliding.natures.of(&inner.rooms, room, changed).await;
        }
        let event = inner.rooms.event(membership.event).await?;
        Ok(Arc::new(Nature::at(&inner.rooms, room, event.record.state_before).await?))
    }
}

impl Relevance {
    fn add(&mut self, membership: RoomMembership, rule: Rule<'_>, required: &RequiredStates) {
        let room = self.rooms.entry(membership.room).or_insert_with(|| Relevant {
            membership,
            timeline_limit: rule.timeline_limit,
            required: Arc::clone(rule.required),
            lists: Vec::new(),
            is_subscribed: false,
        });
        room.timeline_limit = room.timeline_limit.max(rule.timeline_limit);
        if !Arc::ptr_eq(&room.required, rule.required) {
            room.required = required.both(&room.required, rule.required);
        }
        room.lists.extend(rule.list.cloned());
        room.is_subscribed |= rule.list.is_none();
    }
}
