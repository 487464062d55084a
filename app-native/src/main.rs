//! `arenascope`: the window on the desktop and the command line.
//!
//! Without a subcommand it opens the window; everything else runs without a display. A build without
//! the feature `window` has the command line alone.

#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "this is the command line")]
#![allow(clippy::doc_markdown, reason = "clap prints doc comments as help, where backticks only disturb")]

mod cli;
#[cfg(feature = "window")]
mod dialog;
#[cfg(feature = "window")]
mod measure;
#[cfg(feature = "window")]
mod memory;
#[cfg(all(feature = "window", target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod processes;
#[cfg(feature = "window")]
mod window;
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod xray;

use std::process::ExitCode;

fn main() -> ExitCode {
    match cli::run() {
        Ok(()) => ExitCode::SUCCESS,
        // A reader that closed the pipe has all it wanted.
        Err(error) if cli::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("arenascope: {}", cli::words::line(&error));
            ExitCode::FAILURE
        }
    }
}
