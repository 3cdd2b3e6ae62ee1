//! Searching for words in the rooms a user is or was in.
//! Spec: client-server API, "Server Side Search".

mod index;
mod indexer;
mod texts;
mod token;
mod view;
mod words;

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;

use ruma::{OwnedRoomId, OwnedUserId, UserId};
use store::{Forgotten, Membership, RoomNumber, StoreError, StreamPosition, UserNumber};
use tokio::sync::{Mutex, Notify, watch};

use crate::{Placed, RoomError, Rooms};
use index::{Hit, Index, Progress, Question};
use indexer::{Arrivals, blocking};
use token::{Group, Place};
use view::View;

pub use token::{InvalidSearchToken, SearchToken};

/// How many events that answer are looked at for one page, and to count them.
const MAX_LOOKED_AT: usize = 1_000;

/// How deep one can read in order of rank.
const DEEPEST: usize = 20_000;

/// How many words of a search term count.
const MAX_WORDS: usize = 32;

/// A part of events that can be searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SearchKey {
    /// `content.body` of messages.
    Body,
    /// `content.name` of rooms' names.
    Name,
    /// `content.topic` of rooms' topics.
    Topic,
}

impl SearchKey {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Body, Self::Name, Self::Topic];
}

/// Which results come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Those that answer best.
    Rank,
    /// The newest.
    Recent,
}

/// What is searched for, and by whom.
#[derive(Debug, Clone)]
pub struct Wanted<'a> {
    /// Who searches.
    pub reader: &'a UserId,
    /// Words; those between quotation marks next to each other.
    pub term: &'a str,
    /// Where they may stand.
    pub keys: Vec<SearchKey>,
    /// In these rooms only.
    pub rooms: Option<&'a [OwnedRoomId]>,
    /// Of these senders only.
    pub senders: Option<&'a [OwnedUserId]>,
    /// Which come first.
    pub order: Order,
    /// How many results at most.
    pub limit: usize,
    /// Where to go on.
    pub next: Option<SearchToken>,
}

/// An event that was found.
#[derive(Debug, Clone)]
pub struct Found {
    /// The event.
    pub placed: Placed,
    /// How well it answers; more is better.
    pub rank: f32,
    /// Where the results of its room go on after it.
    pub next_in_room: SearchToken,
    /// Where the results of its sender go on after it.
    pub next_of_sender: SearchToken,
}

/// What a search found.
#[derive(Debug, Default)]
pub struct Findings {
    /// The events, in the order asked for.
    pub results: Vec<Found>,
    /// How many there are in all, of those that were looked at.
    pub count: usize,
    /// The words that were found, as they stand in the results.
    pub highlights: BTreeSet<String>,
    /// Where to go on; `None` when there is no more.
    pub next: Option<SearchToken>,
}

/// Why nothing was found.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// A room could not be read.
    #[error(transparent)]
    Room(#[from] RoomError),
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
    /// The index failed.
    #[error("the search index failed")]
    Index(#[from] tantivy::TantivyError),
    /// The index's work ended before it was done.
    #[error("the search index stopped: {0}")]
    Stopped(String),
}

/// Finds words in rooms. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Search(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    rooms: Rooms,
    index: Arc<Index>,
    arrivals: Arc<Arrivals>,
    /// Somebody waits for what is new.
    wanted: Notify,
    /// Up to where everything can be found.
    found: watch::Sender<StreamPosition>,
    progress: Mutex<Progress>,
}

impl Search {
    /// Opens the index in `folder`, which is ours alone, or one in memory, and begins to watch the store. Waits for
    /// the disk. An index that cannot be used is made anew by [`Search::run`].
    pub fn open(rooms: Rooms, folder: Option<&Path>) -> Result<Self, SearchError> {
        let (index, progress) = indexer::open(folder)?;
        let arrivals = Arc::new(Arrivals::new());
        rooms.store().observe(Arc::clone(&arrivals) as Arc<dyn store::Observer>);
        // After that: what was committed before they were watched arrived no later than this.
        arrivals.begin_at(rooms.store().position());
        Ok(Self(Arc::new(Inner {
            rooms,
            index: Arc::new(index),
            arrivals,
            wanted: Notify::new(),
            found: watch::Sender::new(StreamPosition::START),
            progress: Mutex::new(progress),
        })))
    }

