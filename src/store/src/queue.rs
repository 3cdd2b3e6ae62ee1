//! The queue in front of the committer.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::overlay::{Overlaid, Overlay};
use crate::{Batch, StoreError, StreamPosition};

/// A group is closed when it holds this many batches or bytes, so that it stays well under one sled segment.
const GROUP_BATCHES: usize = 512;
const GROUP_BYTES: usize = 2 << 20;

pub(crate) type Answer = oneshot::Sender<Result<StreamPosition, StoreError>>;

/// A batch on its way, and who waits for it.
pub(crate) struct Submission {
    pub(crate) batch: Batch,
    pub(crate) overlaid: Overlaid,
    pub(crate) answer: Answer,
}

#[derive(Default)]
struct Waiting {
    submissions: VecDeque<Submission>,
    closed: bool,
}

/// Batches that wait to be committed. Its length is bounded by the requests in flight: each waits for its answer.
#[derive(Default)]
pub(crate) struct Queue {
    waiting: Mutex<Waiting>,
    arrived: Condvar,
    pub(crate) overlay: Overlay,
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Queue").finish_non_exhaustive()
    }
}

impl Queue {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a batch at the end; batches are committed in the order of these calls.
    pub(crate) fn submit(
        &self,
        batch: Batch,
    ) -> oneshot::Receiver<Result<StreamPosition, StoreError>> {
        let (answer, receiver) = oneshot::channel();
        let mut waiting = self.waiting();
        if waiting.closed {
            // The receiver may be gone; there is nobody else to tell.
            let _ = answer.send(Err(StoreError::Closed));
            return receiver;
        }
        // Under the queue's lock, so that of two values for a key the first in the queue is shown.
        let overlaid = self.overlay.add(&batch);
        waiting.submissions.push_back(Submission { batch, overlaid, answer });
        drop(waiting);
        self.arrived.notify_one();
        receiver
    }

    /// Accepts nothing more; what waits is still committed.
    pub(crate) fn close(&self) {
        self.waiting().closed = true;
        self.arrived.notify_one();
    }

    /// Accepts nothing more and answers all who wait with [`StoreError::Closed`].
    pub(crate) fn abandon(&self) {
        let mut waiting = self.waiting();
        waiting.closed = true;
        let abandoned = std::mem::take(&mut waiting.submissions);
        // Not under the lock: a batch that is dropped unpins its state nodes, under a lock of their own.
        drop(waiting);
        drop(abandoned);
    }

    /// Waits for submissions and takes a group of them; `None` when closed and empty.
    pub(crate) fn take_group(&self) -> Option<Vec<Submission>> {
        let mut waiting = self.waiting();
        while waiting.submissions.is_empty() {
            if waiting.closed {
                return None;
            }
            waiting = self.arrived.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        let mut group = Vec::new();
        let mut bytes = 0;
        while let Some(next) = waiting.submissions.front() {
            bytes += next.batch.size();
            if !group.is_empty() && (group.len() >= GROUP_BATCHES || bytes > GROUP_BYTES) {
                break;
            }
            group.extend(waiting.submissions.pop_front());
        }
        Some(group)
    }
}
