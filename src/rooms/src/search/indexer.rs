//! Bringing the index up to date with the store.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use ruma::OwnedEventId;
use ruma::events::TimelineEventType;
use serde::Deserialize;
use store::{Change, EventNumber, Observer, RelationKind, StreamPosition, TimelinePosition};
use tokio::sync::Notify;

use super::index::{Entry, Index, IndexChange, Progress};
use super::{Search, SearchError, SearchKey};
use crate::relations::Relation;
use crate::{RoomError, Rooms, StoredEvent};

/// How many events are read at once.
const PAGE: usize = 200;

/// After how many events what was taken is made to be found, when there is much to catch up with.
const COMMIT_AFTER: usize = 10_000;

/// How long news may wait to be found when nobody searches: a commit of the index waits for the disk.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long to wait after a failure.
const RECOVERY: Duration = Duration::from_secs(10);

/// How long a search waits for what was sent right before it.
const WAIT: Duration = Duration::from_secs(2);

/// Notes where the last event arrived.
#[derive(Debug)]
pub(super) struct Arrivals {
    last: AtomicU64,
    is_new: AtomicBool,
    published: Notify,
}

impl Arrivals {
    pub(super) fn new() -> Self {
        let (last, is_new) = (AtomicU64::new(0), AtomicBool::new(false));
        Self { last, is_new, published: Notify::new() }
    }

    /// Whatever is in the store already arrived no later than `position`.
    pub(super) fn begin_at(&self, position: StreamPosition) {
        self.last.fetch_max(position.0, Ordering::AcqRel);
    }

    fn last(&self) -> StreamPosition {
        StreamPosition(self.last.load(Ordering::Acquire))
    }
}

impl Observer for Arrivals {
    fn committed(&self, position: StreamPosition, changes: &[Change]) {
        let is_news = |change: &Change| matches!(change, Change::Timeline(_) | Change::Removal);
        if changes.iter().any(is_news) {
            self.last.fetch_max(position.0, Ordering::AcqRel);
            self.is_new.store(true, Ordering::Release);
        }
    }

    fn published(&self, _: StreamPosition) {
        if self.is_new.swap(false, Ordering::AcqRel) {
            self.published.notify_one();
        }
    }
}

