//! Which words are type objects, and of which type the object in a block is.

use hashbrown::HashMap;

use super::layout::{ALIGNMENT, Version, type_object};
use super::memory::{Memory, word_of};
use super::objects::{self, StrShape};

/// Steps from a type to `type`, by the type of the type and so on.
const MOST_STEPS: usize = 5;
/// Bytes of a type's name.
const MOST_NAME: u64 = 256;
/// Words that are kept of those that lead to no type.
const OTHERS: u64 = 1 << 16;
/// Words that `type` is looked for among.
const MOST_CANDIDATES: usize = 1 << 22;
/// Places in a block where an object may begin.
pub(super) const STARTS: [u64; 3] = [0, 16, 32];

/// What debug hooks put before what they give out.
const HOOK: u64 = 16;
/// How often they do so at most.
const MOST_HOOKS: usize = 2;
/// Bytes of a block that tell what is in it.
pub(super) const HEAD: u64 = 128;

/// What a block's size says of the object in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Room {
    /// It is the object's, rounded up to what pymalloc's blocks are multiples of.
    Rounded,
    /// It is the object's.
    Exact,
    /// It is no less than the object's.
    AtMost,
}

/// A type.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TypeObject {
    /// Where it lies.
    pub addr: u64,
    /// Its module and qualified name.
    pub name: String,
    /// `tp_basicsize`.
    pub basicsize: u64,
    /// `tp_itemsize`.
    pub itemsize: u64,
    /// `tp_flags`.
    pub flags: u64,
    /// How the length of its objects is checked.
    pub(super) length: Length,
}

/// Static types whose objects are not kept for the next one in any version: a block that looks like one that was given up is another's.
const NOT_KEPT: [&str; 9] = [
    "builtins.str",
    "builtins.bytes",
    "builtins.code",
    "builtins.type",
    "builtins.module",
    "builtins.function",
    "builtins.cell",
    "builtins.set",
    "builtins.frozenset",
];

impl TypeObject {
    /// Whether Python may keep an object's memory for the next one of the type.
    fn may_be_kept(&self) -> bool {
        let is_static = self.flags & type_object::HEAPTYPE == 0;
        (is_static && !NOT_KEPT.contains(&self.name.as_str())) || self.name.starts_with("_asyncio.")
    }
}

/// What is known of the bytes of a type's objects.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Length {
    /// All have as many.
    Fixed,
    /// As many items as a word behind the header says.
    Items,
    /// As many digits as an int says.
    Digits,
    /// At least as many as the type says; the word behind the header is no length.
    AtLeast,
    /// A string, which has a form of its own.
    Str,
    /// May have fewer than the type says.
    Shorter,
}

/// What is in a block that is in use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Object {
    /// Its type, by place in [`Types::all`].
    pub of: u32,
    /// Whether Python has given it up and keeps its memory for the next one of the type.
    pub dead: bool,
    /// Where it begins in the block.
    pub offset: u8,
}

/// The types of a process.
#[derive(Debug)]
pub struct Types<'a> {
    memory: &'a Memory,
    version: Version,
    /// The type named `type`.
    root: u64,
    known: HashMap<u64, u32>,
    /// Some words that lead to no type, by their low bits: of all words of a large process there would be no end.
    others: Vec<u64>,
    all: Vec<TypeObject>,
}

impl<'a> Types<'a> {
    /// Looks for `type` among what words of blocks lead to; `None` where there is none.
    pub(super) fn find(
        memory: &'a Memory,
        version: Version,
        candidates: impl Iterator<Item = u64>,
    ) -> Option<Self> {
        let mut tried: HashMap<u64, Option<u64>> = HashMap::new();
        let mut found: HashMap<u64, u64> = HashMap::new();
        for word in candidates.take(MOST_CANDIDATES).filter(|word| word % 8 == 0 && *word != 0) {
            let root = *tried.entry(word).or_insert_with(|| root_of(memory, word));
            if let Some(root) = root {
                *found.entry(root).or_default() += 1;
            }
        }
        let named: Vec<(u64, u64)> = found
            .iter()
            .map(|(root, count)| (*count, *root))
            .filter(|(_, root)| name_of(memory, *root).as_deref() == Some("type"))
            .collect();
        let (_, root) = named.into_iter().max()?;
        let others = vec![0; OTHERS as usize];
        Some(Self { memory, version, root, known: HashMap::new(), others, all: Vec::new() })
    }

