//! `cargo xtask e2e`: the built page in headless Chromium, beside the native program.

use std::fs;

use anyhow::{Context as _, Result};

use crate::workspace::{cargo, command, root, run as run_command};
use crate::{tools, web};

/// Options of `cargo xtask e2e`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Test the page in dist/ as it is instead of building it again
    #[arg(long)]
    no_build: bool,
}

/// Builds the page and tests it.
pub(crate) fn run(options: &Options) -> Result<()> {
    if !options.no_build {
        web::build(&root().join("dist"))?;
    }
    drive(&["build", "--package", "app-native"])
}

/// Tests the page in dist/ as the last step of all checks, whose tests have built the program: with the workspace's
/// features, so that building the one package would build its libraries a second time.
pub(crate) fn drive_after_tests() -> Result<()> {
    drive(&["test", "--workspace", "--no-run"])
}

/// Tests the page in dist/ beside the program that this cargo command builds.
fn drive(build: &[&str]) -> Result<()> {
    let chromium = tools::chromium().context(
        "there is no Chromium: run `apt-get install chromium`, or set CHROMIUM to the path of its program",
    )?;
    // The page's digests are compared with this program's.
    run_command(cargo().args(build).arg("--locked"))?;
    install_packages()?;
    run_command(
        command("node")
            .args(["--test", "--test-reporter=spec", "e2e/page.test.mjs"])
            .env("CHROMIUM", chromium)
            .env("ARENASCOPE", root().join("target/debug/arenascope"))
            .env("DIST", root().join("dist"))
            .env("XTASK", std::env::current_exe()?),
    )
}

/// Installs what package-lock.json says, unless that is what is there.
fn install_packages() -> Result<()> {
    let lock =
        fs::read(root().join("e2e/package-lock.json")).context("e2e/package-lock.json cannot be read")?;
    let stamp = root().join("e2e/node_modules/.installed-lock.json");
    if fs::read(&stamp).is_ok_and(|installed| installed == lock) {
        return Ok(());
    }
    run_command(command("npm").args(["ci", "--prefix", "e2e", "--no-audit", "--no-fund"]))
        .context("the browser's driver, playwright-core, comes from the npm registry")?;
    fs::write(&stamp, lock).with_context(|| format!("{} cannot be written", stamp.display()))
}
