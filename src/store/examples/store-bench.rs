//! What the store costs: durable sends per second, CPU, latency and space, with few and many senders, as the database
//! grows.
//!
//! A send is what a room writes for a message: the event, its index, its place in the timeline, its transaction, the
//! feed entry, the room's head (which the commit depends on) and the store's position.
//!
//! ```text
//! cargo run --release -p store --example store-bench -- [engine] [events, by default 200000]
//! cargo run --release -p store --example store-bench -- [engine] space
//! ```
//!
//! The second form shows whether an engine gives space back: values are written, most are deleted, others written.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use store::{Batch, EngineKind, EngineOptions, Store, StoreError, Table, open, raw};

const EVENT: Table = raw::immutable_table(200, "event");
const EVENT_INDEX: Table = raw::table(201, "event_index");
const TIMELINE: Table = raw::table(202, "timeline");
const TRANSACTION: Table = raw::table(203, "transaction");
const FEED: Table = raw::table(204, "feed");
const HEAD: Table = raw::table(205, "head");

const SENDERS: [u64; 4] = [1, 16, 64, 128];

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Numbers nobody can compress, one after the other.
fn scrambled(number: u64) -> u64 {
    let mixed = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

fn identifier(seed: u64) -> String {
    let part = |salt: u64| scrambled(seed.wrapping_mul(4).wrapping_add(salt));
    format!("${:016x}{:016x}{:016x}", part(0), part(1), part(2))
}

/// An event as servers exchange it, about 950 bytes.
fn event(room: u64, number: u64) -> String {
    let previous = identifier(number.wrapping_sub(1));
    let (auth, signature) = (identifier(room), identifier(number.wrapping_add(1 << 40)));
    format!(
        r#"{{"auth_events":["{auth}","{previous}","{auth}"],"content":{{"body":"{}","msgtype":"m.text"}},"depth":{number},"hashes":{{"sha256":"{signature}"}},"origin_server_ts":{},"prev_events":["{previous}"],"room_id":"!{room:016x}:hearth.example","sender":"@user{room}:hearth.example","signatures":{{"hearth.example":{{"ed25519:a_bcde":"{signature}{signature}"}}}},"type":"m.room.message","unsigned":{{}}}}"#,
        "words that somebody says to somebody else, ".repeat(6),
        1_700_000_000_000 + number,
    )
}

fn send(room: u64, number: u64, previous: Option<u64>) -> Result<Batch, StoreError> {
    let (room_key, number_key) = (room.to_be_bytes(), number.to_be_bytes());
    let event_id = identifier(number);
    let mut batch = Batch::new();
    let slot = batch.slot();
    raw::expect(&mut batch, HEAD, &room_key, previous.map(|number| number.to_be_bytes().to_vec()));
    raw::put(&mut batch, HEAD, &room_key, number_key.to_vec())?;
    raw::put(&mut batch, EVENT, &number_key, event(room, number).into_bytes())?;
    raw::put(&mut batch, EVENT_INDEX, event_id.as_bytes(), number_key.to_vec())?;
    raw::put_at(&mut batch, TIMELINE, &room_key, slot, &number_key)?;
    let transaction = format!("{room:016x}DEVICEIDXX{number}");
    raw::put(&mut batch, TRANSACTION, transaction.as_bytes(), event_id.into_bytes())?;
    raw::put_at(&mut batch, FEED, b"", slot, &[room_key, number_key].concat())?;
    Ok(batch)
}

/// CPU time of the process, to a hundredth of a second, and its resident memory in bytes.
fn used() -> Result<(Duration, u64), Failure> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let after_name = stat.rsplit(") ").next().unwrap_or_default();
    let fields: Vec<u64> =
        after_name.split(' ').skip(1).map(|field| field.parse().unwrap_or(0)).collect();
    let (user, system, pages) = (fields[10], fields[11], fields[20]);
    Ok((Duration::from_millis((user + system) * 10), pages * 4096))
}

fn folder_bytes(folder: &Path) -> Result<u64, Failure> {
    use std::os::unix::fs::MetadataExt;
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes +=
            if metadata.is_dir() { folder_bytes(&entry.path())? } else { metadata.blocks() * 512 };
    }
    Ok(bytes)
}

/// What one run measured.
struct Run {
    events: u64,
    took: Duration,
    cpu: Duration,
    latencies: Vec<Duration>,
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
impl Run {
    fn line(&mut self, engine: EngineKind, stored: u64, senders: u64) {
        self.latencies.sort_unstable();
        let at = |percent: usize| {
            let index = self.latencies.len().saturating_sub(1) * percent / 100;
            self.latencies.get(index).map_or(0.0, |latency| latency.as_secs_f64() * 1e3)
        };
        println!(
            "| {engine} | {stored} | {senders} | {:.0} | {:.1} | {:.1} | {:.0} |",
            self.events as f64 / self.took.as_secs_f64(),
            at(50),
            at(99),
            self.cpu.as_secs_f64() * 1e6 / self.events.max(1) as f64,
        );
    }
}

/// Has `senders` send, each into its own room and one at a time, until `until` says so.
async fn run(
    store: &Store,
    next: &Arc<AtomicU64>,
    senders: u64,
    until: impl Fn(u64, Instant) -> bool + Copy + Send + 'static,
) -> Result<Run, Failure> {
    let (cpu, _) = used()?;
    let (started, first) = (Instant::now(), next.load(Ordering::Relaxed));
    let senders = (0..senders).map(|sender| {
        let (store, next) = (store.clone(), Arc::clone(next));
        tokio::spawn(async move {
            let mut latencies = Vec::new();
            // A room of its own that nobody used before.
            let room = first * 1_000 + sender;
            let mut previous = None;
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if until(number, started) {
                    return Ok::<_, StoreError>(latencies);
                }
                let begun = Instant::now();
                store.commit(send(room, number, previous)?).await?;
                latencies.push(begun.elapsed());
                previous = Some(number);
            }
        })
    });
    let mut latencies = Vec::new();
    for sender in senders.collect::<Vec<_>>() {
        latencies.extend(sender.await??);
    }
    let events = u64::try_from(latencies.len())?;
    Ok(Run { events, took: started.elapsed(), cpu: used()?.0.saturating_sub(cpu), latencies })
}

