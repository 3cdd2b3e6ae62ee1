//! Asking for a password.

use std::{
    io::{self, BufRead, IsTerminal, Write},
    process::{Command, Stdio},
};

use crate::failure::Failure;

/// A password from the terminal, asked for twice and not shown, or from the first line of standard input.
pub(super) fn ask(name: &str) -> Result<String, Failure> {
    if !io::stdin().is_terminal() {
        return line();
    }
    let hidden = Hidden::start();
    let first = prompt(&format!("password of {name}: "))?;
    let second = prompt("again: ")?;
    drop(hidden);
    if first == second { Ok(first) } else { Err(Failure::new("the two passwords differ")) }
}

/// The first line of standard input.
pub(super) fn line() -> Result<String, Failure> {
    let mut line = String::new();
    io::stdin()
        .lock()
        .read_line(&mut line)
        .map_err(Failure::because("cannot read the password"))?;
    Ok(line.trim_end_matches(['\n', '\r']).to_owned())
}

fn prompt(text: &str) -> Result<String, Failure> {
    eprint!("{text}");
    // A prompt that is not shown is no reason not to read.
    let _ = io::stderr().flush();
    let password = line();
    eprintln!();
    password
}

/// While it lives, the terminal does not show what is typed.
struct Hidden;

impl Hidden {
    fn start() -> Self {
        stty("-echo");
        Self
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        stty("echo");
    }
}

/// Without stty the password is shown, which is better than not being able to set one.
fn stty(mode: &str) {
    let _ = Command::new("stty").arg(mode).stdin(Stdio::inherit()).status();
}
