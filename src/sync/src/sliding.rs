//! Simplified sliding sync: a view of what is new that has the rooms a client shows and no others.
//!
//! What a client has of its rooms is remembered ([`Connections`]), each room with the position up to which it was
//! told. So a room out of sight costs nothing until it comes into sight, and is then told of from where it was.
//! Spec: MSC4186.

mod activity;
mod answer;
mod connections;
mod extensions;
mod filters;
mod lists;
mod nature;
mod own_rooms;
mod request;
mod required_state;
mod room;
mod room_state;
mod token;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use quick_cache::sync::Cache;
use ruma::api::client::filter::FilterDefinition;
use ruma::api::client::sync::sync_events::v5::response::Extensions;
use store::{EventNumber, StreamPosition, UserNumber};
use tokio::sync::OnceCell;
use tokio::time::Instant;

use self::activity::Activities;
use self::connections::{Changes, ConnectionKey, Connections, State};
use self::lists::{Departure, Relevance};
use self::nature::Natures;
use self::own_rooms::{DirectRooms, OwnRooms};
use self::required_state::RequiredStates;
use self::token::StateNumber;
use crate::judge::Rules;
use crate::memberships::UserRooms;
use crate::reader::{Reader, snapshot};
use crate::timeline::Patience;
use crate::token::MemoryPosition;
use crate::v2::{DeviceMessages, Extent, Place, SyncRequest};
use crate::waiters::Wake;
use crate::{Sync, SyncError, SyncToken};

pub use self::answer::{Hero, ListAnswer, RoomAnswer, SlidingAnswer};
pub use self::filters::ListFilters;
pub use self::request::{List, RoomConfig, SlidingRequest, Wanted};
pub use self::required_state::RequiredState;
pub use self::token::SlidingToken;

/// How many lists a client has at most.
const MOST_LISTS: usize = 100;
/// How many events of a room a client gets at most.
const MOST_EVENTS: usize = 1_000;
/// The longest a request may wait.
const LONGEST_WAIT: Duration = Duration::from_mins(2);
/// How many departures from rooms are remembered.
const DEPARTURES: usize = 100_000;

/// A filter of `/sync` that lets everything pass.
static EVERYTHING: LazyLock<FilterDefinition> = LazyLock::new(FilterDefinition::default);

/// What is remembered between requests.
#[derive(Debug)]
pub(crate) struct Sliding {
    connections: Connections,
    activities: Activities,
    natures: Natures,
    own_rooms: OwnRooms,
    required: RequiredStates,
    /// By the event that made it so.
    departures: Cache<EventNumber, Departure>,
}

impl Sliding {
    pub(crate) fn new() -> Self {
        Self {
            connections: Connections::new(),
            activities: Activities::new(),
            natures: Natures::new(),
            own_rooms: OwnRooms::new(),
            required: RequiredStates::new(),
            departures: Cache::new(DEPARTURES),
        }
    }
}

/// Why a client of simplified sliding sync was not told what is new.
#[derive(Debug, thiserror::Error)]
pub enum SlidingError {
    /// What the client has is not remembered: it is to begin anew.
    #[error("unknown position: begin anew without one")]
    UnknownPosition,
    /// There are more lists than anybody may have.
    #[error("more than {MOST_LISTS} lists")]
    TooManyLists,
    /// A list or the connection has too long a name.
    #[error("the name of a list or connection is too long")]
    NameTooLong,
    /// More events of a room are wanted than anybody gets.
    #[error("timeline_limit is greater than {MOST_EVENTS}")]
    TooManyEvents,
    /// It could not be found out.
    #[error(transparent)]
    Sync(#[from] SyncError),
}

/// One look at what is new for a client.
pub(crate) struct Look<'a> {
    sync: &'a Sync,
    request: &'a SlidingRequest<'a>,
    user: UserNumber,
    /// What the client has.
    state: &'a State,
    /// The position of what it saw last, excluded; `None`: it saw nothing.
    since: Option<StreamPosition>,
    /// Included.
    until: StreamPosition,
    /// Included, of what lives in memory.
    memory: MemoryPosition,
    /// Whose messages, invitations and doings the reader does not want.
    rules: Arc<Rules>,
    direct: Arc<DirectRooms>,
}

/// What was seen in one look.
struct Seen {
    answer: SlidingAnswer,
    changes: Changes,
    rooms: Arc<UserRooms>,
}

impl Sync {
    /// What is new for a client in the rooms that it shows, as soon as there is something, or nothing when the timeout
    /// is over or more of the user's requests wait than may. The first request of a connection is answered at once.
    ///
    /// Fails with [`SlidingError::UnknownPosition`] for a client whose rooms are not remembered, and with others for
    /// requests beyond the limits. Spec: MSC4186.
    #[tracing::instrument(name = "sliding_sync", skip_all, fields(user = %request.user_id))]
    pub async fn slide(&self, request: SlidingRequest<'_>) -> Result<SlidingAnswer, SlidingError> {
        request.wanted.check()?;
        let now = Instant::now();
        let deadline = now + request.timeout.min(LONGEST_WAIT);
        let rooms = &self.0.rooms;
        let user = rooms.store().number_user(request.user_id).await.map_err(SyncError::from)?;
        let _connection =
            rooms.presence().connect(user, request.device_id, request.presence, now.into_std());
        let key = ConnectionKey {
            user,
            device: request.device_id,
            id: request.wanted.conn_id.as_deref(),
        };
        let state = self.state_before(key, request.since, now)?;
        let seen = self.look(&request, user, &state).await?;
        if request.timeout.is_zero() || request.since.is_none() || !is_empty(&seen.answer) {
            return Ok(self.noted(key, request, state, seen));
        }
        let waiting = self.0.waiters.register(user, Arc::clone(&seen.rooms));
        loop {
            // Between the last look and the registration something may have come.
            let seen = self.look(&request, user, &state).await?;
            waiting.update(&seen.rooms);
            if !is_empty(&seen.answer)
                || tokio::time::timeout_at(deadline, waiting.woken()).await != Ok(Wake::News)
            {
                return Ok(self.noted(key, request, state, seen));
            }
        }
    }

