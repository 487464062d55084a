//! `/proc/PID/maps` and `/proc/PID/pagemap`.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use crate::image::{Kind, Mapping};

/// Bytes of a page's row in `pagemap`.
const ROW: u64 = 8;
/// A page that is in memory.
const PRESENT: u64 = 1 << 63;
/// A page that is in swap.
const SWAPPED: u64 = 1 << 62;
/// A page that nobody else has mapped now.
const PRIVATE: u64 = 1 << 56;
/// Rows that are read at once.
const ROWS: u64 = 1 << 15;

/// A mapping, with what only who reads the process's files needs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    /// What the picture has of it.
    pub mapping: Mapping,
    /// Its file with all folders, as the process sees it.
    pub path: String,
    /// Where in the file it begins.
    pub offset: u64,
    /// The file's number.
    pub inode: u64,
}

/// All rows of a process's map.
pub fn parse(text: &str) -> Vec<Row> {
    text.lines().filter_map(row).collect()
}

/// `lo-hi perms offset device inode path`.
fn row(line: &str) -> Option<Row> {
    let mut parts = line.splitn(6, ' ');
    let (lo, hi) = parts.next()?.split_once('-')?;
    let number = |text: &str| u64::from_str_radix(text, 16).ok();
    let (lo, hi) = (number(lo)?, number(hi)?);
    let perms = parts.next()?.as_bytes();
    let offset = number(parts.next()?)?;
    let (_device, inode) = (parts.next()?, parts.next()?.parse().ok()?);
    // The only letter that is written otherwise is the one that ends a row.
    let path = parts.next().unwrap_or_default().trim_start().replace("\\012", "\n");
    let path = path.as_str();
    let kind = match path {
        "" => Kind::Anonymous,
        "[heap]" => Kind::Heap,
        "[stack]" => Kind::Stack,
        _ if path.starts_with("[anon") => Kind::Anonymous,
        _ if path.starts_with('[') => Kind::Kernel,
        _ => Kind::File,
    };
    let name = if kind == Kind::File { path.rsplit('/').next().unwrap_or_default() } else { "" };
    let has = |at: usize, letter: u8| perms.get(at) == Some(&letter);
    (lo < hi).then(|| Row {
        mapping: Mapping {
            lo,
            hi,
            readable: has(0, b'r'),
            writable: has(1, b'w'),
            executable: has(2, b'x'),
            shared: has(3, b's'),
            kind,
            name: name.to_owned(),
        },
        path: path.to_owned(),
        offset,
        inode,
    })
}

/// Runs of pages: from where, and behind the last.
pub type Runs = Vec<(u64, u64)>;

/// Pages of a mapping.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Pages {
    /// Those that have contents of their own, in memory or in swap.
    pub present: Runs,
    /// Those of them that are in memory.
    pub resident: Runs,
    /// Those of these that nobody else has mapped: what a fork has not left in common, or what was written to since.
    pub private: Runs,
}

/// Reads what the system says of the pages of a mapping.
pub fn pages(pagemap: &File, mapping: &Mapping, page: u64) -> io::Result<Pages> {
    let mut pages = Pages::default();
    let (first, end) = (mapping.lo / page, mapping.hi / page);
    let mut at = first;
    let mut bytes = Vec::new();
    while at < end {
        let rows = (end - at).min(ROWS);
        bytes.resize((rows * ROW) as usize, 0);
        pagemap.read_exact_at(&mut bytes, at * ROW)?;
        for (row, number) in bytes.chunks_exact(ROW as usize).zip(at..) {
            let row = row.first_chunk().map_or(0, |row| u64::from_ne_bytes(*row));
            if row & (PRESENT | SWAPPED) == 0 {
                continue;
            }
            let (lo, hi) = (number * page, (number + 1) * page);
            extend(&mut pages.present, lo, hi);
            if row & PRESENT != 0 {
                extend(&mut pages.resident, lo, hi);
                if row & PRIVATE != 0 {
                    extend(&mut pages.private, lo, hi);
                }
            }
        }
        at += rows;
    }
    Ok(pages)
}

/// Mappings with nothing in memory or in swap, from `/proc/PID/smaps`. Asking for the pages of a reservation of many GB takes seconds.
pub fn empty(smaps: &str) -> BTreeSet<(u64, u64)> {
    let mut empty = BTreeSet::new();
    let mut now = None;
    for line in smaps.lines() {
        if let Some(row) = row(line) {
            now = Some((row.mapping.lo, row.mapping.hi));
            empty.extend(now);
        } else if let Some(rest) = line.strip_prefix("Rss:").or_else(|| line.strip_prefix("Swap:"))
            && rest.trim() != "0 kB"
            && let Some(now) = now
        {
            empty.remove(&now);
        }
    }
    empty
}

fn extend(runs: &mut Runs, lo: u64, hi: u64) {
    match runs.last_mut() {
        Some(run) if run.1 == lo => run.1 = hi,
        _ => runs.push((lo, hi)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_whatever_their_names_are() {
        let text = "55d0-55d2 r--p 00001000 08:01 77 /usr/bin/with space [x]/python3.11\n\
                    7f00-7f10 rw-p 00000000 00:00 0 \n\
                    7f20-7f30 rw-s 00000000 00:00 9 /dev/zero (deleted)\n\
                    7f40-7f50 rw-p 00000000 00:00 0                          [heap]\n\
                    nonsense\n";
        let rows = parse(text);
        assert_eq!(rows.len(), 4);
        assert_eq!(
            (rows[0].mapping.name.as_str(), rows[0].offset, rows[0].inode),
            ("python3.11", 0x1000, 77)
        );
        assert_eq!(rows[0].path, "/usr/bin/with space [x]/python3.11");
        assert!(rows[1].mapping.private_writable() && rows[1].mapping.kind == Kind::Anonymous);
        assert!(!rows[2].mapping.private_writable());
        assert_eq!(rows[3].mapping.kind, Kind::Heap);
    }

    #[test]
    fn reservations_without_pages_are_known() {
        let text = "1000-2000 rw-p 00000000 00:00 0 \nSize: 4 kB\nRss:                   0 kB\nSwap:                  0 kB\nVmFlags: rd wr\n\
                    3000-4000 rw-p 00000000 00:00 0 \nRss:                   4 kB\nSwap:                  0 kB\n\
                    5000-6000 rw-p 00000000 00:00 0 \nRss:                   0 kB\nSwap:                  4 kB\n";
        assert_eq!(empty(text), BTreeSet::from([(0x1000, 0x2000)]));
    }
}
