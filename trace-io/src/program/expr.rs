//! Formulas: whole numbers over the constants of a build, and over whatever else a [`Scope`] knows.
//!
//! The same formulas stand in programs (`range(blocks(512))`), in the text of lessons (`{pool.size}`) and in their
//! claims (`addr(c) == addr(b[3])`). True is 1, false is 0.

#![expect(clippy::cast_possible_wrap, reason = "sizes and counts of a heap lie far below 2^63")]

use sim_core::{Profile, SizeClass};

use super::Fault;
use super::token::{Token, tokens};
use crate::error::LineColumn;

/// A formula.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Expr {
    /// A number.
    Int(i64),
    /// A text, as an argument.
    Text(String),
    /// A constant, a variable, or the name of a block.
    Name(String, LineColumn),
    /// An element, as in `b[4]` or `grid[1][2]`.
    Element(String, Vec<Expr>, LineColumn),
    /// A function.
    Call(String, Vec<Argument>, LineColumn),
    /// `-x`.
    Minus(Box<Expr>),
    /// `not x`.
    Not(Box<Expr>),
    /// Two formulas joined.
    Binary(Operator, Box<Expr>, Box<Expr>, LineColumn),
}

/// An argument of a function.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Argument {
    /// Its keyword, where it has one.
    pub keyword: Option<String>,
    /// What is passed.
    pub value: Expr,
}

/// What joins two formulas.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs, reason = "their names are Python's")]
pub enum Operator {
    Or,
    And,
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    Add,
    Subtract,
    Multiply,
    FloorDivide,
    Modulo,
    Power,
}

impl Operator {
    fn of(token: &Token) -> Option<Self> {
        Some(match token {
            Token::Name(word) if word == "or" => Self::Or,
            Token::Name(word) if word == "and" => Self::And,
            Token::Sign("==") => Self::Equal,
            Token::Sign("!=") => Self::NotEqual,
            Token::Sign("<") => Self::Less,
            Token::Sign("<=") => Self::LessEqual,
            Token::Sign(">") => Self::Greater,
            Token::Sign(">=") => Self::GreaterEqual,
            Token::Sign("+") => Self::Add,
            Token::Sign("-") => Self::Subtract,
            Token::Sign("*") => Self::Multiply,
            Token::Sign("//") => Self::FloorDivide,
            Token::Sign("%") => Self::Modulo,
            Token::Sign("**") => Self::Power,
            _ => return None,
        })
    }

    /// How tightly it binds; `not` lies between `and` and comparisons.
    fn rank(self) -> u8 {
        match self {
            Self::Or => 1,
            Self::And => 2,
            Self::Equal
            | Self::NotEqual
            | Self::Less
            | Self::LessEqual
            | Self::Greater
            | Self::GreaterEqual => 4,
            Self::Add | Self::Subtract => 5,
            Self::Multiply | Self::FloorDivide | Self::Modulo => 6,
            Self::Power => 8,
        }
    }

    fn apply(self, left: i64, right: i64) -> Option<i64> {
        Some(match self {
            Self::Or => i64::from(left != 0 || right != 0),
            Self::And => i64::from(left != 0 && right != 0),
            Self::Equal => i64::from(left == right),
            Self::NotEqual => i64::from(left != right),
            Self::Less => i64::from(left < right),
            Self::LessEqual => i64::from(left <= right),
            Self::Greater => i64::from(left > right),
            Self::GreaterEqual => i64::from(left >= right),
            Self::Add => left.checked_add(right)?,
            Self::Subtract => left.checked_sub(right)?,
            Self::Multiply => left.checked_mul(right)?,
            Self::FloorDivide => left.checked_div_euclid(right)?,
            Self::Modulo => left.checked_rem_euclid(right)?,
            Self::Power => left.checked_pow(u32::try_from(right).ok()?)?,
        })
    }
}

/// What names and functions mean.
pub trait Scope {
    /// A name's value; `None` where nothing is called so.
    fn name(&self, name: &str) -> Option<i64>;

    /// A function's value; `None` where no function is called so. Arguments come as they are written, since some
    /// functions take blocks and not numbers.
    fn call(&self, name: &str, arguments: &[Argument]) -> Option<Result<i64, String>>;
}

