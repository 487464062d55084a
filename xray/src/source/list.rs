//! Processes that run a `CPython`, to choose one from.

use std::fs::{self, File};
use std::path::Path;

use super::error::{SourceError, failure};
use super::maps;
use super::process::page_bytes;
use crate::image::Version;
use crate::image::picture::version_of_names;

/// A process.
#[derive(Debug)]
pub struct Process {
    /// Its number.
    pub pid: i32,
    /// What the system calls it: its program's name, or what it has named itself. Somebody else's text.
    pub name: String,
    /// Bytes that it has in memory.
    pub rss_bytes: u64,
    /// Its `CPython`; `None` where what it has mapped may not be read.
    pub version: Option<Version>,
    /// Why its memory cannot be read, where it cannot.
    pub refused: Option<SourceError>,
}

/// All processes that have a `CPython` mapped, or that look like one by their name and may not be read; those with most in memory first.
pub fn processes() -> Vec<Process> {
    let Ok(folder) = fs::read_dir("/proc") else { return Vec::new() };
    let numbers = folder.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let own = std::process::id().cast_signed();
    let mut all: Vec<Process> = numbers.filter(|pid| *pid != own).filter_map(process).collect();
    all.sort_by_key(|process| std::cmp::Reverse(process.rss_bytes));
    all
}

fn process(pid: i32) -> Option<Process> {
    let folder = format!("/proc/{pid}");
    let folder = Path::new(&folder);
    let name = fs::read_to_string(folder.join("comm")).ok()?.trim_end().to_owned();
    let rss_bytes = rss_of(&fs::read_to_string(folder.join("statm")).ok()?)?;
    let (version, refused) = match fs::read(folder.join("maps")) {
        Ok(text) => {
            let rows = maps::parse(&String::from_utf8_lossy(&text));
            let version = version_of_names(rows.iter().map(|row| row.mapping.name.as_str()))?;
            // Opening asks for the same permission as stopping does.
            (Some(version), File::open(folder.join("mem")).err().map(|error| failure(pid, error)))
        }
        Err(error) => {
            if !name.contains("python") {
                return None;
            }
            (None, Some(failure(pid, error)))
        }
    };
    Some(Process { pid, name, rss_bytes, version, refused })
}

/// `statm` has pages: in all, in memory, and so on.
fn rss_of(statm: &str) -> Option<u64> {
    Some(statm.split(' ').nth(1)?.parse::<u64>().ok()?.saturating_mul(page_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_counted_in_bytes() {
        assert_eq!(rss_of("100 7 3 1 0 9 0\n"), Some(7 * page_bytes()));
        assert_eq!(rss_of(""), None);
    }
}
