//! From text to statements.

use super::Fault;
use super::expr::{Argument, Cursor, Expr, shown};
use super::token::{Token, tokens};
use crate::error::LineColumn;

/// A program, read and not yet run.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Program {
    pub(super) body: Vec<Statement>,
    /// Fields of the profile that it changes: lines such as `#! arena_size=64K`, with their values as they are written.
    pub settings: Vec<(String, String)>,
    /// The profile that it was written for: `#! profile=cpython-3.9`.
    pub profile: Option<String>,
}

/// One statement, with the place where it begins.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Statement {
    pub(super) at: LineColumn,
    pub(super) what: What,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum What {
    /// A call whose result gets a name, as in `a = malloc(48)`, or gets none.
    Call { target: Option<Target>, name: String, arguments: Vec<Argument> },
    /// A number gets a name.
    Number { name: String, value: Expr },
    /// `for NAME in range(…):`
    For { name: String, range: Vec<Expr>, body: Vec<Statement> },
    /// `if …:`, with what is after `else:`.
    If { condition: Expr, then: Vec<Statement>, otherwise: Vec<Statement> },
    /// `with NAME(…):`
    With { name: String, arguments: Vec<Argument>, body: Vec<Statement> },
}

/// The name of a block.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Target {
    pub(super) name: String,
    pub(super) indices: Vec<Expr>,
}

/// A line with something on it.
struct Line<'a> {
    number: u64,
    indent: usize,
    text: &'a str,
}

/// Statements in statements.
const DEPTH_MAX: usize = 20;

impl Program {
    /// Reads a program. An empty one is a program too.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let mut program = Self::default();
        let mut lines = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let body = line.trim_start();
            if let Some(directive) = body.strip_prefix("#!") {
                let at = LineColumn { line: index as u64 + 1, column: 1 };
                let Some((key, value)) = directive.split_once('=') else {
                    return Err(Fault::new(
                        at,
                        "`#!` needs a field and a value",
                        "write `#! arena_size=64K`, or `#` alone for a remark",
                    ));
                };
                match (key.trim(), value.trim()) {
                    ("profile", value) => program.profile = Some(value.to_owned()),
                    (key, value) => program.settings.push((key.to_owned(), value.to_owned())),
                }
            }
            if !body.is_empty() && !body.starts_with('#') {
                let indent = line.len() - body.len();
                if line[..indent].contains('\t') {
                    return Err(Fault::new(
                        LineColumn { line: index as u64 + 1, column: 1 },
                        "a tab stands in front of the line",
                        "indent with spaces",
                    ));
                }
                lines.push(Line { number: index as u64 + 1, indent, text: body });
            }
        }
        let mut left = lines.as_slice();
        program.body = block(&mut left, 0, 0)?;
        Ok(program)
    }

    /// What it calls, and enters by `with`, in the order in which that is written.
    pub fn calls(&self) -> Vec<(&str, LineColumn)> {
        fn of<'a>(body: &'a [Statement], found: &mut Vec<(&'a str, LineColumn)>) {
            for Statement { at, what } in body {
                match what {
                    What::Call { name, .. } => found.push((name, *at)),
                    What::Number { .. } => {}
                    What::For { body, .. } => of(body, found),
                    What::If { then, otherwise, .. } => {
                        of(then, found);
                        of(otherwise, found);
                    }
                    What::With { name, body, .. } => {
                        found.push((name, *at));
                        of(body, found);
                    }
                }
            }
        }
        let mut found = Vec::new();
        of(&self.body, &mut found);
        found
    }
}