async fn measure(kind: EngineKind, events: u64) -> Result<(), Failure> {
    let folder = tempfile::Builder::new().prefix("store-bench").tempdir_in(".")?;
    let store = open(kind, folder.path(), EngineOptions::default()).await?;
    let (_, memory_at_start) = used()?;
    let next = Arc::new(AtomicU64::new(1));
    let mut stored = 0;
    for milestone in [events / 200, events / 2, events] {
        let mut filling =
            run(&store, &next, 128, move |number, _| number > milestone.max(1)).await?;
        stored += filling.events;
        if filling.events > 0 {
            filling.line(kind, stored, 128);
        }
        for senders in SENDERS {
            let mut run = run(&store, &next, senders, |_, started| {
                started.elapsed() > Duration::from_secs(3)
            })
            .await?;
            stored += run.events;
            run.line(kind, stored, senders);
        }
    }
    let (_, memory) = used()?;
    println!(
        "{kind}: {} bytes on disk for each of {stored} events; {} MiB of memory when opened, {} at the end",
        folder_bytes(folder.path())? / stored,
        memory_at_start >> 20,
        memory >> 20,
    );
    store.close().await;
    drop(store);
    let started = Instant::now();
    let store = open(kind, folder.path(), EngineOptions::default()).await?;
    let position = store.position();
    println!(
        "{kind}: opened again in {:.2} s at position {position}",
        started.elapsed().as_secs_f64()
    );
    Ok(())
}

/// Writes or deletes the numbered values, a hundred to a commit.
async fn change(
    store: &Store,
    numbers: impl Iterator<Item = u64>,
    value: impl Fn(u64) -> Option<String>,
) -> Result<(), Failure> {
    let mut tickets = Vec::new();
    let mut batch = Batch::new();
    for (count, number) in (1_u64..).zip(numbers) {
        // Scattered over the table, as identifiers are.
        let key = scrambled(number).to_be_bytes();
        match value(number) {
            Some(value) => raw::put(&mut batch, EVENT_INDEX, &key, value.into_bytes())?,
            None => raw::remove(&mut batch, EVENT_INDEX, &key),
        }
        if count % 100 == 0 {
            tickets.push(store.submit(std::mem::take(&mut batch)));
        }
        if tickets.len() > 16 {
            for ticket in tickets.drain(..) {
                ticket.await?;
            }
        }
    }
    tickets.push(store.submit(batch));
    for ticket in tickets {
        ticket.await?;
    }
    Ok(())
}

async fn measure_space(kind: EngineKind) -> Result<(), Failure> {
    const VALUES: u64 = 100_000;
    let folder = tempfile::Builder::new().prefix("store-bench").tempdir_in(".")?;
    let store = open(kind, folder.path(), EngineOptions::default()).await?;
    let say = |what: &str| -> Result<(), Failure> {
        println!("{kind}: {what}: {} MiB", folder_bytes(folder.path())? >> 20);
        Ok(())
    };
    change(&store, 0..VALUES, |number| Some(event(1, number))).await?;
    say("100,000 values of about 1 KB")?;
    change(&store, (0..VALUES).filter(|number| number % 10 != 0), |_| None).await?;
    say("nine of ten deleted")?;
    change(&store, VALUES..2 * VALUES, |number| Some(event(1, number))).await?;
    say("100,000 others written")?;
    for round in 2..5 {
        change(&store, (round - 1) * VALUES..round * VALUES, |_| None).await?;
        change(&store, round * VALUES..(round + 1) * VALUES, |number| Some(event(1, number)))
            .await?;
        say("all of those deleted, 100,000 others written")?;
    }
    for _ in 0..200 {
        change(&store, 4 * VALUES..4 * VALUES + 1_000, |number| Some(event(1, number))).await?;
    }
    say("1,000 of them overwritten 200 times")
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let kind = arguments.next().map_or(Ok(EngineKind::Sled), |name| name.parse())?;
    let what = arguments.next();
    if what.as_deref() == Some("space") {
        return measure_space(kind).await;
    }
    let events = what.map_or(Ok(200_000), |text| text.parse())?;
    println!("| engine | events stored | senders | sends/s | p50 ms | p99 ms | CPU µs/send |");
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: |");
    measure(kind, events).await
}
