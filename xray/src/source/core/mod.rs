//! A core: the memory of a process as the kernel wrote it when the process ended, or gcore did while it ran.
//!
//! `notes` reads what a core says of its process beside the memory. Cores leave out what is in files that were mapped: gcore all that
//! cannot be written, the kernel most of it. The names of Python's own types are there, so those files are looked for by their names, and
//! held against the first page of each that the core has: it says of which build they are.
//!
//! A core is as hostile as a process: no number in it is believed.

mod libraries;
mod notes;

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;
use std::sync::Arc;

use object::LittleEndian;
use object::elf::{self, FileHeader64, ProgramHeader64};
use object::read::ReadCache;
use object::read::elf::{FileHeader as _, ProgramHeader as _};

pub use libraries::{Library, Same};

use libraries::Found;

use super::mapped::opened;
use super::{free_bytes, zeroed};
use crate::image::{Kind, Mapping, Memory, Region, Resident};
use notes::{FileRow, Notes};

/// Segments that a core may have: as many as Linux lets a process map, with room to spare.
const MOST_SEGMENTS: u32 = 1 << 20;
/// Bytes of its notes: some thousands a thread.
const MOST_NOTES: u64 = 256 << 20;
/// Bytes that are taken at most.
const MOST: u64 = 256 << 30;
/// Bytes that are read at once; those that are all zeros take no memory.
const PIECE: usize = 1 << 20;
/// How far behind the program's last variable its heap may begin: the system takes a place within 1 GiB.
const HEAP_FAR: u64 = (1 << 30) + (64 << 20);

/// Why a core cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CoreError {
    /// There is no such file, or it may not be read.
    #[error("it cannot be read")]
    Open(#[from] io::Error),
    /// It is a folder or a pipe.
    #[error("it is not a file that can be read from any place")]
    NotRegular,
    /// It is packed.
    #[error("it is packed: unpack it first ({0})")]
    Packed(&'static str),
    /// It is something else.
    #[error("it is not a core")]
    NotCore,
    /// It is of a process that is not read.
    #[error("it is the core of a program for another machine: 64-bit x86-64 and aarch64 are read")]
    Machine,
    /// It is damaged, or cut before its memory begins.
    #[error("it is damaged: {0}")]
    Damaged(&'static str),
    /// It has no memory.
    #[error(
        "none of its process's own memory is in it: let coredump_filter of such a process have bit 0 before the next one is written \
         (echo 0x33 > /proc/PID/coredump_filter)"
    )]
    NoMemory,
    /// Too large.
    #[error("it has {0} bytes of memory, which is more than can be read")]
    TooLarge(u64),
    /// There is no room here.
    #[error("it has {needed} bytes of memory, and only {free} bytes are free here")]
    NoRoom {
        /// Bytes of the copy.
        needed: u64,
        /// Bytes that the system has to give.
        free: u64,
    },
}

/// What was read of a core, and what it lacks.
#[derive(Debug)]
pub struct Core {
    /// The memory.
    pub memory: Memory,
    /// All that was mapped: a core does not say what of it was in memory.
    pub mapped: Resident,
    /// Number of the process.
    pub pid: Option<i32>,
    /// Short name of its program; somebody else's text.
    pub name: String,
    /// Bytes that the core should have and that are not in the file.
    pub missing_bytes: u64,
    /// Whether memory in huge pages was left out: bit 5 of `coredump_filter`.
    pub huge_left_out: bool,
    /// The programs and libraries that were mapped, and whether they are here.
    pub libraries: Vec<Library>,
}

/// A stretch of the process's memory, as the core has it.
#[derive(Clone, Copy, Debug)]
struct Segment {
    lo: u64,
    hi: u64,
    readable: bool,
    writable: bool,
    executable: bool,
    /// Where in the core its bytes begin, and how many of them the file has.
    at: u64,
    there: u64,
}

