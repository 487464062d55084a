//! `cargo xtask test`: everything that must hold before a change goes in, in one command.
//!
//! Cheap steps come first and all of them run, so that one round shows all that they find; the long ones
//! start only when those passed. One native profile and one for the browser: the window's libraries are
//! the bulk of a cold run, and each further profile would build them again.

use anyhow::Result;

use crate::steps::Steps;
use crate::workspace::{cargo, command, root, run as run_command};
use crate::{arrows, e2e, instructions, modules, tools, web};

/// Options of `cargo xtask test`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Run the long steps even when a cheap one failed
    #[arg(long)]
    keep_going: bool,
    /// Run only these steps (names as in the summary; setup always runs)
    #[arg(long, value_name = "STEP", value_delimiter = ',')]
    only: Vec<String>,
    /// Also ask the advisory database, which needs github.com
    #[arg(long)]
    advisories: bool,
}

/// A step: its name and what it does.
type Step = (&'static str, fn() -> Result<()>);

const CHEAP: [Step; 9] = [
    ("format", format),
    ("typos", typos),
    ("arrows", || arrows::check().and_then(|()| modules::check())),
    ("dependencies", dependencies),
    ("clippy", clippy),
    ("clippy-browser", clippy_browser),
    ("docs", docs),
    ("no-window", no_window),
    ("page-files", page_files),
];

const LONG: [Step; 5] = [
    ("tests", tests),
    ("sanitizer", sanitizer),
    ("instructions", || instructions::hold(false)),
    ("web", web_build),
    ("browser", e2e::drive_after_tests),
];

/// Sets up and runs the steps.
pub(crate) fn run(options: &Options) -> Result<()> {
    let known = |name: &String| CHEAP.iter().chain(&LONG).any(|(step, _)| step == name);
    if let Some(unknown) = options.only.iter().find(|name| !known(name)) {
        let names: Vec<_> = CHEAP.iter().chain(&LONG).map(|(name, _)| *name).collect();
        anyhow::bail!("there is no step {unknown}; there are {}", names.join(", "));
    }
    let wanted = |name: &str| options.only.is_empty() || options.only.iter().any(|only| only == name);

    let mut steps = Steps::default();
    let ready = steps.run("setup", tools::set_up);
    for (name, step) in CHEAP.into_iter().filter(|(name, _)| wanted(name)) {
        if ready {
            steps.run(name, step);
        } else {
            steps.skip(name);
        }
    }
    if options.advisories {
        steps.run("advisories", advisories);
    }
    for (name, step) in LONG.into_iter().filter(|(name, _)| wanted(name)) {
        if ready && (options.keep_going || !steps.any_failed()) {
            steps.run(name, step);
        } else {
            steps.skip(name);
        }
    }
    steps.finish()
}

fn format() -> Result<()> {
    run_command(cargo().args(["fmt", "--all", "--check"]))
}

fn typos() -> Result<()> {
    run_command(&mut command(tools::typos_program()))
}

fn dependencies() -> Result<()> {
    deny(&["bans", "licenses", "sources"])
}

fn advisories() -> Result<()> {
    deny(&["advisories"])
}

fn deny(checks: &[&str]) -> Result<()> {
    run_command(
        command(tools::cargo_deny_program())
            .args(["--locked", "check", "--hide-inclusion-graph"])
            .args(checks),
    )
}

fn clippy() -> Result<()> {
    run_command(cargo().args([
        "clippy",
        "--locked",
        "--workspace",
        "--all-targets",
        "--",
        "--deny",
        "warnings",
    ]))
}

/// The crates that run in the browser, with bans on what a browser does not have. The profile and folder
/// are those of the web build, which shares its build scripts and macros with this.
fn clippy_browser() -> Result<()> {
    run_command(
        cargo()
            .args(["clippy", "--locked", "--package", "app-web", "--package", "app-web-engine", "--lib"])
            .args(["--profile", "web"])
            .args(["--target", "wasm32-unknown-unknown", "--target-dir", "target/web"])
            .args(["--", "--deny", "warnings"])
            .env("CLIPPY_CONF_DIR", root().join("app-web/clippy-browser")),
    )
}

fn docs() -> Result<()> {
    run_command(
        cargo().args(["doc", "--locked", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "--deny warnings"),
    )
}

/// The command line alone, as a server builds it; and the container of `.atrace` alone, as a recorder takes it into a process.
fn no_window() -> Result<()> {
    for package in ["app-native", "atrace"] {
        run_command(cargo().args(["check", "--locked", "--package", package, "--no-default-features"]))?;
    }
    Ok(())
}

/// JavaScript is parsed before a browser has to.
fn page_files() -> Result<()> {
    for file in ["app-web/page/boot.js", "app-web/page/worker.js", "e2e/page.test.mjs", "e2e/support.mjs"] {
        run_command(command("node").args(["--check", file]))?;
    }
    Ok(())
}

fn tests() -> Result<()> {
    run_command(
        cargo().args(["test", "--locked", "--workspace", "--no-fail-fast"]).env("RUST_BACKTRACE", "1"),
    )
}

/// The crate that follows pointers, under `AddressSanitizer`. The compiler has it behind a switch for nightly
/// features; the folder is its own, since everything is built anew. The large goldens run in `tests`.
fn sanitizer() -> Result<()> {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        println!("AddressSanitizer is run on x86-64 Linux only");
        return Ok(());
    }
    run_command(
        cargo()
            .args(["test", "--locked", "--package", "mmap-arenas", "--tests"])
            .args(["--target", "x86_64-unknown-linux-gnu", "--target-dir", "target/sanitizer"])
            .args(["--", "--exact", "--skip", "all_goldens_are_met"])
            .env("RUSTC_BOOTSTRAP", "1")
            .env("RUSTFLAGS", "-Zsanitizer=address"),
    )
}

fn web_build() -> Result<()> {
    web::build(&root().join("dist"))
}
