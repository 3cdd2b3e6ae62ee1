//! Syncs of a user in many rooms.

use std::time::Instant;

use tokio::sync::Mutex;

use crate::homeserver::{User, join_all, next_batch};
use crate::report::{Latencies, Row};
use crate::{Bench, Outcome, Sizes};

const MESSAGES_PER_ROOM: usize = 10;
/// A first sync is large: a fiftieth of the repeats is enough of them.
const FIRST_SYNC_SHARE: usize = 50;
/// One with members is larger still.
const LARGE_SYNC_SHARE: usize = 100;

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

    /// First syncs of rooms of many members, with those members only that the last 20 events need.
    pub(crate) async fn initial_sync_lazy(&self) -> Outcome<Vec<Row>> {
        let filter = r#"{"room":{"timeline":{"limit":20},"state":{"lazy_load_members":true}}}"#;
        self.first_syncs_of_villager("lazy members", filter).await
    }

    /// First syncs of rooms of many members, with all of them.
    pub(crate) async fn initial_sync_full(&self) -> Outcome<Vec<Row>> {
        let filter = r#"{"room":{"timeline":{"limit":20}}}"#;
        self.first_syncs_of_villager("all members", filter).await
    }

    async fn first_syncs_of_villager(&self, members: &str, filter: &str) -> Outcome<Vec<Row>> {
        let user = self.villager.get_or_try_init(|| self.move_in()).await?;
        let mut user = user.lock().await;
        let stretch = self.meter.start()?;
        let mut latencies = Latencies::new();
        let mut bytes = 0;
        for _ in 0..(self.sizes.repeats / LARGE_SYNC_SHARE).max(1) {
            let asked = Instant::now();
            bytes = user.filtered_sync(filter).await?.len();
            latencies.record(asked.elapsed());
        }
        let Sizes { rooms, room_members, .. } = self.sizes;
        let name = format!(
            "first sync of {rooms} rooms of {room_members}, {members}, {} KiB",
            bytes / 1024
        );
        Ok(vec![self.meter.end(&name, &stretch, &latencies)?])
    }

    /// A user in many rooms, in each of which the same many others are too.
    pub(super) async fn move_in(&self) -> Outcome<Mutex<User>> {
        let mut user = self.homeserver.user().await?;
        let mut others = self.homeserver.users(self.sizes.room_members.saturating_sub(1)).await?;
        for _ in 0..self.sizes.rooms {
            let room = user.create_room().await?;
            join_all(&mut others, &room).await?;
            for (number, other) in others.iter_mut().take(MESSAGES_PER_ROOM).enumerate() {
                other.send(&room, &format!("message {number}")).await?;
            }
        }
        Ok(Mutex::new(user))
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
