//! The copy of a process that runs.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::{self, File};
use std::hint::black_box;
use std::io::{self, IoSliceMut};
use std::mem;
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::Pid;

use super::error::{SourceError, failure, number, refused};
use super::hold::Hold;
use super::mapped::{Mapped, Opened};
use super::maps::{self, Row, Runs};
use super::target::Target;
use super::zeroed;
use crate::image::{Kind, Mapping, Memory, Region, Resident, Thread};

/// Pages between two that are in memory which are taken as zeros rather than as two regions: an arena must lie in one.
const GAP: u64 = 4 << 20;
/// Bytes that are asked for at once, and between two questions whether to go on.
const PIECE: u64 = 64 << 20;
/// Stretches that are asked for at once: as many as the system takes.
const STRETCHES: usize = 1024;
/// Bytes that are copied at most.
const MOST: u64 = 256 << 30;
/// Bytes of constants that are copied at most, of files that cannot be opened.
const MOST_CONSTANTS: u64 = 64 << 20;

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
    /// The same, each page divided by how many processes had it, where the system tells.
    pub pss_bytes: Option<u64>,
    /// Its parent's number.
    pub parent: Option<i32>,
    /// Which ones were in memory.
    pub resident: Resident,
    /// Those of them that no other process had mapped at that moment.
    pub private: Resident,
}

/// How far a copy is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Progress {
    /// Bytes that are copied.
    pub done: u64,
    /// Bytes that there are to copy.
    pub of: u64,
}

/// Who hears how far a copy is, and says whether it goes on. It is asked while the process does not run, so it should not take long.
pub type Watch<'a> = &'a mut dyn FnMut(Progress) -> ControlFlow<()>;

/// Copies what a process has in memory that is its own and may be written. With `stop` it does not run meanwhile.
pub fn copy(pid: i32, stop: bool) -> Result<Copy, SourceError> {
    Target::open(pid)?.copy(stop, &mut |_| ControlFlow::Continue(()))
}

impl Target {
    /// Copies what it has in memory that is its own and may be written. With `stop` it does not run meanwhile.
    pub fn copy(&self, stop: bool, watch: Watch<'_>) -> Result<Copy, SourceError> {
        let mut copies = copy_family(std::slice::from_ref(self), stop, watch)?;
        copies.pop().ok_or(SourceError::NoProcess(self.pid()))
    }
}

/// Copies several processes of one moment: with `stop` none of them runs before all are copied, so that which pages they share is true of all.
pub fn copy_family(targets: &[Target], stop: bool, watch: Watch<'_>) -> Result<Vec<Copy>, SourceError> {
    let mut prepared: Vec<Prepared> =
        targets.iter().map(|target| Prepared::of(target.pid())).collect::<Result<_, _>>()?;
    let mut of = prepared.iter().map(|prepared| prepared.bytes).sum();
    room(targets, of)?;
    if stop {
        for prepared in &mut prepared {
            prepared.make_room(of, watch)?;
        }
    }
    let begun = Instant::now();
    let mut holds = Vec::new();
    for target in targets.iter().filter(|_| stop) {
        holds.push(Hold::of(target.pid()).map_err(|errno| refused(target.pid(), errno))?);
    }
    // None of them has its number from somebody else: whoever is held keeps it.
    if let Some(gone) = targets.iter().find(|target| target.ended()) {
        return Err(SourceError::Ended(gone.pid()));
    }
    let registers: Vec<Vec<Thread>> = holds.iter().map(Hold::registers).collect();
    let mut plans = Vec::new();
    for prepared in &mut prepared {
        plans.push(Plan::of(prepared.pid, &prepared.empty, &mut prepared.opened)?);
    }
    of = plans.iter().map(Plan::bytes).sum();
    let mut done = 0;
    let mut taken = Vec::new();
    for (prepared, plan) in prepared.iter_mut().zip(plans) {
        taken.push(plan.take(prepared, &mut done, of, watch)?);
    }
    drop(holds);
    let pause = if stop { begun.elapsed() } else { Duration::ZERO };
    let mut registers = registers.into_iter();
    let copies = prepared.into_iter().zip(taken).map(|(prepared, taken)| {
        let threads = registers.next().unwrap_or_default();
        taken.finish(prepared, pause, threads)
    });
    Ok(copies.collect())
}

/// Says where the copies would not fit, rather than be ended by the system for it.
fn room(targets: &[Target], needed: u64) -> Result<(), SourceError> {
    let free = super::free_bytes().unwrap_or(u64::MAX);
    match targets {
        [_, _, ..] if needed > MOST.min(free) => {
            Err(SourceError::NoRoomTogether { processes: targets.len(), needed, free: MOST.min(free) })
        }
        [target, ..] if needed > MOST => Err(SourceError::TooLarge(target.pid(), needed)),
        [target, ..] if needed > free => Err(SourceError::NoRoom { pid: target.pid(), needed, free }),
        _ => Ok(()),
    }
}

