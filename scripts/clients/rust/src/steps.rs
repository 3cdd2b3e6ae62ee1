//! Steps: each is named, timed out, printed, and written to `$CLIENTS_RESULTS` for the script that counts them.

use std::fs::OpenOptions;
use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tokio::process::Command;
use tokio::time::{sleep, timeout};

const LIBRARY: &str = "matrix-rust-sdk";
const STEP_TIMEOUT: Duration = Duration::from_secs(60);
const WAIT: Duration = Duration::from_secs(20);

/// The steps made so far.
#[derive(Default)]
pub struct Steps {
    failed: usize,
}

impl Steps {
    /// Runs one step; a failure is noted and the scenario goes on.
    pub async fn step<T>(&mut self, name: &str, act: impl AsyncFnOnce() -> Result<T>) -> Option<T> {
        let started = Instant::now();
        let result = timeout(STEP_TIMEOUT, act()).await;
        match result.context("it takes too long").and_then(|result| result) {
            Ok(value) => {
                note("pass", name, &format!("{} ms", started.elapsed().as_millis()));
                Some(value)
            }
            Err(error) => {
                self.failed += 1;
                note("fail", name, &format!("{error:#}"));
                None
            }
        }
    }

    /// A step that the rest cannot do without: the program ends when it fails.
    pub async fn need<T>(&mut self, name: &str, act: impl AsyncFnOnce() -> Result<T>) -> T {
        match self.step(name, act).await {
            Some(value) => value,
            None => self.finish(),
        }
    }

    /// Ends the program.
    pub fn finish(&self) -> ! {
        std::process::exit(i32::from(self.failed > 0))
    }
}

fn note(outcome: &str, name: &str, detail: &str) {
    let mark = if outcome == "pass" { "ok  " } else { "FAIL" };
    println!("{mark} {LIBRARY}: {name} ({detail})");
    if let Some(path) = std::env::var_os("CLIENTS_RESULTS") {
        let file = OpenOptions::new().create(true).append(true).open(path);
        let written = file.and_then(|mut file| writeln!(file, "{outcome} {name}"));
        written.expect("the file of results can be written");
    }
}

/// Waits until `probe` finds something.
pub async fn until<T>(what: &str, mut probe: impl AsyncFnMut() -> Option<T>) -> Result<T> {
    let deadline = Instant::now() + WAIT;
    while Instant::now() < deadline {
        if let Some(found) = probe().await {
            return Ok(found);
        }
        sleep(Duration::from_millis(20)).await;
    }
    bail!("waited {} s for {what}", WAIT.as_secs())
}

/// Waits until `probe` holds.
pub async fn until_true(what: &str, mut probe: impl AsyncFnMut() -> bool) -> Result<()> {
    until(what, async || probe().await.then_some(())).await
}

/// Tells the homeserver's script what to do: `restart`, `kill`, `start`.
pub async fn server(command: &str) -> Result<()> {
    let script = std::env::var_os("CLIENTS_SERVER").context("CLIENTS_SERVER is not set")?;
    let status = Command::new(script).arg(command).status().await?;
    ensure!(status.success(), "the server's script failed to {command}");
    Ok(())
}
