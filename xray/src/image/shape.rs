//! Of a type's objects: which of their words are references that they hold, and what those are called.

use std::collections::BTreeMap;

use super::layout::{Version, type_object};
use super::memory::Memory;
use super::objects::StrShape;
use super::types::{Length, TypeObject};

/// Types that a type inherits from, and members of it, that are looked at.
const MOST_BASES: usize = 64;
const MOST_MEMBERS: u64 = 256;
/// A `PyMemberDef`: its bytes, and where it has the member's offset.
const MEMBER: u64 = 40;
const MEMBER_TYPE: u64 = 8;
const MEMBER_OFFSET: u64 = 16;
/// `T_OBJECT` and `T_OBJECT_EX`.
const OBJECT_MEMBERS: [u32; 2] = [6, 16];
/// Bytes of a member's name.
const MOST_NAME: u64 = 128;
/// `wr_object`, `wr_prev`, `wr_next` of a weak reference, behind the object's beginning.
const WEAK_WORDS: [u64; 3] = [16, 40, 48];
/// Where an array of numpy's has its items, its shape and, of a view, whose the items are.
const NDARRAY_ITEMS: u64 = 16;
const NDARRAY_SHAPE: u64 = 32;
pub(super) const NDARRAY_BASE: u64 = 48;
/// `_co_unique_id` of code, from 3.14 on: only builds without the global lock write it, in others it is what the memory had before.
const CODE_LEFT_OVER: u64 = 184;
/// Bytes of a reference.
const WORD: u64 = 8;

/// What the objects of a type are to those who follow references.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Sort {
    /// Text: its letters may lie elsewhere.
    Str,
    /// Bytes that may be changed: they lie elsewhere, and hold nothing.
    Bytearray,
    /// Numbers and bytes, which hold nothing.
    Leaf,
    List,
    Tuple,
    Dict,
    Set,
    Deque,
    Module,
    Type,
    Function,
    Cell,
    Code,
    /// A generator or coroutine, with its frame in it.
    Generator,
    /// A frame that is an object.
    Frame,
    /// Keeps numbers elsewhere that hold nothing.
    Array,
    /// An array of numpy's: its items lie elsewhere, of a view's with those of its base.
    Ndarray,
    Other,
}

/// Words of an object, from its beginning.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Extent {
    /// Up to here.
    Until(u64),
    /// So many bytes, then as many items of so many bytes as the word at 16 says.
    Items(u64, u64),
    /// All that its block has.
    Room,
    /// So many bytes, and behind them attributes, of which their first byte says how many there is room for.
    Inline(u64),
}

/// A type's shape.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Shape {
    pub(super) sort: Sort,
    pub(super) extent: Extent,
    /// Bytes before the object that are the garbage collector's.
    pub(super) gc: bool,
    /// Bytes in all before the object.
    pub(super) before: u64,
    /// Words that refer but do not hold, from the object's beginning; those before it are large numbers.
    pub(super) weak: Vec<u64>,
    /// Where the object has its `__dict__`, if in a word of its own.
    pub(super) dict: Option<u64>,
    /// Whether that is the word for managed attributes.
    pub(super) managed: bool,
    /// Where its attributes are, if behind it.
    pub(super) inline: Option<u64>,
    /// Names of members in C and of slots, by offset.
    pub(super) members: BTreeMap<u64, String>,
    /// The keys that its objects' attributes have in common, 0 for none.
    pub(super) cached_keys: u64,
}

/// Where an object's words before its beginning are, as offsets that wrap.
pub(super) const MANAGED: u64 = 0_u64.wrapping_sub(24);
pub(super) const MANAGED_SECOND: u64 = 0_u64.wrapping_sub(32);

