//! `_PyMem_SetupAllocators`, what `PYTHONMALLOC` takes, and the name of what is in force.

use thiserror::Error;

use super::{AllocatorTable, Allocators, Domain};

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
}

/// A name that `PYTHONMALLOC` does not take, or that is not built here.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum SetupError {
    /// `CPython` ends with this at start-up; names are case-sensitive.
    #[error(
        "Fatal Python error: preconfig_init_allocator: PYTHONMALLOC: unknown allocator (`{0}`; known are {KNOWN})"
    )]
    Unknown(String),
    /// mimalloc.
    #[error("`{0}` is not simulated by this version; it can do {KNOWN}")]
    NotBuilt(String),
}

const KNOWN: &str = "default, debug, malloc, malloc_debug, pymalloc, pymalloc_debug";

impl AllocatorName {
    /// All of them, in `CPython`'s order.
    pub const ALL: [Self; 6] =
        [Self::Default, Self::Debug, Self::Malloc, Self::MallocDebug, Self::Pymalloc, Self::PymallocDebug];

    /// As `PYTHONMALLOC` spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Debug => "debug",
            Self::Malloc => "malloc",
            Self::MallocDebug => "malloc_debug",
            Self::Pymalloc => "pymalloc",
            Self::PymallocDebug => "pymalloc_debug",
        }
    }

    /// Parses what `PYTHONMALLOC` holds: exactly, with the empty string for `default`.
    pub fn parse(text: &str) -> Result<Self, SetupError> {
        match text {
            "" => Ok(Self::Default),
            "mimalloc" | "mimalloc_debug" => Err(SetupError::NotBuilt(text.to_owned())),
            _ => Self::ALL
                .into_iter()
                .find(|n| n.name() == text)
                .ok_or_else(|| SetupError::Unknown(text.to_owned())),
        }
    }
}

impl Allocators {
    /// `_PyMem_SetupAllocators` in a release build.
    pub fn setup(&mut self, name: AllocatorName) {
        let (base, debug) = match name {
            AllocatorName::Default | AllocatorName::Pymalloc => (AllocatorTable::PYMALLOC, false),
            AllocatorName::Debug | AllocatorName::PymallocDebug => (AllocatorTable::PYMALLOC, true),
            AllocatorName::Malloc => (AllocatorTable::LIBC, false),
            AllocatorName::MallocDebug => (AllocatorTable::LIBC, true),
        };
        self.standard = [AllocatorTable::LIBC, base, base];
        self.is_debug_enabled = false;
        if debug {
            self.setup_debug_hooks();
        }
    }

    /// `_PyMem_GetCurrentAllocatorName`: `None` is NULL, which it is as soon as anything is unusual.
    pub fn current_name(&self) -> Option<&'static str> {
        let base = |tables: &[AllocatorTable; 3]| {
            if *tables == [AllocatorTable::LIBC; 3] {
                Some(AllocatorName::Malloc)
            } else if *tables == [AllocatorTable::LIBC, AllocatorTable::PYMALLOC, AllocatorTable::PYMALLOC] {
                Some(AllocatorName::Pymalloc)
            } else {
                None
            }
        };
        if let Some(name) = base(&self.standard) {
            return Some(name.name());
        }
        if self.standard != Domain::ALL.map(AllocatorTable::debug) {
            return None;
        }
        base(&self.debug).map(|name| match name {
            AllocatorName::Malloc => AllocatorName::MallocDebug.name(),
            _ => AllocatorName::PymallocDebug.name(),
        })
    }

    /// Whether `_PyObject_DebugMallocStats` finds pymalloc: it looks at one function of OBJ, below the
    /// debug hook where debugging is on, so any other wrapper hides the statistics.
    pub fn pymalloc_enabled(&self) -> bool {
        let obj = Domain::Obj as usize;
        let table = if self.is_debug_enabled { self.debug[obj] } else { self.standard[obj] };
        table.functions == super::Functions::Pymalloc
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Context, Functions};
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
    fn a_second_setup_changes_nothing() {
        let mut a = Allocators::default();
        a.setup_debug_hooks();
        let once = a.clone();
        a.setup_debug_hooks();
        assert_eq!(a, once);
    }
}
