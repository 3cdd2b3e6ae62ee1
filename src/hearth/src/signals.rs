//! Being asked to stop.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::failure::Failure;

/// SIGINT and SIGTERM.
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// From now on the two signals do not end the process by themselves.
    pub(crate) fn listen() -> Result<Self, Failure> {
        let refused = || Failure::because("cannot listen to signals");
        let interrupt = signal(SignalKind::interrupt()).map_err(refused())?;
        let terminate = signal(SignalKind::terminate()).map_err(refused())?;
        Ok(Self { interrupt, terminate })
    }

    /// Waits for the next signal and gives its name.
    pub(crate) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }
}
