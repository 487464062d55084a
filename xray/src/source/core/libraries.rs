//! The programs and libraries that a core's process had mapped, found again.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;
use std::sync::Arc;

use object::LittleEndian;
use object::elf::{self, FileHeader64};
use object::read::ReadCache;
use object::read::elf::{FileHeader as _, ProgramHeader as _};

use super::super::mapped::{Mapped, opened};
use super::notes::FileRow;
use super::{base, is_shared};
use crate::image::{Kind, Mapping};

/// Files that are opened at most.
const MOST_FILES: usize = 512;
/// Segments of a library that are looked at.
const MOST_SEGMENTS: u32 = 128;
/// Folders whose files are no programs, whatever is in them.
const NOT_THERE: [&str; 3] = ["/proc/", "/sys/", "/dev/"];

/// Whether a file is the one that was mapped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Same {
    /// Its first page is the one in the core, and with it the id of its build.
    Yes,
    /// The core has no page to tell by, and the file is not newer than the core.
    Unknown,
    /// It is of another build, or newer than the core. Nothing is read of it.
    No,
    /// It is not here.
    Missing,
}

/// A program or a library.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Library {
    /// Without its folders; somebody else's text.
    pub name: String,
    /// Whether it is here.
    pub same: Same,
}

/// One that was looked for.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) library: Library,
    /// Where it was mapped: from, until, and where in the file.
    rows: Vec<(u64, u64, u64)>,
    /// Where in it code is; `None` where it is no program and no library.
    code: Option<Vec<(u64, u64)>>,
}

impl Found {
    /// Whether it is a program or a library, as far as that can be told of one that is not here.
    pub(super) fn is_program(&self) -> bool {
        let name = &self.library.name;
        self.code.is_some()
            || self.library.same == Same::Missing && (name.contains(".so") || name.contains("python"))
    }
}

/// Looks for all that was mapped; `read` reads what the core has.
pub(super) fn find(
    rows: &[FileRow],
    root: &Path,
    written: i64,
    page: u64,
    read: &dyn Fn(u64, &mut [u8]) -> bool,
) -> (Mapped, Vec<Found>) {
    let mut by_path: BTreeMap<&str, Vec<&FileRow>> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.path.starts_with('/') && !is_shared(&row.path)) {
        by_path.entry(&row.path).or_default().push(row);
    }
    let mut files: BTreeMap<&str, Arc<File>> = BTreeMap::new();
    let mut found = Vec::new();
    for (path, rows) in by_path {
        let barred = files.len() >= MOST_FILES
            || NOT_THERE.iter().any(|folder| path.starts_with(folder))
            || path.split('/').any(|part| part == "..");
        let file = if barred { None } else { opened(&root.join(path.trim_start_matches('/'))) };
        let same = match &file {
            None => Same::Missing,
            Some(file) => same(file, &rows, written, page, read),
        };
        let code = file.as_ref().and_then(code);
        if let Some(file) = file.filter(|_| code.is_some() && matches!(same, Same::Yes | Same::Unknown)) {
            files.insert(path, Arc::new(file));
        }
        let rows = rows.iter().map(|row| (row.lo, row.hi, row.offset)).collect();
        found.push(Found { library: Library { name: base(path).to_owned(), same }, rows, code });
    }
    let mut mapped = Mapped::default();
    for row in rows {
        if let Some(file) = files.get(row.path.as_str()) {
            mapped.add((row.lo, row.hi), file, row.offset);
        }
    }
    (mapped, found)
}

fn same(
    file: &File,
    rows: &[&FileRow],
    written: i64,
    page: u64,
    read: &dyn Fn(u64, &mut [u8]) -> bool,
) -> Same {
    let mut dumped = vec![0; page as usize];
    let first = rows.iter().find(|row| row.offset == 0 && row.hi - row.lo >= page);
    if first.is_some_and(|row| read(row.lo, &mut dumped)) {
        let mut own = vec![0; page as usize];
        let there = file.metadata().map_or(0, |about| about.len()).min(page) as usize;
        let equal = file.read_exact_at(&mut own[..there], 0).is_ok() && own == dumped;
        return if equal { Same::Yes } else { Same::No };
    }
    let old = file.metadata().is_ok_and(|about| about.mtime() <= written);
    if old { Same::Unknown } else { Same::No }
}

/// Where in a file code is; `None` where it is no program and no library.
fn code(file: &File) -> Option<Vec<(u64, u64)>> {
    let data = &ReadCache::new(file.try_clone().ok()?);
    let header = FileHeader64::<LittleEndian>::parse(data).ok()?;
    if header.phnum(LittleEndian, data).ok()? > MOST_SEGMENTS {
        return None;
    }
    let headers = header.program_headers(LittleEndian, data).ok()?;
    let code = headers.iter().filter(|header| header.p_flags(LittleEndian).contains(elf::PF_X));
    let code = code.filter(|header| header.p_type(LittleEndian) == elf::PT_LOAD);
    Some(
        code.map(|header| header.file_range(LittleEndian))
            .map(|(at, size)| (at, at.saturating_add(size)))
            .collect(),
    )
}

/// Says of files that a core has no segment of which stretches are code.
pub(super) fn mark_code(mappings: &mut [Mapping], found: &[Found]) {
    for library in found {
        let code = library.code.as_deref().unwrap_or_default();
        for &(lo, hi, offset) in &library.rows {
            let end = offset.saturating_add(hi - lo);
            if !code.iter().any(|(from, until)| *from < end && offset < *until) {
                continue;
            }
            let at = mappings.partition_point(|mapping| mapping.lo < lo);
            let Some(mapping) = mappings.get_mut(at).filter(|mapping| mapping.lo == lo) else { continue };
            // A page with the end of the code may be mapped for the constants behind it, too.
            let covers = code.iter().any(|(from, until)| {
                let both = end.min(*until).saturating_sub(offset.max(*from));
                2 * both >= hi - lo
            });
            mapping.executable |= mapping.kind == Kind::File && !mapping.writable && covers;
        }
    }
}
