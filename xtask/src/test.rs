//! `cargo xtask test`: everything that must hold before a change goes in, in one command.
//!
//! Cheap steps come first and all of them run, so that one round shows all that they find; the long ones
//! start only when those passed. One native profile and one for the browser: the window's libraries are
//! the bulk of a cold run, and each further profile would build them again.

use std::path::PathBuf;

use anyhow::{Result, anyhow, bail, ensure};

use crate::not_run::{self, Expected, Log};
use crate::steps::Steps;
use crate::tools::{Lack, Need};
use crate::workspace::{cargo, command, root, run as run_command, run_seen};
use crate::{arrows, e2e, instructions, invariants, modules, panes, stand_alone, tools, web, words};

/// Options of `cargo xtask test`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Run the long steps even when a cheap one failed
    #[arg(long)]
    keep_going: bool,
    /// Run only these steps (names as in the summary; setup always runs)
    #[arg(long, value_name = "STEP", value_delimiter = ',')]
    only: Vec<String>,
    /// Also run comparisons with real interpreters that take minutes
    #[arg(long)]
    long: bool,
    /// Also ask the advisory database, which needs github.com
    #[arg(long)]
    advisories: bool,
    /// Fail when something did not run that this list does not name (names as in the last table)
    #[arg(long, value_name = "FILE")]
    expect: Option<PathBuf>,
}

/// A step: its name, without what it cannot run, and what it does. Of the latter it writes down what did not run.
type Step = (&'static str, &'static [Need], fn(&Log) -> Result<()>);

const CHEAP: [Step; 9] = [
    ("format", &[], |_| format()),
    ("typos", &[Need::Venv, Need::Typos], |_| typos()),
    ("arrows", &[], |_| design()),
    ("dependencies", &[Need::CargoDeny], |_| dependencies()),
    ("clippy", &[], |_| clippy()),
    ("clippy-browser", &[Need::WasmTarget], |_| clippy_browser()),
    ("docs", &[], |_| docs()),
    ("no-window", &[], |_| no_window()),
    ("page-files", &[Need::Node], |_| page_files()),
];

const LONG: [Step; 6] = [
    (TESTS, &[], tests),
    ("stand-alone", &[], |_| stand_alone::check()),
    ("sanitizer", &[], sanitizer),
    ("instructions", &instructions::NEEDS, count_instructions),
    ("web", &[Need::WasmTarget, Need::Node], |_| web_build()),
    ("browser", &BROWSER_NEEDS, |_| e2e::drive_after_tests()),
];

/// Runs when it is asked for.
const ADVISORIES: Step = ("advisories", &[Need::CargoDeny], |_| advisories());

const TESTS: &str = "tests";
/// Some tests compare with these, and say so themselves where they cannot.
const TESTS_USE: [Need; 2] = [Need::Libpython, Need::Venv];
/// The page itself and what drives it.
const BROWSER_NEEDS: [Need; 5] =
    [Need::WasmTarget, Need::Chromium, Need::Node, Need::Npm, Need::BrowserDriver];

/// Sets up and runs the steps.
pub(crate) fn run(options: &Options) -> Result<()> {
    let known = |name: &String| CHEAP.iter().chain(&LONG).any(|(step, ..)| step == name);
    if let Some(unknown) = options.only.iter().find(|name| !known(name)) {
        let names: Vec<_> = CHEAP.iter().chain(&LONG).map(|(name, ..)| *name).collect();
        bail!("there is no step {unknown}; there are {}", names.join(", "));
    }
    let expected = options.expect.as_deref().map(Expected::read).transpose()?;
    let wanted = |name: &str| options.only.is_empty() || options.only.iter().any(|only| only == name);
    let chosen = |steps: &'static [Step]| steps.iter().filter(move |(name, ..)| wanted(name));

    let mut needs: Vec<Need> =
        chosen(&CHEAP).chain(chosen(&LONG)).flat_map(|(_, needs, _)| *needs).copied().collect();
    if wanted(TESTS) {
        needs.extend(TESTS_USE);
    }
    if options.advisories {
        needs.extend(ADVISORIES.1);
    }
    let mut run =
        Run { steps: Steps::default(), log: Log::new("not-run")?.with_long(options.long), lacks: Vec::new() };
    run.set_up(&needs);
    for step in chosen(&CHEAP) {
        run.step(step)?;
    }
    if options.advisories {
        run.step(&ADVISORIES)?;
    }
    for step in chosen(&LONG) {
        if options.keep_going || !run.steps.any_failed() {
            run.step(step)?;
        } else {
            run.steps.skip(step.0);
        }
    }
    let passed = run.steps.finish();
    let compared = run.log.compared()?;
    if !compared.is_empty() {
        print!("\n{compared}");
    }
    let lines = run.log.read()?;
    if !lines.is_empty() {
        print!("\n{}", not_run::table(&lines));
    }
    let Some(expected) = expected else { return passed };
    if options.only.is_empty() && passed.is_ok() {
        for name in expected.ran(&lines) {
            println!("it may be missing, and here it ran: {name}");
        }
    }
    match (passed, expected.hold(&lines)) {
        (Err(failed), Err(missing)) => Err(anyhow!("{failed}; {missing}")),
        (passed, held) => passed.and(held),
    }
}

