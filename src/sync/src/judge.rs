//! What events do at a reader: their push rules, asked in the room as it was when the event was sent.
//! Spec: client-server API, "Push Rules".

use std::collections::HashSet;
use std::sync::Arc;

use protocol::power_levels::PowerLevels;
use protocol::push::{
    self, PUSH_RULES, PushEvent, PushOutcome, PushRoom, Reader, ThreadStanding, asks_for_threads,
    distinguished_members, hear_memberships,
};
use rooms::{RoomError, Rooms, StoredEvent};
use ruma::events::StateEventType;
use ruma::push::Ruleset;
use ruma::{OwnedUserId, UserId};
use serde::Deserialize;
use store::{
    EventNumber, RoomNumber, StateRoot, StoreError, StreamPosition, Subscription,
    ThreadSubscription, UserNumber,
};

use crate::heads::Heads;
use crate::ignored::Ignored;
use crate::sized_cache::SizedCache;

/// How many bytes of events, users' rules and power levels are kept as push rules need them.
const EVENTS: usize = 32 << 20;
const RULES: usize = 64 << 20;
const LEVELS: usize = 32 << 20;

/// What a byte of JSON becomes in memory: at worst, a digit in a list becomes a value of 32 bytes.
const PER_BYTE_OF_EVENT: usize = 16;
const PER_BYTE: usize = 4;
/// What an entry takes that says nothing, more or less.
const LEAST: usize = 1_000;

/// Keeps what many readers ask for.
#[derive(Debug)]
pub(crate) struct Judge {
    events: SizedCache<EventNumber, PushEvent>,
    rules: SizedCache<UserNumber, Rules>,
    /// By the event that sets them; by the room's first where none does.
    levels: SizedCache<EventNumber, PowerLevels>,
}

/// A user's rules, as of a position.
#[derive(Debug)]
pub(crate) struct Rules {
    as_of: StreamPosition,
    /// Where the rules, or whom the user ignores, changed last.
    pub(crate) changed: StreamPosition,
    all: Ruleset,
    ignored: HashSet<OwnedUserId>,
    /// Whether a rule may notify of somebody else's stating their own membership.
    pub(crate) hear_memberships: bool,
    /// Whether it matters to a rule which threads the user is subscribed to.
    pub(crate) ask_for_threads: bool,
    /// To the rules, rooms of as many members and of more are alike.
    pub(crate) members: u64,
}

impl Rules {
    /// Whether the user ignores another.
    pub(crate) fn ignores(&self, user: &UserId) -> bool {
        self.ignored.contains(user)
    }
}

impl Judge {
    pub(crate) fn new() -> Self {
        Self {
            events: SizedCache::new(EVENTS, 4 * LEAST),
            rules: SizedCache::new(RULES, 20 * LEAST),
            levels: SizedCache::new(LEVELS, 2 * LEAST),
        }
    }

    /// A user's rules as they are now.
    pub(crate) async fn rules_of(
        &self,
        rooms: &Rooms,
        heads: &Heads,
        user: UserNumber,
        user_id: &UserId,
    ) -> Result<Arc<Rules>, StoreError> {
        if let Some(known) = self.rules.get(&user)
            && heads.user(user).account_data <= known.as_of
        {
            return Ok(known);
        }
        let as_of = rooms.store().position();
        let mut ignored = Ignored::of(rooms.store(), user).await?;
        // Nobody can mean that: they would not see what they say themselves.
        ignored.users.remove(user_id);
        let stored = rooms.store().account_data(user, None, PUSH_RULES).await?;
        let changed = stored.as_ref().map_or(StreamPosition::START, |stored| stored.position);
        let content = stored.as_ref().map(|stored| &*stored.content);
        let legacy_mentions = rooms.settings().legacy_mentions;
        let all = push::rules_in(content, user_id, legacy_mentions);
        let all = all.unwrap_or_else(|_| push::default_rules(user_id, legacy_mentions));
        let rules = Arc::new(Rules {
            as_of,
            changed: changed.max(ignored.changed),
            hear_memberships: hear_memberships(&all, user_id),
            ask_for_threads: asks_for_threads(&all),
            members: distinguished_members(&all),
            all,
            ignored: ignored.users,
        });
        let size = content.map_or(0, |content| content.get().len()) * PER_BYTE;
        let ignored = rules.ignored.len() * size_of::<OwnedUserId>() * PER_BYTE;
        self.rules.insert(user, Arc::clone(&rules), LEAST + size + ignored);
        Ok(rules)
    }

    fn push_event(&self, event: &StoredEvent) -> Arc<PushEvent> {
        if let Some(known) = self.events.get(&event.number) {
            return known;
        }
        let seen = Arc::new(PushEvent::new(&event.pdu));
        let size = event.pdu.content.get().len() * PER_BYTE_OF_EVENT;
        self.events.insert(event.number, Arc::clone(&seen), LEAST + size);
        seen
    }

