//! `_PyMem_SetupAllocators`, what `PYTHONMALLOC` takes, and the name of what is in force.

use thiserror::Error;

use super::{AllocatorTable, Allocators, Domain, Functions};
use crate::profile::{Profile, TracemallocVersion};

/// `PyMemAllocatorName` without `NOT_SET`: what `PYTHONMALLOC` can name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AllocatorName {
    /// `default`: pymalloc, with debug hooks in a debug build only.
    Default,
    /// `debug`: the default with debug hooks.
    Debug,
    /// `malloc`: the C library for all domains.
    Malloc,
    /// `malloc_debug`.
    MallocDebug,
    /// `pymalloc`.
    Pymalloc,
    /// `pymalloc_debug`.
    PymallocDebug,
    /// `mimalloc`.
    Mimalloc,
    /// `mimalloc_debug`.
    MimallocDebug,
}

/// A name that `PYTHONMALLOC` does not take.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum SetupError {
    /// `CPython` ends with this at start-up; names are case-sensitive.
    #[error(
        "Fatal Python error: preconfig_init_allocator: PYTHONMALLOC: unknown allocator (`{0}`; known are {KNOWN})"
    )]
    Unknown(String),
}

const PYMALLOC_TABLES: [AllocatorTable; 3] =
    [AllocatorTable::LIBC, AllocatorTable::PYMALLOC, AllocatorTable::PYMALLOC];

const KNOWN: &str =
    "default, debug, malloc, malloc_debug, pymalloc, pymalloc_debug, mimalloc, mimalloc_debug";

/// What of a build decides which tables are installed, and what they say.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of a build, and none follows from another")]
pub struct Build {
    /// `Py_GIL_DISABLED`.
    pub free_threaded: bool,
    /// Whether RAW is mimalloc's where MEM and OBJ are (3.15).
    pub mimalloc_raw: bool,
    /// Whether `_PyMem_DebugEnabled` looks whether OBJ's malloc is the debug hook (up to 3.12), and not at a flag.
    pub debug_by_function: bool,
    /// Whether fatal errors do not name their function (3.8).
    pub fatal_without_function: bool,
    /// Where tracemalloc keeps what it knows.
    pub tracemalloc: TracemallocVersion,
}

impl From<&Profile> for Build {
    fn from(profile: &Profile) -> Self {
        Self {
            free_threaded: profile.mimalloc.free_threaded,
            mimalloc_raw: profile.mimalloc.raw,
            debug_by_function: !profile.debug_flag,
            fatal_without_function: !profile.fatal_functions,
            tracemalloc: profile.tracemalloc,
        }
    }
}

impl AllocatorName {
    /// All of them, in `CPython`'s order.
    pub const ALL: [Self; 8] = [
        Self::Default,
        Self::Debug,
        Self::Malloc,
        Self::MallocDebug,
        Self::Pymalloc,
        Self::PymallocDebug,
        Self::Mimalloc,
        Self::MimallocDebug,
    ];

    /// As `PYTHONMALLOC` spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Debug => "debug",
            Self::Malloc => "malloc",
            Self::MallocDebug => "malloc_debug",
            Self::Pymalloc => "pymalloc",
            Self::PymallocDebug => "pymalloc_debug",
            Self::Mimalloc => "mimalloc",
            Self::MimallocDebug => "mimalloc_debug",
        }
    }

    /// Parses what `PYTHONMALLOC` holds: exactly, with the empty string for `default`.
    pub fn parse(text: &str) -> Result<Self, SetupError> {
        if text.is_empty() {
            return Ok(Self::Default);
        }
        let name = Self::ALL.into_iter().find(|n| n.name() == text);
        name.ok_or_else(|| SetupError::Unknown(text.to_owned()))
    }

    /// Whether a build takes it: a free-threaded one has mimalloc only, one before 3.13 has none.
    pub fn known_to(self, profile: &Profile) -> bool {
        match self {
            Self::Default | Self::Debug => true,
            Self::Mimalloc | Self::MimallocDebug => profile.mimalloc_version().is_some(),
            _ => !profile.mimalloc.free_threaded,
        }
    }

    /// Whether MEM and OBJ are mimalloc's in a build.
    pub fn is_mimalloc(self, build: Build) -> bool {
        match self {
            Self::Default | Self::Debug => build.free_threaded,
            Self::Mimalloc | Self::MimallocDebug => true,
            _ => false,
        }
    }

    /// Whether debug hooks lie over all three.
    pub fn is_debug(self) -> bool {
        matches!(self, Self::Debug | Self::MallocDebug | Self::PymallocDebug | Self::MimallocDebug)
    }
}

impl Allocators {
    /// `_PyMem_SetupAllocators` in a release build.
    pub fn setup(&mut self, name: AllocatorName) {
        let mimalloc = self.mimalloc_tables();
        self.standard = match name {
            _ if name.is_mimalloc(self.build) => mimalloc,
            AllocatorName::Malloc | AllocatorName::MallocDebug => [AllocatorTable::LIBC; 3],
            _ => PYMALLOC_TABLES,
        };
        self.is_debug_enabled = false;
        if name.is_debug() {
            self.setup_debug_hooks();
        }
    }

    fn mimalloc_tables(&self) -> [AllocatorTable; 3] {
        let [raw, mem, obj] = Domain::ALL.map(AllocatorTable::mimalloc);
        [if self.build.mimalloc_raw { raw } else { AllocatorTable::LIBC }, mem, obj]
    }

