//! Where things are, and commands that run there.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

/// Names the folder that stands for `../shared`; one that does not exist hides it.
pub(crate) const SHARED: &str = "ARENASCOPE_SHARED";

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask).to_owned()
}

/// A command in the repository's root.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root()).stdin(Stdio::null());
    command
}

/// The cargo that runs this task. Flags from outside are taken away: what is built and checked depends on
/// the repository alone.
pub(crate) fn cargo() -> Command {
    let mut cargo = command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_RUSTFLAGS"] {
        cargo.env_remove(name);
    }
    cargo
}

/// Runs a command with its output on the terminal.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let shown = show(command);
    println!("$ {shown}");
    let status = command.status().with_context(|| format!("`{shown}` could not be started"))?;
    if !status.success() {
        bail!("`{shown}` failed ({status})");
    }
    Ok(())
}

/// Runs a command and takes what it prints; what it says on stderr goes into the error.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let shown = show(command);
    let output = command.output().with_context(|| format!("`{shown}` could not be started"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("`{shown}` failed ({}): {}", output.status, said.trim());
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{shown}` printed something not UTF-8"))
}

/// Runs a command with its output on the terminal, and shows each line of its standard output to `see` as well.
pub(crate) fn run_seen(command: &mut Command, mut see: impl FnMut(&str)) -> Result<ExitStatus> {
    let shown = show(command);
    println!("$ {shown}");
    let started = command.stdout(Stdio::piped()).spawn();
    let mut child = started.with_context(|| format!("`{shown}` could not be started"))?;
    let mut out = BufReader::new(child.stdout.take().context("its standard output is a pipe")?);
    let mut line = Vec::new();
    while out.read_until(b'\n', &mut line)? > 0 {
        let text = String::from_utf8_lossy(&line);
        print!("{text}");
        see(text.trim_end_matches('\n'));
        line.clear();
    }
    child.wait().with_context(|| format!("`{shown}` was lost"))
}

/// A folder of `../shared`, which lies beside the repository and is too large to be in it, as tests find it
/// (`trace-io/tests/support/outside.rs`).
pub(crate) fn shared(folder: &str) -> Result<PathBuf> {
    let named = std::env::var_os(SHARED).filter(|name| !name.is_empty());
    let place = PathBuf::from(named.unwrap_or_else(|| "../shared".into())).join(folder);
    let path = root().join(&place);
    let shown = place.display();
    ensure!(path.is_dir(), "{shown} is missing; {SHARED} names another folder than ../shared to look in");
    Ok(path)
}

/// The first of each, in order.
pub(crate) fn once_each<T: PartialEq>(things: impl Iterator<Item = T>) -> Vec<T> {
    let mut once = Vec::new();
    for thing in things {
        if !once.contains(&thing) {
            once.push(thing);
        }
    }
    once
}

/// A duration as people say it.
pub(crate) fn human(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if seconds < 60 {
        format!("{:.1} s", duration.as_secs_f64())
    } else {
        format!("{} min {:02} s", seconds / 60, seconds % 60)
    }
}

fn show(command: &Command) -> String {
    let program = Path::new(command.get_program());
    // The full path of cargo says nothing to a reader.
    let program = program.file_name().unwrap_or(program.as_os_str());
    let words = std::iter::once(program).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