/// What is done while the process still runs, so that it is held for less long.
struct Prepared {
    pid: i32,
    /// Reservations that nobody has touched.
    empty: BTreeSet<(u64, u64)>,
    opened: Opened,
    /// Where pieces will be copied to, by address.
    room: BTreeMap<u64, Vec<u8>>,
    /// Its memory as a file.
    mem: File,
    /// Bytes that there are to copy.
    bytes: u64,
    pieces: Vec<Piece>,
}

impl Prepared {
    fn of(pid: i32) -> Result<Self, SourceError> {
        let smaps = fs::read(format!("/proc/{pid}/smaps")).map_err(|error| failure(pid, error))?;
        let empty = maps::empty(&String::from_utf8_lossy(&smaps));
        let mut opened = Opened::default();
        let plan = Plan::of(pid, &empty, &mut opened)?;
        let bytes = plan.bytes();
        let pieces = plan.regions.into_iter().map(|(piece, _)| piece).collect();
        let mem = File::open(format!("/proc/{pid}/mem")).map_err(|error| failure(pid, error))?;
        Ok(Self { pid, empty, opened, room: BTreeMap::new(), mem, bytes, pieces })
    }

    /// Takes memory for the copy, and touches it: for the system to find pages takes as long as the copying itself.
    fn make_room(&mut self, of: u64, watch: Watch<'_>) -> Result<(), SourceError> {
        for (lo, hi, runs) in mem::take(&mut self.pieces) {
            let mut bytes = room_for(self.pid, hi - lo)?;
            for (from, until) in runs {
                for at in (from..until).step_by(PIECE as usize) {
                    if watch(Progress { done: 0, of }).is_break() {
                        return Err(SourceError::GivenUp(self.pid));
                    }
                    let end = until.min(at + PIECE);
                    let touched = bytes.get_mut((at - lo) as usize..(end - lo) as usize).unwrap_or_default();
                    touched.iter_mut().step_by(LEAST_PAGE).for_each(|byte| *byte = 0);
                    black_box(touched);
                }
            }
            self.room.insert(lo, bytes);
        }
        Ok(())
    }

    /// Memory for a piece, of what was taken before where it has not moved.
    fn room(&mut self, lo: u64, len: u64) -> Result<Vec<u8>, SourceError> {
        let Some(mut bytes) = self.room.remove(&lo) else { return room_for(self.pid, len) };
        let more = (len as usize).saturating_sub(bytes.len());
        if bytes.try_reserve_exact(more).is_err() {
            return room_for(self.pid, len);
        }
        bytes.resize(len as usize, 0);
        Ok(bytes)
    }
}

/// Bytes of the smallest page.
const LEAST_PAGE: usize = 4096;

/// Zeros that take no memory before they are touched.
fn room_for(pid: i32, len: u64) -> Result<Vec<u8>, SourceError> {
    let none = || SourceError::NoRoom { pid, needed: len, free: super::free_bytes().unwrap_or(0) };
    zeroed(len).ok_or_else(none)
}

/// What is to be copied.
struct Plan {
    rows: Vec<Row>,
    resident: Runs,
    private: Runs,
    counted: Counted,
    regions: Vec<(Piece, Kind)>,
    /// Constants of files that cannot be opened.
    constants: Vec<Piece>,
}

impl Plan {
    fn of(pid: i32, empty: &BTreeSet<(u64, u64)>, opened: &mut Opened) -> Result<Self, SourceError> {
        let failed = |error: io::Error| failure(pid, error);
        let page = page_bytes();
        let text = fs::read(format!("/proc/{pid}/maps")).map_err(failed)?;
        let rows = maps::parse(&String::from_utf8_lossy(&text));
        let pagemap = File::open(format!("/proc/{pid}/pagemap")).map_err(failed)?;
        let counted = Counted::of(pid);
        let (mut resident, mut private) = (Runs::new(), Runs::new());
        let (mut regions, mut constants) = (Vec::new(), Vec::new());
        let mut left = MOST_CONSTANTS;
        for row in &rows {
            let mapping = &row.mapping;
            if empty.contains(&(mapping.lo, mapping.hi)) {
                continue;
            }
            // The kernel's own pages have no row.
            let pages = maps::pages(&pagemap, mapping, page).unwrap_or_default();
            resident.extend(pages.resident);
            private.extend(pages.private);
            if !mapping.readable || mapping.shared {
                continue;
            }
            if mapping.writable {
                let pieces = pieces(pages.present, mapping);
                regions.extend(pieces.into_iter().map(|piece| (piece, mapping.kind)));
            } else if mapping.kind == Kind::File && opened.file(pid, row).is_none() {
                for (lo, hi) in pages.present {
                    let hi = hi.min(lo.saturating_add(left));
                    left -= hi - lo;
                    if lo < hi {
                        constants.push((lo, hi, vec![(lo, hi)]));
                    }
                }
            }
        }
        Ok(Self { rows, resident, private, counted, regions, constants })
    }