impl Shape {
    pub(super) fn of(memory: &Memory, version: Version, of: &TypeObject) -> Self {
        use type_object::{HAVE_GC, HEAPTYPE, MANAGED_DICT};
        let bases = bases(memory, of.addr);
        let names: Vec<String> = bases.iter().filter_map(|base| name(memory, *base)).collect();
        let inherits = |wanted: &str| names.iter().any(|name| name == wanted);
        let sort = sort_of(of, &inherits);
        let extent = match sort {
            _ if of.length == Length::AtLeast => Extent::Room,
            _ if version.has_inline_values(of.flags) => Extent::Inline(of.basicsize),
            Sort::Type => Extent::Until(of.basicsize),
            _ if of.itemsize >= WORD && of.itemsize.is_multiple_of(WORD) && of.length == Length::Items => {
                Extent::Items(of.basicsize, of.itemsize)
            }
            _ => Extent::Until(of.basicsize),
        };
        let mut weak = Vec::new();
        let is_weak = ["weakref", "weakref.ReferenceType", "weakproxy", "weakcallableproxy"];
        if is_weak.iter().any(|name| inherits(name)) {
            weak.extend(WEAK_WORDS);
        }
        let word = |at| memory.word(of.addr.wrapping_add(at)).unwrap_or(0);
        let weaklist = word(type_object::WEAKLISTOFFSET);
        if weaklist != 0 {
            weak.push(weaklist);
        }
        if version.minor >= 12 {
            weak.push(MANAGED_SECOND);
        }
        if version.minor >= 14 && sort == Sort::Code {
            weak.push(CODE_LEFT_OVER);
        }
        let dictoffset = word(type_object::DICTOFFSET);
        let managed = version.minor >= 11 && of.flags & MANAGED_DICT != 0;
        let dict = match dictoffset {
            _ if managed => Some(MANAGED),
            1..=0xffff => Some(dictoffset),
            _ => None,
        };
        let cached = of.flags & HEAPTYPE != 0;
        Self {
            sort,
            extent,
            gc: of.flags & HAVE_GC != 0,
            before: version.before_object(of.flags),
            weak,
            dict,
            managed,
            inline: version.has_inline_values(of.flags).then_some(of.basicsize),
            members: members(memory, version, sort, &bases),
            cached_keys: if cached { word(version.ht_cached_keys()) } else { 0 },
        }
    }

    /// Whether the object holds nothing, and none of its buffers does.
    pub(super) fn is_flat(&self) -> bool {
        matches!(self.sort, Sort::Str | Sort::Bytearray | Sort::Leaf | Sort::Array)
    }

    /// Behind the last word of an object that may hold something, from the object's beginning, which is at `start`.
    pub(super) fn end(&self, memory: &Memory, version: Version, start: u64, room: u64) -> u64 {
        match (self.sort, self.extent) {
            (Sort::Leaf, _) => 0,
            (Sort::Str, _) => StrShape::at(memory, version, start).map_or(0, |shape| shape.pointers()),
            (_, Extent::Until(until)) => until,
            (_, Extent::Room) => room,
            (_, Extent::Inline(header)) => {
                let capacity = memory.byte(start.saturating_add(header)).unwrap_or(0);
                header + 8 + 8 * u64::from(capacity)
            }
            (_, Extent::Items(header, item)) => {
                let items = memory.word(start.saturating_add(16)).unwrap_or(0);
                header.saturating_add(items.saturating_mul(item))
            }
        }
    }

    /// Whether what lies behind a word of an object that begins at `start` is the object's by the type's own rule; all other words may be accidents.
    pub(super) fn is_own_buffer(&self, memory: &Memory, start: u64, offset: u64) -> bool {
        match self.sort {
            Sort::List => offset == 24,
            Sort::Dict => matches!(offset, 32 | 40),
            Sort::Set => offset == 40,
            Sort::Bytearray => matches!(offset, 32 | 40),
            Sort::Array => matches!(offset, 16 | 24),
            Sort::Str => true,
            Sort::Ndarray if offset == NDARRAY_ITEMS => {
                memory.word(start.wrapping_add(NDARRAY_BASE)).unwrap_or(0) == 0
            }
            Sort::Ndarray => offset == NDARRAY_SHAPE,
            _ => self.managed && matches!(offset, MANAGED | MANAGED_SECOND),
        }
    }
}