impl Search {
    /// Keeps the index up to date; runs until it is dropped.
    pub async fn run(&self) {
        let arrivals = &self.0.arrivals;
        loop {
            while let Err(error) = self.catch_up().await {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "the search index does not follow"
                );
                self.roll_back().await;
                tokio::time::sleep(RECOVERY).await;
            }
            arrivals.published.notified().await;
            tokio::select! {
                () = tokio::time::sleep(PATIENCE) => {}
                () = self.0.wanted.notified() => {}
            }
        }
    }

    /// Waits, not for long, until everything that has arrived by now can be found.
    pub(super) async fn wait_for_news(&self) {
        let last = self.0.arrivals.last();
        let mut found = self.0.found.subscribe();
        if *found.borrow() >= last {
            return;
        }
        self.0.wanted.notify_one();
        // Who searches while the index is being made finds what is in it so far.
        let _ = tokio::time::timeout(WAIT, found.wait_for(|found| *found >= last)).await;
    }

    async fn catch_up(&self) -> Result<(), SearchError> {
        let mut progress = self.progress().await?;
        let until = self.0.rooms.store().position();
        let mut taken = 0;
        loop {
            let page = self.0.rooms.store().arrivals(progress.position, until, PAGE).await?;
            let is_last = page.len() < PAGE;
            let mut changes = Vec::new();
            for arrival in &page {
                progress.position = arrival.position;
                if let Some(event_id) = self.take(arrival.event, &mut changes).await? {
                    progress.last = Some((arrival.position, event_id));
                }
            }
            if is_last {
                progress.position = until;
            }
            taken += page.len();
            let index = Arc::clone(&self.0.index);
            blocking(move || index.write(changes)).await?;
            if is_last || taken >= COMMIT_AFTER {
                taken = 0;
                self.commit(progress.clone()).await?;
            }
            if is_last {
                return Ok(());
            }
        }
    }

    /// Adds what changes with the arrival of an event, and says its ID. One that is gone is found no more. A damaged one
    /// is passed over: there is nothing of it to be found.
    async fn take(
        &self,
        event: EventNumber,
        changes: &mut Vec<IndexChange>,
    ) -> Result<Option<OwnedEventId>, SearchError> {
        if self.0.rooms.store().event(event).await?.is_none() {
            changes.push(IndexChange::Remove(event));
            return Ok(None);
        }
        let found = async {
            let event = self.0.rooms.event(event).await?;
            let found = self.0.rooms.index_changes(&event).await?;
            Ok((found, event.pdu.event_id.clone()))
        };
        match found.await {
            Ok((found, event_id)) => {
                changes.extend(found);
                Ok(Some(event_id))
            }
            Err(RoomError::Damaged(reason)) => {
                tracing::debug!(%event, reason, "an event is not indexed");
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Forgets what was taken and not committed: it will be taken again.
    async fn roll_back(&self) {
        let index = Arc::clone(&self.0.index);
        if let Err(error) = blocking(move || index.roll_back()).await {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "the search index cannot be rolled back"
            );
        }
    }

    /// How far the index has come. One that has followed another store, or this one in a future that was lost, is
    /// emptied first.
    pub(super) async fn progress(&self) -> Result<Progress, SearchError> {
        let progress = self.0.progress.lock().await.clone();
        let store = self.0.rooms.store();
        let knows = match &progress.last {
            None => progress == Progress::NONE,
            Some((at, event_id)) => {
                let before = StreamPosition(at.0.saturating_sub(1));
                match store.arrivals(before, *at, 1).await?.first() {
                    // One that was removed since says nothing.
                    Some(arrival) => {
                        let event = store.event(arrival.event).await?;
                        progress.position <= store.position()
                            && event.is_none_or(|(record, _)| record.event_id == *event_id)
                    }
                    None => false,
                }
            }
        };
        if !knows {
            tracing::info!("the search index is of another store and made anew");
            let index = Arc::clone(&self.0.index);
            blocking(move || index.clear()).await?;
            *self.0.progress.lock().await = Progress::NONE;
            return Ok(Progress::NONE);
        }
        Ok(progress)
    }

    async fn commit(&self, progress: Progress) -> Result<(), SearchError> {
        let mut known = self.0.progress.lock().await;
        if *known != progress {
            let (index, committed) = (Arc::clone(&self.0.index), progress.clone());
            blocking(move || index.commit(&committed)).await?;
        }
        self.0.found.send_replace(progress.position);
        *known = progress;
        Ok(())
    }
}

/// Runs what waits for the disk where it holds nobody up.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, tantivy::TantivyError> + Send + 'static,
) -> Result<T, SearchError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => Ok(outcome?),
        Err(error) => Err(SearchError::Stopped(error.to_string())),
    }
}

impl Rooms {
    /// What changes in the index with the arrival of an event.
    async fn index_changes(&self, event: &StoredEvent) -> Result<Vec<IndexChange>, RoomError> {
        let room = event.record.room;
        if let Some(redacted) = &event.pdu.redacts {
            let Some((_, target)) = self.event_if_here(room, redacted).await? else {
                return Ok(Vec::new());
            };
            let mut changes = vec![self.index_change(&target).await?];
            changes.extend(self.edited_by(&target).await?);
            return Ok(changes);
        }
        if let Some(change) = self.edited_by(event).await? {
            return Ok(vec![change]);
        }
        let change = self.index_change(event).await?;
        Ok(match change {
            IndexChange::Replace(entry) => vec![IndexChange::Add(entry)],
            IndexChange::Add(_) | IndexChange::Remove(_) => Vec::new(),
        })
    }

