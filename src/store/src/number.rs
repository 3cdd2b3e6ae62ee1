//! Numbers inside, strings outside: what is named by a long string is numbered on first sight.

use serde::{Deserialize, Serialize};

use crate::table::META;
use crate::{Batch, Store, StoreError};

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub struct $name(pub u64);

        impl std::fmt::Display for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(formatter)
            }
        }
    };
}

number! {
    /// The number of a room ID.
    RoomNumber
}
number! {
    /// The number of a user ID.
    UserNumber
}
number! {
    /// The number of a pair of event type and state key.
    StateKeyNumber
}
number! {
    /// The number of an event. Says nothing of order: that is [`TimelinePosition`](crate::TimelinePosition).
    EventNumber
}

/// Key of the first number not yet reserved by any process, in [`META`].
const RESERVE_KEY: &[u8] = b"numbers";

/// How many numbers a process reserves at once. Numbers left over when it stops are never used.
const RESERVE: u64 = 1 << 16;

/// Gives out numbers that no process of the server gave out before. All kinds of numbers share one sequence.
#[derive(Debug)]
pub(crate) struct Numbers {
    reserved: tokio::sync::Mutex<std::ops::Range<u64>>,
}

impl Numbers {
    pub(crate) fn new() -> Self {
        Self { reserved: tokio::sync::Mutex::new(0..0) }
    }
}

impl Store {
    /// A number nobody has. Waits for the disk once in 65,536 times.
    pub(crate) async fn new_number(&self) -> Result<u64, StoreError> {
        let mut reserved = self.numbers().reserved.lock().await;
        loop {
            if let Some(number) = reserved.next() {
                return Ok(number);
            }
            let stored: Option<u64> = self.get(META, RESERVE_KEY).await?;
            let first = stored.unwrap_or(1);
            let mut batch = Batch::new();
            batch.expect(META, RESERVE_KEY, stored.as_ref())?;
            batch.insert(META, RESERVE_KEY, &(first + RESERVE))?;
            match self.commit(batch).await {
                Ok(_) => *reserved = first..first + RESERVE,
                // Another node of the cluster took that reserve.
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The number of an event that is about to be written.
    pub async fn new_event_number(&self) -> Result<EventNumber, StoreError> {
        self.new_number().await.map(EventNumber)
    }
}