    /// `_PyMem_GetCurrentAllocatorName`: `None` is NULL, which it is as soon as anything is unusual.
    pub fn current_name(&self) -> Option<&'static str> {
        let mimalloc = self.mimalloc_tables();
        let base = |tables: &[AllocatorTable; 3]| match *tables {
            t if t == [AllocatorTable::LIBC; 3] => Some(["malloc", "malloc_debug"]),
            PYMALLOC_TABLES => Some(["pymalloc", "pymalloc_debug"]),
            t if t == mimalloc => Some(["mimalloc", "mimalloc_debug"]),
            _ => None,
        };
        if let Some([name, _]) = base(&self.standard) {
            return Some(name);
        }
        if self.standard != Domain::ALL.map(AllocatorTable::debug) {
            return None;
        }
        base(&self.debug).map(|[_, debug]| debug)
    }

    /// The functions that `_PyObject_DebugMallocStats` looks at: those of OBJ, below the debug hook where
    /// debugging is on, so any other wrapper hides the statistics.
    fn stats_functions(&self) -> Functions {
        let obj = Domain::Obj as usize;
        let top = self.standard[obj];
        let debugged = if self.build.debug_by_function {
            top.functions == AllocatorTable::debug(Domain::Obj).functions
        } else {
            self.is_debug_enabled
        };
        if debugged { self.debug[obj].functions } else { top.functions }
    }

    /// Whether `_PyObject_DebugMallocStats` finds mimalloc, as it always does in a free-threaded build.
    pub fn mimalloc_enabled(&self) -> bool {
        self.build.free_threaded || self.stats_functions() == Functions::MimallocObj
    }

    /// Whether `_PyObject_DebugMallocStats` finds pymalloc.
    pub fn pymalloc_enabled(&self) -> bool {
        !self.build.free_threaded && self.stats_functions() == Functions::Pymalloc
    }
}

#[cfg(test)]
mod tests {
    use super::super::Context;
    use super::*;

    #[test]
    fn names_come_back() {
        for name in AllocatorName::ALL {
            let mut a = Allocators::default();
            a.setup(name);
            let reported = match name {
                AllocatorName::Default => "pymalloc",
                AllocatorName::Debug => "pymalloc_debug",
                other => other.name(),
            };
            assert_eq!(a.current_name(), Some(reported));
            assert_eq!(a.pymalloc_enabled(), reported.starts_with("pymalloc"));
            assert_eq!(a.mimalloc_enabled(), reported.starts_with("mimalloc"));
            assert_eq!(AllocatorName::parse(name.name()), Ok(name));
        }
        assert_eq!(AllocatorName::parse(""), Ok(AllocatorName::Default));
        assert!(AllocatorName::parse("PYMALLOC").is_err());
    }

    #[test]
    fn anything_unusual_has_no_name() {
        let mut a = Allocators::default();
        a.set(Domain::Mem, AllocatorTable::LIBC);
        assert_eq!(a.current_name(), None, "MEM alone is libc");
        a.set(Domain::Obj, AllocatorTable::LIBC);
        assert_eq!(a.current_name(), Some("malloc"), "all three by hand");
        a.set(Domain::Obj, AllocatorTable { ctx: Context::User(0), functions: Functions::Libc });
        assert_eq!(a.current_name(), None, "the same functions with another context");
        let mut a = Allocators::default();
        a.setup_debug_hooks();
        a.set(Domain::Raw, AllocatorTable::LIBC);
        assert_eq!(a.current_name(), None, "debug hooks on some domains only");
    }

    #[test]
    fn a_free_threaded_build_has_mimalloc_only() {
        for (preset, raw) in [("cpython-3.14t", "_PyMem_RawMalloc"), ("cpython-3.15t", "_PyMem_MiRawMalloc")]
        {
            let profile = Profile::named(preset).unwrap();
            let known: Vec<&str> = AllocatorName::ALL
                .into_iter()
                .filter(|n| n.known_to(&profile))
                .map(AllocatorName::name)
                .collect();
            assert_eq!(known, ["default", "debug", "mimalloc", "mimalloc_debug"]);
            let mut a = Allocators { build: Build::from(&profile), ..Allocators::default() };
            a.setup(AllocatorName::Default);
            let names = Domain::ALL.map(|d| a.get(d).function_names()[0]);
            assert_eq!(names, [raw, "_PyMem_MiMalloc", "_PyObject_MiMalloc"]);
            assert_eq!(a.current_name(), Some("mimalloc"));
            a.setup(AllocatorName::Debug);
            assert_eq!(a.current_name(), Some("mimalloc_debug"));
            a.set(Domain::Obj, AllocatorTable::LIBC);
            assert_eq!(a.current_name(), None, "OBJ alone is libc");
            assert!(a.mimalloc_enabled() && !a.pymalloc_enabled(), "free-threaded builds do not ask");
        }
        let with_gil = Profile::named("cpython-3.15").unwrap();
        let mut a = Allocators { build: Build::from(&with_gil), ..Allocators::default() };
        a.setup(AllocatorName::Mimalloc);
        assert_eq!(a.get(Domain::Raw).functions, Functions::MimallocRaw);
        assert_eq!(a.current_name(), Some("mimalloc"));
        a.set(Domain::Raw, AllocatorTable::LIBC);
        assert_eq!(a.current_name(), None, "RAW of 3.14 under 3.15");
        assert!(!AllocatorName::Mimalloc.known_to(&Profile::named("cpython-3.10").unwrap()));
    }

    #[test]
    fn a_second_setup_changes_nothing() {
        let mut a = Allocators::default();
        a.setup_debug_hooks();
        let once = a.clone();
        a.setup_debug_hooks();
        assert_eq!(a, once);
    }
}