    /// What the client has. One that never had any rooms needs nothing to be remembered.
    fn state_before(
        &self,
        key: ConnectionKey<'_>,
        since: Option<SlidingToken>,
        now: Instant,
    ) -> Result<Arc<State>, SlidingError> {
        let Some(SlidingToken { sync, state }) = since else { return Ok(Arc::default()) };
        if sync.position > self.0.rooms.store().position() {
            return Err(SlidingError::UnknownPosition);
        }
        if state == StateNumber::NOTHING {
            return Ok(Arc::new(State::without_rooms(sync.position)));
        }
        if sync.epoch != self.0.epoch {
            return Err(SlidingError::UnknownPosition);
        }
        let known = self.0.sliding.connections.resume(key, state, now);
        known.ok_or(SlidingError::UnknownPosition)
    }

    async fn look(
        &self,
        request: &SlidingRequest<'_>,
        user: UserNumber,
        state: &State,
    ) -> Result<Seen, SyncError> {
        let inner = &self.0;
        let store = inner.rooms.store();
        // Before anything is looked at: what changes meanwhile is told next time.
        let memory = MemoryPosition {
            typing: inner.rooms.typing().position(),
            presence: inner.rooms.presence().position(),
        };
        let (rooms, until) = snapshot(self, user).await?;
        let look = Look {
            sync: self,
            request,
            user,
            state,
            since: request.since.map(|since| since.sync.position),
            until,
            memory,
            rules: inner
                .unread
                .judge
                .rules_of(&inner.rooms, &inner.feed.heads, user, request.user_id)
                .await?,
            direct: inner.sliding.own_rooms.direct(store, &inner.feed.heads, user).await?,
        };
        let (answer, changes) = look.answer(&rooms).await?;
        Ok(Seen { answer, changes, rooms })
    }

    /// The answer with the number of what the client has then.
    fn noted(
        &self,
        key: ConnectionKey<'_>,
        request: SlidingRequest<'_>,
        state: Arc<State>,
        seen: Seen,
    ) -> SlidingAnswer {
        let Seen { mut answer, changes, .. } = seen;
        let before = request.since.map_or(StateNumber::NOTHING, |since| since.state);
        let has_none = before == StateNumber::NOTHING && request.wanted.has_no_rooms();
        answer.next.state = if has_none || changes.is_empty() {
            before
        } else {
            let connections = &self.0.sliding.connections;
            connections.answered(key, (before, state), changes, Instant::now())
        };
        answer
    }
}

impl<'a> Look<'a> {
    async fn answer(&self, rooms: &UserRooms) -> Result<(SlidingAnswer, Changes), SyncError> {
        let relevance = self.relevance(rooms).await?;
        let mut changes = Changes::default();
        let sync = SyncToken {
            position: self.until,
            epoch: self.sync.0.epoch,
            memory: self.memory,
            to_device: self.until,
        };
        let next = SlidingToken { sync, state: StateNumber::NOTHING };
        let lists = relevance.counts.iter();
        let lists = lists.map(|(name, count)| (name.clone(), ListAnswer { count: *count }));
        let mut answer = SlidingAnswer {
            next,
            lists: lists.collect(),
            rooms: BTreeMap::new(),
            extensions: Extensions::default(),
        };
        self.add_rooms(&relevance, &mut answer, &mut changes).await?;
        self.add_extensions(&relevance, &mut answer, &mut changes).await?;
        Ok((answer, changes))
    }

    async fn add_rooms(
        &self,
        relevance: &Relevance,
        answer: &mut SlidingAnswer,
        changes: &mut Changes,
    ) -> Result<(), SyncError> {
        let heads = self.sync.0.feed.heads.rooms(relevance.rooms.keys().copied());
        for (relevant, heads) in relevance.rooms.values().zip(heads) {
            if !self.may_be_new(relevant, heads) {
                continue;
            }
            let number = relevant.membership.room;
            let room_id = self.reader(None).room_id(number).await?;
            let told = self.room(&room_id, relevant).await?;
            changes.rooms.insert(number, told.sent);
            answer.rooms.extend(told.answer.map(|told| (room_id, told)));
        }
        Ok(())
    }

    /// A reader of a room of which the client has what was new up to `since`.
    fn reader(&self, since: Option<StreamPosition>) -> Reader<'a> {
        Reader {
            sync: self.sync,
            request: SyncRequest {
                user_id: self.request.user_id,
                device_id: self.request.device_id,
                filter: &EVERYTHING,
                since: None,
                state: Extent::Changes,
                place: Place::AfterTimeline,
                device_messages: DeviceMessages::Kept,
                presence: self.request.presence,
                timeout: Duration::ZERO,
            },
            user: self.user,
            since,
            until: self.until,
            rules: OnceCell::new_with(Some(Arc::clone(&self.rules))),
            patience: Patience::default(),
            account_data: HashMap::new(),
            memory: self.memory,
            fields: None,
        }
    }
}

/// Whether there is nothing that a waiting client wants to know at once.
fn is_empty(answer: &SlidingAnswer) -> bool {
    let extensions = &answer.extensions;
    answer.rooms.is_empty()
        && extensions.account_data.is_empty()
        && extensions.receipts.is_empty()
        && extensions.typing.is_empty()
        && extensions.thread_subscriptions.is_empty()
        && extensions.to_device.as_ref().is_none_or(|messages| messages.events.is_empty())
}
