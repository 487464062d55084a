//! The three domains themselves.

/// An allocation domain, `PyMemAllocatorDomain`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Domain {
    /// `PYMEM_DOMAIN_RAW`.
    Raw,
    /// `PYMEM_DOMAIN_MEM`.
    Mem,
    /// `PYMEM_DOMAIN_OBJ`.
    Obj,
}

/// The heap that an object goes to in a free-threaded build, by its type (`current_object_heap`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum ObjectHeap {
    /// `_Py_MIMALLOC_HEAP_OBJECT`: without garbage collection.
    #[default]
    Object,
    /// `_Py_MIMALLOC_HEAP_GC`: with it.
    Gc,
    /// `_Py_MIMALLOC_HEAP_GC_PRE`: with it and a pre-header in front.
    GcPre,
}

impl ObjectHeap {
    /// The heap's number, which its pages carry as a tag.
    pub fn tag(self) -> u8 {
        self as u8 + 1
    }
}

impl Domain {
    /// All three, in `CPython`'s order.
    pub const ALL: [Self; 3] = [Self::Raw, Self::Mem, Self::Obj];

    /// `RAW`, `MEM` or `OBJ`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Raw => "RAW",
            Self::Mem => "MEM",
            Self::Obj => "OBJ",
        }
    }

    /// The prefix of the entry points of this domain.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Raw => "PyMem_Raw",
            Self::Mem => "PyMem_",
            Self::Obj => "PyObject_",
        }
    }

    /// The domain's letter in traces and under debug hooks.
    pub fn letter(self) -> char {
        match self {
            Self::Raw => 'r',
            Self::Mem => 'm',
            Self::Obj => 'o',
        }
    }
}
