//! Putting new events together: what they follow, what allows them, and everything that changes with them.

use std::collections::HashMap;
use std::sync::Arc;

use protocol::event_builder::{EventTemplate, build};
use protocol::power_levels::PowerLevels;
use protocol::redaction::may_redact;
use protocol::room_version::{self, Rules};
use protocol::{Depth, Pdu, auth};
use ruma::events::room::power_levels::UserPowerLevel;
use ruma::events::{StateEventType, TimelineEventType};
use ruma::room::RoomSummary;
use ruma::room_version_rules::EventIdFormatVersion;
use ruma::{OwnedEventId, OwnedRoomId, OwnedUserId, RoomId, UserId};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use store::{
    Batch, Change, DirectoryPlace, EventKind, EventNumber, EventRecord, EventTransaction,
    Extremity, Forgotten, Membership, MembershipChange, Publication, RedactedEvent, RoomHead,
    RoomNumber, Slot, SpaceLink, StateRoot, StatedMembership,
};

use crate::guests::lets_guests_in;
use crate::{RoomError, Rooms, StoredEvent, membership, references, summary};

/// What a new event is to say. The rest follows from where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    pub(crate) sender: OwnedUserId,
    pub(crate) kind: TimelineEventType,
    pub(crate) content: Box<RawValue>,
    pub(crate) state_key: Option<String>,
    pub(crate) redacts: Option<OwnedEventId>,
    pub(crate) transaction: Option<EventTransaction>,
}

impl Draft {
    /// A message or, with a `state_key`, a state event.
    pub(crate) fn new(
        sender: OwnedUserId,
        kind: TimelineEventType,
        state_key: Option<String>,
        content: Box<RawValue>,
    ) -> Self {
        Self { sender, kind, content, state_key, redacts: None, transaction: None }
    }
}

/// The events that decide whether another is allowed, by type and state key.
type AuthState = HashMap<(StateEventType, String), Arc<StoredEvent>>;

/// New events of one room on their way into one batch.
pub(crate) struct Assembly<'a> {
    pub(crate) rooms: &'a Rooms,
    pub(crate) batch: Batch,
    room: RoomNumber,
    room_id: OwnedRoomId,
    rules: Rules,
    /// The head that the batch depends on; `None` for a room that is being created.
    before: Option<RoomHead>,
    /// The head with the events added so far.
    head: RoomHead,
    pub(crate) events: Vec<Arc<StoredEvent>>,
    /// The reference hashes of the events added so far, in versions 1 and 2, where others name them by it.
    hashes: HashMap<OwnedEventId, String>,
    /// Whether an event changed what the directory tells of the room.
    is_described_anew: bool,
    /// The events that those added so far redact.
    redacted: Vec<EventNumber>,
}

impl<'a> Assembly<'a> {
    /// Begins on a room's head.
    pub(crate) fn on(
        rooms: &'a Rooms,
        room: RoomNumber,
        room_id: OwnedRoomId,
        head: RoomHead,
    ) -> Result<Self, RoomError> {
        let before = Some(head.clone());
        Self::begin(rooms, room, room_id, before, head)
    }

    /// Goes on with a batch that holds changes to other rooms: all is committed or nothing.
    pub(crate) fn along_with(self, batch: Batch) -> Self {
        Self { batch, ..self }
    }

    /// Begins a new room.
    pub(crate) fn new_room(
        rooms: &'a Rooms,
        room: RoomNumber,
        room_id: OwnedRoomId,
        version: ruma::RoomVersionId,
    ) -> Result<Self, RoomError> {
        let state = StateRoot::EMPTY;
        let head = RoomHead {
            version,
            extremities: Vec::new(),
            state,
            joined: 0,
            invited: 0,
            publication: Publication::Private,
        };
        Self::begin(rooms, room, room_id, None, head)
    }

    fn begin(
        rooms: &'a Rooms,
        room: RoomNumber,
        room_id: OwnedRoomId,
        before: Option<RoomHead>,
        head: RoomHead,
    ) -> Result<Self, RoomError> {
        let rules = room_version::rules(&head.version)
            .ok_or_else(|| RoomError::UnsupportedVersion(head.version.clone()))?;
        let batch = Batch::new();
        Ok(Self {
            rooms,
            batch,
            room,
            room_id,
            rules,
            before,
            head,
            events: Vec::new(),
            hashes: HashMap::new(),
            is_described_anew: false,
            redacted: Vec::new(),
        })
    }

