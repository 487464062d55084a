//! The copy of a process that runs.

use std::fs::{self, File, OpenOptions};
use std::io::{self, IoSliceMut};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::Pid;

use super::hold::Hold;
use super::maps::{self, Row};
use crate::image::{Kind, Memory, Region, Resident};

/// Pages between two that are in memory which are taken as zeros rather than as two regions: an arena must lie in one.
const GAP: u64 = 4 << 20;
/// Bytes that are asked for at once.
const PIECE: u64 = 64 << 20;
/// Bytes that are copied at most.
const MOST: u64 = 256 << 30;

/// Why a process cannot be copied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// There is no such process.
    #[error("there is no process {0}")]
    NoProcess(i32),
    /// It is somebody else's.
    #[error(
        "process {0} is not yours to read: run this as its user or as root (CAP_SYS_PTRACE); in a container start that with \
         --cap-add SYS_PTRACE, or look from the host"
    )]
    NotPermitted(i32),
    /// Yama forbids it.
    #[error(
        "kernel.yama.ptrace_scope={0} lets {1} look into process {2}: sudo sysctl kernel.yama.ptrace_scope=0, or run this as root"
    )]
    Yama(u8, &'static str, i32),
    /// It is being traced already.
    #[error(
        "process {0} cannot be stopped, since a debugger or a tracer holds it: end that one first, or leave it running with --no-stop"
    )]
    Traced(i32),
    /// Something else.
    #[error("process {0} cannot be read: {1}")]
    Read(i32, io::Error),
    /// Too large.
    #[error("process {0} has {1} bytes in memory, which is more than can be copied")]
    TooLarge(i32, u64),
}

/// A copy, and what it cost.
#[derive(Debug)]
pub struct Copy {
    /// The memory.
    pub memory: Memory,
    /// How long the process did not run.
    pub pause: Duration,
    /// Threads that were stopped; 0 where it went on running.
    pub threads: usize,
    /// Bytes of it that were in memory, as the system counts them.
    pub rss_bytes: u64,
    /// Which ones.
    pub resident: Resident,
    /// Those of them that no other process has mapped.
    pub private: Resident,
}

/// Copies what a process has in memory that is its own and may be written. With `stop` it does not run meanwhile.
pub fn copy(pid: i32, stop: bool) -> Result<Copy, SourceError> {
    let page = page_bytes();
    let failed = |error: io::Error| failure(pid, error);
    let begun = Instant::now();
    let hold = if stop { Some(Hold::of(pid).map_err(|errno| refused(pid, errno))?) } else { None };
    let rows = maps::parse(&fs::read_to_string(format!("/proc/{pid}/maps")).map_err(failed)?);
    let pagemap = File::open(format!("/proc/{pid}/pagemap")).map_err(failed)?;
    let mem = File::open(format!("/proc/{pid}/mem")).map_err(failed)?;
    let rss_bytes = rss(pid).unwrap_or(0);
    let (mut regions, mut known) = (Vec::new(), Vec::new());
    let (mut resident, mut private) = (Vec::new(), Vec::new());
    let mut copied = 0;
    for row in &rows {
        // The kernel's own pages have no row.
        let pages = maps::pages(&pagemap, &row.mapping, page).unwrap_or_default();
        resident.extend(pages.resident);
        let own = Resident::new(pages.private.iter().copied());
        private.extend(pages.private);
        if !row.mapping.private_writable() || !row.mapping.readable {
            continue;
        }
        for (lo, hi, runs) in pieces(pages.present, row) {
            copied += hi - lo;
            if copied > MOST {
                return Err(SourceError::TooLarge(pid, copied));
            }
            // Zeros that are not touched take no memory.
            let mut region = Region { lo, bytes: vec![0; (hi - lo) as usize] };
            for &(from, until) in &runs {
                let into = &mut region.bytes[(from - lo) as usize..(until - lo) as usize];
                if own.within(from, until) == until - from {
                    read(pid, from, into, page).map_err(|errno| refused(pid, errno))?;
                } else {
                    read_shared(&mem, from, into, page);
                }
            }
            regions.push((region, row.mapping.kind));
            known.push(runs);
        }
    }
    let threads = hold.as_ref().map_or(0, Hold::threads);
    drop(hold);
    let pause = if stop { begun.elapsed() } else { Duration::ZERO };
    let files = Files::of(pid, &rows);
    for ((region, kind), runs) in regions.iter_mut().zip(&known) {
        if *kind == Kind::File {
            files.fill(region, runs, page);
        }
    }
    let regions = regions.into_iter().map(|(region, _)| region).collect();
    let mappings = rows.iter().map(|row| row.mapping.clone()).collect();
    let memory =
        Memory::new(regions, mappings, Some(Arc::new(move |addr, bytes: &mut [u8]| files.read(addr, bytes))));
    let (resident, private) = (Resident::new(resident), Resident::new(private));
    Ok(Copy { memory, pause, threads, rss_bytes, resident, private })
}

/// Where a region begins and ends, and the runs of pages in it that are in memory.
type Piece = (u64, u64, Vec<(u64, u64)>);

