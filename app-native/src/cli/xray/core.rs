//! A core in the place of a process: what it lacks is said.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::Serialize;
use session::format::{bytes, printable};
use xray::image::Picture;
use xray::image::picture::version_of;
use xray::source::{Copy, Same, core};

use super::super::output::{Reported, count};
use crate::xray::Seen;

/// Names of files in a sentence.
const NAMES: usize = 3;

/// What there is to say of a core.
#[derive(Serialize)]
pub(super) struct CoreRow {
    /// The core's own file, without its folders.
    pub(super) file: String,
    program: String,
    missing_bytes: u64,
    huge_left_out: bool,
    missing_libraries: Vec<String>,
    other_libraries: Vec<String>,
    unchecked_libraries: Vec<String>,
}

/// A picture of a core.
pub(super) fn open(path: &Path, root: &Path) -> Result<(Seen, CoreRow)> {
    let shown = || path.display().to_string();
    let core = core::read(path, root).with_context(shown)?;
    let named = |same: Same| -> Vec<String> {
        let those = core.libraries.iter().filter(|library| library.same == same);
        those.map(|library| printable(&library.name).into_owned()).collect()
    };
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    let row = CoreRow {
        file: file.into_owned(),
        program: printable(&core.name).into_owned(),
        missing_bytes: core.missing_bytes,
        huge_left_out: core.huge_left_out,
        missing_libraries: named(Same::Missing),
        other_libraries: named(Same::No),
        unchecked_libraries: named(Same::Unknown),
    };
    let version = version_of(&core.memory).with_context(shown)?;
    let picture =
        Picture::of(&core.memory, version).with_context(|| format!("{}{}", shown(), lacking(&row)))?;
    let whose = match core.pid {
        Some(pid) => format!("the core of process {pid}, {},", row.program),
        None => "the core".to_owned(),
    };
    let (pid, threads) = (core.pid, core.memory.threads().len());
    let copy = Copy {
        memory: core.memory,
        pause: Duration::ZERO,
        threads,
        rss_bytes: core.mapped.bytes(),
        pss_bytes: None,
        parent: None,
        resident: core.mapped,
        private: xray::image::Resident::default(),
    };
    let seen = Seen { shown: whose, pid, copy, picture, stops: 0, ran: false, core: row.file.clone() };
    Ok((seen, row))
}

/// What a core lacks that may be why there is no picture.
fn lacking(row: &CoreRow) -> String {
    let mut text = String::new();
    if row.missing_bytes > 0 {
        let _ = write!(text, ": {} of its memory are missing, since it was cut", bytes(row.missing_bytes));
    }
    let gone = row.missing_libraries.iter().chain(&row.other_libraries).find(|name| name.contains("python"));
    if let Some(name) = gone {
        let _ = write!(
            text,
            ": {name}, which it had mapped, is not here or is of another build; --root DIR names where it is"
        );
    }
    text
}

/// What a core lacks, and what follows.
pub(super) fn ending(out: &mut Reported, core: &CoreRow, threads: usize) -> Result<()> {
    writeln!(out, "\n{} when the core was written", count(threads as u64, "thread"))?;
    if core.missing_bytes > 0 {
        writeln!(
            out,
            "it was cut: {} of memory are missing, and so is what lay there (the limit is ulimit -c)",
            bytes(core.missing_bytes)
        )?;
    }
    if core.huge_left_out {
        writeln!(out, "memory in huge pages was left out: coredump_filter lacked bit 5")?;
    }
    for (libraries, what) in [
        (&core.missing_libraries, "not here"),
        (&core.other_libraries, "of another build here"),
        (&core.unchecked_libraries, "taken from here; the core does not say whether of the same build"),
    ] {
        if libraries.is_empty() {
            continue;
        }
        let first: Vec<&str> = libraries.iter().take(NAMES).map(String::as_str).collect();
        let more = if libraries.len() > first.len() { ", \u{2026}" } else { "" };
        writeln!(out, "{} {what}: {}{more}", count(libraries.len() as u64, "mapped file"), first.join(", "))?;
    }
    if !core.missing_libraries.is_empty() || !core.other_libraries.is_empty() {
        writeln!(
            out,
            "names of types that stand in those are not known; --root DIR names where the right ones are"
        )?;
    }
    Ok(())
}
