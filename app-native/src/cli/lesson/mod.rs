//! `arenascope lesson`: what teachers need beside the window.

mod check;
mod grade;
#[cfg(all(feature = "live", target_os = "linux", target_arch = "x86_64"))]
mod live;
mod new;
mod picture;
mod print;
mod quiz;

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
    /// A quiz: write one to begin with, print it, make a link of it
    #[command(subcommand)]
    Quiz(quiz::Command),
    /// Mark the tokens that a class handed in for a quiz
    Grade(grade::Args),
}

/// How a page for print begins.
const HEAD: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><style>\
body{font:17px/1.5 sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem;color:#1b1b1b}\
svg{width:100%;height:auto;border:1px solid #ccc;margin:.5rem 0}code{font-size:.95em}\
.ask{border-left:4px solid #2f6fb0;padding:.2rem 0 .2rem 1rem}.answer{background:#eef4fa;padding:.3rem .8rem}\
section{break-inside:avoid}</style>";

pub(crate) fn run(command: &Command) -> Result<()> {
    match command {
        Command::Check(args) => check::run(args),
        Command::New(args) => new::run(args),
        Command::Print(args) => print::run(args),
        Command::Quiz(command) => quiz::run(command),
        Command::Grade(args) => grade::run(args),
    }
}
