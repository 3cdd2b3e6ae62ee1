//! A load whose every acknowledgement is known, in a process that may be killed at any instant, and the check of what
//! it left behind.

use std::collections::{BTreeMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::io::{BufRead, BufReader, Write};
use std::ops::RangeInclusive;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use store::{Batch, Direction, EngineKind, KeyRange, Store, Table, raw};

use crate::on;

/// Sizes of the values, from a usual event to one near the limit.
pub(crate) const SIZES: [usize; 3] = [1_000, 20_000, 60_000];

const WRITERS: u64 = 16;

/// How many commits of a writer are on their way at once, each built on the one before.
const DEPTH: u64 = 2;

/// What a process does.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) kind: EngineKind,
    /// The size of the values.
    pub(crate) size: usize,
    /// How many values of a writer are kept: each commit deletes the one that falls out, so that the engine frees space
    /// and uses it again.
    pub(crate) kept: u64,
}

impl Load {
    pub(crate) fn new(kind: EngineKind, size: usize) -> Self {
        Self { kind, size, kept: 40 }
    }

    pub(crate) fn growing(kind: EngineKind, size: usize) -> Self {
        Self { kind, size, kept: u64::MAX }
    }

    /// The numbers of what a writer keeps.
    fn kept(self, latest: u64) -> RangeInclusive<u64> {
        latest.saturating_sub(self.kept) + 1..=latest
    }
}

/// Writer and number: a value made of both.
const BODY: Table = raw::table(200, "body");
/// Writer: its last number. Every commit depends on the one before.
const LATEST: Table = raw::table(201, "latest");
/// Stream position: the position, writer and number.
const LOG: Table = raw::table(202, "log");
/// As the body, and empty: no deletion or write of one may be without that of the other.
const MARK: Table = raw::table(203, "mark");

const TASK: &str = "HEARTH_TORTURE";

fn key(writer: u64, number: u64) -> Vec<u8> {
    [writer.to_be_bytes(), number.to_be_bytes()].concat()
}

/// Bytes that no engine can compress and no other commit has.
fn body(writer: u64, number: u64, size: usize) -> Vec<u8> {
    let mut state = writer.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ number.wrapping_add(1) << 20 | 1;
    let mut bytes = Vec::with_capacity(size + 8);
    while bytes.len() < size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(size);
    bytes
}

fn commit(load: Load, writer: u64, number: u64) -> Batch {
    let mut batch = Batch::new();
    let previous = (number > 1).then(|| (number - 1).to_be_bytes().to_vec());
    raw::expect(&mut batch, LATEST, &writer.to_be_bytes(), previous);
    raw::put(&mut batch, BODY, &key(writer, number), body(writer, number, load.size)).unwrap();
    raw::put(&mut batch, LATEST, &writer.to_be_bytes(), number.to_be_bytes().to_vec()).unwrap();
    raw::put(&mut batch, MARK, &key(writer, number), Vec::new()).unwrap();
    if let Some(old) = number.checked_sub(load.kept) {
        raw::remove(&mut batch, MARK, &key(writer, old));
        raw::remove(&mut batch, BODY, &key(writer, old));
    }
    let slot = batch.slot();
    raw::put_at(&mut batch, LOG, b"", slot, &key(writer, number)).unwrap();
    batch
}

fn say(line: &str) {
    std::io::stdout().lock().write_all(format!("\n{line}\n").as_bytes()).unwrap();
}

async fn write(store: Store, load: Load, writer: u64) {
    let mut number = latest(&store, writer).await;
    loop {
        let tickets: Vec<_> = (1..=DEPTH)
            .map(|ahead| (number + ahead, store.submit(commit(load, writer, number + ahead))))
            .collect();
        for (submitted, ticket) in tickets {
            ticket.await.unwrap();
            number = submitted;
            say(&format!("ack {writer} {number}"));
        }
    }
}

async fn latest(store: &Store, writer: u64) -> u64 {
    let found = raw::get(store, LATEST, &writer.to_be_bytes()).await.unwrap();
    found.map_or(0, |bytes| u64::from_be_bytes(bytes.try_into().unwrap()))
}

/// Commits until it is killed. Says when the store is open and what was acknowledged.
#[test]
#[ignore = "a process of the crash suites"]
fn child() {
    let task = std::env::var(TASK).unwrap();
    let [kind, size, kept, folder] = *task.splitn(4, ' ').collect::<Vec<_>>() else {
        panic!("{task}");
    };
    let (kind, size) = (kind.parse().unwrap(), size.parse().unwrap());
    let load = Load { kind, size, kept: kept.parse().unwrap() };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(async {
        let store = on::store(kind, Path::new(folder)).await;
        say("ready");
        let writers = (0..WRITERS).map(|writer| tokio::spawn(write(store.clone(), load, writer)));
        for writer in writers.collect::<Vec<_>>() {
            writer.await.unwrap();
        }
    });
}

/// What the process said so far.
#[derive(Debug, Default, Clone)]
pub(crate) struct Said {
    pub(crate) ready: bool,
    /// Each writer's last acknowledged number.
    pub(crate) acknowledged: BTreeMap<u64, u64>,
}

/// A process that commits.
pub(crate) struct Torture {
    pub(crate) process: Child,
    said: Arc<Mutex<Said>>,
    reader: JoinHandle<()>,
}