/// Reads a core. Files that were mapped are looked for below `root`, which is `/` for a core of this machine.
pub fn read(path: &Path, root: &Path) -> Result<Core, CoreError> {
    let about = std::fs::metadata(path)?;
    let file = if about.is_file() { opened(path) } else { return Err(CoreError::NotRegular) };
    let file = Arc::new(file.map_or_else(|| File::open(path), Ok)?);
    packed(&file)?;
    let (segments, notes, missing_bytes) = contents(&file, about.len())?;
    let page = notes.page.filter(|page| page.is_power_of_two() && *page >= 4096).unwrap_or(4096);
    let (mut mappings, rows) = mappings(&segments, &notes);
    let dumped = Dumped { file: Arc::clone(&file), segments };
    let (mapped, libraries) =
        libraries::find(&rows, root, about.mtime(), page, &|addr, bytes| dumped.read(addr, bytes));
    libraries::mark_code(&mut mappings, &libraries);
    let regions = regions(&dumped, &mappings, &about, |region, run| {
        mapped.fill(region, &[run], page);
    })?;
    if !regions.iter().any(|(anonymous, _)| *anonymous) {
        return Err(CoreError::NoMemory);
    }
    let huge = rows.iter().any(|row| {
        row.path.starts_with("/anon_hugepage")
            && dumped.segment(row.lo).is_some_and(|segment| segment.there == 0)
    });
    let sizes = mappings.iter().filter(|mapping| mapping.readable || mapping.writable || mapping.executable);
    let sizes = Resident::new(sizes.map(|mapping| (mapping.lo, mapping.hi)));
    let elsewhere = move |addr, bytes: &mut [u8]| dumped.read(addr, bytes) || mapped.read(addr, bytes, page);
    let regions = regions.into_iter().map(|(_, region)| region).collect();
    let memory = Memory::new(regions, mappings, Some(Arc::new(elsewhere)));
    let memory = memory.with_threads(notes.threads, notes.random);
    Ok(Core {
        memory,
        mapped: sizes,
        pid: notes.pid,
        name: notes.name,
        missing_bytes,
        huge_left_out: huge,
        libraries: libraries.into_iter().filter(Found::is_program).map(|found| found.library).collect(),
    })
}

/// Says with what a packed core is unpacked.
fn packed(file: &File) -> Result<(), CoreError> {
    const PACKERS: [(&[u8], &str); 4] = [
        (b"\x28\xb5\x2f\xfd", "zstd -d"),
        (b"\x1f\x8b", "gunzip"),
        (b"\x04\x22\x4d\x18", "lz4 -d"),
        (b"\xfd7zXZ", "unxz"),
    ];
    let mut head = [0; 8];
    if file.read_exact_at(&mut head, 0).is_err() {
        return Err(CoreError::NotCore);
    }
    match PACKERS.iter().find(|(magic, _)| head.starts_with(magic)) {
        Some((_, with)) => Err(CoreError::Packed(with)),
        None => Ok(()),
    }
}

