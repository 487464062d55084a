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

/// Builds and runs the bench programs: the simulation, allocators for real memory, the file format. All print their
/// table, also when one before misses a bar.
pub(crate) fn run(options: &Options) -> Result<()> {
    let simulated = bench(&["--bin", "bench"], options);
    let real = bench(&["--bin", "allocators", "--features", "allocators"], options);
    let files = bench(&["--bin", "files"], options);
    simulated.and(real).and(files)
}

fn bench(program: &[&str], options: &Options) -> Result<()> {
    let mut bench = cargo();
    bench.args(["run", "--locked", "--release", "--package", "real-cpython"]).args(program).arg("--");
    run_command(bench.args(&options.arguments))
}
