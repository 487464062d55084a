//! Words and signs of one line.

use super::Fault;
use crate::error::LineColumn;

/// A word or sign.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Token {
    Int(i64),
    /// A name; points belong to it, as in `arena.size`.
    Name(String),
    Text(String),
    Sign(&'static str),
}

/// Signs, longest first.
const SIGNS: &[&str] =
    &["**", "//", "==", "!=", "<=", ">=", "(", ")", "[", "]", ",", ":", "+", "-", "*", "%", "<", ">", "="];

/// The tokens of a line with the column that each begins at. `line` is counted from 1, `column` is that of the text's
/// first byte. What follows `#` is a remark.
pub(super) fn tokens(text: &str, line: u64, column: u64) -> Result<Vec<(Token, LineColumn)>, Fault> {
    let mut found = Vec::new();
    let mut rest = text;
    loop {
        let trimmed = rest.trim_start();
        let at = LineColumn { line, column: column + (text.len() - trimmed.len()) as u64 };
        rest = trimmed;
        let Some(first) = rest.chars().next() else { return Ok(found) };
        let (token, taken) = if first == '#' {
            return Ok(found);
        } else if first.is_ascii_digit() {
            number(rest, at)?
        } else if first.is_alphabetic() || first == '_' {
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '.').unwrap_or(rest.len());
            (Token::Name(rest[..end].to_owned()), end)
        } else if first == '"' || first == '\'' {
            let body = &rest[1..];
            let end = body.find(first).ok_or_else(|| {
                Fault::new(at, "a text begins here and does not end", format!("close it with {first}"))
            })?;
            (Token::Text(body[..end].to_owned()), end + 2)
        } else if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            (Token::Sign(sign), sign.len())
        } else {
            return Err(Fault::new(at, format!("`{first}` means nothing here"), "leave it out"));
        };
        found.push((token, at));
        rest = &rest[taken..];
    }
}

/// `48`, `1_000`, `0x30`.
fn number(rest: &str, at: LineColumn) -> Result<(Token, usize), Fault> {
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
    let digits = rest[..end].replace('_', "");
    let value = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(hex) => i64::from_str_radix(hex, 16),
        None => digits.parse(),
    };
    let value = value.map_err(|_| {
        Fault::new(
            at,
            format!("`{}` is no number", &rest[..end]),
            "write digits, as in 48 or 0x30, below 2^63",
        )
    })?;
    Ok((Token::Int(value), end))
}
