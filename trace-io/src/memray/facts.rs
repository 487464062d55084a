//! What a capture says of itself, and what it lacks.

use sim_core::domains::AllocatorName;
use sim_core::tape::Missing;
use sim_core::{Profile, Trace};

use super::header::{Header, PythonAllocator};
use super::probe::Verdict;

/// Sizes that depend on Python's version.
#[derive(Clone, Copy, Debug)]
pub(super) struct Geometry {
    /// `None` where no block is in a pool.
    pub(super) pool_bytes: Option<u64>,
    pub(super) arena_bytes: u64,
}

/// Counts that facts and gaps are made of.
pub(super) struct Counts {
    /// Calls of Python's allocators.
    pub(super) python_calls: u64,
    /// Different stacks by memray's own numbers.
    pub(super) stack_ids: u64,
    /// Births and deaths of objects.
    pub(super) objects: u64,
    /// Calls that gave NULL.
    pub(super) failed: u64,
    /// Small blocks of which only what lies around them says whether they are pymalloc's.
    pub(super) guesses: u64,
    /// Maps of an arena's size that are live at the end.
    pub(super) arenas: usize,
    /// The most of them at once.
    pub(super) arenas_most: usize,
    /// Whether the version of Python is known.
    pub(super) version_known: bool,
    /// Whether addresses tell RAW's small blocks from pymalloc's.
    pub(super) pools_known: bool,
}

/// What the header tells.
pub(super) fn begin(trace: &mut Trace, header: &Header) {
    trace.head.description.clone_from(&header.command_line);
    crate::births::placed_by_the_system(trace);
    trace.head.malloc = match header.allocator {
        PythonAllocator::PymallocDebug => Some(AllocatorName::PymallocDebug),
        PythonAllocator::Malloc => Some(AllocatorName::Malloc),
        PythonAllocator::Mimalloc => Some(AllocatorName::Mimalloc),
        PythonAllocator::MimallocDebug => Some(AllocatorName::MimallocDebug),
        PythonAllocator::Pymalloc | PythonAllocator::Other => None,
    };
    let source = &mut trace.origin.source;
    source.set("recorder", format!("memray, format {}", header.format));
    source.set("command_line", header.command_line.as_str());
    source.set("pid", header.pid.to_string());
    source.set("start", utc(header.start_ms));
    if header.end_ms > 0 {
        source.set("end", utc(header.end_ms));
    }
    source.set("allocator", header.allocator.name());
    source.set("native_traces", if header.native { "recorded" } else { "not recorded" });
    if header.object_lifetimes {
        source.set("object_lifetimes", "recorded");
    }
}

/// The version of Python: sets the profile. `how` says where the version was found, if not in the header.
pub(super) fn version(trace: &mut Trace, version: u32, how: &str) -> Geometry {
    let (major, minor) = (version >> 24, version >> 16 & 0xff);
    trace.origin.source.set("python", format!("{major}.{minor}{how}"));
    let rules = Profile::for_python(&format!("{major}.{minor}"));
    if let Some(doubt) = rules.doubt {
        trace.origin.source.set("rules", doubt.to_string());
    }
    if let Some(malloc) = trace.head.malloc.filter(|malloc| !malloc.known_to(&rules.profile)) {
        let why = format!("default, since CPython {major}.{minor} has no {}", malloc.name());
        trace.origin.source.set("allocator_assumed", why);
        trace.head.malloc = None;
    }
    trace.head.profile = Some(rules.profile.name);
    if major == 3 && minor <= 9 {
        Geometry { pool_bytes: Some(4 << 10), arena_bytes: 256 << 10 }
    } else {
        Geometry { pool_bytes: Some(16 << 10), arena_bytes: 1 << 20 }
    }
}

/// What is assumed of an allocator that memray has no name for: the verdict, of how many blocks, and how many of them lie in pools.
pub(super) fn assumed(trace: &mut Trace, (verdict, blocks, in_pools): (Verdict, u64, u64)) {
    let share = format!("{in_pools} of the first {blocks} small blocks lie as in pymalloc's pools");
    let (malloc, what) = match verdict {
        Verdict::Pymalloc => (None, format!("pymalloc below another table, such as tracemalloc's: {share}")),
        Verdict::PymallocDebug => (
            Some(AllocatorName::PymallocDebug),
            format!("pymalloc_debug below another table, such as tracemalloc's: {share}, behind debug hooks"),
        ),
        Verdict::NoPools => (
            Some(AllocatorName::MallocDebug),
            format!("malloc_debug, which memray has no name for: only {share}"),
        ),
        Verdict::Unknown => (None, "pymalloc, since too few small blocks were recorded to tell".to_owned()),
    };
    trace.head.malloc = malloc;
    trace.origin.source.set("allocator_assumed", what);
}

/// The path of a file shows a free-threaded build: sets its profile.
pub(super) fn free_threaded(trace: &mut Trace, version: u32) {
    let version = format!("{}.{}t", version >> 24, version >> 16 & 0xff);
    let rules = Profile::for_python(&version);
    trace.origin.source.set("python", format!("{version} (from the folder of the standard library)"));
    if let Some(doubt) = rules.doubt {
        trace.origin.source.set("rules", doubt.to_string());
    }
    trace.head.profile = Some(rules.profile.name);
}