    /// Those that were met.
    pub fn all(&self) -> &[TypeObject] {
        &self.all
    }

    pub(super) fn into_all(self) -> Vec<TypeObject> {
        self.all
    }

    /// The type at an address.
    #[inline]
    pub(super) fn at(&mut self, addr: u64) -> Option<u32> {
        if !addr.is_multiple_of(8) || addr == 0 {
            return None;
        }
        let other = (addr / 8 % OTHERS) as usize;
        if self.others[other] == addr {
            return None;
        }
        if let Some(known) = self.known.get(&addr) {
            return Some(*known);
        }
        let Some(made) = self.make(addr) else {
            self.others[other] = addr;
            return None;
        };
        let number = self.all.len() as u32;
        self.all.push(made);
        self.known.insert(addr, number);
        Some(number)
    }

    fn make(&self, addr: u64) -> Option<TypeObject> {
        use type_object::{BASICSIZE, FLAGS, HEAPTYPE, ITEMSIZE, READY, TYPE_SUBCLASS};
        let memory = self.memory;
        let meta = memory.word(addr.wrapping_add(8))?;
        if memory.word(meta.checked_add(FLAGS)?)? & TYPE_SUBCLASS == 0 || root_of(memory, addr)? != self.root
        {
            return None;
        }
        let flags = memory.word(addr.wrapping_add(FLAGS))?;
        if flags >> 32 != 0 {
            return None;
        }
        let (basicsize, itemsize) =
            (memory.word(addr.wrapping_add(BASICSIZE))?, memory.word(addr.wrapping_add(ITEMSIZE))?);
        if !(16..1 << 20).contains(&basicsize) || itemsize > 4096 {
            return None;
        }
        let short = name_of(memory, addr)?;
        // Up to 3.9 functools had a type that it never made ready.
        let unready = flags & (READY | HEAPTYPE) == 0 && meta == self.root && is_dotted(&short);
        if flags & READY == 0 && !unready {
            return None;
        }
        let length = match short.as_str() {
            "str" if flags & HEAPTYPE == 0 => Length::Str,
            "datetime.time" | "datetime.datetime" => Length::Shorter,
            "generator" | "coroutine" | "async_generator" if flags & HEAPTYPE == 0 => Length::AtLeast,
            _ if itemsize == 0 => Length::Fixed,
            _ if flags & type_object::LONG != 0 => Length::Digits,
            _ => Length::Items,
        };
        let name =
            if flags & HEAPTYPE == 0 { whole_name(short) } else { self.heap_name(addr).unwrap_or(short) };
        Some(TypeObject { addr, name, basicsize, itemsize, flags, length })
    }

    /// A class's module and qualified name.
    fn heap_name(&self, addr: u64) -> Option<String> {
        let (memory, version) = (self.memory, self.version);
        let qualified =
            objects::text(memory, version, memory.word(addr.wrapping_add(version.ht_qualname()))?)?;
        let dict = memory.word(addr.wrapping_add(type_object::DICT))?;
        let module = objects::dict_value(memory, version, dict, "__module__")
            .and_then(|module| objects::text(memory, version, module));
        Some(module.map_or_else(|| qualified.clone(), |module| format!("{module}.{qualified}")))
    }

    /// What the block at an address has in it, which has `room` bytes; `bytes` are as many of its first ones as there are, [`HEAD`] at most.
    pub(super) fn object(&mut self, addr: u64, bytes: &[u8], room: u64, rule: Room) -> Option<Object> {
        let (mut bytes, mut room, mut rule, mut before) = (bytes, room, rule, 0);
        // Debug hooks put the size and a letter before what they give out, once for Python's domain and once for the C library's.
        for _ in 0..MOST_HOOKS {
            let Some(size) = hooked(bytes, room) else { break };
            bytes = &bytes[HOOK as usize..];
            (room, rule, before) = (size, Room::Exact, before + HOOK);
        }
        let addr = addr.checked_add(before)?;
        let found = STARTS.into_iter().find_map(|offset| self.object_at(addr, bytes, room, offset, rule));
        found.map(|object| Object { offset: object.offset + before as u8, ..object })
    }

