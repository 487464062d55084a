//! `arenascope lesson`: what teachers need beside the window.

mod check;

use anyhow::Result;
use clap::Subcommand;

/// What can be done with lessons.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Hold every claim and question of lessons against the machine, under each profile that they hold for
    Check(check::Args),
}

pub(crate) fn run(command: &Command) -> Result<()> {
    match command {
        Command::Check(args) => check::run(args),
    }
}