/// Whether a file is one of a free-threaded build's standard library: `/usr/lib/python3.13t/os.py`.
pub(super) fn is_free_threaded(path: &str) -> bool {
    let minor = path.split_once("/lib/python3.").and_then(|(_, rest)| rest.split_once('/'));
    minor.and_then(|(minor, _)| minor.strip_suffix('t')).is_some_and(|m| m.parse::<u32>().is_ok())
}

/// The version in the path of the standard library's files: `/usr/lib/python3.9/os.py`.
pub(super) fn version_of_path(path: &str) -> Option<u32> {
    let (_, rest) = path.split_once("/lib/python3.")?;
    let (minor, _) = rest.split_once('/')?;
    let minor: u32 = minor.parse().ok().filter(|m| *m < 100)?;
    Some(3 << 24 | minor << 16)
}

/// What is known once all was read.
pub(super) fn end(trace: &mut Trace, counts: &Counts) {
    let source = &mut trace.origin.source;
    let traced = counts.python_calls > 0;
    source.set("python_allocators", if traced { "traced" } else { "not traced" });
    source.set("stack_ids", counts.stack_ids.to_string());
    if counts.objects > 0 {
        source.set("object_records", counts.objects.to_string());
    }
    if counts.failed > 0 {
        source.set("failed_calls", counts.failed.to_string());
    }
    if counts.guesses > 0 {
        source.set(
            "guessed_domains",
            format!(
                "{} small blocks lie where pymalloc and the C library could both have put them; what lies around decided",
                counts.guesses
            ),
        );
    }
    if counts.arenas_most > 0 {
        source.set(
            "arena_maps",
            format!("{} at most at once, {} at the end", counts.arenas_most, counts.arenas),
        );
    }
    if traced {
        let told = if counts.pools_known {
            "memray has no flag for them; they are told from sizes and addresses"
        } else {
            "memray has no flag for them, and without pymalloc's pools nothing tells them: all of Python's count as OBJ"
        };
        source.lacks("domains", told);
        source.lacks(
            "arenas",
            "hidden below Python's allocators; a second run without --trace-python-allocators has each as an mmap",
        );
    } else {
        source.lacks(Missing::SMALL_BLOCKS, "record with `memray run --trace-python-allocators`");
    }
    source.lacks(
        Missing::PROCESS_BIRTH,
        "memray starts inside a running interpreter; print sys._debugmallocstats() right before `with memray.Tracker(…)` (while it traces, \
         pymalloc is not in it) to begin with what it shows",
    );
    source.lacks(
        "times finer than its memory records, 10 ms apart",
        "`memray.Tracker(…, memory_interval_ms=1)` in the program",
    );
    if is_before_3_12(source.get("python").unwrap_or_default()) {
        source.lacks(
            Missing::RECORDERS_BLOCKS,
            "on Python 3.11 and older memray itself takes a 16-byte block for each code object and does not record it",
        );
    }
    if source.get("python").is_some_and(|python| python == "3.11" || python.starts_with("3.11.")) {
        source.lacks(
            "the program as it runs alone",
            "while memray watches, CPython 3.11 makes a table of lines for each function that is called and keeps it; these blocks stand at the \
             line that calls",
        );
    }
    source.lacks("stacks of frees", "memray records none");
    if source.get("native_traces") == Some("recorded") {
        source.lacks("native frames", "the file has them; only Python's frames are read");
    }
    if !counts.version_known {
        source.lacks(Missing::PYTHON_VERSION, "memray 1.19 and later record it");
    }
}

/// Whether a version such as `3.11` comes before 3.12; an unknown one may.
fn is_before_3_12(python: &str) -> bool {
    let minor =
        python.strip_prefix("3.").map(|m| m.chars().take_while(char::is_ascii_digit).collect::<String>());
    minor.and_then(|m| m.parse::<u32>().ok()).is_none_or(|m| m < 12)
}

/// Unix milliseconds as a date.
fn utc(ms: u64) -> String {
    let (days, of_day) = (ms / 86_400_000, ms / 1000 % 86_400);
    // Years from 1 March on, so that the leap day is the last; 400 years have 146,097 days.
    let from_march = days + 719_468;
    let (era, of_era) = (from_march / 146_097, from_march % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (h, m, s) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}.{:03}Z", ms % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        assert_eq!(utc(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(utc(951_782_400_123), "2000-02-29T00:00:00.123Z");
        assert_eq!(utc(1_798_761_599_999), "2026-12-31T23:59:59.999Z");
        assert!(utc(u64::MAX).ends_with('Z'));
    }

    #[test]
    fn versions() {
        assert!(is_before_3_12("3.9 (from a path)") && is_before_3_12("3.11") && is_before_3_12(""));
        assert!(!is_before_3_12("3.12") && !is_before_3_12("3.14"));
    }

    #[test]
    fn the_standard_library_names_the_version() {
        assert_eq!(version_of_path("/usr/lib/python3.9/os.py"), Some(0x0309_0000));
        assert_eq!(version_of_path("/opt/lib/python3.13t/os.py"), None);
        assert_eq!(version_of_path("/home/me/python3.9/os.py"), None);
        assert!(
            is_free_threaded("/opt/lib/python3.13t/os.py")
                && !is_free_threaded("/opt/lib/python3.13/t/os.py")
        );
    }
}
