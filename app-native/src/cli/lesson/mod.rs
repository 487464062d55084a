//! `arenascope lesson`: what teachers need beside the window.

mod check;
mod new;
mod picture;
mod print;

use anyhow::Result;
use clap::Subcommand;

/// What can be done with lessons.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Hold every claim and question of lessons against the machine, under each profile that they hold for
    Check(check::Args),
    /// Write a lesson to begin with
    New(new::Args),
    /// Write a lesson as a page to print, with pictures and answers
    Print(print::Args),
}

pub(crate) fn run(command: &Command) -> Result<()> {
    match command {
        Command::Check(args) => check::run(args),
        Command::New(args) => new::run(args),
        Command::Print(args) => print::run(args),
    }
}
