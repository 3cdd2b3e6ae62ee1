//! hearth, a Matrix homeserver.

mod cli;
mod config;
mod connections;
mod data_dir;
mod failure;
mod logging;
mod measures;
mod serve;
mod signals;
mod user;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command, ConfigCommand, UserCommand};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Serve(options) => serve::run(&options),
        Command::Config(ConfigCommand::Check(options)) => config::check(&options),
        Command::User(UserCommand::Create(options)) => user::create(&options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("hearth: {failure}");
            ExitCode::FAILURE
        }
    }
}
