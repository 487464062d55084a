//! glibc's `mtrace`: text, one call a line, each with the place it was called from.

use std::collections::HashMap;

use sim_core::tape::{SourceLine, StackId};

use crate::births::{Origin, PointerTape};
use crate::error::TraceError;
use crate::lines::{Line, LineFormat, hexadecimal};

const REMEDY: &str = "the file is damaged, or two processes wrote into it; set MALLOC_TRACE for one alone";

/// Reads the lines.
#[derive(Debug)]
pub(crate) struct Format {
    tape: PointerTape,
    /// Stacks by the text of the place.
    places: HashMap<Box<[u8]>, StackId>,
    /// The old pointer of a realloc whose new one is on the next line.
    moving: Option<u64>,
    failed_reallocs: u64,
    records: u64,
}

impl Format {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            tape: PointerTape::new(name),
            places: HashMap::new(),
            moving: None,
            failed_reallocs: 0,
            records: 0,
        }
    }

    /// The stack of one frame that a place is.
    fn origin(&mut self, place: &[u8]) -> Origin {
        if place.is_empty() {
            return Origin::default();
        }
        let stack = if let Some(&stack) = self.places.get(place) {
            stack
        } else {
            let (file, function) = split_place(&String::from_utf8_lossy(place));
            let stack =
                self.tape.builder.trace_mut().origin.stacks.intern(&[SourceLine { function, file, line: 0 }]);
            self.places.insert(place.into(), stack);
            stack
        };
        Origin { thread: 0, stack }
    }
}

/// `OBJECT:(SYMBOL+OFFSET)[ADDRESS]` as file and function: the symbol, or the address where there is none.
fn split_place(place: &str) -> (String, String) {
    let (object, rest) = match place.rfind(":(").or_else(|| place.rfind(":[")) {
        Some(at) => (&place[..at], &place[at + 1..]),
        None => ("", place),
    };
    let between = |open: char, close: char| {
        let (_, rest) = rest.split_once(open)?;
        Some(rest.split_once(close)?.0).filter(|s| !s.is_empty())
    };
    let function = between('(', ')').filter(|s| !s.starts_with('+')).or_else(|| between('[', ']'));
    (object.to_owned(), function.unwrap_or(rest).to_owned())
}

/// Place, sign and the words after it.
type Parts<'a> = (&'a [u8], u8, [&'a [u8]; 2]);

/// Cuts a line into its parts. The words are found from the end, for a path may hold anything.
fn split(line: &[u8]) -> Option<Parts<'_>> {
    let mut words = line.rsplitn(4, |&b| b == b' ');
    let (last, second, third) = (words.next()?, words.next()?, words.next());
    let (sign, numbers, used) = match (second, third) {
        ([sign @ (b'-' | b'<')], _) => (*sign, [last, b"".as_slice()], 1 + 1 + last.len()),
        (_, Some([sign @ (b'+' | b'>' | b'!')])) => {
            (*sign, [second, last], 1 + 1 + second.len() + 1 + last.len())
        }
        _ => return None,
    };
    let place = line[..line.len() - used].strip_suffix(b" ").unwrap_or_default();
    Some((place.strip_prefix(b"@ ").unwrap_or(place), sign, numbers))
}

/// glibc prints NULL as `(nil)`.
fn number(word: &[u8]) -> Option<u64> {
    if word == b"(nil)" { Some(0) } else { hexadecimal(word) }
}

impl LineFormat for Format {
    fn line(&mut self, line: &[u8], at: Line) -> Result<(), TraceError> {
        if line.is_empty() || line.starts_with(b"= ") {
            return Ok(());
        }
        let bad = || {
            let shown: String = String::from_utf8_lossy(line).chars().take(40).collect();
            at.syntax(0, format!("`{}` is no call that mtrace writes", shown.escape_debug()), REMEDY)
        };
        let (place, sign, [first, second]) = split(line).ok_or_else(bad)?;
        let pointer = number(first).ok_or_else(bad)?;
        let size = if second.is_empty() { 0 } else { number(second).ok_or_else(bad)? };
        let moving = self.moving.take();
        if moving.is_some() != (sign == b'>') {
            return Err(at.syntax(0, "a realloc is not whole: `<` and `>` belong together", REMEDY));
        }
        self.records += 1;
        let from = self.origin(place);
        match (sign, moving) {
            (b'+', _) => self.tape.malloc(from, pointer, size),
            (b'-', _) => self.tape.free(from, pointer),
            (_, Some(old)) => self.tape.realloc(from, old, pointer, size),
            (b'<', None) => {
                self.records -= 1;
                self.moving = Some(pointer);
                Ok(())
            }
            _ => {
                self.failed_reallocs += 1;
                Ok(())
            }
        }
        .map_err(|e| at.refused(e))
    }

    fn end(&mut self, at: Line) -> Result<(), TraceError> {
        self.tape.note_what_is_missing("mtrace keeps one native frame, the caller");
        let source = &mut self.tape.builder.trace_mut().origin.source;
        source.set("recorder", "glibc mtrace");
        source.lacks("times", "mtrace writes none");
        source.lacks("threads", "mtrace does not write which thread calls");
        source.records = Some(self.records);
        if self.failed_reallocs > 0 {
            source.set("failed_reallocs", self.failed_reallocs.to_string());
        }
        if self.moving.take().is_some() {
            return Err(at.syntax(0, "the file ends inside a realloc", REMEDY));
        }
        Ok(())
    }

    fn tape(&self) -> &PointerTape {
        &self.tape
    }

    fn tape_mut(&mut self) -> &mut PointerTape {
        &mut self.tape
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_object_and_symbol() {
        let split = |p: &str| split_place(p);
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(
            split("/usr/bin/python3:(PyList_New+2a)[0xf71ba]"),
            pair("/usr/bin/python3", "PyList_New+2a")
        );
        assert_eq!(split("./t:[0x1298]"), pair("./t", "0x1298"));
        assert_eq!(split("./t:(+0x1298)[0x55]"), pair("./t", "0x55"));
        assert_eq!(split("[0x1298]"), pair("", "0x1298"));
    }

    #[test]
    fn numbers_are_found_from_the_end() {
        let (place, sign, numbers) = super::split(b"@ /a + 0x1 b/x:[0x9] + 0x55 0x10").unwrap();
        assert_eq!((place, sign), (b"/a + 0x1 b/x:[0x9]".as_slice(), b'+'));
        assert_eq!(numbers, [b"0x55".as_slice(), b"0x10"]);
        assert_eq!(super::split(b"- 0x55").unwrap().0, b"");
        assert!(super::split(b"0x55").is_none());
    }
}