    /// Bytes that there are to copy.
    fn bytes(&self) -> u64 {
        let runs = self.regions.iter().flat_map(|((_, _, runs), _)| runs);
        runs.map(|(lo, hi)| hi - lo).sum()
    }

    fn take(
        self,
        prepared: &mut Prepared,
        done: &mut u64,
        of: u64,
        watch: Watch<'_>,
    ) -> Result<Taken, SourceError> {
        let pid = prepared.pid;
        let reader = Reader {
            pid,
            mem: &prepared.mem.try_clone().map_err(|error| failure(pid, error))?,
            page: page_bytes(),
        };
        let private = Resident::new(self.private.iter().copied());
        // Zeros between pages count as well: a hostile process has a page here and there.
        let all = self.regions.iter().map(|((lo, hi, _), _)| hi - lo).sum();
        if all > MOST {
            return Err(SourceError::TooLarge(pid, all));
        }
        let mut go_on = |bytes: u64| {
            *done += bytes;
            match watch(Progress { done: *done, of }) {
                ControlFlow::Continue(()) => Ok(()),
                ControlFlow::Break(()) => Err(SourceError::GivenUp(pid)),
            }
        };
        let mut regions = Vec::new();
        for ((lo, hi, runs), kind) in self.regions {
            let mut region = Region { lo, bytes: prepared.room(lo, hi - lo)? };
            reader.read(&mut region, &runs, &private, &mut go_on)?;
            regions.push((region, runs, kind));
        }
        let mut constants = Vec::new();
        for (lo, hi, runs) in self.constants {
            let mut region = Region { lo, bytes: room_for(pid, hi - lo)? };
            reader.read(&mut region, &runs, &Resident::default(), &mut |_| Ok(()))?;
            constants.push(region);
        }
        Ok(Taken {
            regions,
            constants,
            rows: self.rows,
            resident: self.resident,
            private: self.private,
            counted: self.counted,
        })
    }
}

/// What was copied, before the files are looked into.
struct Taken {
    regions: Vec<(Region, Runs, Kind)>,
    constants: Vec<Region>,
    rows: Vec<Row>,
    resident: Runs,
    private: Runs,
    counted: Counted,
}

impl Taken {
    fn finish(self, mut prepared: Prepared, pause: Duration, threads: Vec<Thread>) -> Copy {
        let page = page_bytes();
        let mapped = prepared.opened.mapped(prepared.pid, &self.rows);
        let regions = self.regions.into_iter().map(|(mut region, runs, kind)| {
            if kind == Kind::File {
                mapped.fill(&mut region, &runs, page);
            }
            region
        });
        let regions: Vec<Region> = regions.collect();
        let mappings: Vec<Mapping> = self.rows.iter().map(|row| row.mapping.clone()).collect();
        let first_stack =
            mappings.iter().find(|mapping| mapping.kind == Kind::Stack).map(|mapping| mapping.lo);
        let constants = Memory::new(self.constants, Vec::new(), None);
        let elsewhere = move |addr, bytes: &mut [u8]| constant(&constants, &mapped, addr, bytes, page);
        let count = threads.len();
        let memory = Memory::new(regions, mappings, Some(Arc::new(elsewhere)));
        let memory = memory.with_threads(threads, first_stack);
        let resident = Resident::new(self.resident);
        Copy {
            memory,
            pause,
            threads: count,
            rss_bytes: self.counted.rss_bytes.unwrap_or(resident.bytes()),
            pss_bytes: self.counted.pss_bytes,
            parent: self.counted.parent,
            resident,
            private: Resident::new(self.private),
        }
    }
}

/// Reads what was copied beside the regions, or is in a file.
pub(super) fn constant(copied: &Memory, mapped: &Mapped, addr: u64, bytes: &mut [u8], page: u64) -> bool {
    match copied.slice(addr, bytes.len() as u64) {
        Some(found) => {
            bytes.copy_from_slice(found);
            true
        }
        None => mapped.read(addr, bytes, page),
    }
}