    fn object_at(&mut self, addr: u64, bytes: &[u8], room: u64, offset: u64, rule: Room) -> Option<Object> {
        let at = offset as usize;
        if room < offset + 16 || bytes.len() < at + 16 {
            return None;
        }
        let word = word_of(bytes, at + 8);
        let number = self.at(word)?;
        let (version, of) = (self.version, &self.all[number as usize]);
        if version.before_object(of.flags) != offset {
            return None;
        }
        let count = word_of(bytes, at);
        let alive = version.is_counted(count);
        if !alive {
            if !of.may_be_kept() {
                return None;
            }
            let linked = version.minor >= 13 && self.memory.word(count.wrapping_add(8)) == Some(word);
            if count != 0 && !linked {
                return None;
            }
        }
        let fits = match of.length {
            Length::Fixed if version.has_inline_values(of.flags) => offset + of.basicsize <= room,
            Length::Fixed => match rule {
                Room::Exact => offset + of.basicsize == room,
                Room::Rounded => (offset + of.basicsize).next_multiple_of(ALIGNMENT) == room,
                Room::AtMost => offset + of.basicsize <= room,
            },
            Length::AtLeast => offset + of.basicsize <= room,
            Length::Shorter => true,
            Length::Items | Length::Digits => {
                let items = word_of(bytes, at + 16);
                let items = match of.length {
                    Length::Digits if version.minor < 12 => items.cast_signed().unsigned_abs().max(1),
                    Length::Digits => (items >> 3).max(1),
                    _ => items,
                };
                let items = of.itemsize.checked_mul(items).and_then(|bytes| bytes.checked_add(of.basicsize));
                items.and_then(|bytes| bytes.checked_add(offset)).is_some_and(|bytes| bytes <= room)
            }
            Length::Str => {
                let shape = StrShape::at(self.memory, version, addr.wrapping_add(offset));
                shape
                    .and_then(|shape| shape.bytes())
                    .is_some_and(|bytes| offset.saturating_add(bytes) <= room)
            }
        };
        fits.then_some(Object { of: number, dead: !alive, offset: offset as u8 })
    }
}

/// The size that debug hooks have put before a block's bytes.
fn hooked(bytes: &[u8], room: u64) -> Option<u64> {
    let head: &[u8; HOOK as usize] = bytes.first_chunk()?;
    let marked = room > 2 * HOOK && head[9..] == [0xfd; 7] && matches!(head[8], b'o' | b'm' | b'r');
    marked.then(|| word_of(head, 0).swap_bytes()).filter(|size| *size <= room - HOOK)
}

/// The object that is its own type and to which the type of a word's object leads.
fn root_of(memory: &Memory, addr: u64) -> Option<u64> {
    let mut at = memory.word(addr.checked_add(8)?)?;
    for _ in 0..MOST_STEPS {
        if at % 8 != 0 || at == 0 {
            return None;
        }
        let next = memory.word(at.checked_add(8)?)?;
        if next == at {
            return Some(at);
        }
        at = next;
    }
    None
}

fn name_of(memory: &Memory, addr: u64) -> Option<String> {
    let name = memory.word(addr.checked_add(type_object::NAME)?)?;
    memory.text(name, MOST_NAME).filter(|name| !name.is_empty())
}

/// Whether it is a name within a module.
fn is_dotted(name: &str) -> bool {
    let is_identifier =
        |part: &str| !part.is_empty() && part.chars().all(|letter| letter == '_' || letter.is_alphanumeric());
    name.contains('.') && name.split('.').all(is_identifier)
}

fn whole_name(short: String) -> String {
    if short.contains('.') { short } else { format!("builtins.{short}") }
}
