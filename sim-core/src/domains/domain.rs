//! The three domains themselves.

/// An allocation domain, `PyMemAllocatorDomain`, with its number there, which columns and files have too.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[repr(u8)]
pub enum Domain {
    /// `PYMEM_DOMAIN_RAW`.
    Raw = 0,
    /// `PYMEM_DOMAIN_MEM`.
    Mem = 1,
    /// `PYMEM_DOMAIN_OBJ`.
    Obj = 2,
}

/// The heap that an object goes to in a free-threaded build, by its type (`current_object_heap`). Its number stands in files.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[repr(u8)]
pub enum ObjectHeap {
    /// `_Py_MIMALLOC_HEAP_OBJECT`: without garbage collection.
    #[default]
    Object = 0,
    /// `_Py_MIMALLOC_HEAP_GC`: with it.
    Gc = 1,
    /// `_Py_MIMALLOC_HEAP_GC_PRE`: with it and a pre-header in front.
    GcPre = 2,
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
