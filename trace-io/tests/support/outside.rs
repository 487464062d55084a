//! What comparisons need from outside the repository, and the word of those that do not run for want of it.
//!
//! One file, compiled into every crate that compares: the tests of trace-io and mmap-arenas, and real-cpython. A
//! comparison that silently did not happen would look like one that passed.

#![allow(dead_code, unreachable_pub, reason = "each crate uses its part")]

use std::fmt::Display;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Names the folder that stands for `../shared`; one that does not exist hides it.
const SHARED: &str = "ARENASCOPE_SHARED";
/// Names the file into which goes what does not run; `cargo xtask test` makes its last table of it.
const NOT_RUN: &str = "ARENASCOPE_NOT_RUN";
/// Names the file into which goes what was compared with the real thing, and how much of it; a table of `cargo xtask test` too.
const COMPARED: &str = "ARENASCOPE_COMPARED";
/// Set by `cargo xtask test --long`.
const LONG: &str = "ARENASCOPE_LONG";

/// A folder of `../shared`, which lies beside the repository and is too large to be in it. The only door to it.
pub fn shared(folder: &str) -> Result<PathBuf, String> {
    let named = std::env::var_os(SHARED).filter(|name| !name.is_empty());
    let place = PathBuf::from(named.unwrap_or_else(|| "../shared".into())).join(folder);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(&place);
    if path.is_dir() {
        return Ok(path);
    }
    Err(format!("{} is missing; {SHARED} names another folder than ../shared to look in", place.display()))
}

/// The files of a folder whose names end so, in order.
pub fn files(folder: &Path, ending: &str) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        files.push(entry?.path());
    }
    files.retain(|path| path.to_string_lossy().ends_with(ending));
    files.sort();
    Ok(files)
}

/// Says that `what` does not run, on standard error and to `cargo xtask test`. Lists of what may be missing name it, so it
/// has nothing in it that differs between machines; `why` may, and tells the remedy.
///
/// # Panics
/// When the file for it cannot be written: then nobody would know.
#[allow(clippy::print_stderr, reason = "a test's own report")]
pub fn not_run(what: &str, why: impl Display) {
    let why = why.to_string();
    eprintln!("NOT RUN: {what}: {why}");
    if let Some(path) = std::env::var_os(NOT_RUN) {
        let told = tell(Path::new(&path), what, &why);
        assert!(told.is_ok(), "{what} does not run, and {} cannot be told so: {told:?}", path.display());
    }
}

/// Says what was compared and how much of it, on standard error and to `cargo xtask test`.
///
/// # Panics
/// When the file for it cannot be written.
#[allow(clippy::print_stderr, reason = "a test's own report")]
pub fn compared(what: &str, how_much: &str) {
    eprintln!("{what}: {how_much}");
    if let Some(path) = std::env::var_os(COMPARED) {
        let told = tell(Path::new(&path), what, how_much);
        assert!(told.is_ok(), "{} cannot be told what was compared: {told:?}", path.display());
    }
}

/// A number as people read it: `1,200,000`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Whether comparisons that take minutes are wanted. Where they are not, it says so.
pub fn long(what: &str) -> bool {
    let wanted = std::env::var_os(LONG).is_some_and(|value| !value.is_empty());
    if !wanted {
        not_run(what, "`cargo xtask test --long` runs it, in some minutes more");
    }
    wanted
}

/// Adds to a file the line that `cargo xtask test` reads: `what`, a tab, `why`. In one write, since tests of several
/// threads and processes share the file.
pub fn tell(file: &Path, what: &str, why: &str) -> std::io::Result<()> {
    let plain = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let line = format!("{}\t{}\n", plain(what), plain(why));
    OpenOptions::new().create(true).append(true).open(file)?.write_all(line.as_bytes())
}