fn sort_of(of: &TypeObject, inherits: &impl Fn(&str) -> bool) -> Sort {
    use type_object::{BYTES, DICT_SUBCLASS, LIST, LONG, TUPLE, TYPE_SUBCLASS, UNICODE};
    // Static types have short names, and those of a program that are named alike have a module.
    let built_in = |name: &str| of.name == format!("builtins.{name}") || inherits(name);
    match of.flags {
        flags if flags & UNICODE != 0 => Sort::Str,
        flags if flags & (LONG | BYTES) != 0 => Sort::Leaf,
        flags if flags & LIST != 0 => Sort::List,
        flags if flags & TUPLE != 0 => Sort::Tuple,
        flags if flags & DICT_SUBCLASS != 0 => Sort::Dict,
        flags if flags & TYPE_SUBCLASS != 0 => Sort::Type,
        _ if built_in("set") || built_in("frozenset") => Sort::Set,
        _ if built_in("module") => Sort::Module,
        _ if inherits("collections.deque") => Sort::Deque,
        _ if built_in("float") || built_in("complex") || built_in("range_iterator") => Sort::Leaf,
        _ if built_in("bytearray") => Sort::Bytearray,
        _ if built_in("function") => Sort::Function,
        _ if built_in("cell") => Sort::Cell,
        _ if built_in("code") => Sort::Code,
        _ if of.length == Length::AtLeast => Sort::Generator,
        _ if built_in("frame") => Sort::Frame,
        _ if inherits("array.array") || inherits("mmap.mmap") => Sort::Array,
        _ if inherits("numpy.ndarray") => Sort::Ndarray,
        _ => Sort::Other,
    }
}

/// A type and those that it inherits from first, down to `object`.
fn bases(memory: &Memory, addr: u64) -> Vec<u64> {
    let base = |addr: &u64| {
        memory.word(addr.wrapping_add(type_object::BASE)).filter(|base| *base != 0 && base % 8 == 0)
    };
    std::iter::successors(Some(addr), base).take(MOST_BASES).collect()
}

fn name(memory: &Memory, addr: u64) -> Option<String> {
    memory.text(memory.word(addr.wrapping_add(type_object::NAME))?, MOST_NAME)
}

/// The members of a type and its bases that are references.
fn members(memory: &Memory, version: Version, sort: Sort, bases: &[u64]) -> BTreeMap<u64, String> {
    let mut all = BTreeMap::new();
    // What these two have is read by functions.
    let known: &[(u64, &str)] = match sort {
        Sort::Function if version.minor >= 10 => &[
            (32, "__name__"),
            (40, "__qualname__"),
            (48, "__code__"),
            (56, "__defaults__"),
            (64, "__kwdefaults__"),
        ],
        Sort::Function => &[(16, "__code__"), (32, "__defaults__"), (40, "__kwdefaults__"), (64, "__name__")],
        Sort::Code if version.minor >= 11 => &[(96, "co_varnames"), (104, "(kinds of variables)")],
        _ => &[],
    };
    all.extend(known.iter().map(|(offset, name)| (*offset, (*name).to_owned())));
    for base in bases {
        let Some(first) = memory.word(base.wrapping_add(type_object::MEMBERS)).filter(|first| *first != 0)
        else {
            continue;
        };
        for number in 0..MOST_MEMBERS {
            let at = first.wrapping_add(number * MEMBER);
            let Some(name) = memory.word(at).filter(|name| *name != 0) else { break };
            let (Some(kind), Some(offset)) =
                (memory.half(at.wrapping_add(MEMBER_TYPE)), memory.word(at.wrapping_add(MEMBER_OFFSET)))
            else {
                break;
            };
            let Some(name) = memory.text(name, MOST_NAME) else { break };
            if OBJECT_MEMBERS.contains(&kind) {
                all.entry(offset).or_insert(name);
            }
        }
    }
    all
}