impl Expr {
    /// Reads a formula that stands alone.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let mut cursor =
            Cursor::new(tokens(text, 1, 1)?, LineColumn { line: 1, column: text.len() as u64 + 1 });
        let expr = cursor.formula()?;
        cursor.end()?;
        Ok(expr)
    }

    /// Its value.
    pub fn value(&self, scope: &dyn Scope) -> Result<i64, Fault> {
        match self {
            Self::Int(value) => Ok(*value),
            Self::Text(text) => Err(Fault::new(
                LineColumn { line: 1, column: 1 },
                format!("\"{text}\" is a text where a number is needed"),
                "write a number or a formula",
            )),
            Self::Name(name, at) => scope.name(name).ok_or_else(|| {
                Fault::new(
                    *at,
                    format!("nothing is called `{name}` here"),
                    "name a variable that was set before, or one of the build's constants",
                )
            }),
            Self::Element(name, _, at) => Err(Fault::new(
                *at,
                format!("`{name}[…]` is a block where a number is needed"),
                "ask something of it, as in addr(…)",
            )),
            Self::Call(name, arguments, at) => match scope.call(name, arguments) {
                Some(value) => value.map_err(|problem| {
                    Fault::new(*at, problem, "see the list of functions in docs/program.md")
                }),
                None => Err(Fault::new(
                    *at,
                    format!("there is no function `{name}`"),
                    "see the list of functions in docs/program.md",
                )),
            },
            Self::Minus(inner) => Ok(inner.value(scope)?.wrapping_neg()),
            Self::Not(inner) => Ok(i64::from(inner.value(scope)? == 0)),
            Self::Binary(operator, left, right, at) => {
                let left = left.value(scope)?;
                // What does not count is not asked: a block of a branch that was not taken has no address.
                match operator {
                    Operator::Or if left != 0 => return Ok(1),
                    Operator::And if left == 0 => return Ok(0),
                    _ => {}
                }
                operator.apply(left, right.value(scope)?).ok_or_else(|| {
                    Fault::new(
                        *at,
                        "this has no value: division by zero, or a number of 2^63 or more",
                        "keep numbers smaller",
                    )
                })
            }
        }
    }
}

/// Tokens on their way into formulas and statements.
pub(super) struct Cursor {
    tokens: std::vec::IntoIter<(Token, LineColumn)>,
    end: LineColumn,
    depth: u32,
}

/// Brackets in brackets.
const DEPTH_MAX: u32 = 100;

impl Cursor {
    pub(super) fn new(tokens: Vec<(Token, LineColumn)>, end: LineColumn) -> Self {
        Self { tokens: tokens.into_iter(), end, depth: 0 }
    }

    pub(super) fn at(&self) -> LineColumn {
        self.tokens.as_slice().first().map_or(self.end, |(_, at)| *at)
    }

    pub(super) fn peek(&self) -> Option<&Token> {
        self.tokens.as_slice().first().map(|(token, _)| token)
    }

    pub(super) fn peek_at(&self, ahead: usize) -> Option<&Token> {
        self.tokens.as_slice().get(ahead).map(|(token, _)| token)
    }

    pub(super) fn next(&mut self) -> Option<Token> {
        self.tokens.next().map(|(token, _)| token)
    }

