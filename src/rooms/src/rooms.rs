//! The service and what it holds.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use federation::identity::IdentityServers;
use protocol::push::LegacyMentions;
use protocol::{Clock, SigningKey};
use quick_cache::sync::Cache;
use ruma::{OwnedServerName, RoomVersionId, ServerName};
use store::{EventNumber, Forgotten, Observer, RoomNumber, Store};
use tokio::sync::Notify;

use crate::cell::RoomCell;
use crate::delayed_events::Waitlist;
use crate::departures::Departures;
use crate::event::{ByWeight, EventCache};
use crate::first_sight::{self, FirstSights};
use crate::presence::{Presence, Tracking};
use crate::typing::Typing;
use crate::user_directory::SearchableUsers;
use crate::{NoticeSettings, Publishers, StoredEvent};

/// What an administrator decides about rooms.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The version of rooms whose creator names none.
    pub default_version: RoomVersionId,
    /// How many bytes of events are kept in memory.
    pub event_cache_bytes: u64,
    /// Whether it is noted who is online.
    pub presence: Tracking,
    /// How long it is kept what redacted events said.
    pub redacted_retention: Duration,
    /// How the server speaks to its users; `None`: it does not.
    pub server_notices: Option<NoticeSettings>,
    /// Whom a search for users may find.
    pub searchable_users: SearchableUsers,
    /// Who may put rooms into the directory.
    pub publishers: Publishers,
    /// Whether a room that a user left is forgotten at once.
    pub after_leaving: Forgotten,
    /// For how long an event may be held back.
    pub max_event_delay: Duration,
    /// Whether push rules search messages for names.
    pub legacy_mentions: LegacyMentions,
    /// Who is asked whose an email address is.
    pub identity_servers: IdentityServers,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            default_version: protocol::room_version::DEFAULT,
            event_cache_bytes: 32 << 20,
            presence: Tracking::On,
            redacted_retention: Duration::from_hours(7 * 24),
            server_notices: None,
            searchable_users: SearchableUsers::default(),
            publishers: Publishers::default(),
            after_leaving: Forgotten::No,
            max_event_delay: Duration::from_hours(24),
            legacy_mentions: LegacyMentions::default(),
            identity_servers: IdentityServers::default(),
        }
    }
}

/// The rooms of one server. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Rooms(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Store,
    server_name: OwnedServerName,
    signing_key: SigningKey,
    clock: Arc<dyn Clock>,
    settings: Settings,
    cells: Cache<RoomNumber, Arc<RoomCell>>,
    events: EventCache,
    /// How often stored events were rewritten; who reads one meanwhile does not keep it.
    rewrites: AtomicU64,
    first_sights: FirstSights,
    typing: Typing,
    /// Told when a task is ordered.
    task_ordered: Notify,
    /// Told when a task has ended.
    task_changed: Notify,
    presence: Presence,
    propagations: Notify,
    departures: Arc<Departures>,
    upgrades_left: Notify,
    waitlist: Waitlist,
}

/// How many rooms' writers are kept in memory.
const CELLS: usize = 20_000;

/// What an event takes in memory, roughly; only to set the cache up.
const TYPICAL_EVENT: u64 = 1_500;

impl Rooms {
    /// The rooms in `store`, whose events this server signs with `signing_key`.
    pub fn new(
        store: Store,
        server_name: OwnedServerName,
        signing_key: SigningKey,
        clock: Arc<dyn Clock>,
        settings: Settings,
    ) -> Self {
        let bytes = settings.event_cache_bytes;
        let entries = usize::try_from(bytes / TYPICAL_EVENT).unwrap_or(usize::MAX);
        let events = Cache::with_weighter(entries, bytes, ByWeight);
        let cells = Cache::new(CELLS);
        let typing = Typing::new();
        let presence = Presence::new(settings.presence);
        let departures = Arc::new(Departures::default());
        store.observe(Arc::clone(&departures) as Arc<dyn Observer>);
        Self(Arc::new(Inner {
            store,
            server_name,
            signing_key,
            clock,
            settings,
            cells,
            events,
            rewrites: AtomicU64::new(0),
            first_sights: first_sight::cache(),
            typing,
            task_ordered: Notify::new(),
            task_changed: Notify::new(),
            presence,
            propagations: Notify::new(),
            departures,
            upgrades_left: Notify::new(),
            waitlist: Waitlist::default(),
        }))
    }

    /// The store below.
    pub fn store(&self) -> &Store {
        &self.0.store
    }

    /// The name of this server.
    pub fn server_name(&self) -> &ServerName {
        &self.0.server_name
    }

    /// The time.
    pub fn clock(&self) -> &dyn Clock {
        &*self.0.clock
    }

    /// Who is typing.
    pub fn typing(&self) -> &Typing {
        &self.0.typing
    }

    /// Who is online.
    pub fn presence(&self) -> &Presence {
        &self.0.presence
    }

    /// Tells of changed profiles that are not stated in all rooms.
    pub(crate) fn propagations(&self) -> &Notify {
        &self.0.propagations
    }

    /// Tells of upgrades that are not complete.
    pub(crate) fn upgrades_left(&self) -> &Notify {
        &self.0.upgrades_left
    }

    /// What the administrator decided.
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    pub(crate) fn departures(&self) -> &Departures {
        &self.0.departures
    }

    pub(crate) fn signing_key(&self) -> &SigningKey {
        &self.0.signing_key
    }

    pub(crate) fn cells(&self) -> &Cache<RoomNumber, Arc<RoomCell>> {
        &self.0.cells
    }

    pub(crate) fn waitlist(&self) -> &Waitlist {
        &self.0.waitlist
    }

    pub(crate) fn event_cache(&self) -> &EventCache {
        &self.0.events
    }

    pub(crate) fn task_ordered(&self) -> &Notify {
        &self.0.task_ordered
    }

    pub(crate) fn task_changed(&self) -> &Notify {
        &self.0.task_changed
    }

    pub(crate) fn rewrites(&self) -> &AtomicU64 {
        &self.0.rewrites
    }

    pub(crate) fn first_sights(&self) -> &FirstSights {
        &self.0.first_sights
    }

    /// An event that is in memory already.
    pub(crate) fn cached_event(&self, event: EventNumber) -> Option<Arc<StoredEvent>> {
        self.0.events.get(&event)
    }
}
