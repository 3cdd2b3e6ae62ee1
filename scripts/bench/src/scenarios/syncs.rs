//! Syncs of a user in many rooms.

use std::time::Instant;

use crate::homeserver::{User, next_batch};
use crate::report::{Latencies, Row};
use crate::{Bench, Outcome};

const MESSAGES_PER_ROOM: usize = 10;
/// A first sync is large: a fiftieth of the repeats is enough of them.
const FIRST_SYNC_SHARE: usize = 50;

impl Bench {
    /// First syncs, of all rooms.
    pub(crate) async fn initial_sync(&self) -> Outcome<Vec<Row>> {
        let mut user = self.inhabitant().await?;
        let stretch = self.meter.start()?;
        let mut latencies = Latencies::new();
        let mut bytes = 0;
        for _ in 0..(self.sizes.repeats / FIRST_SYNC_SHARE).max(1) {
            let asked = Instant::now();
            bytes = user.sync(None, 0).await?.len();
            latencies.record(asked.elapsed());
        }
        let name = format!("first sync of {} rooms, {} KiB", self.sizes.rooms, bytes / 1024);
        Ok(vec![self.meter.end(&name, &stretch, &latencies)?])
    }

    /// Syncs to which there is nothing to say.
    pub(crate) async fn noop_sync(&self) -> Outcome<Vec<Row>> {
        let mut user = self.inhabitant().await?;
        let mut since = next_batch(&user.sync(None, 0).await?)?;
        let stretch = self.meter.start()?;
        let mut latencies = Latencies::new();
        for _ in 0..self.sizes.repeats {
            let asked = Instant::now();
            let sync = user.sync(Some(&since), 0).await?;
            latencies.record(asked.elapsed());
            since = next_batch(&sync)?;
        }
        let name = format!("sync of {} rooms, nothing new", self.sizes.rooms);
        Ok(vec![self.meter.end(&name, &stretch, &latencies)?])
    }

    /// A user in many rooms, each with a few messages.
    async fn inhabitant(&self) -> Outcome<User> {
        let mut user = self.homeserver.user().await?;
        for _ in 0..self.sizes.rooms {
            let room = user.create_room().await?;
            for number in 0..MESSAGES_PER_ROOM {
                user.send(&room, &format!("message {number}")).await?;
            }
        }
        Ok(user)
    }
}
