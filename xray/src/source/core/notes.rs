//! What a core's notes say of its process: threads with their registers, files, a few numbers.
//!
//! Only the process's number and its short name are taken of `NT_PRPSINFO`: the command line stands there too, and is nobody's business.

use object::LittleEndian;
use object::elf::{self, FileHeader64};
use object::read::elf::Note;

use crate::image::Thread;
use crate::image::memory::keep_apart;

/// Where `NT_PRSTATUS` has the thread's number and its registers, on both machines.
const STATUS_ID: usize = 32;
const STATUS_REGISTERS: usize = 112;
/// Registers of x86-64 and of aarch64.
const REGISTERS: [(elf::Machine, usize); 2] = [(elf::EM_X86_64, 27), (elf::EM_AARCH64, 34)];
/// Where `NT_PRPSINFO` has the process's number and its name.
const INFO_ID: usize = 24;
const INFO_NAME: usize = 40;
const NAME_BYTES: usize = 16;
/// Of the auxiliary vector: the size of pages, the program's first instruction, bytes of chance that the kernel puts on the first thread's stack, the
/// kernel's own library.
const AT_PAGESZ: u64 = 6;
const AT_ENTRY: u64 = 9;
const AT_RANDOM: u64 = 25;
const AT_SYSINFO_EHDR: u64 = 33;
/// Words of a row of `NT_FILE`, which come before all names.
const FILE_ROW: usize = 24;

/// A stretch that is a file's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct FileRow {
    pub(super) lo: u64,
    pub(super) hi: u64,
    /// Where in the file it begins.
    pub(super) offset: u64,
    /// With all folders; somebody else's text.
    pub(super) path: String,
}

/// All of it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Notes {
    pub(super) threads: Vec<Thread>,
    pub(super) pid: Option<i32>,
    pub(super) name: String,
    /// By address, none over another.
    pub(super) files: Vec<FileRow>,
    pub(super) page: Option<u64>,
    pub(super) entry: Option<u64>,
    pub(super) random: Option<u64>,
    pub(super) vdso: Option<u64>,
}

impl Notes {
    /// Takes what is known of a note, and leaves the others.
    pub(super) fn take(&mut self, note: &Note<'_, FileHeader64<LittleEndian>>, machine: elf::Machine) {
        let bytes = note.desc();
        // The kernel's and gcore's notes of a process are of this name.
        if note.name() != b"CORE" {
            return;
        }
        match note.n_type(LittleEndian) {
            elf::NT_PRSTATUS => self.threads.extend(thread(bytes, machine)),
            elf::NT_PRPSINFO => {
                self.pid = half(bytes, INFO_ID).map(u32::cast_signed);
                let name = bytes.get(INFO_NAME..INFO_NAME + NAME_BYTES).unwrap_or_default();
                let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
                self.name = String::from_utf8_lossy(name).into_owned();
            }
            elf::NT_AUXV => {
                for pair in bytes.chunks_exact(16) {
                    let value = word(pair, 8);
                    match word(pair, 0) {
                        Some(AT_PAGESZ) => self.page = value,
                        Some(AT_ENTRY) => self.entry = value,
                        Some(AT_RANDOM) => self.random = value,
                        Some(AT_SYSINFO_EHDR) => self.vdso = value,
                        _ => {}
                    }
                }
            }
            elf::NT_FILE => self.files = files(bytes).unwrap_or_default(),
            _ => {}
        }
    }
}

fn thread(bytes: &[u8], machine: elf::Machine) -> Option<Thread> {
    let (_, count) = REGISTERS.into_iter().find(|(of, _)| *of == machine)?;
    let registers = bytes.get(STATUS_REGISTERS..STATUS_REGISTERS + 8 * count)?;
    let words = registers.chunks_exact(8).filter_map(|piece| word(piece, 0));
    Some(Thread::new(half(bytes, STATUS_ID)?.cast_signed(), words.collect()))
}

/// How many, the unit of offsets, so many rows of from, until and offset, so many names that end with a zero.
fn files(bytes: &[u8]) -> Option<Vec<FileRow>> {
    let count = usize::try_from(word(bytes, 0)?).ok()?;
    let unit = word(bytes, 8)?;
    let end = 16_usize.checked_add(count.checked_mul(FILE_ROW)?)?;
    let rows = bytes.get(16..end)?.chunks_exact(FILE_ROW);
    let names = bytes.get(end..)?.split(|byte| *byte == 0);
    let mut files: Vec<FileRow> = rows
        .zip(names)
        .filter_map(|(row, name)| {
            Some(FileRow {
                lo: word(row, 0)?,
                hi: word(row, 8)?,
                offset: word(row, 16)?.checked_mul(unit)?,
                path: String::from_utf8_lossy(name).into_owned(),
            })
        })
        .collect();
    keep_apart(&mut files, |row| (row.lo, row.hi));
    Some(files)
}

fn word(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn half(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[u64]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    #[test]
    fn files_are_read_and_no_count_is_believed() {
        let mut bytes = words(&[2, 4096, 0x5000, 0x6000, 3, 0x1000, 0x2000, 0]);
        bytes.extend(b"/lib/b.so\0/bin/a\0");
        let row = |lo, hi, offset, path: &str| FileRow { lo, hi, offset, path: path.to_owned() };
        assert_eq!(
            files(&bytes),
            Some(vec![row(0x1000, 0x2000, 0, "/bin/a"), row(0x5000, 0x6000, 0x3000, "/lib/b.so")])
        );
        for count in [u64::MAX, u64::MAX / 24, 3, 1 << 40] {
            bytes[..8].copy_from_slice(&count.to_le_bytes());
            assert!(files(&bytes).is_none_or(|files| files.len() <= 3));
        }
        assert_eq!(files(&[]), None);
    }

    #[test]
    fn a_thread_has_its_stack_pointer_on_either_machine() {
        for (machine, count, place) in [(elf::EM_X86_64, 27, 19), (elf::EM_AARCH64, 34, 31)] {
            let mut bytes = vec![0; STATUS_REGISTERS];
            bytes[STATUS_ID] = 7;
            bytes.extend(words(&(0..count).collect::<Vec<u64>>()));
            let thread = thread(&bytes, machine).expect("there are enough bytes");
            assert_eq!((thread.id, thread.stack_pointer()), (7, Some(place)));
            assert_eq!(super::thread(&bytes[..bytes.len() - 1], machine), None);
        }
    }
}