    /// Adds an event after those added before. Fails when the room's rules do not allow it; nothing is added then. Only
    /// when a redaction fails is the assembly of no further use.
    pub(crate) async fn add(&mut self, draft: Draft) -> Result<Arc<StoredEvent>, RoomError> {
        // Spec: room versions, "Authorisation rules": a create event that follows another is none.
        if draft.kind == TimelineEventType::RoomCreate {
            return Err(RoomError::Malformed("a room is created once".to_owned()));
        }
        let auth_state = self.auth_state(&draft).await?;
        let transaction = draft.transaction.clone();
        let (pdu, json) = self.build(draft, &auth_state).await?;
        self.check_creators(&pdu, &auth_state)?;
        self.authorise(&pdu, &auth_state)?;
        self.keep(pdu, &json, transaction, &auth_state).await
    }

    /// Adds the first event of the room, which was built to learn the room's ID.
    pub(crate) async fn add_create(
        &mut self,
        pdu: Arc<Pdu>,
        json: &str,
    ) -> Result<Arc<StoredEvent>, RoomError> {
        // Nothing but what the creator asked for can be wrong with it.
        auth::check_auth_events(&pdu, |_| None, &self.rules)
            .map_err(|error| RoomError::InvalidParameter(error.to_string()))?;
        self.keep(pdu, json, None, &AuthState::new()).await
    }

    /// Completes the batch; returns it with the head after it.
    pub(crate) async fn finish(
        mut self,
    ) -> Result<(Batch, RoomHead, Vec<Arc<StoredEvent>>), RoomError> {
        self.change_listing().await?;
        self.batch.move_room_head(self.room, self.before.as_ref(), &self.head)?;
        Ok((self.batch, self.head, self.events))
    }

    /// Lists the room to everybody, or no longer.
    pub(crate) fn publish(&mut self, publication: Publication) {
        self.head.publication = publication;
    }

    /// The room with the events added so far.
    pub(crate) async fn summary(&self) -> Result<RoomSummary, RoomError> {
        self.rooms.summary_at(self.room, &self.room_id, &self.head, &self.redacted).await
    }

    /// Fails with [`RoomError::Forbidden`] if a user may not invite by third-party id now.
    /// Spec: room versions, "Authorisation rules", `m.room.third_party_invite`.
    pub(crate) async fn check_inviter(&self, user: &UserId) -> Result<(), RoomError> {
        let kind = TimelineEventType::RoomThirdPartyInvite;
        let nothing = RawValue::NULL.to_owned();
        let draft = Draft::new(user.to_owned(), kind, Some(String::new()), nothing);
        let auth_state = self.auth_state(&draft).await?;
        let member = auth_state.get(&(StateEventType::RoomMember, user.to_string()));
        let membership = member.and_then(|event| membership::of(&event.pdu));
        if membership == Some(Membership::Join) && self.power_levels(&auth_state).can_invite(user) {
            return Ok(());
        }
        Err(RoomError::Forbidden("you may not invite anybody to this room".to_owned()))
    }

    /// Keeps the directory in step with the room.
    async fn change_listing(&mut self) -> Result<(), RoomError> {
        let place = |head: &RoomHead| {
            let place = DirectoryPlace { joined: head.joined, room: self.room };
            (head.publication == Publication::Published).then_some(place)
        };
        let (before, after) = (self.before.as_ref().and_then(place), place(&self.head));
        if before == after && !self.is_described_anew {
            return Ok(());
        }
        let listing = match after {
            Some(_) => {
                let redacted = &self.redacted;
                self.rooms.listing(self.room, &self.room_id, &self.head, redacted).await?
            }
            None => None,
        };
        match (after, &listing) {
            (Some(place), Some(listing)) => self.batch.list_room(place, listing)?,
            (Some(place), None) => self.batch.unlist_room(place),
            (None, _) => {}
        }
        if let Some(before) = before.filter(|_| before != after) {
            self.batch.unlist_room(before);
        }
        Ok(())
    }