/// Segments by address, none over another; notes; and the bytes that the file should have beyond its end.
fn contents(file: &File, len: u64) -> Result<(Vec<Segment>, Notes, u64), CoreError> {
    const LE: LittleEndian = LittleEndian;
    let data = &ReadCache::new(file.try_clone()?);
    let mut ident = [0; 6];
    file.read_exact_at(&mut ident, 0)?;
    if !ident.starts_with(b"\x7fELF") {
        return Err(CoreError::NotCore);
    }
    if ident[4..] != [elf::ELFCLASS64.0, elf::ELFDATA2LSB.0] {
        return Err(CoreError::Machine);
    }
    let header = FileHeader64::<LittleEndian>::parse(data).map_err(|_| CoreError::NotCore)?;
    if header.e_type(LE) != elf::ET_CORE {
        return Err(CoreError::NotCore);
    }
    let machine = header.e_machine(LE);
    if ![elf::EM_X86_64, elf::EM_AARCH64].contains(&machine) {
        return Err(CoreError::Machine);
    }
    let none = |_| CoreError::Damaged("the list of its segments is not there");
    if header.phnum(LE, data).map_err(none)? > MOST_SEGMENTS {
        return Err(CoreError::Damaged("it has more segments than a process can have"));
    }
    let headers: &[ProgramHeader64<LittleEndian>] = header.program_headers(LE, data).map_err(none)?;
    let (mut segments, mut notes, mut missing) = (Vec::new(), Notes::default(), 0_u64);
    for header in headers {
        let (at, size) = header.file_range(LE);
        match header.p_type(LE) {
            elf::PT_NOTE => {
                if size > MOST_NOTES || at.checked_add(size).is_none_or(|end| end > len) {
                    return Err(CoreError::Damaged(
                        "its notes are missing, without which nothing is known of the rest (gcore writes them last, so it was cut)",
                    ));
                }
                let mut all = header.notes(LE, data).ok().flatten();
                // One that makes no sense ends them.
                while let Some(Ok(Some(note))) = all.as_mut().map(object::read::elf::NoteIterator::next) {
                    notes.take(&note, machine);
                }
            }
            elf::PT_LOAD => {
                let (lo, bytes) = (header.p_vaddr(LE), header.p_memsz(LE));
                let Some(hi) = lo.checked_add(bytes).filter(|hi| lo < *hi) else { continue };
                let size = size.min(bytes);
                let there = len.saturating_sub(at).min(size);
                missing = missing.saturating_add(size - there);
                let flags = header.p_flags(LE);
                segments.push(Segment {
                    lo,
                    hi,
                    readable: flags.contains(elf::PF_R),
                    writable: flags.contains(elf::PF_W),
                    executable: flags.contains(elf::PF_X),
                    at,
                    there,
                });
            }
            _ => {}
        }
    }
    segments.sort_by_key(|segment| segment.lo);
    let mut behind = 0;
    segments.retain(|segment| {
        let apart = segment.lo >= behind;
        behind = if apart { segment.hi } else { behind };
        apart
    });
    Ok((segments, notes, missing))
}

/// What was mapped, by address: segments, and files of which the core has no segment. Beside it, the rows of files.
fn mappings(segments: &[Segment], notes: &Notes) -> (Vec<Mapping>, Vec<FileRow>) {
    let files = &notes.files;
    let file_of = |addr: u64| {
        let at = files.partition_point(|file| file.lo <= addr).checked_sub(1)?;
        files.get(at).filter(|file| addr < file.hi)
    };
    let stacks: Vec<u64> = notes.threads.iter().filter_map(crate::image::Thread::stack_pointer).collect();
    let mut mappings: Vec<Mapping> = Vec::new();
    for segment in segments {
        let file = file_of(segment.lo);
        let within = |addr: &u64| (segment.lo..segment.hi).contains(addr);
        let kind = if file.is_some() {
            Kind::File
        } else if notes.vdso.as_ref().is_some_and(within) {
            Kind::Kernel
        } else if segment.writable && stacks.iter().any(within) {
            Kind::Stack
        } else {
            Kind::Anonymous
        };
        mappings.push(Mapping {
            lo: segment.lo,
            hi: segment.hi,
            readable: segment.readable,
            writable: segment.writable,
            executable: segment.executable,
            shared: file.is_some_and(|file| is_shared(&file.path)),
            kind,
            name: file.map_or_else(String::new, |file| base(&file.path).to_owned()),
        });
    }
    let covered = |file: &FileRow| {
        let at = segments.partition_point(|segment| segment.hi <= file.lo);
        segments.get(at).is_some_and(|segment| segment.lo < file.hi)
    };
    for file in files.iter().filter(|file| !covered(file)) {
        mappings.push(Mapping {
            lo: file.lo,
            hi: file.hi,
            readable: true,
            writable: false,
            executable: false,
            shared: is_shared(&file.path),
            kind: Kind::File,
            name: base(&file.path).to_owned(),
        });
    }
    mappings.sort_by_key(|mapping| mapping.lo);
    mark_heap(&mut mappings, notes.entry);
    (mappings, files.clone())
}

/// What the kernel calls memory that is shared and has no file that one could open.
fn is_shared(path: &str) -> bool {
    ["/dev/zero", "/dev/shm/", "/memfd:", "/SYSV"].iter().any(|start| path.starts_with(start))
}

