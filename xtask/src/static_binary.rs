//! `cargo xtask static`: the command line as one file that needs no C library, for machines where nothing can be installed.
//!
//! Rust alone: the features that are left out are the window, the real interpreter and zstd in C, so that the target of rustup is all that
//! it takes.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};

use crate::workspace::{cargo, root, run as run_command};

/// Bytes that the file may have: it is copied into containers by hand.
const MOST_BYTES: u64 = 12_000_000;

/// Options of `cargo xtask static`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// For which processor; `rustup target add` has its target
    #[arg(long, value_name = "TARGET", default_value = "x86_64-unknown-linux-musl")]
    target: String,
}

/// Builds it, and says how large it is.
pub(crate) fn run(options: &Options) -> Result<()> {
    let Options { target } = options;
    let mut build = cargo();
    build.args([
        "build",
        "--locked",
        "--package",
        "app-native",
        "--no-default-features",
        "--profile",
        "static",
        "--target",
        target,
    ]);
    // What comes with Rust links it, also for other processors.
    let settings = format!("target.{target}.rustflags=[\"-Clinker=rust-lld\", \"-Clinker-flavor=ld.lld\"]");
    run_command(build.args(["--config", &settings]))
        .with_context(|| format!("if the target is missing: rustup target add {target}"))?;
    let path: PathBuf = root().join("target").join(target).join("static/arenascope");
    let bytes = fs::metadata(&path).with_context(|| path.display().to_string())?.len();
    println!("{}: {:.1} MB, which need no C library", path.display(), bytes as f64 / 1e6);
    ensure!(bytes <= MOST_BYTES, "it has {bytes} bytes, and may have {MOST_BYTES}");
    Ok(())
}