/// Puts runs that lie near each other in one region, with as much around them as there is.
fn pieces(runs: Vec<(u64, u64)>, row: &Row) -> Vec<Piece> {
    let (lowest, highest) = (row.mapping.lo, row.mapping.hi);
    let mut pieces: Vec<Piece> = Vec::new();
    for (lo, hi) in runs {
        match pieces.last_mut() {
            Some(piece) if lo - piece.2.last().map_or(piece.0, |run| run.1) <= GAP => piece.2.push((lo, hi)),
            _ => pieces.push((lo, hi, vec![(lo, hi)])),
        }
    }
    let mut end = lowest;
    for piece in &mut pieces {
        let (first, last) =
            (piece.2.first().map_or(piece.0, |run| run.0), piece.2.last().map_or(piece.1, |run| run.1));
        piece.0 = first.saturating_sub(GAP / 2).max(end);
        piece.1 = last.saturating_add(GAP / 2).min(highest);
        end = piece.1;
    }
    pieces
}

/// Reads memory of a process; a page that cannot be read is left out, and the rest is not.
fn read(pid: i32, from: u64, into: &mut [u8], page: u64) -> Result<(), Errno> {
    let mut done = 0;
    while done < into.len() {
        let until = into.len().min(done + PIECE as usize);
        let remote = RemoteIoVec { base: (from as usize) + done, len: until - done };
        match process_vm_readv(Pid::from_raw(pid), &mut [IoSliceMut::new(&mut into[done..until])], &[remote])
        {
            Ok(0) | Err(Errno::EFAULT | Errno::EIO) => {
                // Behind this page's end.
                let at = from + done as u64;
                done += (page - at % page) as usize;
            }
            Ok(read) => done += read,
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Reads pages of which some have another process's name on them, too, as after a fork. `process_vm_readv` would make the system copy each of
/// them in the process that is read, since it pins what it reads.
fn read_shared(mem: &File, from: u64, into: &mut [u8], page: u64) {
    let mut done = 0;
    while done < into.len() {
        let until = into.len().min(done + PIECE as usize);
        match mem.read_at(&mut into[done..until], from + done as u64) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(0) | Err(_) => done += (page - (from + done as u64) % page) as usize,
            Ok(read) => done += read,
        }
    }
}

/// Bytes that the system counts for a process.
fn rss(pid: i32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Rss:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

pub(super) fn page_bytes() -> u64 {
    let bytes = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE);
    bytes.ok().flatten().map_or(4096, |bytes| bytes as u64)
}

pub(super) fn failure(pid: i32, error: io::Error) -> SourceError {
    match error.kind() {
        io::ErrorKind::NotFound => SourceError::NoProcess(pid),
        io::ErrorKind::PermissionDenied => refused(pid, Errno::EPERM),
        _ => SourceError::Read(pid, error),
    }
}

fn refused(pid: i32, errno: Errno) -> SourceError {
    match errno {
        Errno::ESRCH => SourceError::NoProcess(pid),
        Errno::EPERM | Errno::EACCES => {
            if tracer(pid).is_some_and(|tracer| tracer != 0) {
                return SourceError::Traced(pid);
            }
            let scope = fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").ok();
            match scope.and_then(|scope| scope.trim().parse().ok()) {
                Some(1) => SourceError::Yama(1, "only parents", pid),
                Some(2) => SourceError::Yama(2, "only root", pid),
                Some(3) => SourceError::Yama(3, "nobody", pid),
                _ => SourceError::NotPermitted(pid),
            }
        }
        errno => SourceError::Read(pid, errno.into()),
    }
}

/// Who traces a process.
fn tracer(pid: i32) -> Option<i32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("TracerPid:"))?.trim().parse().ok()
}

/// The files that a process has mapped, for what it has not changed of them.
struct Files {
    /// By address: from, until, the file, and where in it that begins.
    mapped: Vec<(u64, u64, File, u64)>,
}

impl Files {
    fn of(pid: i32, rows: &[Row]) -> Self {
        let files = rows
            .iter()
            .filter(|row| row.mapping.kind == Kind::File && row.mapping.readable && row.inode != 0);
        let mapped = files.filter_map(|row| {
            let Row { mapping, path, offset, inode, .. } = row;
            let file = opened(&format!("/proc/{pid}/root{path}"), *inode)?;
            Some((mapping.lo, mapping.hi, file, *offset))
        });
        Self { mapped: mapped.collect() }
    }

    fn read(&self, addr: u64, bytes: &mut [u8]) -> bool {
        let Some(at) = self.mapped.partition_point(|mapped| mapped.0 <= addr).checked_sub(1) else {
            return false;
        };
        let (lo, hi, file, offset) = &self.mapped[at];
        addr.checked_add(bytes.len() as u64).is_some_and(|end| end <= *hi)
            && file.read_exact_at(bytes, offset + (addr - lo)).is_ok()
    }

    /// Puts the file's own pages where a process has none in memory: it has not touched the variables there.
    fn fill(&self, region: &mut Region, runs: &[(u64, u64)], page: u64) {
        let (mut at, end) = (region.lo, region.hi());
        for &(lo, hi) in runs.iter().chain([&(end, end)]) {
            let hole = &mut region.bytes[(at - region.lo) as usize..(lo - region.lo) as usize];
            for (piece, from) in hole.chunks_mut(page as usize).zip((at..).step_by(page as usize)) {
                self.read(from, piece);
            }
            at = hi;
        }
    }
}

/// A regular file that is the one that was mapped. Nothing waits for it, whatever it is.
fn opened(path: &str, inode: u64) -> Option<File> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(nix::libc::O_NONBLOCK | nix::libc::O_CLOEXEC)
        .open(path)
        .ok()?;
    let about = file.metadata().ok()?;
    (about.is_file() && about.ino() == inode).then_some(file)
}