/// The steps so far, what they could not do, and what is missing here.
struct Run {
    steps: Steps,
    log: Log,
    lacks: Vec<Lack>,
}

impl Run {
    /// Gets what is needed; what cannot be had stops those steps alone that cannot do without.
    fn set_up(&mut self, needs: &[Need]) {
        let lacks = &mut self.lacks;
        self.steps.run("setup", || {
            *lacks = tools::provide(needs);
            for why in tools::reasons(lacks.iter()) {
                println!("{why}");
            }
            Ok(())
        });
    }

    fn step(&mut self, (name, needs, step): &Step) -> Result<()> {
        let reasons = tools::reasons(self.lacks.iter().filter(|lack| needs.contains(&lack.need)));
        if reasons.is_empty() {
            self.steps.run(name, || step(&self.log));
            return Ok(());
        }
        self.steps.skip(name);
        self.log.add(&format!("step {name}"), &reasons.join("; "))
    }
}

fn format() -> Result<()> {
    run_command(cargo().args(["fmt", "--all", "--check"]))
}

/// Who may use whom and say what, and what holds the invariants, by reading text. All of it is looked at in one round.
fn design() -> Result<()> {
    let checks = [arrows::check(), modules::check(), panes::check(), words::check(), invariants::check()];
    let wrong: Vec<_> =
        checks.into_iter().filter_map(Result::err).map(|error| format!("{error:#}")).collect();
    ensure!(wrong.is_empty(), "{}", wrong.join("; "));
    Ok(())
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
    for file in [
        "app-web/page/boot.js",
        "app-web/page/early.js",
        "app-web/page/worker.js",
        "e2e/page.test.mjs",
        "e2e/engine.test.mjs",
        "e2e/walks.test.mjs",
        "e2e/bench.mjs",
        "e2e/support.mjs",
    ] {
        run_command(command("node").args(["--check", file]))?;
    }
    Ok(())
}

fn tests(log: &Log) -> Result<()> {
    let mut test = cargo();
    test.args(["test", "--locked", "--workspace", "--no-fail-fast"]).env("RUST_BACKTRACE", "1");
    let mut ignored = Vec::new();
    let done = run_seen(log.hear(&mut test), |line| ignored.extend(ignored_test(line)))?;
    for (name, why) in ignored {
        log.add(&format!("test {name}"), &why)?;
    }
    ensure!(done.success(), "tests failed ({done})");
    Ok(())
}

/// The name of a test that is marked as ignored and the reason, from a line that a test program prints.
fn ignored_test(line: &str) -> Option<(String, String)> {
    let (name, outcome) = line.strip_prefix("test ")?.rsplit_once(" ... ignored")?;
    let why = outcome.strip_prefix(", ").unwrap_or("it is marked as ignored, without a reason");
    Some((name.to_owned(), why.to_owned()))
}

/// The crate that follows pointers, under `AddressSanitizer`. The compiler has it behind a switch for nightly
/// features; the folder is its own, since everything is built anew. The large goldens run in `tests`.
fn sanitizer(log: &Log) -> Result<()> {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return log.add("step sanitizer", "AddressSanitizer is run on x86-64 Linux only");
    }
    let mut test = cargo();
    test.args(["test", "--locked", "--package", "mmap-arenas", "--tests"])
        .args(["--target", "x86_64-unknown-linux-gnu", "--target-dir", "target/sanitizer"])
        .args(["--", "--exact", "--skip", "all_goldens_are_met"])
        .env("RUSTC_BOOTSTRAP", "1")
        .env("RUSTFLAGS", "-Zsanitizer=address");
    run_command(log.hear(&mut test))
}

fn count_instructions(log: &Log) -> Result<()> {
    for line in instructions::uncounted() {
        log.add(&line.what, &line.why)?;
    }
    instructions::hold(false)
}

fn web_build() -> Result<()> {
    web::build(&root().join("dist"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_tests_are_seen() {
        let seen = |line| ignored_test(line);
        let pair = |name: &str, why: &str| Some((name.to_owned(), why.to_owned()));
        assert_eq!(
            seen("test slow ... ignored, a measurement, not a check"),
            pair("slow", "a measurement, not a check")
        );
        assert_eq!(
            seen("test src/a.rs - a (line 3) ... ignored"),
            pair("src/a.rs - a (line 3)", "it is marked as ignored, without a reason")
        );
        assert_eq!(seen("test slow ... ok"), None);
        assert_eq!(seen("test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured"), None);
    }
}
