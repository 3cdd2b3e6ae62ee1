//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// A Matrix homeserver.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the server
    Serve(ConfigFile),
    /// Look at the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Manage users
    #[command(subcommand)]
    User(UserCommand),
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Name every problem of the configuration; exit with 1 if there is one
    Check(ConfigFile),
}

#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// Create a user; the server may run or not
    Create(NewUserOptions),
}

#[derive(Debug, Args)]
pub(crate) struct NewUserOptions {
    /// The part of the user id between @ and :
    pub(crate) name: String,
    /// Make the user an administrator of the server
    #[arg(long)]
    pub(crate) admin: bool,
    /// Read the password from the first line of standard input
    #[arg(long)]
    pub(crate) password_stdin: bool,
    #[command(flatten)]
    pub(crate) config: ConfigFile,
}

#[derive(Debug, Args)]
pub(crate) struct ConfigFile {
    /// The configuration file [default: hearth.toml if it exists, otherwise none]
    #[arg(long, env = "HEARTH_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
