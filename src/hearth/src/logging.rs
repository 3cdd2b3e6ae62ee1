//! Logs, on standard error.

use std::{io::IsTerminal, panic::PanicHookInfo};

use tracing_subscriber::{EnvFilter, fmt, prelude::*};

use crate::{
    config::{LogFormat, Logging},
    failure::Failure,
};

/// Starts logging; panics are logged too, from then on.
pub(crate) fn start(logging: &Logging) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(&logging.filter)
        .map_err(Failure::because("cannot use logging.filter"))?;
    let lines = match logging.format {
        LogFormat::Text => {
            let colours = std::io::stderr().is_terminal();
            fmt::layer().with_writer(std::io::stderr).with_ansi(colours).boxed()
        }
        LogFormat::Json => {
            fmt::layer().json().with_writer(std::io::stderr).with_current_span(true).boxed()
        }
    };
    tracing_subscriber::registry()
        .with(filter)
        .with(lines)
        .try_init()
        .map_err(Failure::because("cannot start logging"))?;
    std::panic::set_hook(Box::new(log_panic));
    Ok(())
}

/// A panic's message may quote what a user sent, unless it is written in the code as it is.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let at = panic.location().map(ToString::to_string).unwrap_or_default();
    let message = panic.payload().downcast_ref::<&'static str>().copied().unwrap_or("(not shown)");
    tracing::error!(at, message, "panic");
}
