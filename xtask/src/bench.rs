//! `cargo xtask bench`: the model beside the real CPython, in release mode.

use std::ffi::OsString;

use anyhow::Result;

use crate::workspace::{cargo, run as run_command};

/// Options of `cargo xtask bench`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Go on to the bench program as they are; --help lists what it takes
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

/// Builds and runs the bench programs: the simulation, then allocators for real memory. Both print their table,
/// also when the first misses a bar.
pub(crate) fn run(options: &Options) -> Result<()> {
    let simulated = bench(&["--bin", "bench"], options);
    let real = bench(&["--bin", "allocators", "--features", "allocators"], options);
    simulated.and(real)
}

fn bench(program: &[&str], options: &Options) -> Result<()> {
    let mut bench = cargo();
    bench.args(["run", "--locked", "--release", "--package", "real-cpython"]).args(program).arg("--");
    run_command(bench.args(&options.arguments))
}