    async fn event_if_here(
        &self,
        room: store::RoomNumber,
        event_id: &OwnedEventId,
    ) -> Result<Option<(store::EventIndex, Arc<StoredEvent>)>, RoomError> {
        match self.event_by_id(room, event_id).await {
            Ok(found) => Ok(Some(found)),
            Err(RoomError::UnknownEvent(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The change to the event that this one edits; `None` when it is no edit.
    async fn edited_by(&self, edit: &StoredEvent) -> Result<Option<IndexChange>, RoomError> {
        let relation = Relation::of(&edit.pdu);
        let Some(relation) = relation.filter(|relation| relation.kind == RelationKind::Replace)
        else {
            return Ok(None);
        };
        match self.event_if_here(edit.record.room, &relation.parent).await? {
            Some((_, edited)) => Ok(Some(self.index_change(&edited).await?)),
            None => Ok(None),
        }
    }

    /// What an event says now, after edits and redactions.
    async fn index_change(&self, event: &StoredEvent) -> Result<IndexChange, RoomError> {
        let nothing = Ok(IndexChange::Remove(event.number));
        if self.store().redaction(event.number).await?.is_some() {
            return nothing;
        }
        let said = match self.latest_edit(event).await? {
            Some(edit) => new_content(&edit).and_then(|content| content.body),
            None => text_of(event).map(|(_, text)| text),
        };
        let (Some((key, _)), Some(text)) = (text_of(event), said) else { return nothing };
        let index = self.store().event_index(&event.pdu.event_id).await?;
        let Some(position) = index.map(|index| index.position) else { return nothing };
        Ok(IndexChange::Replace(entry(self, event, position, key, text).await?))
    }
}

async fn entry(
    rooms: &Rooms,
    event: &StoredEvent,
    position: TimelinePosition,
    key: SearchKey,
    text: String,
) -> Result<Entry, RoomError> {
    let sender = rooms.store().number_user(&event.pdu.sender).await?;
    let event_number: EventNumber = event.number;
    Ok(Entry { event: event_number, room: event.record.room, sender, position, key, text })
}

#[derive(Deserialize)]
struct Said {
    #[serde(default)]
    body: Option<String>,
}

fn new_content(edit: &StoredEvent) -> Option<Said> {
    #[derive(Deserialize)]
    struct Content {
        #[serde(rename = "m.new_content")]
        new_content: Said,
    }
    edit.pdu.content_as::<Content>().ok().map(|content| content.new_content)
}

/// What an event says and under which key. Spec: client-server API, "Search Categories".
pub(super) fn text_of(event: &StoredEvent) -> Option<(SearchKey, String)> {
    #[derive(Deserialize)]
    struct Name {
        name: String,
    }
    match event.pdu.kind {
        TimelineEventType::RoomMessage if event.pdu.state_key.is_none() => {
            let said = event.pdu.content_as::<Said>().ok()?;
            Some((SearchKey::Body, said.body?))
        }
        TimelineEventType::RoomName if event.pdu.state_key.is_some() => {
            Some((SearchKey::Name, event.pdu.content_as::<Name>().ok()?.name))
        }
        TimelineEventType::RoomTopic if event.pdu.state_key.is_some() => {
            Some((SearchKey::Topic, topic_of(event)?))
        }
        _ => None,
    }
}

/// A topic with its representation as plain text, where that says something else.
fn topic_of(event: &StoredEvent) -> Option<String> {
    #[derive(Deserialize)]
    struct Content {
        #[serde(default)]
        topic: Option<String>,
        #[serde(rename = "m.topic", default)]
        representations: Option<Representations>,
    }
    #[derive(Deserialize)]
    struct Representations {
        #[serde(rename = "m.text", default)]
        text: Vec<Representation>,
    }
    #[derive(Deserialize)]
    struct Representation {
        body: String,
        #[serde(default)]
        mimetype: Option<String>,
    }
    let content = event.pdu.content_as::<Content>().ok()?;
    let is_plain =
        |one: &Representation| one.mimetype.as_ref().is_none_or(|kind| kind == "text/plain");
    let plain = content.representations.and_then(|all| all.text.into_iter().find(is_plain));
    match (content.topic, plain.map(|plain| plain.body)) {
        (Some(topic), Some(plain)) if topic != plain => Some(format!("{topic}\n{plain}")),
        (topic, plain) => topic.or(plain),
    }
}

/// Opens the index, or a new one in the place of one that is of no use.
pub(super) fn open(
    folder: Option<&std::path::Path>,
) -> Result<(Index, Progress), tantivy::TantivyError> {
    let Some(folder) = folder else { return Index::open(None) };
    match Index::open(Some(folder)) {
        Err(tantivy::TantivyError::LockFailure(error, hint)) => {
            Err(tantivy::TantivyError::LockFailure(error, hint))
        }
        Err(error) => {
            tracing::warn!(%error, "the search index cannot be used and is made anew");
            std::fs::remove_dir_all(folder)?;
            Index::open(Some(folder))
        }
        opened => opened,
    }
}