    /// Takes a sign if it comes next.
    pub(super) fn takes(&mut self, sign: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Sign(next)) if *next == sign);
        if found {
            self.next();
        }
        found
    }

    /// Takes a word if it comes next.
    pub(super) fn takes_word(&mut self, word: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Name(next)) if next == word);
        if found {
            self.next();
        }
        found
    }

    pub(super) fn expect(&mut self, sign: &str) -> Result<(), Fault> {
        let at = self.at();
        if self.takes(sign) {
            return Ok(());
        }
        let found =
            self.peek().map_or("the line ends".to_owned(), |token| format!("{} stands here", shown(token)));
        Err(Fault::new(at, format!("{found} where `{sign}` is needed"), format!("write `{sign}`")))
    }

    pub(super) fn end(&self) -> Result<(), Fault> {
        match self.peek() {
            None => Ok(()),
            Some(token) => Err(Fault::new(
                self.at(),
                format!("{} stands here, where the line should end", shown(token)),
                "one statement a line",
            )),
        }
    }

    pub(super) fn formula(&mut self) -> Result<Expr, Fault> {
        self.binary(1)
    }

    fn binary(&mut self, rank_min: u8) -> Result<Expr, Fault> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(Fault::new(
                self.at(),
                "brackets lie too deep in each other",
                "write less in one formula",
            ));
        }
        let mut left = self.unary()?;
        while let Some(operator) = self.peek().and_then(Operator::of).filter(|o| o.rank() >= rank_min) {
            let at = self.at();
            self.next();
            // Powers bind to the right.
            let next = operator.rank() + u8::from(operator != Operator::Power);
            let right = self.binary(next)?;
            left = Expr::Binary(operator, Box::new(left), Box::new(right), at);
        }
        self.depth -= 1;
        Ok(left)
    }

    fn unary(&mut self) -> Result<Expr, Fault> {
        if self.takes("-") {
            return Ok(Expr::Minus(Box::new(self.binary(7)?)));
        }
        if self.takes_word("not") {
            return Ok(Expr::Not(Box::new(self.binary(3)?)));
        }
        self.operand()
    }

    fn operand(&mut self) -> Result<Expr, Fault> {
        let at = self.at();
        match self.next() {
            Some(Token::Int(value)) => Ok(Expr::Int(value)),
            Some(Token::Text(text)) => Ok(Expr::Text(text)),
            Some(Token::Name(name)) => match name.as_str() {
                "True" => Ok(Expr::Int(1)),
                "False" => Ok(Expr::Int(0)),
                _ if self.takes("(") => Ok(Expr::Call(name, self.arguments()?, at)),
                _ if matches!(self.peek(), Some(Token::Sign("["))) => {
                    let mut indices = Vec::new();
                    while self.takes("[") {
                        indices.push(self.formula()?);
                        self.expect("]")?;
                    }
                    Ok(Expr::Element(name, indices, at))
                }
                _ => Ok(Expr::Name(name, at)),
            },
            Some(Token::Sign("(")) => {
                let inner = self.formula()?;
                self.expect(")")?;
                Ok(inner)
            }
            Some(token) => Err(Fault::new(
                at,
                format!("{} stands where a number is needed", shown(&token)),
                "write a number or a formula",
            )),
            None => {
                Err(Fault::new(at, "the line ends where a number is needed", "write a number or a formula"))
            }
        }
    }

    /// Arguments up to the closing bracket; the opening one was taken.
    pub(super) fn arguments(&mut self) -> Result<Vec<Argument>, Fault> {
        let mut arguments = Vec::new();
        if self.takes(")") {
            return Ok(arguments);
        }
        loop {
            let keyword = match (self.peek(), self.peek_at(1)) {
                (Some(Token::Name(name)), Some(Token::Sign("="))) => Some(name.clone()),
                _ => None,
            };
            if keyword.is_some() {
                self.next();
                self.next();
            }
            arguments.push(Argument { keyword, value: self.formula()? });
            if self.takes(")") {
                return Ok(arguments);
            }
            self.expect(",")?;
        }
    }
}

pub(super) fn shown(token: &Token) -> String {
    match token {
        Token::Int(value) => format!("`{value}`"),
        Token::Name(name) => format!("`{name}`"),
        Token::Text(text) => format!("\"{text}\""),
        Token::Sign(sign) => format!("`{sign}`"),
    }
}

/// Constants of a build, and what follows from them.
pub struct Constants<'a>(pub &'a Profile);

/// The names that [`Constants`] knows, with what they are.
pub const CONSTANTS: &[(&str, &str)] = &[
    ("arena.size", "ARENA_SIZE in bytes"),
    ("arena.pools", "pools that an arena has, one less where it begins between pool borders"),
    ("pool.size", "POOL_SIZE in bytes"),
    ("pool.header", "POOL_OVERHEAD in bytes"),
    ("alignment", "ALIGNMENT: the step between size classes, in bytes"),
    ("pointer", "SIZEOF_VOID_P: bytes of a pointer"),
    ("threshold", "SMALL_REQUEST_THRESHOLD: the largest small request"),
    ("classes", "NB_SMALL_SIZE_CLASSES"),
    ("version", "the CPython version: 308 is 3.8, 314 is 3.14"),
    ("keeps_last", "1 where a wholly free arena that is last on its list stays (3.9 and later)"),
    ("radix", "1 where a radix tree tells whose pointer it is (3.10 and later)"),
    ("misaligned", "1 where arenas begin between pool borders"),
    ("free_threaded", "1 in a build without a GIL"),
    ("mimalloc", "the mimalloc that the build brings along: 212 is 2.1.2, 252 is 2.5.2, 0 is none"),
];

