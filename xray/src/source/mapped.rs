//! The files that a process has mapped: they have what it did not change of them.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::Arc;

use super::maps::Row;
use crate::image::{Kind, Region};

/// Files that are kept open at most: a process may have more of them mapped than one may have open.
const MOST_FILES: usize = 512;

/// A stretch of memory that is a file's.
#[derive(Clone, Debug)]
struct Span {
    lo: u64,
    hi: u64,
    file: Arc<File>,
    /// Where in the file it begins.
    offset: u64,
    /// Bytes of the file.
    len: u64,
}

/// Mapped files, by address.
#[derive(Clone, Debug, Default)]
pub(super) struct Mapped {
    spans: Vec<Span>,
}

impl Mapped {
    /// Takes a file for a stretch; stretches come by address.
    pub(super) fn add(&mut self, (lo, hi): (u64, u64), file: &Arc<File>, offset: u64) {
        let Ok(about) = file.metadata() else { return };
        if lo < hi && self.spans.last().is_none_or(|last| last.hi <= lo) {
            self.spans.push(Span { lo, hi, file: Arc::clone(file), offset, len: about.len() });
        }
    }

    /// Fills all bytes from an address on, where they are one file's. Behind the file's end a page has zeros.
    pub(super) fn read(&self, addr: u64, bytes: &mut [u8], page: u64) -> bool {
        let Some(at) = self.spans.partition_point(|span| span.lo <= addr).checked_sub(1) else {
            return false;
        };
        let span = &self.spans[at];
        if addr.checked_add(bytes.len() as u64).is_none_or(|end| end > span.hi) {
            return false;
        }
        let Some(from) = span.offset.checked_add(addr - span.lo) else { return false };
        let there = span.len.saturating_sub(from).min(bytes.len() as u64);
        let end = from.saturating_add(bytes.len() as u64);
        if end > span.len.checked_next_multiple_of(page).unwrap_or(u64::MAX) {
            return false;
        }
        let (head, tail) = bytes.split_at_mut(there as usize);
        tail.fill(0);
        span.file.read_exact_at(head, from).is_ok()
    }

    /// Puts the file's own pages where a process has none in memory: it has not touched the variables there. `runs` are those that it has,
    /// by address, within the region.
    pub(super) fn fill(&self, region: &mut Region, runs: &[(u64, u64)], page: u64) {
        let (mut at, end) = (region.lo, region.hi());
        for &(lo, hi) in runs.iter().chain([&(end, end)]) {
            let from = at.saturating_sub(region.lo) as usize;
            let until = lo.saturating_sub(region.lo) as usize;
            let hole = region.bytes.get_mut(from..until).unwrap_or_default();
            for (piece, from) in hole.chunks_mut(page as usize).zip((at..).step_by(page as usize)) {
                if !self.read(from, piece, page) {
                    piece.fill(0);
                }
            }
            at = hi;
        }
    }
}

/// Files of a process that runs, each opened once.
#[derive(Debug, Default)]
pub(super) struct Opened {
    by_path: BTreeMap<(String, u64), Option<Arc<File>>>,
}

impl Opened {
    /// The file of a row, as the process sees it; `None` where it is another one by now, or is not a regular file.
    pub(super) fn file(&mut self, pid: i32, row: &Row) -> Option<Arc<File>> {
        if row.mapping.kind != Kind::File || !row.mapping.readable || row.inode == 0 {
            return None;
        }
        let full = self.by_path.len() >= MOST_FILES;
        let known = self.by_path.get(&(row.path.clone(), row.inode));
        if let Some(file) = known {
            return file.clone();
        }
        let file = if full { None } else { opened(Path::new(&format!("/proc/{pid}/root{}", row.path))) };
        let file = file.filter(|file| file.metadata().is_ok_and(|about| about.ino() == row.inode));
        let file = file.map(Arc::new);
        self.by_path.insert((row.path.clone(), row.inode), file.clone());
        file
    }

    /// All that is mapped of them.
    pub(super) fn mapped(&mut self, pid: i32, rows: &[Row]) -> Mapped {
        let mut mapped = Mapped::default();
        for row in rows {
            if let Some(file) = self.file(pid, row) {
                mapped.add((row.mapping.lo, row.mapping.hi), &file, row.offset);
            }
        }
        mapped
    }
}

/// A regular file. What it is is asked before it is opened to be read: opening a device may do something, and a pipe would wait.
pub(super) fn opened(path: &Path) -> Option<File> {
    let flags = nix::libc::O_NONBLOCK | nix::libc::O_CLOEXEC;
    let named = OpenOptions::new().read(true).custom_flags(nix::libc::O_PATH | flags).open(path).ok()?;
    if !named.metadata().ok()?.is_file() {
        return None;
    }
    // By its number, so that it is the very one that was asked about.
    let again = format!("/proc/self/fd/{}", named.as_raw_fd());
    OpenOptions::new().read(true).custom_flags(flags).open(again).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_are_opened_and_none_is_waited_for() {
        assert!(opened(Path::new("/dev/null")).is_none());
        assert!(opened(Path::new("/proc")).is_none());
        assert!(opened(Path::new("/no/such/file")).is_none());
        assert!(opened(&std::env::current_exe().expect("this program has a file")).is_some());
    }

    #[test]
    fn a_page_ends_with_zeros_where_its_file_ends() {
        let path = std::env::temp_dir().join(format!("arenascope-mapped-{}", std::process::id()));
        std::fs::write(&path, [7; 5000]).expect("the folder for temporary files takes one");
        let file = Arc::new(opened(&path).expect("it was just written"));
        std::fs::remove_file(&path).expect("it is there");
        let mut mapped = Mapped::default();
        mapped.add((0x10000, 0x14000), &file, 0);
        let mut bytes = [1; 16];
        assert!(mapped.read(0x10000, &mut bytes, 4096));
        assert_eq!(bytes, [7; 16]);
        assert!(mapped.read(0x10000 + 4992, &mut bytes, 4096));
        assert_eq!(bytes, [7, 7, 7, 7, 7, 7, 7, 7, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert!(!mapped.read(0x12000, &mut bytes, 4096), "a page behind the file's last");
        assert!(!mapped.read(0x13ff8, &mut bytes, 4096), "behind the mapping");
        assert!(!mapped.read(0xfff8, &mut bytes, 4096), "before it");
        let mut region = Region { lo: 0x10000, bytes: vec![9; 0x2000] };
        mapped.fill(&mut region, &[(0x10000, 0x11000)], 4096);
        assert_eq!((region.bytes[0xfff], region.bytes[0x1000], region.bytes[0x1fff]), (9, 7, 0));
    }
}
