//! One member sends, every other member waits in `/sync`.

use std::time::{Duration, Instant};

use futures_util::future::{try_join, try_join_all};
use tokio::sync::watch;

use crate::connection::find;
use crate::homeserver::{User, join_all, next_batch};
use crate::report::{Latencies, Row};
use crate::{Bench, Outcome};

const MESSAGES: usize = 100;
/// Between two sends, so that each finds the receivers waiting.
const PAUSE: Duration = Duration::from_millis(200);
const WAIT_MS: u32 = 10_000;

impl Bench {
    /// From the start of a send to its arrival at each receiver.
    pub(crate) async fn fanout(&self) -> Outcome<Vec<Row>> {
        let mut receivers = self.homeserver.users(self.sizes.receivers).await?;
        let mut sender = self.homeserver.user().await?;
        let room = sender.create_room().await?;
        join_all(&mut receivers, &room).await?;
        let mut waiting = Vec::new();
        for mut user in receivers {
            let since = next_batch(&user.sync(None, 0).await?)?;
            waiting.push((user, since));
        }

        let stretch = self.meter.start()?;
        let (tell, began) = watch::channel(Vec::new());
        let arrivals = waiting.into_iter().map(|(user, since)| receive(user, since, began.clone()));
        let (own, arrived) =
            try_join(send(&mut sender, &room, &tell), try_join_all(arrivals)).await?;
        let mut latencies = Latencies::new();
        for one in &arrived {
            latencies.merge(one);
        }
        let name = format!("one send to {} waiting members, each arrival", arrived.len());
        let arrival = self.meter.end(&name, &stretch, &latencies)?;
        let send = self.meter.end("the same, until the send is answered", &stretch, &own)?;
        Ok(vec![arrival, send])
    }
}

/// Sends, and tells the receivers when each send began.
async fn send(
    user: &mut User,
    room: &str,
    tell: &watch::Sender<Vec<Instant>>,
) -> Outcome<Latencies> {
    let mut latencies = Latencies::new();
    for number in 0..MESSAGES {
        tokio::time::sleep(PAUSE).await;
        let began = Instant::now();
        tell.send_modify(|all| all.push(began));
        user.send(room, &format!("fanout-{number}-")).await?;
        latencies.record(began.elapsed());
    }
    Ok(latencies)
}

/// Syncs until all messages have come.
async fn receive(
    mut user: User,
    mut since: String,
    sends: watch::Receiver<Vec<Instant>>,
) -> Outcome<Latencies> {
    let mut latencies = Latencies::new();
    let mut next = 0;
    while next < MESSAGES {
        let sync = user.sync(Some(&since), WAIT_MS).await?;
        let arrived = Instant::now();
        since = next_batch(&sync)?;
        while find(&sync, format!("fanout-{next}-").as_bytes()).is_some() {
            latencies.record(arrived - sends.borrow()[next]);
            next += 1;
        }
    }
    Ok(latencies)
}