    /// The current state, as far as it decides about the draft.
    async fn auth_state(&self, draft: &Draft) -> Result<AuthState, RoomError> {
        let (sender, state_key) = (&draft.sender, draft.state_key.as_deref());
        let types = auth::auth_types(&draft.kind, sender, state_key, &draft.content, &self.rules)?;
        let mut state = AuthState::new();
        for (kind, state_key) in types {
            let found = self.rooms.state_at(self.room, self.head.state, &kind, &state_key).await?;
            if let Some(event) = found {
                state.insert((kind, state_key), event);
            }
        }
        self.add_implied_create(&mut state).await?;
        Ok(state)
    }

    /// From version 12 on the create event is no auth event, as the room's ID names it; the rules need it all the same.
    async fn add_implied_create(&self, state: &mut AuthState) -> Result<(), RoomError> {
        let key = (StateEventType::RoomCreate, String::new());
        if state.contains_key(&key) {
            return Ok(());
        }
        if let Some(event) = self.rooms.state_at(self.room, self.head.state, &key.0, "").await? {
            state.insert(key, event);
        }
        Ok(())
    }

    async fn build(
        &self,
        draft: Draft,
        auth_state: &AuthState,
    ) -> Result<(Arc<Pdu>, String), RoomError> {
        let create_is_named = !self.rules.authorization.room_create_event_id_as_room_id;
        let mut template =
            EventTemplate::new(Some(self.room_id.clone()), draft.sender, draft.kind, draft.content);
        template.state_key = draft.state_key;
        template.redacts = draft.redacts;
        template.origin_server_ts = self.rooms.clock().now();
        let extremities = &self.head.extremities;
        template.prev_events = extremities.iter().map(|one| one.event_id.clone()).collect();
        template.depth = Depth::after(extremities.iter().map(|one| Depth::new(one.depth)));
        let mut auth_numbers: Vec<EventNumber> = Vec::new();
        for ((kind, _), event) in auth_state {
            if create_is_named || *kind != StateEventType::RoomCreate {
                template.auth_events.push(event.pdu.event_id.clone());
                auth_numbers.push(event.number);
            }
        }
        template.auth_events.sort();
        if self.rules.event_id_format == EventIdFormatVersion::V1 {
            let mut stored = auth_numbers;
            stored.extend(extremities.iter().map(|one| one.event));
            stored.retain(|number| !self.events.iter().any(|added| added.number == *number));
            template.reference_hashes = self.rooms.reference_hashes(&stored, &self.rules).await?;
            template.reference_hashes.extend(self.hashes.clone());
            template.id_localpart = Some(random_localpart());
        }
        let key_pair = self.rooms.signing_key().key_pair();
        Ok(build(template, &self.head.version, key_pair, self.rooms.server_name())?)
    }

    /// Power levels that list a creator who is above all levels are no request that somebody else could make either:
    /// they are malformed, not forbidden. Spec: room version 12, "Authorisation rules", `m.room.power_levels`.
    fn check_creators(&self, pdu: &Pdu, auth_state: &AuthState) -> Result<(), RoomError> {
        #[derive(Deserialize)]
        struct Content {
            #[serde(default)]
            users: Map<String, Value>,
        }
        if !pdu.is_state(&TimelineEventType::RoomPowerLevels, "") {
            return Ok(());
        }
        let Ok(content) = pdu.content_as::<Content>() else { return Ok(()) };
        let levels = self.power_levels(auth_state);
        let listed = levels.users().find(|(user, level)| {
            *level == UserPowerLevel::Infinite && content.users.contains_key(user.as_str())
        });
        match listed {
            Some((user, _)) => {
                Err(RoomError::Malformed(format!("{user} is above all levels and can have none")))
            }
            None => Ok(()),
        }
    }

    fn authorise(&self, pdu: &Pdu, auth_state: &AuthState) -> Result<(), RoomError> {
        let find = |kind: &StateEventType, state_key: &str| {
            let event = auth_state.get(&(kind.clone(), state_key.to_owned()))?;
            Some(Arc::clone(&event.pdu))
        };
        Ok(auth::authorise(pdu, find, &self.rules)?)
    }

