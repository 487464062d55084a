//! Tasks of the workspace: `cargo xtask web`, `serve`, `e2e`, `test`, `static`, `bench`.
//!
//! One module a task. Nothing here depends on the crates that it builds, so that a task can still run,
//! and say what is wrong, when they do not compile.

#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "a task talks to a terminal")]

mod arrows;
mod bench;
mod e2e;
mod instructions;
mod invariants;
mod modules;
mod not_run;
mod panes;
mod rust_text;
mod serve;
mod stand_alone;
mod static_binary;
mod steps;
mod test;
mod tools;
mod web;
mod words;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Builds and checks Arenascope.
#[derive(Parser)]
#[command(bin_name = "cargo xtask", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Builds the page into dist/, ready for any folder of any static host
    Web(web::Options),
    /// Serves dist/ on this machine, building it first where it is missing
    Serve(serve::Options),
    /// Drives the built page in headless Chromium
    E2e(e2e::Options),
    /// Sets up what is needed and runs every check: what CI runs
    Test(test::Options),
    /// Builds the command line as one file that needs no C library
    Static(static_binary::Options),
    /// Measures against the real CPython and writes docs/benchmarks.md
    Bench(bench::Options),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().task {
        Task::Web(options) => web::run(&options),
        Task::Serve(options) => serve::run(&options),
        Task::E2e(options) => e2e::run(&options),
        Task::Test(options) => test::run(&options),
        Task::Static(options) => static_binary::run(&options),
        Task::Bench(options) => bench::run(&options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
