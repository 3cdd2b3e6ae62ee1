//! Bringing the index up to date with the store.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use ruma::OwnedEventId;
use store::{Change, EventNumber, Observer, StreamPosition};
use tokio::sync::Notify;

use super::index::{Index, IndexChange, Progress};
use super::{Search, SearchError};
use crate::RoomError;

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
