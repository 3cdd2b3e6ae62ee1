//! Reading a room's history.

use std::time::Instant;

use crate::report::{Latencies, Row};
use crate::{Bench, Outcome};

const PAGE: usize = 100;
const SENDERS: usize = 8;
const EVENTS: usize = 5_000;
/// More pages than the room has: a server that never ends is not followed for ever.
const MAX_PAGES: usize = 10 * EVENTS / PAGE;

impl Bench {
    /// The whole room backwards, again and again.
    pub(crate) async fn pagination(&self) -> Outcome<Vec<Row>> {
        let mut users = self.homeserver.users(SENDERS).await?;
        let room = users[0].create_room().await?;
        crate::homeserver::join_all(&mut users[1..], &room).await?;
        let mut senders: Vec<_> = users.into_iter().map(|user| (user, room.clone())).collect();
        self.load("filling", &mut senders, EVENTS).await?;
        let Some((mut reader, room)) = senders.pop() else { return Err("nobody to read".into()) };

        let stretch = self.meter.start()?;
        let mut latencies = Latencies::new();
        let mut pages = 0;
        while pages < self.sizes.repeats {
            let mut from = None;
            for _ in 0..MAX_PAGES {
                let asked = Instant::now();
                from = reader.page(&room, from.as_deref(), PAGE).await?;
                latencies.record(asked.elapsed());
                pages += 1;
                if from.is_none() {
                    break;
                }
            }
        }
        let name = format!("page of {PAGE} events, backwards");
        Ok(vec![self.meter.end(&name, &stretch, &latencies)?])
    }
}