    async fn levels_at(
        &self,
        rooms: &Rooms,
        room: RoomNumber,
        root: StateRoot,
    ) -> Result<Arc<PowerLevels>, RoomError> {
        let levels = rooms.state_at(room, root, &StateEventType::RoomPowerLevels, "").await?;
        let create = rooms.state_at(room, root, &StateEventType::RoomCreate, "").await?;
        let key = levels.as_ref().or(create.as_ref()).map(|event| event.number);
        if let Some(known) = key.and_then(|key| self.levels.get(&key)) {
            return Ok(known);
        }
        let rules = rooms.rules_of(room).await?;
        let pdu =
            |event: &Option<Arc<StoredEvent>>| event.as_ref().map(|event| Arc::clone(&event.pdu));
        let size = levels.as_ref().map_or(0, |event| event.pdu.content.get().len());
        let levels = PowerLevels::new(pdu(&levels).as_ref(), pdu(&create).as_ref(), &rules);
        let levels = Arc::new(levels);
        if let Some(key) = key {
            self.levels.insert(key, Arc::clone(&levels), LEAST + size * PER_BYTE);
        }
        Ok(levels)
    }
}

/// A reader of one room, at whom events are judged one after the other.
#[derive(Debug)]
pub(crate) struct Hearing<'a> {
    pub(crate) judge: &'a Judge,
    pub(crate) rooms: &'a Rooms,
    pub(crate) rules: &'a Rules,
    pub(crate) user_id: &'a UserId,
    pub(crate) user: UserNumber,
    pub(crate) room: RoomNumber,
    /// How many members the room has now.
    pub(crate) members: u64,
    /// Whether the user ever subscribed to a thread: who does not use subscriptions is not taken to be unsubscribed.
    pub(crate) uses_subscriptions: bool,
    /// What the state looked at last says: neighbours mostly share it.
    pub(crate) last: Option<Scene>,
}

/// What a state of a room says that matters to push rules.
#[derive(Debug)]
pub(crate) struct Scene {
    root: StateRoot,
    levels: Arc<PowerLevels>,
    display_name: Option<String>,
}

impl<'a> Hearing<'a> {
    /// What an event does at the reader: nothing if it was redacted, or is a message of somebody they ignore.
    pub(crate) async fn outcome(
        &mut self,
        event: &StoredEvent,
    ) -> Result<PushOutcome<'a>, RoomError> {
        let sender = &event.pdu.sender;
        let is_message = event.pdu.state_key.is_none();
        if sender == self.user_id || (is_message && self.rules.ignores(sender)) {
            return Ok(PushOutcome::default());
        }
        let root = event.record.state_before;
        let scene = match self.last.take().filter(|last| last.root == root) {
            Some(last) => last,
            None => self.scene(root).await?,
        };
        let thread = self.thread_standing(event).await?;
        let scene = self.last.insert(scene);
        let seen = self.judge.push_event(event);
        let room = PushRoom { members: self.members, levels: &scene.levels };
        let display_name = scene.display_name.as_deref();
        let reader = Reader { user: self.user_id, display_name, thread };
        let outcome = push::evaluate(&self.rules.all, &seen, room, reader);
        if outcome.notify && self.rooms.store().redaction(event.number).await?.is_some() {
            return Ok(PushOutcome::default());
        }
        Ok(outcome)
    }

    /// How the reader stands to the thread of an event. Spec: MSC4306.
    async fn thread_standing(&self, event: &StoredEvent) -> Result<ThreadStanding, RoomError> {
        if !self.uses_subscriptions || !self.rules.ask_for_threads {
            return Ok(ThreadStanding::Outside);
        }
        let Some(root) = self.rooms.thread_of(event).await? else {
            return Ok(ThreadStanding::Outside);
        };
        let store = self.rooms.store();
        let known = store.thread_subscription(self.user, self.room, &root).await?;
        let ends = |known: &ThreadSubscription| known.subscription == Subscription::Ended;
        Ok(match known {
            Some(known) if !ends(&known) => ThreadStanding::Subscribed,
            _ => ThreadStanding::Unsubscribed,
        })
    }

    async fn scene(&self, root: StateRoot) -> Result<Scene, RoomError> {
        #[derive(Deserialize)]
        struct Content {
            displayname: Option<String>,
        }
        let levels = self.judge.levels_at(self.rooms, self.room, root).await?;
        let (kind, user) = (StateEventType::RoomMember, self.user_id.as_str());
        let member = self.rooms.state_at(self.room, root, &kind, user).await?;
        let content = member.and_then(|event| event.pdu.content_as::<Content>().ok());
        Ok(Scene { root, levels, display_name: content.and_then(|content| content.displayname) })
    }
}