/// The statements of one indentation. `left` is what comes after.
fn block(left: &mut &[Line<'_>], indent: usize, depth: usize) -> Result<Vec<Statement>, Fault> {
    let mut body = Vec::new();
    while let Some(line) = left.first() {
        let at = LineColumn { line: line.number, column: line.indent as u64 + 1 };
        if line.indent < indent {
            break;
        }
        if line.indent > indent {
            return Err(Fault::new(
                at,
                "this line is indented and belongs to no `for`, `if` or `with`",
                "begin it where the line above begins",
            ));
        }
        if depth > DEPTH_MAX {
            return Err(Fault::new(
                at,
                "statements lie too deep in each other",
                "write it with fewer levels",
            ));
        }
        *left = &left[1..];
        body.push(statement(line, at, left, depth)?);
    }
    Ok(body)
}

fn statement(
    line: &Line<'_>,
    at: LineColumn,
    left: &mut &[Line<'_>],
    depth: usize,
) -> Result<Statement, Fault> {
    let end = LineColumn { line: line.number, column: (line.indent + line.text.len()) as u64 + 1 };
    let mut cursor = Cursor::new(tokens(line.text, line.number, line.indent as u64 + 1)?, end);
    let what = one(&mut cursor, line, left, depth)?;
    Ok(Statement { at, what })
}

fn one(cursor: &mut Cursor, line: &Line<'_>, left: &mut &[Line<'_>], depth: usize) -> Result<What, Fault> {
    if cursor.takes_word("for") {
        let at = cursor.at();
        let Some(Token::Name(name)) = cursor.next() else {
            return Err(Fault::new(at, "`for` needs a name", "write `for i in range(10):`"));
        };
        let at = cursor.at();
        if !(cursor.takes_word("in") && cursor.takes_word("range") && cursor.takes("(")) {
            return Err(Fault::new(at, "`for` counts and does nothing else", "write `for i in range(10):`"));
        }
        let range: Vec<Expr> = cursor.arguments()?.into_iter().map(|a| a.value).collect();
        if range.is_empty() || range.len() > 3 {
            return Err(Fault::new(
                at,
                "range() takes one to three numbers",
                "write range(10), range(1, 11) or range(9, -1, -1)",
            ));
        }
        let body = suite(cursor, line, left, depth)?;
        return Ok(What::For { name, range, body });
    }
    if cursor.takes_word("if") {
        let condition = cursor.formula()?;
        let then = suite(cursor, line, left, depth)?;
        let mut otherwise = Vec::new();
        if let Some(next) =
            left.first().filter(|next| next.indent == line.indent && next.text.starts_with("else"))
        {
            let end = LineColumn { line: next.number, column: (next.indent + next.text.len()) as u64 + 1 };
            let mut cursor = Cursor::new(tokens(next.text, next.number, next.indent as u64 + 1)?, end);
            if cursor.takes_word("else") {
                let (next, rest) = (left.first(), left.get(1..).unwrap_or_default());
                let next = next.map_or(line, |next| next);
                let mut after = rest;
                otherwise = suite(&mut cursor, next, &mut after, depth)?;
                *left = after;
            }
        }
        return Ok(What::If { condition, then, otherwise });
    }
    if cursor.takes_word("with") {
        let at = cursor.at();
        let Some(Token::Name(name)) = cursor.next() else {
            return Err(Fault::new(
                at,
                "`with` needs a name",
                "write `with tracemalloc():` or `with thread(1):`",
            ));
        };
        let arguments = if cursor.takes("(") { cursor.arguments()? } else { Vec::new() };
        let body = suite(cursor, line, left, depth)?;
        return Ok(What::With { name, arguments, body });
    }
    let what = simple(cursor)?;
    cursor.end()?;
    Ok(what)
}

/// What is under a colon: the rest of the line, or the lines that are indented more.
fn suite(
    cursor: &mut Cursor,
    line: &Line<'_>,
    left: &mut &[Line<'_>],
    depth: usize,
) -> Result<Vec<Statement>, Fault> {
    cursor.expect(":")?;
    if cursor.peek().is_some() {
        let at = cursor.at();
        let what = if matches!(cursor.peek(), Some(Token::Name(word)) if matches!(word.as_str(), "for" | "if" | "with"))
        {
            one(cursor, line, left, depth + 1)?
        } else {
            let what = simple(cursor)?;
            cursor.end()?;
            what
        };
        return Ok(vec![Statement { at, what }]);
    }
    match left.first() {
        Some(next) if next.indent > line.indent => block(left, next.indent, depth + 1),
        _ => Err(Fault::new(
            cursor.at(),
            "nothing is under this line",
            "indent what it repeats by four spaces, or write it behind the colon",
        )),
    }
}

/// An assignment or a call.
fn simple(cursor: &mut Cursor) -> Result<What, Fault> {
    /// Calls that make a block.
    const MAKERS: &[&str] = &["malloc", "calloc", "realloc", "virtual_alloc"];
    let at = cursor.at();
    match cursor.formula()? {
        Expr::Call(name, arguments, _) => Ok(What::Call { target: None, name, arguments }),
        target @ (Expr::Name(..) | Expr::Element(..)) if cursor.takes("=") => {
            let made = match cursor.peek() {
                Some(Token::Name(name)) if MAKERS.contains(&name.as_str()) => Some(name.clone()),
                _ => None,
            };
            match (target, made) {
                (Expr::Name(name, _), None) => Ok(What::Number { name, value: cursor.formula()? }),
                (Expr::Name(name, _), Some(call)) => {
                    made_by(cursor, Target { name, indices: Vec::new() }, call)
                }
                (Expr::Element(name, indices, _), Some(call)) => {
                    made_by(cursor, Target { name, indices }, call)
                }
                _ => Err(Fault::new(at, "only blocks can be elements", "write x[i] = malloc(…)")),
            }
        }
        Expr::Name(name, _) => Err(Fault::new(
            at,
            format!("`{name}` alone does nothing"),
            "write a call, as in free(a), or an assignment, as in a = malloc(48)",
        )),
        _ => {
            let found = cursor.peek().map_or(String::new(), |token| format!(" before {}", shown(token)));
            Err(Fault::new(
                at,
                format!("this does nothing{found}"),
                "write a call, as in free(a), or an assignment, as in a = malloc(48)",
            ))
        }
    }
}

fn made_by(cursor: &mut Cursor, target: Target, name: String) -> Result<What, Fault> {
    cursor.next();
    cursor.expect("(")?;
    Ok(What::Call { target: Some(target), name, arguments: cursor.arguments()? })
}
