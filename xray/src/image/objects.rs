//! The few contents of objects that names are made of: strings, and the values of dicts by such a key.

use super::layout::Version;
use super::memory::Memory;

/// Letters of a name that are read.
const MOST_LETTERS: u64 = 512;
/// Entries of a dict that are looked through.
const MOST_ENTRIES: u64 = 1 << 20;
/// Members of strings and dicts.
const LENGTH: u64 = 16;
const STATE: u64 = 32;
const KEYS: u64 = 32;
const VALUES: u64 = 40;

/// How a string lies in memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct StrShape {
    /// Letters.
    pub(super) length: u64,
    /// Bytes of a letter: 1, 2 or 4, or 0 for one that is not ready.
    pub(super) kind: u64,
    /// Bytes before the letters, or of the whole header where they lie elsewhere.
    pub(super) header: u64,
    /// Whether the letters lie behind the header.
    pub(super) compact: bool,
    /// Whether all are ASCII.
    pub(super) ascii: bool,
}

impl StrShape {
    /// Of the string at an address; `None` where its state is none that a string has.
    pub(super) fn at(memory: &Memory, version: Version, addr: u64) -> Option<Self> {
        let length = memory.word(addr.wrapping_add(LENGTH))?;
        let state = memory.half(addr.wrapping_add(STATE))?;
        let kind = u64::from(state >> 2) & 7;
        let (compact, ascii) = (state & 1 << 5 != 0, state & 1 << 6 != 0);
        let (of_ascii, of_other) = version.str_headers();
        let header = match (compact, ascii) {
            (true, true) => of_ascii,
            (true, false) => of_other,
            (false, _) => of_other + 8,
        };
        matches!(kind, 0 | 1 | 2 | 4).then_some(Self { length, kind, header, compact, ascii })
    }

    /// Behind the last of its words that are pointers: of ASCII text there is none.
    pub(super) fn pointers(&self) -> u64 {
        if self.compact && self.ascii { 0 } else { self.header }
    }

    /// Bytes that it takes.
    pub(super) fn bytes(&self) -> Option<u64> {
        let letters = if self.compact { self.length.checked_add(1)?.checked_mul(self.kind)? } else { 0 };
        self.header.checked_add(letters)
    }
}

/// The text of the string at an address.
pub(super) fn text(memory: &Memory, version: Version, addr: u64) -> Option<String> {
    let shape = StrShape::at(memory, version, addr)?;
    if !shape.compact || shape.kind == 0 || shape.length > MOST_LETTERS {
        return None;
    }
    let bytes = memory.bytes(addr.wrapping_add(shape.header), shape.length * shape.kind, 4 * MOST_LETTERS)?;
    let letter = |bytes: &[u8]| {
        let code = bytes.iter().rev().fold(0_u32, |code, byte| code << 8 | u32::from(*byte));
        char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
    };
    Some(bytes.chunks_exact(shape.kind as usize).map(letter).collect())
}

/// The int at an address, where it has one digit at most.
pub(super) fn int(memory: &Memory, version: Version, addr: u64) -> Option<i64> {
    let size = memory.word(addr.checked_add(LENGTH)?)?;
    let digit = i64::from(memory.half(addr.checked_add(24)?)?);
    if version.minor < 12 {
        return match size.cast_signed() {
            0 => Some(0),
            1 => Some(digit),
            -1 => Some(-digit),
            _ => None,
        };
    }
    match (size >> 3, size & 3) {
        (_, 1) => Some(0),
        (1, 2) => Some(-digit),
        (1, _) => Some(digit),
        _ => None,
    }
}

/// The value that a dict has for a key.
pub(super) fn dict_value(memory: &Memory, version: Version, dict: u64, key: &str) -> Option<u64> {
    let keys = memory.word(dict.wrapping_add(KEYS))?;
    let values = memory.word(dict.wrapping_add(VALUES))?;
    let (entries, entry_bytes, count) = entries(memory, version, keys)?;
    for index in 0..count.min(MOST_ENTRIES) {
        let entry = entries.checked_add(index * entry_bytes)?;
        // The hash stands before the key where there are keys that are no strings.
        let at = entry.wrapping_add(entry_bytes - 16);
        let name = memory.word(at)?;
        if name == 0 || text(memory, version, name).as_deref() != Some(key) {
            continue;
        }
        let value = if values == 0 {
            memory.word(at.wrapping_add(8))?
        } else {
            memory.word(values.wrapping_add(if version.minor < 13 { 0 } else { 8 } + 8 * index))?
        };
        return (value != 0).then_some(value);
    }
    None
}

/// Where the entries of a keys object begin, the bytes of one, and how many there are.
pub(super) fn entries(memory: &Memory, version: Version, keys: u64) -> Option<(u64, u64, u64)> {
    if version.minor < 11 {
        let size = memory.word(keys.wrapping_add(8))?;
        let width = match size {
            0..=0xff => 1,
            0x100..=0xffff => 2,
            0x1_0000..=0xffff_ffff => 4,
            _ => return None,
        };
        return Some((keys.checked_add(40 + size * width)?, 24, memory.word(keys.wrapping_add(32))?));
    }
    let (index_bits, kind) = (memory.byte(keys.wrapping_add(9))?, memory.byte(keys.wrapping_add(10))?);
    let index_bytes = 1_u64.checked_shl(u32::from(index_bits)).filter(|bytes| *bytes < 1 << 40)?;
    let entry_bytes = if kind == 0 { 24 } else { 16 };
    Some((keys.checked_add(32 + index_bytes)?, entry_bytes, memory.word(keys.wrapping_add(24))?))
}