fn base(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

/// The C library's `brk` heap has no name in a core: it is the first memory of nobody's file behind the program's variables.
fn mark_heap(mappings: &mut [Mapping], entry: Option<u64>) {
    let Some(entry) = entry else { return };
    let program = mappings.iter().find(|mapping| (mapping.lo..mapping.hi).contains(&entry));
    let Some(name) = program.filter(|mapping| mapping.kind == Kind::File).map(|mapping| mapping.name.clone())
    else {
        return;
    };
    let own = |mapping: &Mapping| mapping.kind == Kind::File && mapping.name == name;
    let Some(last) = mappings.iter().rposition(own) else { return };
    let mut end = mappings[last].hi;
    for mapping in &mut mappings[last + 1..] {
        let glued = mapping.lo == end;
        if mapping.kind != Kind::Anonymous || mapping.lo - end > HEAP_FAR {
            return;
        }
        if !glued && mapping.private_writable() {
            mapping.kind = Kind::Heap;
            return;
        }
        end = mapping.hi;
    }
}

/// What the core itself has.
#[derive(Clone, Debug)]
struct Dumped {
    file: Arc<File>,
    segments: Vec<Segment>,
}

impl Dumped {
    fn segment(&self, addr: u64) -> Option<&Segment> {
        let at = self.segments.partition_point(|segment| segment.lo <= addr).checked_sub(1)?;
        self.segments.get(at).filter(|segment| addr < segment.hi)
    }

    fn read(&self, addr: u64, bytes: &mut [u8]) -> bool {
        let Some(segment) = self.segment(addr) else { return false };
        let from = addr - segment.lo;
        let fits = from.checked_add(bytes.len() as u64).is_some_and(|end| end <= segment.there);
        fits && segment.at.checked_add(from).is_some_and(|at| self.file.read_exact_at(bytes, at).is_ok())
    }

    /// Reads what there is of a segment; zeros are left as they are.
    fn read_into(&self, segment: &Segment, bytes: &mut [u8]) -> io::Result<()> {
        let mut scratch = vec![0; PIECE];
        let there = bytes.len().min(segment.there as usize);
        for (piece, at) in bytes[..there].chunks_mut(PIECE).zip((segment.at..).step_by(PIECE)) {
            let scratch = &mut scratch[..piece.len()];
            self.file.read_exact_at(scratch, at)?;
            if scratch.iter().any(|byte| *byte != 0) {
                piece.copy_from_slice(scratch);
            }
        }
        Ok(())
    }
}

/// Memory that could be written, and whether it is nobody's file's. `fill` puts in what stands in the file outside a run that the core has.
fn regions(
    dumped: &Dumped,
    mappings: &[Mapping],
    about: &std::fs::Metadata,
    fill: impl Fn(&mut Region, (u64, u64)),
) -> Result<Vec<(bool, Region)>, CoreError> {
    let own = mappings.iter().filter(|mapping| mapping.private_writable() && mapping.readable);
    let own: Vec<(&Mapping, &Segment, u64)> = own
        .filter_map(|mapping| {
            let segment = dumped.segment(mapping.lo)?;
            // Of a file's there is a rest elsewhere.
            let bytes = if mapping.kind == Kind::File { mapping.hi - mapping.lo } else { segment.there };
            (bytes > 0).then_some((mapping, segment, bytes))
        })
        .collect();
    let all = own.iter().fold(0_u64, |sum, (_, _, bytes)| sum.saturating_add(*bytes));
    if all > MOST {
        return Err(CoreError::TooLarge(all));
    }
    // Holes in the file are zeros, and take nothing.
    let needed = all.min(about.blocks().saturating_mul(512));
    let no_room = |free| CoreError::NoRoom { needed, free };
    if let Some(free) = free_bytes().filter(|free| *free < needed) {
        return Err(no_room(free));
    }
    let mut regions = Vec::new();
    for (mapping, segment, bytes) in own {
        let bytes = zeroed(bytes).ok_or_else(|| no_room(free_bytes().unwrap_or(0)))?;
        let mut region = Region { lo: mapping.lo, bytes };
        dumped.read_into(segment, &mut region.bytes)?;
        if mapping.kind == Kind::File {
            fill(&mut region, (mapping.lo, mapping.lo + segment.there));
        }
        regions.push((mapping.kind != Kind::File, region));
    }
    Ok(regions)
}
