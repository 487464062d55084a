//! `cargo xtask e2e`: the built page in headless Chromium, beside the native program.

use anyhow::{Context as _, Result};

use crate::tools::Need;
use crate::workspace::{cargo, command, root, run as run_command};
use crate::{tools, web};

/// What driving the page takes.
pub(crate) const NEEDS: [Need; 4] = [Need::Chromium, Need::Node, Need::Npm, Need::BrowserDriver];

/// Options of `cargo xtask e2e`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Test the page in dist/ as it is instead of building it again
    #[arg(long)]
    no_build: bool,
}

/// Builds the page and tests it.
pub(crate) fn run(options: &Options) -> Result<()> {
    let mut needs = NEEDS.to_vec();
    needs.extend((!options.no_build).then_some(Need::WasmTarget));
    tools::require(&needs)?;
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
    run_command(
        command("node")
            .args([
                "--test",
                "--test-reporter=spec",
                "--test-concurrency=1",
                "e2e/page.test.mjs",
                "e2e/engine.test.mjs",
                "e2e/walks.test.mjs",
            ])
            .env("CHROMIUM", chromium)
            .env("ARENASCOPE", root().join("target/debug/arenascope"))
            .env("DIST", root().join("dist"))
            .env("XTASK", std::env::current_exe()?),
    )
}
