//! Homeservers on loopback.

use std::env;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tokio::sync::OnceCell;

use crate::process::Process;
use crate::{Client, hearth, synapse};

/// What every server is started with for `/_synapse/admin/v1/register`.
pub(crate) const SHARED_SECRET: &str = "complement";

/// How long a server may take until it answers.
const STARTING: Duration = Duration::from_mins(1);

/// How long a server may take to see that its data is in use.
const REFUSING: Duration = Duration::from_secs(15);

static SHARED: OnceCell<Arc<Running>> = OnceCell::const_new();

/// Which homeserver the tests are run against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Homeserver {
    Hearth,
    Synapse,
}

impl Homeserver {
    /// What `HOMESERVER` names; hearth when it is not set.
    pub fn chosen() -> Self {
        match env::var("HOMESERVER").as_deref() {
            Err(_) | Ok("" | "hearth") => Self::Hearth,
            Ok("synapse") => Self::Synapse,
            Ok(other) => panic!("HOMESERVER is hearth or synapse, not {other}"),
        }
    }
}

/// Whether this runs against Synapse, which does otherwise than this sentence of the specification
/// says: the rest of the test is for hearth.
pub fn synapse_departs_from(sentence: &str) -> bool {
    let departs = Homeserver::chosen() == Homeserver::Synapse;
    if departs {
        eprintln!("Synapse departs from: {sentence}");
    }
    departs
}

/// A running homeserver; it stops when the last handle to it is dropped.
#[derive(Clone)]
pub struct Server {
    running: Arc<Running>,
    pub(crate) http: reqwest::Client,
}

struct Running {
    name: String,
    port: u16,
    folder: PathBuf,
    /// Environment variables that change hearth's settings.
    settings: Vec<(String, String)>,
    process: Mutex<Process>,
}

impl Server {
    /// The server that all tests of this run share: users and aliases need names of their own.
    pub async fn start() -> Self {
        let running = SHARED.get_or_init(|| async { Arc::new(Running::start(&[]).await) }).await;
        Self::of(Arc::clone(running))
    }

    /// A server for this test alone.
    pub async fn start_fresh() -> Self {
        Self::start_with(&[]).await
    }

    /// A server for this test alone, with settings such as `HEARTH_RATE_LIMITS__ENABLED`, which
    /// Synapse knows nothing of.
    pub async fn start_with(settings: &[(&str, &str)]) -> Self {
        Self::of(Arc::new(Running::start(settings).await))
    }

    fn of(running: Arc<Running>) -> Self {
        // A connection belongs to the runtime that opened it and each test has its own runtime.
        Self { running, http: http_client() }
    }

    /// The server's name in Matrix ids.
    pub fn name(&self) -> &str {
        &self.running.name
    }

    /// Where `path` is served.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.running.port)
    }

    /// A client that is not logged in.
    pub fn stranger(&self) -> Client {
        Client::stranger(self.clone())
    }

    /// Stops the server as an operator would, with SIGTERM, and starts it on the same data.
    pub async fn restart(&self) {
        let status = self.process().terminate();
        assert!(status.success(), "after SIGTERM the server ended with {status}");
        self.start_again().await;
    }

    /// Kills the server with SIGKILL and starts it on the same data.
    pub async fn kill_and_restart(&self) {
        self.process().kill();
        self.start_again().await;
    }

    /// Starts a second server, on another port, on the data of this one; gives whether it refused to
    /// run, and what it said.
    pub fn start_on_same_data(&self) -> (bool, String) {
        let Running { folder, name, .. } = &*self.running;
        let mut child = command(folder, name, free_port())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the first server was started from the same file");
        let start = Instant::now();
        let mut ended = None;
        while ended.is_none() && start.elapsed() < REFUSING {
            std::thread::sleep(Duration::from_millis(20));
            ended = child.try_wait().expect("our own child can be waited for");
        }
        child.kill().expect("our own child can be killed");
        let said = child.wait_with_output().expect("our own child can be waited for").stderr;
        let refused = ended.is_some_and(|status| !status.success());
        (refused, String::from_utf8_lossy(&said).into_owned())
    }

    /// What the server wrote to its log.
    pub fn log(&self) -> String {
        self.process().log()
    }

    async fn start_again(&self) {
        self.process().start_again(self.running.command());
        self.running.wait_until_ready().await;
    }

    fn process(&self) -> MutexGuard<'_, Process> {
        self.running.process.lock().expect("no test panics while it holds the process")
    }
}

impl Running {
    async fn start(settings: &[(&str, &str)]) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("hearth-blackbox-")
            .tempdir()
            .expect("the temporary folder is writable")
            .keep();
        let (name, port) = ("hearth.test".to_owned(), free_port());
        let settings: Vec<(String, String)> =
            settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let mut command = command(&folder, &name, port);
        command.envs(settings.clone());
        let process = Mutex::new(Process::start(command, folder.clone()));
        let running = Self { name, port, folder, settings, process };
        running.wait_until_ready().await;
        running
    }

    fn command(&self) -> Command {
        let mut command = command(&self.folder, &self.name, self.port);
        command.envs(self.settings.clone());
        command
    }

    async fn wait_until_ready(&self) {
        let versions = format!("http://127.0.0.1:{}/_matrix/client/versions", self.port);
        let (start, http) = (Instant::now(), http_client());
        loop {
            if http.get(&versions).send().await.is_ok_and(|answer| answer.status() == 200) {
                return;
            }
            {
                let mut process = self.process.lock().expect("no one else holds it for long");
                let ended = process.wait_for_end(Duration::ZERO);
                assert!(ended.is_none(), "ended with {ended:?}: {}", process.log());
                assert!(start.elapsed() < STARTING, "not ready: {}", process.log());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn http_client() -> reqwest::Client {
    // Built together with the server, whose TLS is set up by itself, reqwest has none of its own and wants to be given one,
    // for plain HTTP too. It may have been by another test.
    let _given = rustls::crypto::ring::default_provider().install_default();
    let builder = reqwest::Client::builder().timeout(Duration::from_mins(1));
    builder.build().expect("a client without settings can be built")
}

fn command(folder: &Path, name: &str, port: u16) -> Command {
    match Homeserver::chosen() {
        Homeserver::Hearth => hearth::command(folder, name, port),
        Homeserver::Synapse => synapse::command(folder, name, port),
    }
}

/// A port nobody listens on, below those that the system gives to outgoing connections.
fn free_port() -> u16 {
    std::iter::repeat_with(|| rand::random_range(20_000..32_000))
        .take(1000)
        .find(|&port| TcpListener::bind(("127.0.0.1", port)).is_ok())
        .expect("one of a thousand ports is free")
}