/// The functions that [`Constants`] knows, with what they are.
pub const FUNCTIONS: &[(&str, &str)] = &[
    ("block(n)", "INDEX2SIZE: bytes of the block that a request of n bytes takes"),
    ("size_class(n)", "the class of a request of n bytes, as in szidx"),
    ("blocks(n)", "NUMBLOCKS: blocks of a pool that serves requests of n bytes"),
    ("lost(n)", "bytes at the end of such a pool that hold no block"),
    ("waste(n)", "bytes of its block that a request of n bytes does not use"),
    ("min(a, b)", "the smaller"),
    ("max(a, b)", "the greater"),
];

impl Constants<'_> {
    fn class(&self, bytes: i64) -> Result<SizeClass, String> {
        let (align, threshold) = (self.0.alignment as i64, self.0.small_request_threshold as i64);
        if bytes < 1 || bytes > threshold {
            return Err(format!("{bytes} bytes are no small request: those have 1 to {threshold}"));
        }
        Ok(SizeClass(((bytes - 1) / align) as u16))
    }
}

impl Scope for Constants<'_> {
    fn name(&self, name: &str) -> Option<i64> {
        let profile = self.0;
        // A page is a pool where pools have 4 KiB, so nothing is lost there.
        let misaligned =
            profile.arena_placement == sim_core::ArenaPlacement::Page && 4096 % profile.pool_size != 0;
        Some(match name {
            "arena.size" => profile.arena_size as i64,
            "arena.pools" => i64::from(profile.max_pools_in_arena()) - i64::from(misaligned),
            "pool.size" => profile.pool_size as i64,
            "pool.header" => profile.pool_overhead() as i64,
            "alignment" => profile.alignment as i64,
            "pointer" => i64::from(profile.pointer_bytes),
            "threshold" => profile.small_request_threshold as i64,
            "classes" => i64::from(profile.nb_small_size_classes()),
            "version" => version(&profile.name),
            "keeps_last" => i64::from(profile.keep_last_arena),
            "radix" => i64::from(profile.ownership == sim_core::Ownership::Radix),
            "misaligned" => i64::from(misaligned),
            "free_threaded" => i64::from(profile.mimalloc.free_threaded),
            "mimalloc" => match profile.mimalloc_version() {
                Some(sim_core::profile::MimallocVersion::V2_1_2) => 212,
                Some(sim_core::profile::MimallocVersion::V2_5_2) => 252,
                None => 0,
            },
            _ => return None,
        })
    }

    fn call(&self, name: &str, arguments: &[Argument]) -> Option<Result<i64, String>> {
        self.call_in(self, name, arguments)
    }
}

impl Constants<'_> {
    /// Its functions where more is known than constants: arguments are formulas over `scope`.
    pub fn call_in(
        &self,
        scope: &dyn Scope,
        name: &str,
        arguments: &[Argument],
    ) -> Option<Result<i64, String>> {
        let profile = self.0;
        let number = |index: usize| -> Result<i64, String> {
            let argument =
                arguments.get(index).ok_or_else(|| format!("{name}() needs {} numbers", index + 1))?;
            argument.value.value(scope).map_err(|fault| fault.problem)
        };
        let of_class = |what: &dyn Fn(SizeClass) -> i64| number(0).and_then(|n| self.class(n)).map(what);
        Some(match name {
            "block" => of_class(&|class| profile.block_size(class) as i64),
            "size_class" => of_class(&|class| i64::from(class.0)),
            "blocks" => of_class(&|class| profile.num_blocks(class) as i64),
            "lost" => of_class(&|class| profile.quantization_bytes(class) as i64),
            "waste" => number(0).and_then(|n| Ok(profile.block_size(self.class(n)?) as i64 - n)),
            "min" => number(0).and_then(|a| Ok(a.min(number(1)?))),
            "max" => number(0).and_then(|a| Ok(a.max(number(1)?))),
            _ => return None,
        })
    }
}

/// 314 of `cpython-3.14-…`.
fn version(name: &str) -> i64 {
    let rest = name.strip_prefix("cpython-3.").unwrap_or("14");
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    300 + rest[..end].parse::<i64>().unwrap_or(14)
}
