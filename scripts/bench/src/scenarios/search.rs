//! Searching what was said.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::report::{Latencies, Row};
use crate::{Bench, Outcome};

const SENDERS: usize = 16;
/// How many different words there are in all that is said; each message says eight.
const WORDS: u64 = 20_000;
/// How long the server may take until the last message is found.
const PATIENCE: Duration = Duration::from_mins(10);

impl Bench {
    /// Searches over many messages: a word of one in 2,500 messages, and a common one.
    pub(crate) async fn search(&self) -> Outcome<Vec<Row>> {
        let mut users = self.homeserver.users(SENDERS).await?;
        let room = users[0].create_room().await?;
        crate::homeserver::join_all(&mut users[1..], &room).await?;
        let each = self.sizes.events / SENDERS;
        let stretch = self.meter.start()?;
        let mut latencies = Latencies::new();
        let mut lanes = tokio::task::JoinSet::new();
        for (lane, mut user) in users.into_iter().enumerate() {
            let room = room.clone();
            lanes.spawn(async move {
                let mut latencies = Latencies::new();
                for number in 0..each {
                    let asked = Instant::now();
                    user.send(&room, &sentence((lane * each + number) as u64)).await?;
                    latencies.record(asked.elapsed());
                }
                Ok::<_, crate::Failure>((user, latencies))
            });
        }
        let mut searcher = None;
        while let Some(lane) = lanes.join_next().await {
            let (user, lane) = lane??;
            latencies.merge(&lane);
            searcher = Some(user);
        }
        let mut searcher = searcher.ok_or("nobody to search")?;
        let mut rows = vec![self.meter.end("sends to be searched", &stretch, &latencies)?];

        let query = |term: &str| json!({ "search_categories": { "room_events": { "search_term": term, "order_by": "recent" } } });
        let started = Instant::now();
        searcher.send(&room, "quincunx").await?;
        while searcher.post("/search", &query("quincunx")).await?["search_categories"]["room_events"]
            ["count"]
            != 1
        {
            if started.elapsed() > PATIENCE {
                return Err("the last message is not found".into());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        for (name, shared) in
            [("search for a rare word", false), ("search for a common word", true)]
        {
            let stretch = self.meter.start()?;
            let mut latencies = Latencies::new();
            for number in 0..(self.sizes.repeats / 10).max(1) as u64 {
                let term = if shared { "said".to_owned() } else { word(scrambled(number) % WORDS) };
                let asked = Instant::now();
                searcher.post("/search", &query(&term)).await?;
                latencies.record(asked.elapsed());
            }
            let name = format!("{name} among {} messages", each * SENDERS);
            rows.push(self.meter.end(&name, &stretch, &latencies)?);
        }
        Ok(rows)
    }
}

/// Eight words that differ from message to message, and one that does not.
fn sentence(number: u64) -> String {
    let words = (0..8).map(|place| word(scrambled(number * 8 + place) % WORDS));
    words.collect::<Vec<_>>().join(" ") + " said"
}

fn word(number: u64) -> String {
    const SYLLABLES: [&str; 16] = [
        "ba", "ce", "di", "fo", "gu", "ha", "ke", "li", "mo", "nu", "pa", "re", "si", "to", "vu",
        "we",
    ];
    let syllable = |place: u32| SYLLABLES[usize::try_from(number >> (4 * place) & 15).unwrap_or(0)];
    (0..4).map(syllable).collect()
}

/// Numbers that look random and are the same in each run.
fn scrambled(number: u64) -> u64 {
    let mixed = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB) >> 20
}