/// Where a region begins and ends, and the runs of pages in it that are in memory.
type Piece = (u64, u64, Vec<(u64, u64)>);

/// Puts runs that lie near each other in one region, with as much around them as there is.
fn pieces(runs: Runs, mapping: &Mapping) -> Vec<Piece> {
    let (lowest, highest) = (mapping.lo, mapping.hi);
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

/// A stretch to read, and where to.
type Stretch<'a> = (u64, &'a mut [u8]);

/// Reads a process's memory in two ways.
struct Reader<'a> {
    pid: i32,
    /// `/proc/PID/mem`.
    mem: &'a File,
    page: u64,
}

impl Reader<'_> {
    /// Reads runs of pages into their region; a page that cannot be read is left out, and the rest is not.
    ///
    /// Pages that another process has mapped, too, as after a fork, are read by way of the file: `process_vm_readv` pins what it reads, and
    /// the system would copy each of them in the process that is read. It is faster for all others.
    fn read(
        &self,
        region: &mut Region,
        runs: &[(u64, u64)],
        private: &Resident,
        go_on: &mut dyn FnMut(u64) -> Result<(), SourceError>,
    ) -> Result<(), SourceError> {
        let mut rest = region.bytes.as_mut_slice();
        let mut at = region.lo;
        let (mut batch, mut bytes) = (Vec::new(), 0);
        for &(lo, hi) in runs {
            let own = private.within(lo, hi) == hi - lo;
            let mut from = lo;
            while from < hi {
                let until = hi.min(from + PIECE - bytes);
                let (_, behind) = rest.split_at_mut((from - at) as usize);
                let (into, behind) = behind.split_at_mut((until - from) as usize);
                (rest, at) = (behind, until);
                if own {
                    batch.push((from, into));
                } else {
                    self.read_shared(from, into);
                }
                bytes += until - from;
                from = until;
                if bytes == PIECE || batch.len() == STRETCHES {
                    self.read_batch(mem::take(&mut batch))?;
                    go_on(mem::take(&mut bytes))?;
                }
            }
        }
        self.read_batch(batch)?;
        go_on(bytes)
    }

    fn read_shared(&self, from: u64, into: &mut [u8]) {
        let mut done = 0;
        while let Some(rest) = into.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let at = from + done as u64;
            match self.mem.read_at(rest, at) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => done += (self.page - at % self.page) as usize,
                Ok(read) => done += read,
            }
        }
    }

    /// Reads several stretches with as few questions as can be.
    fn read_batch(&self, batch: Vec<Stretch<'_>>) -> Result<(), SourceError> {
        let mut left: VecDeque<Stretch<'_>> = batch.into();
        while !left.is_empty() {
            let remote: Vec<RemoteIoVec> = left
                .iter()
                .map(|(from, into)| RemoteIoVec { base: *from as usize, len: into.len() })
                .collect();
            let mut local: Vec<IoSliceMut<'_>> =
                left.iter_mut().map(|(_, into)| IoSliceMut::new(into)).collect();
            match process_vm_readv(Pid::from_raw(self.pid), &mut local, &remote) {
                Ok(0) | Err(Errno::EFAULT | Errno::EIO) => {
                    // Behind the end of the page that the first one begins in.
                    let skipped = left.front().map_or(self.page, |(from, _)| self.page - from % self.page);
                    take(&mut left, skipped);
                }
                Ok(read) => take(&mut left, read as u64),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(refused(self.pid, errno)),
            }
        }
        Ok(())
    }
}

/// Takes so many bytes from the front.
fn take(left: &mut VecDeque<Stretch<'_>>, mut bytes: u64) {
    while bytes > 0 {
        let Some((from, into)) = left.pop_front() else { return };
        let len = into.len() as u64;
        if bytes < len {
            left.push_front((from + bytes, &mut into[bytes as usize..]));
        }
        bytes = bytes.saturating_sub(len);
    }
}

/// What the system says of a process beside its pages.
struct Counted {
    rss_bytes: Option<u64>,
    pss_bytes: Option<u64>,
    parent: Option<i32>,
}

impl Counted {
    fn of(pid: i32) -> Self {
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
        let bytes = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name))?;
            line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
        };
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let parent = number(&status, "PPid:").and_then(|parent| i32::try_from(parent).ok());
        // A process whose parent is outside of the container has 0.
        let parent = parent.filter(|parent| *parent > 0);
        Self { rss_bytes: bytes("Rss:"), pss_bytes: bytes("Pss:"), parent }
    }
}

pub(super) fn page_bytes() -> u64 {
    let bytes = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE);
    bytes.ok().flatten().map_or(4096, |bytes| bytes as u64)
}