    /// Searches the rooms that a user is or was in for what they may see, among events that `covers` accepts.
    ///
    /// What is sent before the search is found, unless the index is far behind.
    #[tracing::instrument(skip_all, fields(reader = %wanted.reader))]
    pub async fn find(
        &self,
        wanted: Wanted<'_>,
        covers: impl Fn(&crate::StoredEvent) -> bool,
    ) -> Result<Findings, SearchError> {
        let phrases = phrases(wanted.term);
        let Some(question) = self.question(&wanted, phrases.clone()).await? else {
            return Ok(Findings::default());
        };
        self.wait_for_news().await;
        let ignored = self.0.rooms.ignored_by(wanted.reader).await?;
        let mut view = View::new(&self.0.rooms, wanted.reader, ignored);
        let offset = match wanted.next.map(|next| next.place) {
            Some(Place::After(count)) => count.min(DEEPEST),
            _ => 0,
        };
        let hits = self.ask(&question, offset + MAX_LOOKED_AT).await?;
        let mut findings = Findings::default();
        let mut tally = Tally::default();
        let mut last = None;
        for (number, hit) in hits.iter().enumerate() {
            tally.count(hit);
            if number < offset {
                continue;
            }
            if findings.results.len() == wanted.limit {
                break;
            }
            last = Some((number + 1, hit));
            if let Some(event) = view.visible(hit).await?.filter(|event| covers(event)) {
                let entry = store::TimelineEntry { position: hit.position, event: hit.event };
                findings.results.push(Found {
                    placed: (entry, event),
                    rank: hit.rank,
                    next_in_room: tally.after(hit, wanted.order, Group::Room(hit.room)),
                    next_of_sender: tally.after(hit, wanted.order, Group::Sender(hit.sender)),
                });
            }
        }
        let is_full = findings.results.len() == wanted.limit;
        findings.next = last.filter(|_| is_full || hits.len() == offset + MAX_LOOKED_AT).map(
            |(number, hit)| SearchToken {
                place: place(wanted.order, number, hit),
                group: wanted.next.map_or(Group::All, |next| next.group),
            },
        );
        findings.highlights = highlights(&phrases, &findings.results);
        findings.count = self.count(question, hits, &mut view, covers).await?;
        Ok(findings)
    }

    /// How many results there are in all, of which only those count that the reader may see: nobody learns that
    /// there are others.
    async fn count(
        &self,
        question: Question,
        hits: Vec<Hit>,
        view: &mut View<'_>,
        covers: impl Fn(&crate::StoredEvent) -> bool,
    ) -> Result<usize, SearchError> {
        let hits = match question.before {
            None => hits,
            Some(_) => self.ask(&Question { before: None, ..question }, MAX_LOOKED_AT).await?,
        };
        let mut count = 0;
        for hit in hits.iter().take(MAX_LOOKED_AT) {
            if view.visible(hit).await?.is_some_and(|event| covers(&event)) {
                count += 1;
            }
        }
        Ok(count)
    }

    async fn ask(&self, question: &Question, limit: usize) -> Result<Vec<Hit>, SearchError> {
        let index = Arc::clone(&self.0.index);
        let question = Question { limit, ..question.clone() };
        blocking(move || index.find(&question)).await
    }

    /// What to ask the index; `None` when there can be no answer.
    async fn question(
        &self,
        wanted: &Wanted<'_>,
        phrases: Vec<Vec<String>>,
    ) -> Result<Option<Question>, SearchError> {
        let store = self.0.rooms.store();
        let Some(reader) = store.user_number(wanted.reader).await? else { return Ok(None) };
        let mut rooms = self.rooms_of(reader, wanted.rooms).await?;
        let mut senders = match wanted.senders {
            Some(senders) => Some(self.numbers_of(senders).await?),
            None => None,
        };
        match wanted.next.map(|next| next.group) {
            Some(Group::Room(room)) => rooms.retain(|one| *one == room),
            Some(Group::Sender(sender)) => {
                let is_wanted = senders.as_ref().is_none_or(|all| all.contains(&sender));
                senders = Some(is_wanted.then_some(sender).into_iter().collect());
            }
            Some(Group::All) | None => {}
        }
        if rooms.is_empty() || phrases.is_empty() || senders.as_ref().is_some_and(Vec::is_empty) {
            return Ok(None);
        }
        let before = match wanted.next.map(|next| next.place) {
            Some(Place::Before(position)) => Some(position),
            _ => None,
        };
        let (keys, order) = (wanted.keys.clone(), wanted.order);
        Ok(Some(Question { phrases, keys, rooms, senders, order, before, limit: 0 }))
    }

