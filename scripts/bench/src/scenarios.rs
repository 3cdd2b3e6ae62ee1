//! The scenarios, a file per subject, and the load that several of them share.

mod fanout;
mod history;
mod search;
mod sends;
mod sliding;
mod spaces;
mod syncs;

use std::time::Instant;

use futures_util::future::try_join_all;

use crate::homeserver::User;
use crate::report::{Latencies, Row};
use crate::{Bench, Outcome};

impl Bench {
    /// All of `senders` send at once, `total` messages together, each into the room beside them.
    async fn load(&self, name: &str, senders: &mut [(User, String)], total: usize) -> Outcome<Row> {
        let stretch = self.meter.start()?;
        let each = total / senders.len();
        let tasks = senders.iter_mut().map(|(user, room)| send_many(user, room, each));
        let mut latencies = Latencies::new();
        for one in try_join_all(tasks).await? {
            latencies.merge(&one);
        }
        self.meter.end(name, &stretch, &latencies)
    }
}

async fn send_many(user: &mut User, room: &str, messages: usize) -> Outcome<Latencies> {
    let mut latencies = Latencies::new();
    for number in 0..messages {
        let body = format!("message {number}: the quick brown fox jumps over the lazy dog");
        let sent = Instant::now();
        user.send(room, &body).await?;
        latencies.record(sent.elapsed());
    }
    Ok(latencies)
}