impl Torture {
    pub(crate) fn start(load: Load, folder: &Path) -> Self {
        let Load { kind, size, kept } = load;
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "torture::child", "--ignored", "--nocapture"])
            .env(TASK, format!("{kind} {size} {kept} {}", folder.display()))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let said = Arc::new(Mutex::new(Said::default()));
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let reader = std::thread::spawn({
            let said = Arc::clone(&said);
            move || lines.map_while(Result::ok).for_each(|line| hear(&said, &line))
        });
        Self { process, said, reader }
    }

    pub(crate) fn wait_until_ready(&mut self) {
        let started = Instant::now();
        while !self.said.lock().unwrap().ready {
            let ended = self.process.try_wait().unwrap();
            assert!(ended.is_none(), "ended before it was ready: {ended:?}: {}", self.complaint());
            assert!(started.elapsed() < Duration::from_mins(1), "not ready after a minute");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// What it wrote to standard error; only after its end.
    pub(crate) fn complaint(&mut self) -> String {
        let stderr = self.process.stderr.take();
        stderr.and_then(|stderr| std::io::read_to_string(stderr).ok()).unwrap_or_default()
    }

    /// Kills it and returns all that it said.
    pub(crate) fn kill(mut self) -> Said {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        self.reader.join().unwrap();
        self.said.lock().unwrap().clone()
    }
}

fn hear(said: &Mutex<Said>, line: &str) {
    let mut said = said.lock().unwrap();
    let mut words = line.split(' ');
    match words.next() {
        Some("ready") => said.ready = true,
        // The last line may be cut short, but then its newline is missing and so is the next line's beginning.
        Some("ack") => {
            let [writer, number] =
                [words.next(), words.next()].map(|word| word.unwrap().parse().unwrap());
            said.acknowledged.insert(writer, number);
        }
        _ => {}
    }
}

/// Checks that all that was acknowledged is there, that nothing is there in part, and brings `acknowledged` up to what
/// is stored. Each of the `processes` since the last check may have had commits on their way. Returns how many commits
/// there are.
pub(crate) fn check(
    load: Load,
    folder: &Path,
    acknowledged: &mut BTreeMap<u64, u64>,
    processes: u64,
) -> u64 {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let store = on::store(load.kind, folder).await;
        let mut total = 0;
        for writer in 0..WRITERS {
            let latest = latest(&store, writer).await;
            let acknowledged = acknowledged.entry(writer).or_default();
            assert!(latest >= *acknowledged, "writer {writer}: {acknowledged} lost, has {latest}");
            assert!(
                latest <= *acknowledged + DEPTH * processes,
                "writer {writer}: {latest} from nowhere"
            );
            check_writer(&store, load, writer, latest).await;
            *acknowledged = latest;
            total += latest;
        }
        check_log(&store, total, acknowledged).await;
        store.close().await;
        total
    })
}

async fn check_writer(store: &Store, load: Load, writer: u64, latest: u64) {
    let own = || KeyRange::prefix(writer.to_be_bytes());
    let kept: Vec<_> = load.kept(latest).map(|number| key(writer, number)).collect();
    let marks = raw::scan(store, MARK, own(), Direction::Descending, usize::MAX).await.unwrap();
    let marks: Vec<_> = marks.into_iter().rev().map(|(key, _)| key).collect();
    assert_eq!(marks, kept, "writer {writer}: marks half there");

    let bodies = raw::scan(store, BODY, own(), Direction::Ascending, usize::MAX).await.unwrap();
    let numbers: Vec<_> = bodies.iter().map(|(key, _)| key.clone()).collect();
    assert_eq!(numbers, kept, "writer {writer}: bodies half there");
    for (number, (_, value)) in load.kept(latest).zip(bodies) {
        assert!(value == body(writer, number, load.size), "writer {writer}: {number} damaged");
    }
}

async fn check_log(store: &Store, total: u64, latest: &BTreeMap<u64, u64>) {
    assert_eq!(store.position().0, total, "position and commits differ");
    let all = KeyRange::prefix([]);
    let log = raw::scan(store, LOG, all, Direction::Ascending, usize::MAX).await.unwrap();
    let mut seen = HashSet::new();
    for (position, (key, value)) in (1_u64..).zip(&log) {
        assert_eq!(key.as_slice(), position.to_be_bytes(), "a gap in the positions");
        let (stamp, commit) = value.split_first_chunk::<8>().unwrap();
        assert_eq!(*stamp, position.to_be_bytes(), "position {position} damaged");
        let (writer, number) = commit.split_first_chunk::<8>().unwrap();
        let number = u64::from_be_bytes(number.try_into().unwrap());
        assert!(number <= latest[&u64::from_be_bytes(*writer)], "position {position} half there");
        assert!(seen.insert(commit.to_vec()), "position {position} repeats a commit");
    }
    assert_eq!(log.len() as u64, total, "log and commits differ");
}

/// A random duration below `limit`.
pub(crate) fn random_below(limit: Duration) -> Duration {
    let random = RandomState::new().hash_one(0_u8);
    let nanoseconds = u64::try_from(limit.as_nanos()).unwrap();
    Duration::from_nanos(random % nanoseconds.max(1))
}

/// How many rounds to run: the variable's number, or `default`.
pub(crate) fn rounds(variable: &str, default: u32) -> u32 {
    std::env::var(variable).ok().map_or(default, |text| text.parse().unwrap())
}
