//! Load for any Matrix homeserver, by URL: what it serves in a second, how long each answer takes, and
//! what that costs the server's process.

mod connection;
mod homeserver;
mod process;
mod report;
mod scenarios;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use tokio::sync::{Mutex, OnceCell};

use crate::homeserver::{Homeserver, User};
use crate::process::Process;
use crate::report::{Meter, Row, markdown};

/// Why a run ended: nothing here is handled, only shown.
type Failure = Box<dyn std::error::Error + Send + Sync>;
type Outcome<T> = Result<T, Failure>;

#[derive(Parser)]
#[command(about = "Load for any Matrix homeserver, by URL")]
struct Arguments {
    /// The homeserver, as http://HOST:PORT
    #[arg(long)]
    url: String,
    /// Registers users through /_synapse/admin/v1/register; without it registration must be open
    #[arg(long)]
    shared_secret: Option<String>,
    /// The server's process, for its CPU time and memory
    #[arg(long)]
    pid: Option<u32>,
    /// The server's data folder, for its size
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// Prints JSON instead of a Markdown table
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    sizes: Sizes,
    /// What to measure
    #[arg(value_enum, required = true)]
    scenarios: Vec<Scenario>,
}

/// How much of everything.
#[derive(clap::Args)]
struct Sizes {
    /// Users who send at the same time
    #[arg(long, default_value_t = 64)]
    senders: usize,
    /// Messages to send where throughput is measured
    #[arg(long, default_value_t = 20_000)]
    messages: usize,
    /// Members who wait in /sync for one sender's messages
    #[arg(long, default_value_t = 100)]
    receivers: usize,
    /// Rooms of the user who syncs
    #[arg(long, default_value_t = 300)]
    rooms: usize,
    /// Members of each of these rooms where members count
    #[arg(long, default_value_t = 300)]
    room_members: usize,
    /// Requests where single ones are measured
    #[arg(long, default_value_t = 1_000)]
    repeats: usize,
    /// Members of the big room
    #[arg(long, default_value_t = 5_000)]
    members: usize,
    /// Events of the room that grows, and of the one that is searched
    #[arg(long, default_value_t = 100_000)]
    events: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Scenario {
    /// Durable sends: all into one room, then each sender into a room of their own
    Sends,
    /// From one member's send to the waiting sync of each other member
    Fanout,
    /// A first sync of a user in many rooms
    InitialSync,
    /// A first sync of a user in many rooms of many members, as Element Web asks for it
    InitialSyncLazy,
    /// The same with all members of all rooms
    InitialSyncFull,
    /// A sync of a user in many rooms where nothing happened
    NoopSync,
    /// A list of many rooms of many members by sliding sync, as Element X asks for it
    SlidingList,
    /// History backwards, 100 events a page
    Pagination,
    /// Sends into a room of many members, next to one of two
    BigRoom,
    /// Sends into a room that grows: around its 1,000th event and at its end
    Growth,
    /// The hierarchy of a space of 500 rooms
    Hierarchy,
    /// Searches over many messages
    Search,
    /// Each of them
    All,
}

impl Scenario {
    fn or_all(self) -> Vec<Self> {
        match self {
            Self::All => {
                Self::value_variants().iter().copied().filter(|&it| it != Self::All).collect()
            }
            one => vec![one],
        }
    }
}

/// What a scenario works with.
struct Bench {
    homeserver: Homeserver,
    meter: Meter,
    sizes: Sizes,
    /// A user in many rooms of many members, made when first asked for.
    villager: OnceCell<Mutex<User>>,
}

impl Bench {
    async fn run(&self, scenario: Scenario) -> Outcome<Vec<Row>> {
        match scenario {
            Scenario::Sends => self.sends().await,
            Scenario::Fanout => self.fanout().await,
            Scenario::InitialSync => self.initial_sync().await,
            Scenario::InitialSyncLazy => self.initial_sync_lazy().await,
            Scenario::InitialSyncFull => self.initial_sync_full().await,
            Scenario::NoopSync => self.noop_sync().await,
            Scenario::SlidingList => self.sliding_list().await,
            Scenario::Pagination => self.pagination().await,
            Scenario::BigRoom => self.big_room().await,
            Scenario::Hierarchy => self.hierarchy().await,
            Scenario::Search => self.search().await,
            Scenario::Growth => self.growth().await,
            Scenario::All => Err("all is the sum of the others".into()),
        }
    }
}

// One thread: what the load takes off the server's processors stays small and visible.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hearth-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Outcome<()> {
    let bench = Bench {
        homeserver: Homeserver::new(&arguments.url, arguments.shared_secret)?,
        meter: Meter::new(arguments.pid.map(Process), arguments.data_dir),
        sizes: arguments.sizes,
        villager: OnceCell::new(),
    };
    let mut rows = Vec::new();
    for scenario in arguments.scenarios.into_iter().flat_map(Scenario::or_all) {
        let measured = bench.run(scenario).await?;
        if !arguments.json {
            eprint!("{}", markdown(&measured));
        }
        rows.extend(measured);
    }
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&rows)?);
    } else {
        print!("{}", markdown(&rows));
    }
    Ok(())
}
