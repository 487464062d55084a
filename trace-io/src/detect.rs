//! Which format bytes are, told from the first of them.

use crate::atrace::MAGIC;
use crate::error::TraceError;
use crate::format::{Format, HEAD_BYTES};
use crate::{block_reader, csv, memray, mtrace_utils, refused, stats_lines};

/// What the first bytes say; `head` is shorter than [`HEAD_BYTES`] only where the file is.
pub(crate) fn detect(head: &[u8]) -> Result<Format, TraceError> {
    if head.starts_with(memray::MAGIC) {
        return Ok(Format::Memray);
    }
    if head.starts_with(&MAGIC) {
        return Ok(Format::Atrace);
    }
    if mtrace_utils::is_magic(head) {
        return Ok(Format::MtraceUtils);
    }
    // A table's name or note may quote the line that a picture is known by; its own first line says more.
    if let Some(format) = recorded_text(head) {
        return Ok(format);
    }
    if stats_lines::is_in(head) && !is_lesson(head) {
        return Ok(Format::StatsText);
    }
    if head.windows(block_reader::BEGINNING.len()).any(|w| w == block_reader::BEGINNING)
        && !is_lesson(head)
        && !head.starts_with(b"#!")
    {
        return Ok(Format::BlockMessage);
    }
    if let Some(error) = refused::refused(head) {
        return Err(error);
    }
    text_format(head)
}

/// The recorders' formats that are text.
fn recorded_text(head: &[u8]) -> Option<Format> {
    let first = head.split(|&b| b == b'\n').next().unwrap_or_default();
    let all = |words: &[u8]| words.iter().all(|&b| b.is_ascii_hexdigit() || matches!(b, b' ' | b'\r'));
    match first {
        [b'v', b' ', version @ ..] if all(version) && version.contains(&b' ') => {
            // An interpreted file is refused by name.
            refused::refused(head).is_none().then_some(Format::Heaptrack)
        }
        _ if first.starts_with(b"= Start") => Some(Format::Mtrace),
        [b'@', b' ', ..] if first.windows(5).any(|w| matches!(w, b"] + 0" | b"] - 0" | b"] < 0")) => {
            Some(Format::Mtrace)
        }
        _ => csv::is_header(first).then_some(Format::Csv),
    }
}

/// Whether it begins as a lesson does, with comments or a field. A terminal's text can begin with `(` too.
fn is_lesson(head: &[u8]) -> bool {
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    let field = |text: &[u8]| {
        let text = text.trim_ascii_start();
        let name = text.iter().take_while(|b| b.is_ascii_alphabetic() || **b == b'_').count();
        name > 0 && text[name..].trim_ascii_start().starts_with(b":")
    };
    matches!(text, [b'/', b'/' | b'*', ..])
        || text.starts_with(b"#![")
        || unnamed(text).strip_prefix(b"(").is_some_and(field)
}

/// RON without the name that a lesson, a puzzle or a quiz may give itself: `Lesson(…)`.
fn unnamed(text: &[u8]) -> &[u8] {
    let name = [&b"Lesson"[..], b"Puzzle", b"Quiz"].into_iter().find_map(|name| text.strip_prefix(name));
    let named = name.map(<[u8]>::trim_ascii_start);
    named.filter(|rest| rest.starts_with(b"(")).unwrap_or(text)
}

/// The formats that are text.
fn text_format(head: &[u8]) -> Result<Format, TraceError> {
    let unknown =
        |offset: usize, what: String| Err(TraceError::UnknownFormat { offset: offset as u64, what });
    if let Some(at) =
        head.iter().position(|&b| b == 0x7f || (b < 0x20 && !matches!(b, b'\n' | b'\r' | b'\t')))
    {
        if head[at] == 0
            && head.len() > 3
            && (head[0] == 0) != (head[1] == 0)
            && (head[2] == 0) == (head[0] == 0)
        {
            return unknown(at, "the text is UTF-16 without its mark; save it as UTF-8".to_owned());
        }
        return unknown(at, format!("byte value {:#04x} is no text", head[at]));
    }
    // A character may be cut at the end of the head.
    if let Err(error) = std::str::from_utf8(head)
        && error.error_len().is_some()
    {
        return unknown(error.valid_up_to(), "the text is not UTF-8".to_owned());
    }
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    match text.iter().find(|b| !b.is_ascii_whitespace()) {
        None if head.len() < HEAD_BYTES => Err(TraceError::Empty),
        Some(b'(' | b'/') => Ok(Format::Ron),
        Some(b'#') if text.trim_ascii_start().starts_with(b"#![") => Ok(Format::Ron),
        Some(b'L' | b'P' | b'Q') if unnamed(text.trim_ascii_start()).starts_with(b"(") => Ok(Format::Ron),
        _ => Ok(Format::Ptrace),
    }
}
