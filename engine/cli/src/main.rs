//! The `backplane` command: a thin binary over the engine's crates, and the only one that knows every connector.
//!
//! [`args`] is the command line; each command is a file of [`commands`]; [`assemble`] makes a job of a configuration; [`exit`] has every
//! error and exit status.

mod allocator;
mod args;
mod assemble;
mod commands;
mod epochs;
mod exit;
mod format;
mod interrupt;
mod lakes;
mod ledger;
mod logging;
mod places;
mod planning;
mod progress;
mod session;
mod summary;
mod table;
mod tally;
mod terminal;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    allocator::set_up();
    // A job reads every file of a pattern at once, and shells allow few. Where more are not to be had, a job says so itself.
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    // clap prints help and what is wrong with the command line, and ends with 0 or 2
    let cli = args::Cli::parse();
    let terminal = terminal::Terminal::new();
    let result = logging::start(&cli.logging, &terminal)
        .and_then(|log_format| commands::execute(cli.command, &commands::Context { terminal, log_format }));
    exit::conclude(result)
}
