//! The one writer of the process: takes all batches that wait, applies them as one durable group, then answers.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use tokio::runtime::Handle;

use crate::batch::{Precondition, StampedWrite};
use crate::engine::{Engine, Write};
use crate::overlay::Overlaid;
use crate::queue::{Answer, Queue, Submission};
use crate::state_trie::BatchState;
use crate::store::Observer;
use crate::table::META;
use crate::{Batch, Change, EngineError, StoreError, StreamPosition, Table};

/// Key of the last stream position in [`META`].
pub(crate) const POSITION_KEY: &[u8] = b"position";

/// What the committer thread works with.
pub(crate) struct Committer {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) queue: Arc<Queue>,
    pub(crate) position: Arc<AtomicU64>,
    pub(crate) observers: Arc<RwLock<Vec<Arc<dyn Observer>>>>,
    pub(crate) runtime: Handle,
    /// Called when the engine failed to apply a group; must not return to normal work.
    pub(crate) on_failure: fn(&EngineError),
}

/// A batch that is part of a group.
struct Accepted {
    answer: Answer,
    changes: Vec<Change>,
    last: StreamPosition,
    /// Until the group is applied: this pins its state nodes.
    state: BatchState,
}

/// A group whose preconditions were checked.
#[derive(Default)]
struct Group {
    accepted: Vec<Accepted>,
    refused: Vec<(Answer, StoreError)>,
    overlaid: Overlaid,
    writes: Vec<Write>,
}

/// The keys that preconditions of a group are about, each with the index of the last write to it in the group.
type Watched<'a> = HashMap<Table, HashMap<&'a [u8], Option<usize>>>;

impl Committer {
    /// Commits groups until the queue is closed and empty, or the engine fails, or something panics. After a failure
    /// nobody knows what is on disk: nothing of the group is acknowledged and nothing more accepted.
    pub(crate) fn run(self) {
        let failure = match std::panic::catch_unwind(AssertUnwindSafe(|| self.work())) {
            Ok(()) => return,
            Err(_) => EngineError::Database("the committer panicked".to_owned()),
        };
        self.fail(&failure);
    }

    fn fail(&self, failure: &EngineError) {
        (self.on_failure)(failure);
        self.queue.abandon();
    }

    fn work(&self) {
        while let Some(submissions) = self.queue.take_group() {
            let started = Instant::now();
            let group = self.runtime.block_on(self.check(submissions));
            if !group.writes.is_empty()
                && let Err(error) = self.runtime.block_on(self.engine.apply(&group.writes))
            {
                return self.fail(&error);
            }
            measure(&group, started);
            self.publish(group);
        }
    }

    /// Checks preconditions in order, against the engine and the group's own earlier writes, and collects the writes
    /// of the batches that hold.
    async fn check(&self, submissions: Vec<Submission>) -> Group {
        let mut group = Group::default();
        let mut parts = Vec::with_capacity(submissions.len());
        let mut preconditions = Vec::with_capacity(submissions.len());
        for Submission { mut batch, overlaid, answer } in submissions {
            group.overlaid.extend(overlaid);
            preconditions.push(std::mem::take(&mut batch.preconditions));
            parts.push((batch, answer));
        }
        let mut watched = watched(&preconditions);
        let mut position = self.position.load(Ordering::Acquire);
        for ((batch, answer), preconditions) in parts.into_iter().zip(&preconditions) {
            if let Err(error) = self.holds(preconditions, &watched, &group.writes).await {
                group.refused.push((answer, error));
                continue;
            }
            let first = StreamPosition(position + 1);
            position += batch.positions();
            let Batch { writes, changes, state, .. } = batch;
            for stamped in writes {
                let write = filled(stamped, first);
                let watched = watched.get_mut(&write.table);
                if let Some(last) = watched.and_then(|keys| keys.get_mut(write.key.as_slice())) {
                    *last = Some(group.writes.len());
                }
                group.writes.push(write);
            }
            let last = StreamPosition(position);
            group.accepted.push(Accepted { answer, changes, last, state });
        }
        if !group.accepted.is_empty() {
            let (key, value) = (POSITION_KEY.to_vec(), Some(position.to_be_bytes().to_vec()));
            group.writes.push(Write { table: META, key, value });
        }
        group
    }

    async fn holds(
        &self,
        preconditions: &[Precondition],
        watched: &Watched<'_>,
        writes: &[Write],
    ) -> Result<(), StoreError> {
        for Precondition { table, key, expected } in preconditions {
            let last = watched.get(table).and_then(|keys| keys.get(key.as_slice())).copied();
            let holds = match last.flatten() {
                Some(index) => writes[index].value == *expected,
                None => self.engine.get(*table, key).await? == *expected,
            };
            if !holds {
                return Err(StoreError::Conflict);
            }
        }
        Ok(())
    }

    /// Tells observers first, then lets readers see the new position, then answers those who wait: whoever is
    /// answered finds its change everywhere. Those who wait for news are woken last, so that a sender mostly has its
    /// answer before its own `/sync` shows the event: some clients take the other order for a second event.
    fn publish(&self, group: Group) {
        let observers = self.observers.read().unwrap_or_else(PoisonError::into_inner).clone();
        for accepted in group.accepted.iter().filter(|accepted| !accepted.changes.is_empty()) {
            for observer in &observers {
                observer.committed(accepted.last, &accepted.changes);
            }
        }
        let published = group.accepted.last().map(|accepted| accepted.last);
        if let Some(last) = published {
            self.position.store(last.0, Ordering::Release);
        }
        self.queue.overlay.remove(group.overlaid);
        for Accepted { answer, last, state, .. } in group.accepted {
            drop(state);
            // Whoever asked may have gone away; the commit stands.
            let _ = answer.send(Ok(last));
        }
        for (answer, error) in group.refused {
            let _ = answer.send(Err(error));
        }
        if let Some(last) = published {
            for observer in &observers {
                observer.published(last);
            }
        }
    }
}

fn watched(preconditions: &[Vec<Precondition>]) -> Watched<'_> {
    let mut watched = Watched::new();
    for precondition in preconditions.iter().flatten() {
        watched.entry(precondition.table).or_default().insert(&precondition.key, None);
    }
    watched
}

/// A write with its positions filled in.
fn filled(stamped: StampedWrite, first: StreamPosition) -> Write {
    let StampedWrite { mut write, key_stamp, value_stamp } = stamped;
    if let Some(stamp) = key_stamp {
        stamp.fill(&mut write.key, first);
    }
    if let (Some(stamp), Some(value)) = (value_stamp, &mut write.value) {
        stamp.fill(value, first);
    }
    write
}

fn measure(group: &Group, started: Instant) {
    let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    metrics::histogram!("hearth_store_group_seconds").record(started.elapsed());
    metrics::histogram!("hearth_store_group_commits").record(count(group.accepted.len()));
    metrics::counter!("hearth_store_commits_total").increment(count(group.accepted.len()).into());
    metrics::counter!("hearth_store_refused_total").increment(count(group.refused.len()).into());
}