    /// Writes an event that was allowed, and all that follows from it, into the batch.
    async fn keep(
        &mut self,
        pdu: Arc<Pdu>,
        json: &str,
        transaction: Option<EventTransaction>,
        auth_state: &AuthState,
    ) -> Result<Arc<StoredEvent>, RoomError> {
        let number = self.rooms.store().new_event_number().await?;
        let slot = self.batch.slot();
        let record = EventRecord {
            event_id: pdu.event_id.clone(),
            room: self.room,
            state_before: self.head.state,
            transaction,
        };
        if self.rules.event_id_format == EventIdFormatVersion::V1 {
            let hash = references::reference_hash(json, &self.rules)?;
            self.hashes.insert(record.event_id.clone(), hash);
        }
        let is_own = pdu.is_state(&TimelineEventType::RoomMember, pdu.sender.as_str());
        let kind = if is_own { EventKind::OwnMembership } else { EventKind::Other };
        self.batch.append_event(number, &record, json, kind, slot)?;
        self.batch.create_event_time(self.room, pdu.origin_server_ts, number, slot)?;
        self.batch.announce(Change::Timeline(self.room));
        let event = Arc::new(StoredEvent { number, record, pdu });
        self.rooms.event_cache().insert(number, Arc::clone(&event));
        self.change_state(&event, slot).await?;
        self.relate(&event, slot).await?;
        self.redact(&event, auth_state, slot).await?;
        self.head.extremities = vec![Extremity {
            event: number,
            event_id: event.pdu.event_id.clone(),
            depth: event.pdu.depth.get(),
        }];
        self.events.push(Arc::clone(&event));
        Ok(event)
    }

    /// Puts a state event into the room's state, and a membership into the lists of members.
    async fn change_state(&mut self, event: &StoredEvent, slot: Slot) -> Result<(), RoomError> {
        let Some((kind, state_key)) = event.pdu.state_entry() else { return Ok(()) };
        let store = self.rooms.store();
        if kind == StateEventType::RoomMember {
            self.change_membership(event, state_key, slot).await?;
        }
        let link = match kind {
            StateEventType::SpaceChild => Some(SpaceLink::Child),
            StateEventType::SpaceParent => Some(SpaceLink::Parent),
            _ => None,
        };
        if let Some(link) = link
            && let Ok(other) = RoomId::parse(state_key)
        {
            self.batch.set_space_link(self.room, link, &other, event.number)?;
        }
        self.is_described_anew |= state_key.is_empty() && summary::describes(&kind);
        let key = store.number_state_key(&kind, state_key).await?;
        self.take_back_delayed(&event.pdu.sender, key).await?;
        let change = [(key, Some(event.number))];
        self.head.state =
            store.set_state(&mut self.batch, self.room, self.head.state, &change).await?;
        if matches!(kind, StateEventType::RoomJoinRules | StateEventType::RoomHistoryVisibility) {
            self.note_openness(self.head.state).await?;
        }
        Ok(())
    }

    async fn change_membership(
        &mut self,
        event: &StoredEvent,
        state_key: &str,
        slot: Slot,
    ) -> Result<(), RoomError> {
        let malformed = || RoomError::Malformed(format!("{state_key} is no user id"));
        let user: OwnedUserId = state_key.try_into().map_err(|_| malformed())?;
        let after = membership::of(&event.pdu).ok_or_else(malformed)?;
        let kind = StateEventType::RoomMember;
        let before = self.rooms.state_at(self.room, self.head.state, &kind, state_key).await?;
        let before = before.and_then(|event| {
            let membership = membership::of(&event.pdu)?;
            Some(StatedMembership { event: event.number, membership })
        });
        let after = StatedMembership { event: event.number, membership: after };
        let is_gone = matches!(after.membership, Membership::Leave | Membership::Ban);
        let is_ours = user.server_name() == self.rooms.server_name();
        let forgotten =
            if is_gone && is_ours && self.rooms.settings().after_leaving == Forgotten::Yes {
                Forgotten::Yes
            } else {
                Forgotten::No
            };
        let user = self.rooms.store().number_user(&user).await?;
        let change = MembershipChange { before, after, forgotten };
        self.batch.set_membership(user, self.room, change, slot)?;
        let (before, after) = (before.map(|before| before.membership), after.membership);
        for (membership, count) in [
            (Membership::Join, &mut self.head.joined),
            (Membership::Invite, &mut self.head.invited),
        ] {
            if before == Some(membership) {
                *count = count.saturating_sub(1);
            }
            if after == membership {
                *count += 1;
            }
        }
        Ok(())
    }

