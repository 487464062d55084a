//! The file around the tables.

use crate::FontError;

const DIRECTORY: &str = "directory";
const TRUE_TYPE: u32 = 0x0001_0000;
const HEADER: usize = 12;
const ENTRY: usize = 16;
/// What all words of a font and its adjustment in `head` sum up to.
const WHOLE: u32 = 0xb1b0_afba;
/// Where that adjustment is in `head`.
const ADJUSTMENT: usize = 8;

pub(crate) fn u16_at(bytes: &[u8], at: usize, table: &'static str) -> Result<u16, FontError> {
    let word = bytes.get(at..at + 2).and_then(|word| word.try_into().ok());
    word.map(u16::from_be_bytes).ok_or(FontError::Short(table))
}

pub(crate) fn u32_at(bytes: &[u8], at: usize, table: &'static str) -> Result<u32, FontError> {
    let word = bytes.get(at..at + 4).and_then(|word| word.try_into().ok());
    word.map(u32::from_be_bytes).ok_or(FontError::Short(table))
}

/// A table with its tag.
pub(crate) type Table<'a> = (&'a [u8], &'a [u8]);

/// The tables of a font.
pub(crate) fn tables(font: &[u8]) -> Result<Vec<Table<'_>>, FontError> {
    let kind = u32_at(font, 0, DIRECTORY)?;
    if kind != TRUE_TYPE {
        return Err(FontError::Kind(kind));
    }
    let count = usize::from(u16_at(font, 4, DIRECTORY)?);
    let mut tables = Vec::with_capacity(count);
    for entry in (HEADER..).step_by(ENTRY).take(count) {
        let tag = font.get(entry..entry + 4).ok_or(FontError::Short(DIRECTORY))?;
        let begin = u32_at(font, entry + 8, DIRECTORY)? as usize;
        let bytes = u32_at(font, entry + 12, DIRECTORY)? as usize;
        let table = font.get(begin..).and_then(|rest| rest.get(..bytes));
        tables.push((tag, table.ok_or(FontError::Short(DIRECTORY))?));
    }
    Ok(tables)
}

pub(crate) fn find<'a>(tables: &[Table<'a>], tag: &str) -> Option<&'a [u8]> {
    tables.iter().find(|(of, _)| *of == tag.as_bytes()).map(|(_, table)| *table)
}

/// A font of these tables, which are in the order of their tags.
pub(crate) fn file(tables: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let count = tables.len() as u16;
    let steps = count.ilog2();
    let range = (ENTRY as u16) << steps;
    let mut file = Vec::new();
    file.extend(TRUE_TYPE.to_be_bytes());
    for word in [count, range, steps as u16, count * ENTRY as u16 - range] {
        file.extend(word.to_be_bytes());
    }
    let mut begin = HEADER + ENTRY * tables.len();
    let mut head = 0;
    for (tag, table) in tables {
        if *tag == "head" {
            head = begin;
        }
        file.extend(tag.as_bytes());
        for word in [sum(table), begin as u32, table.len() as u32] {
            file.extend(word.to_be_bytes());
        }
        begin += table.len().next_multiple_of(4);
    }
    for (_, table) in tables {
        file.extend(table);
        file.resize(file.len().next_multiple_of(4), 0);
    }
    let adjustment = WHOLE.wrapping_sub(sum(&file));
    file[head + ADJUSTMENT..head + ADJUSTMENT + 4].copy_from_slice(&adjustment.to_be_bytes());
    file
}

/// `head` with no adjustment yet, as it is summed.
pub(crate) fn unadjusted(head: &mut [u8]) {
    head[ADJUSTMENT..ADJUSTMENT + 4].fill(0);
}

/// All words of a table.
fn sum(table: &[u8]) -> u32 {
    table.chunks(4).fold(0, |sum, chunk| {
        let mut word = [0; 4];
        word[..chunk.len()].copy_from_slice(chunk);
        sum.wrapping_add(u32::from_be_bytes(word))
    })
}
