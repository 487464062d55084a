//! The text of beats: sentences with formulas in braces, terms in double square brackets, code in backticks.

use serde::{Deserialize, Serialize};

use crate::error::LineColumn;
use crate::program::Fault;
use crate::program::expr::{Expr, Scope};

/// A piece of a text as it is written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Written {
    /// Words.
    Words(String),
    /// Code, which may name a block.
    Code(String),
    /// A term of the glossary: its name there, and the words that stand for it here.
    Term(String, String),
    /// A number: its formula, how it is said, and the formula as it is written.
    Number(Expr, Unit, String),
}

/// How a number is said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unit {
    /// Digits in groups of three.
    Plain,
    /// Bytes, in the largest unit that divides them.
    Bytes,
    /// In hexadecimal.
    Hex,
}

/// A piece of a text as it is shown.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Piece {
    /// Words and numbers.
    Words(String),
    /// Code, which may name a block.
    Code(String),
    /// A term of the glossary: its name there, and the words that stand for it here.
    Term(String, String),
}

/// A text, read.
pub fn read(text: &str) -> Result<Vec<Written>, Fault> {
    let mut pieces = Vec::new();
    let mut words = String::new();
    let mut rest = text;
    let at = |rest: &str| LineColumn { line: 1, column: (text.len() - rest.len()) as u64 + 1 };
    while let Some(next) = rest.find(['{', '`', '[']) {
        let (before, from) = rest.split_at(next);
        words.push_str(before);
        let (open, close) = if from.starts_with('{') {
            ("{", "}")
        } else if from.starts_with('`') {
            ("`", "`")
        } else if from.starts_with("[[") {
            ("[[", "]]")
        } else {
            words.push('[');
            rest = &from[1..];
            continue;
        };
        let body = &from[open.len()..];
        let Some(end) = body.find(close) else {
            return Err(Fault::new(
                at(from),
                format!("`{open}` is not closed"),
                format!("close it with `{close}`"),
            ));
        };
        if !words.is_empty() {
            pieces.push(Written::Words(std::mem::take(&mut words)));
        }
        let inner = &body[..end];
        pieces.push(match open {
            "{" => number(inner)?,
            "`" => Written::Code(inner.to_owned()),
            _ => {
                let (term, shown) = inner.split_once('|').unwrap_or((inner, inner));
                Written::Term(term.to_owned(), shown.to_owned())
            }
        });
        rest = &body[end + close.len()..];
    }
    words.push_str(rest);
    if !words.is_empty() {
        pieces.push(Written::Words(words));
    }
    Ok(pieces)
}

fn number(inner: &str) -> Result<Written, Fault> {
    let (formula, unit) = match inner.rsplit_once(':') {
        Some((formula, "bytes")) => (formula, Unit::Bytes),
        Some((formula, "hex")) => (formula, Unit::Hex),
        _ => (inner, Unit::Plain),
    };
    Ok(Written::Number(Expr::parse(formula)?, unit, formula.to_owned()))
}

/// A text as it is shown, with numbers from a scope.
pub fn shown(text: &str, scope: &dyn Scope) -> Result<Vec<Piece>, Fault> {
    let mut pieces: Vec<Piece> = Vec::new();
    for written in read(text)? {
        let words = match written {
            Written::Words(words) => words,
            Written::Number(formula, unit, _) => said(formula.value(scope)?, unit),
            Written::Code(code) => {
                pieces.push(Piece::Code(code));
                continue;
            }
            Written::Term(term, shown) => {
                pieces.push(Piece::Term(term, shown));
                continue;
            }
        };
        match pieces.last_mut() {
            Some(Piece::Words(last)) => last.push_str(&words),
            _ => pieces.push(Piece::Words(words)),
        }
    }
    Ok(pieces)
}

/// A text as plain words; formulas that the scope does not know stand as they are written.
pub fn words(text: &str, scope: &dyn Scope) -> Result<String, Fault> {
    let mut words = String::new();
    for written in read(text)? {
        match written {
            Written::Words(text) | Written::Code(text) | Written::Term(_, text) => words.push_str(&text),
            Written::Number(formula, unit, source) => match formula.value(scope) {
                Ok(value) => words.push_str(&said(value, unit)),
                Err(_) => words.push_str(&source),
            },
        }
    }
    Ok(words)
}

impl Piece {
    /// As plain words.
    pub fn text(&self) -> &str {
        match self {
            Self::Words(text) | Self::Code(text) | Self::Term(_, text) => text,
        }
    }
}

/// A number as words.
pub fn said(value: i64, unit: Unit) -> String {
    const KIB: i64 = 1 << 10;
    const MIB: i64 = 1 << 20;
    match unit {
        Unit::Hex => format!("{value:#x}"),
        Unit::Bytes if value >= MIB && value % MIB == 0 => format!("{} MiB", grouped(value / MIB)),
        Unit::Bytes if value >= KIB && value % KIB == 0 => format!("{} KiB", grouped(value / KIB)),
        Unit::Bytes if value == 1 => "1 byte".to_owned(),
        Unit::Bytes => format!("{} bytes", grouped(value)),
        Unit::Plain => grouped(value),
    }
}

fn grouped(value: i64) -> String {
    let digits = sim_core::report::grouped(value.unsigned_abs());
    if value < 0 { format!("-{digits}") } else { digits }
}
