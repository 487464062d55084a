//! What both forms of lessons share: RON that a person wrote, and places in it.

use ron::extensions::Extensions;

use crate::error::{LineColumn, TraceError};

/// The text, which has to be UTF-8.
pub(crate) fn utf8(text: &[u8]) -> Result<&str, TraceError> {
    std::str::from_utf8(text).map(without_mark).map_err(|error| {
        let at = line_column_of(&text[..error.valid_up_to()], error.valid_up_to());
        TraceError::Ron { at, message: "the text is not UTF-8".to_owned() }
    })
}

/// An editor may put a byte order mark in front, which RON does not know.
pub(super) fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// Reads RON that a person wrote.
pub(super) fn from_ron<T: serde::de::DeserializeOwned>(
    text: &str,
    more: Extensions,
) -> Result<T, TraceError> {
    // A person writes `profile: "cpython-3.9"`, not `Some("cpython-3.9")`.
    let form = ron::Options::default().with_default_extension(Extensions::IMPLICIT_SOME | more);
    form.from_str(text).map_err(|error| {
        let at = error.span.start;
        let message = error.code.to_string();
        TraceError::Ron {
            at: LineColumn { line: at.line as u64, column: at.col as u64 },
            message: message.split_whitespace().collect::<Vec<_>>().join(" "),
        }
    })
}

/// Line and column of a byte.
pub(super) fn line_column_of(text: &[u8], at: usize) -> LineColumn {
    let before = &text[..at.min(text.len())];
    let line_start = before.iter().rposition(|&b| b == b'\n').map_or(0, |p| p + 1);
    let lines = before.split(|&b| b == b'\n').count();
    LineColumn { line: lines as u64, column: (at - line_start) as u64 + 1 }
}

/// The forms of RON that open here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Form {
    /// A list of `operations`.
    Plain,
    /// A lesson of the course, which has `steps`.
    Lesson,
    /// A puzzle, which has `goals`.
    Puzzle,
    /// A quiz, which has `items`.
    Quiz,
}

/// Which form a text has, by the first field that only one of them has.
pub(crate) fn form(text: &str) -> Form {
    let bytes = text.as_bytes();
    // `items` is not a field in `test_items`.
    let word = |byte: Option<&u8>| byte.is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_');
    let (mut at, mut depth) = (0, 0_usize);
    while at < bytes.len() {
        let rest = &bytes[at..];
        if let Some(skip) = skipped(rest) {
            at += skip;
            continue;
        }
        match rest[0] {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ if depth == 1 && !word(at.checked_sub(1).and_then(|before| bytes.get(before))) => {
                let field = |name: &[u8]| rest.starts_with(name) && !word(rest.get(name.len()));
                let forms = [(&b"steps"[..], Form::Lesson), (b"goals", Form::Puzzle), (b"items", Form::Quiz)];
                if let Some((_, form)) = forms.into_iter().find(|(name, _)| field(name)) {
                    return form;
                }
            }
            _ => {}
        }
        at += 1;
    }
    Form::Plain
}

/// Bytes of the string or comment that begins here, if one does.
pub(super) fn skipped(rest: &[u8]) -> Option<usize> {
    match rest {
        [b'r', b'#', b'"', body @ ..] => {
            Some(body.windows(2).position(|w| w == b"\"#").map_or(rest.len(), |e| e + 5))
        }
        [b'"', body @ ..] => {
            let mut escaped = false;
            let end = body.iter().position(|&b| {
                let end = b == b'"' && !escaped;
                escaped = b == b'\\' && !escaped;
                end
            });
            Some(end.map_or(rest.len(), |e| e + 2))
        }
        [b'/', b'/', ..] => Some(rest.iter().position(|&b| b == b'\n').unwrap_or(rest.len())),
        [b'/', b'*', ..] => Some(rest.windows(2).position(|w| w == b"*/").map_or(rest.len(), |e| e + 2)),
        _ => None,
    }
}