    /// The power levels in force, as far as `auth_state` has them.
    fn power_levels(&self, auth_state: &AuthState) -> PowerLevels {
        let find = |kind| auth_state.get(&(kind, String::new())).map(|event| &event.pdu);
        PowerLevels::new(
            find(StateEventType::RoomPowerLevels),
            find(StateEventType::RoomCreate),
            &self.rules,
        )
    }

    /// Applies a redaction: to the event it names, if that is here and the sender may redact it.
    async fn redact(
        &mut self,
        event: &StoredEvent,
        auth_state: &AuthState,
        slot: Slot,
    ) -> Result<(), RoomError> {
        let Some(redacts) = &event.pdu.redacts else { return Ok(()) };
        let levels = self.power_levels(auth_state);
        let target = match self.rooms.event_by_id(self.room, redacts).await {
            Ok(found) => found,
            // A moderator may redact what is not here yet.
            Err(RoomError::UnknownEvent(_)) if levels.can_redact_others(&event.pdu.sender) => {
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        // Of users of one server the rules would let each redact the other's events; clients are promised otherwise.
        let (sender, of) = (&event.pdu.sender, &target.1.pdu.sender);
        let may =
            sender == of || levels.can_redact_others(sender) || self.rules_over(sender, of).await?;
        if !may || !may_redact(&event.pdu, &target.1.pdu, &levels, &self.rules) {
            return Err(RoomError::Forbidden("you may not redact this event".to_owned()));
        }
        if self.rooms.store().redaction(target.1.number).await?.is_some() {
            // The first redaction has done all there is to do.
            return Ok(());
        }
        self.batch.redact_event(target.1.number, event.number)?;
        let kept = RedactedEvent { at: self.rooms.clock().now(), event: target.1.number };
        self.batch.keep_redacted_content(kept)?;
        let redacted = target.1.pdu.state_entry();
        self.is_described_anew |= redacted.is_some_and(|(kind, _)| summary::describes(&kind));
        self.redacted.push(target.1.number);
        self.close_if_nothing_lets_guests_in(&target.1).await?;
        self.unrelate(&target.1, target.0.position, slot).await
    }

    /// Has guests leave when what let them in is redacted: then it does so no more.
    /// Spec: client-server API, "Guest Access": "If the `m.room.guest_access` event is changed to stop this from being the
    /// case, the server MUST set those users' `m.room.member` state to `leave`".
    async fn close_if_nothing_lets_guests_in(
        &mut self,
        redacted: &StoredEvent,
    ) -> Result<(), RoomError> {
        let kind = StateEventType::RoomGuestAccess;
        if !redacted.pdu.is_state(&TimelineEventType::RoomGuestAccess, "")
            || !lets_guests_in(&redacted.pdu.content)
        {
            return Ok(());
        }
        let current = self.rooms.state_at(self.room, self.head.state, &kind, "").await?;
        if current.is_some_and(|current| current.number == redacted.number) {
            self.batch.close_to_guests(self.room)?;
        }
        Ok(())
    }

    /// Whether a user administers the server that another is of.
    /// Spec: client-server API, `PUT /rooms/{roomId}/redact/{eventId}/{txnId}`: "Server administrators may redact events
    /// sent by users on their server".
    async fn rules_over(&self, admin: &UserId, user: &UserId) -> Result<bool, RoomError> {
        let is_ours = user.server_name() == self.rooms.server_name();
        Ok(is_ours && self.rooms.is_administrator(admin).await?)
    }

    pub(crate) fn room(&self) -> RoomNumber {
        self.room
    }
}

/// The part of an event ID that this server chooses, in room versions 1 and 2.
pub(crate) fn random_localpart() -> String {
    use rand::distr::{Alphanumeric, SampleString};
    Alphanumeric.sample_string(&mut rand::rng(), 18)
}
