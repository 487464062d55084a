//! What stands before the records.

use super::primitives::{Cursor, Fault, Read};
use crate::error::TraceError;

/// What every capture begins with.
pub(crate) const MAGIC: &[u8; 7] = b"memray\0";

/// Formats that are read: memray 1.7 to 1.20.
const VERSIONS: std::ops::RangeInclusive<u32> = 10..=13;

/// A header is a command line and two lists of folders; this is far beyond all of them.
pub(super) const HEADER_BYTES_MAX: usize = 1 << 20;

/// What manages small blocks in the recorded process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum PythonAllocator {
    Pymalloc,
    PymallocDebug,
    Malloc,
    Other,
    Mimalloc,
    MimallocDebug,
}

impl PythonAllocator {
    fn new(number: u8) -> Self {
        match number {
            1 => Self::Pymalloc,
            2 => Self::PymallocDebug,
            3 => Self::Malloc,
            5 => Self::Mimalloc,
            6 => Self::MimallocDebug,
            _ => Self::Other,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Pymalloc => "pymalloc",
            Self::PymallocDebug => "pymalloc_debug",
            Self::Malloc => "malloc",
            Self::Other => "unknown",
            Self::Mimalloc => "mimalloc",
            Self::MimallocDebug => "mimalloc_debug",
        }
    }
}

/// A header, as far as it is used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Header {
    pub(super) format: u32,
    /// `PY_VERSION_HEX` of the headers memray was compiled with; from format 12 on.
    pub(super) python_version: Option<u32>,
    pub(super) native: bool,
    /// The file has sums and not each call.
    pub(super) aggregated: bool,
    /// Unix milliseconds.
    pub(super) start_ms: u64,
    /// 0 where the recorded process did not come to its end.
    pub(super) end_ms: u64,
    pub(super) command_line: String,
    pub(super) pid: i32,
    pub(super) main_thread: u64,
    /// Outermost frames of the main thread that are the launcher's.
    pub(super) skipped_frames: u64,
    pub(super) allocator: PythonAllocator,
    /// Whether Python's allocators were recorded; format 10 does not say.
    pub(super) python_allocators: Option<bool>,
    pub(super) object_lifetimes: bool,
}

/// Reads a header; `Ok(Err(…))` is a file that is complete and not for us.
pub(super) fn read(cursor: &mut Cursor<'_>) -> Read<Result<Header, TraceError>> {
    if cursor.take(MAGIC.len())? != MAGIC {
        return Err(Fault::Damage(&"a memray capture begins otherwise"));
    }
    let format = cursor.u32()?;
    if !VERSIONS.contains(&format) {
        return Ok(Err(TraceError::Binary {
            offset: MAGIC.len() as u64,
            problem: format!(
                "this is memray's format {format}, and formats 10 to 13 (memray 1.7 to 1.20) are read"
            ),
            remedy: "record it again with memray 1.20".to_owned(),
        }));
    }
    let python_version = if format >= 12 { Some(cursor.u32()?) } else { None };
    let native = cursor.byte()? != 0;
    let aggregated = cursor.byte()? != 0;
    cursor.take(16)?;
    let (start_ms, end_ms) = (cursor.u64()?, cursor.u64()?);
    let command_line = text(cursor.string()?);
    let pid = cursor.u32()?.cast_signed();
    let (main_thread, skipped_frames) = (cursor.u64()?, cursor.u64()?);
    let allocator = PythonAllocator::new(cursor.byte()?);
    let python_allocators = if format >= 11 { Some(cursor.byte()? != 0) } else { None };
    let object_lifetimes = format >= 12 && cursor.byte()? != 0;
    if format >= 13 {
        cursor.string()?;
        for _list in ["site_packages", "sys_path"] {
            while !cursor.string()?.is_empty() {}
        }
    }
    Ok(Ok(Header {
        format,
        python_version,
        native,
        aggregated,
        start_ms,
        end_ms,
        command_line,
        pid,
        main_thread,
        skipped_frames,
        allocator,
        python_allocators,
        object_lifetimes,
    }))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