    /// The rooms that a user is or was in, of those that are wanted.
    async fn rooms_of(
        &self,
        reader: UserNumber,
        wanted: Option<&[OwnedRoomId]>,
    ) -> Result<Vec<RoomNumber>, SearchError> {
        let store = self.0.rooms.store();
        let known = match wanted {
            None => store.memberships(reader).await?,
            Some(wanted) => {
                let mut known = Vec::new();
                for room in wanted {
                    if let Some(room) = store.room_number(room).await? {
                        known.extend(store.membership(reader, room).await?);
                    }
                }
                known
            }
        };
        let is_seen = |membership| {
            matches!(membership, Membership::Join | Membership::Leave | Membership::Ban)
        };
        let seen = known
            .into_iter()
            .filter(|known| is_seen(known.membership) && known.forgotten == Forgotten::No);
        Ok(seen.map(|known| known.room).collect())
    }

    async fn numbers_of(&self, users: &[OwnedUserId]) -> Result<Vec<UserNumber>, SearchError> {
        let mut numbers = Vec::new();
        for user in users {
            numbers.extend(self.0.rooms.store().user_number(user).await?);
        }
        Ok(numbers)
    }
}

/// How many hits of each room and sender there were so far.
#[derive(Default)]
struct Tally {
    rooms: HashMap<RoomNumber, usize>,
    senders: HashMap<UserNumber, usize>,
}

impl Tally {
    fn count(&mut self, hit: &Hit) {
        *self.rooms.entry(hit.room).or_default() += 1;
        *self.senders.entry(hit.sender).or_default() += 1;
    }

    /// Where the results of a group go on after a hit that was just counted.
    fn after(&self, hit: &Hit, order: Order, group: Group) -> SearchToken {
        let number = match group {
            Group::Room(room) => self.rooms.get(&room),
            Group::Sender(sender) => self.senders.get(&sender),
            Group::All => None,
        };
        SearchToken { place: place(order, number.copied().unwrap_or_default(), hit), group }
    }
}

fn place(order: Order, number: usize, hit: &Hit) -> Place {
    match order {
        Order::Rank => Place::After(number),
        Order::Recent => Place::Before(hit.position),
    }
}

/// The words of a search term; those that belong together are to stand together.
fn phrases(term: &str) -> Vec<Vec<String>> {
    let mut phrases: Vec<Vec<String>> = Vec::new();
    let mut left = MAX_WORDS;
    for (number, part) in term.split('"').enumerate() {
        let is_quoted = number % 2 == 1;
        let parts = if is_quoted { vec![part] } else { part.split_whitespace().collect() };
        for part in parts {
            let words = words::words(part).into_iter().map(|(word, _)| word);
            let words: Vec<_> = words.take(left).collect();
            left -= words.len();
            if !words.is_empty() {
                phrases.push(words);
            }
        }
    }
    phrases
}

/// The words that were searched for, as they stand in the results.
fn highlights(phrases: &[Vec<String>], results: &[Found]) -> BTreeSet<String> {
    let wanted: BTreeSet<&String> = phrases.iter().flatten().collect();
    let mut highlights: BTreeSet<String> = wanted.iter().map(|word| (*word).clone()).collect();
    for found in results {
        let Some((_, text)) = texts::text_of(&found.placed.1) else { continue };
        for (word, stands) in words::words(&text) {
            if wanted.contains(&word) {
                highlights.insert(stands.to_lowercase());
            }
        }
    }
    highlights
}

#[cfg(test)]
mod tests;
