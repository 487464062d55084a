//! Reading a condition.

use thiserror::Error;

use super::{Comparison, Node, Operand, Variable};
use crate::index::RareEvent;

/// What is wrong with a condition, and where. Columns count characters from 1.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("column {column}: {what}")]
pub struct ConditionError {
    /// The column.
    pub column: usize,
    /// What is wrong and what would be right.
    pub what: String,
}

/// How deep parentheses and negations may go.
const DEPTH_MAX: u32 = 100;

/// Bytes of a condition: a longer one would nest too deep.
const LENGTH_MAX: usize = 8192;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Token<'a> {
    Word(&'a str),
    Number(u64),
    Compare(Comparison),
    And,
    Or,
    Not,
    Open,
    Close,
    End,
}

const SIGNS: [(&str, Token<'static>); 11] = [
    ("&&", Token::And),
    ("||", Token::Or),
    ("==", Token::Compare(Comparison::Equal)),
    ("!=", Token::Compare(Comparison::NotEqual)),
    ("<=", Token::Compare(Comparison::LessOrEqual)),
    (">=", Token::Compare(Comparison::GreaterOrEqual)),
    ("<", Token::Compare(Comparison::Less)),
    (">", Token::Compare(Comparison::Greater)),
    ("!", Token::Not),
    ("(", Token::Open),
    (")", Token::Close),
];

pub(super) fn parse(text: &str) -> Result<Node, ConditionError> {
    if text.len() > LENGTH_MAX {
        let what = format!("the condition is longer than {LENGTH_MAX} bytes");
        return Err(ConditionError { column: LENGTH_MAX, what });
    }
    let mut parser = Parser { text, at: 0, token: Token::End, begin: 0, depth: 0 };
    parser.advance()?;
    let node = parser.either()?;
    match parser.token {
        Token::End => Ok(node),
        Token::Close => parser.wrong("there is no ( for this )"),
        _ => parser.wrong("`&&` or `||` is missing before this"),
    }
}

struct Parser<'a> {
    text: &'a str,
    /// Where the text after `token` begins, in bytes.
    at: usize,
    token: Token<'a>,
    /// Where `token` begins.
    begin: usize,
    depth: u32,
}

impl<'a> Parser<'a> {
    fn wrong<T>(&self, what: impl Into<String>) -> Result<T, ConditionError> {
        let column = self.text[..self.begin].chars().count() + 1;
        Err(ConditionError { column, what: what.into() })
    }

    /// Reads the next token.
    fn advance(&mut self) -> Result<(), ConditionError> {
        let rest = &self.text[self.at..];
        let trimmed = rest.trim_start();
        self.begin = self.at + rest.len() - trimmed.len();
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let Some(first) = trimmed.chars().next() else {
            self.token = Token::End;
            return Ok(());
        };
        let len = if is_word(first) {
            let word = trimmed.split(|c| !is_word(c)).next().unwrap_or(trimmed);
            self.token =
                if first.is_ascii_digit() { Token::Number(self.number(word)?) } else { Token::Word(word) };
            word.len()
        } else {
            let Some((sign, token)) = SIGNS.iter().find(|(sign, _)| trimmed.starts_with(sign)) else {
                return self.wrong(match first {
                    '=' => "`=` alone means nothing; write `==`".to_owned(),
                    '&' | '|' => format!("`{first}` alone means nothing; write `{first}{first}`"),
                    _ => format!("`{first}` has no meaning here"),
                });
            };
            self.token = *token;
            sign.len()
        };
        self.at = self.begin + len;
        Ok(())
    }

    /// A number, decimal or 0x, perhaps with K, M or G for powers of 1024.
    fn number(&self, word: &str) -> Result<u64, ConditionError> {
        let digits = word.replace('_', "");
        let parsed = if let Some(hex) = digits.strip_prefix("0x") {
            u64::from_str_radix(hex, 16).ok()
        } else {
            let (digits, shift) = match digits.char_indices().next_back() {
                Some((at, 'K' | 'k')) => (&digits[..at], 10),
                Some((at, 'M' | 'm')) => (&digits[..at], 20),
                Some((at, 'G' | 'g')) => (&digits[..at], 30),
                _ => (digits.as_str(), 0),
            };
            digits.parse::<u64>().ok().and_then(|n| n.checked_mul(1 << shift))
        };
        match parsed {
            Some(number) => Ok(number),
            None => self.wrong(format!("`{word}` is no number below 2^64; write 512, 0x200, 64K or 1M")),
        }
    }

    fn either(&mut self) -> Result<Node, ConditionError> {
        let mut node = self.both()?;
        while self.token == Token::Or {
            self.advance()?;
            node = Node::Or(Box::new(node), Box::new(self.both()?));
        }
        Ok(node)
    }

    fn both(&mut self) -> Result<Node, ConditionError> {
        let mut node = self.term()?;
        while self.token == Token::And {
            self.advance()?;
            node = Node::And(Box::new(node), Box::new(self.term()?));
        }
        Ok(node)
    }

    fn term(&mut self) -> Result<Node, ConditionError> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return self.wrong(format!("parentheses and `!` go deeper than {DEPTH_MAX}"));
        }
        let node = match self.token {
            Token::Not => {
                self.advance()?;
                Node::Not(Box::new(self.term()?))
            }
            Token::Open => {
                self.advance()?;
                let node = self.either()?;
                if self.token != Token::Close {
                    return self.wrong("a `)` is missing here");
                }
                self.advance()?;
                node
            }
            _ => self.statement()?,
        };
        self.depth -= 1;
        Ok(node)
    }

    /// An event, or a comparison.
    fn statement(&mut self) -> Result<Node, ConditionError> {
        if let Token::Word(word) = self.token
            && let Some((rare, _)) = RareEvent::ALL.iter().find(|(_, name)| *name == word)
        {
            let begin = self.begin;
            self.advance()?;
            if let Token::Compare(_) = self.token {
                self.begin = begin;
                return self
                    .wrong(format!("`{word}` is an event and stands alone; it is no number to compare"));
            }
            return Ok(Node::Event(*rare));
        }
        let begin = self.begin;
        let (left, left_word) = self.operand()?;
        let Token::Compare(how) = self.token else {
            self.begin = begin;
            return self.wrong("this is a number; compare it: `arenas > 40`, `size_class == 5`");
        };
        self.advance()?;
        let right_begin = self.begin;
        let (right, right_word) = self.operand()?;
        for (word, other, begin) in [(left_word, right, begin), (right_word, left, right_begin)] {
            let Some((variable, name)) = word else { continue };
            if other != Operand::Variable(variable) {
                self.begin = begin;
                let (_, with) = Variable::ALL[variable as usize];
                return self.wrong(format!("`{name}` can be compared with `{with}` only"));
            }
        }
        Ok(Node::Compare(left, how, right))
    }

    /// A number, a variable, or a word that stands for a number of one variable.
    #[expect(clippy::type_complexity, reason = "a word with the variable it belongs to, where it is one")]
    fn operand(&mut self) -> Result<(Operand, Option<(Variable, &'a str)>), ConditionError> {
        let operand = match self.token {
            Token::Number(number) => (Operand::Number(number), None),
            Token::Word(word) => {
                let variable = Variable::ALL.iter().find(|(_, name)| *name == word);
                let constant = Variable::WORDS.iter().find(|(_, name, _)| *name == word);
                match (variable, constant) {
                    (Some((variable, _)), _) => (Operand::Variable(*variable), None),
                    (_, Some((variable, _, number))) => (Operand::Number(*number), Some((*variable, word))),
                    _ if RareEvent::ALL.iter().any(|(_, name)| *name == word) => {
                        return self.wrong(format!(
                            "`{word}` is an event and stands alone; it is no number to compare"
                        ));
                    }
                    _ => return self.wrong(format!("nothing is called `{word}`; {}", names())),
                }
            }
            Token::End => {
                return self.wrong("the condition ends here, but an event or a comparison is missing");
            }
            _ => return self.wrong("an event or a comparison is missing before this"),
        };
        self.advance()?;
        Ok(operand)
    }
}

fn names() -> String {
    let join = |names: Vec<&str>| names.join(", ");
    format!(
        "events: {}; numbers: {}",
        join(RareEvent::ALL.iter().map(|(_, name)| *name).collect()),
        join(Variable::ALL.iter().map(|(_, name)| *name).collect())
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::breakpoint::Condition;

    fn shape(text: &str) -> String {
        fn show(node: &Node) -> String {
            match node {
                Node::Event(rare) => format!("{rare:?}"),
                Node::Compare(..) => "c".to_owned(),
                Node::Not(a) => format!("!{}", show(a)),
                Node::And(a, b) => format!("({}&{})", show(a), show(b)),
                Node::Or(a, b) => format!("({}|{})", show(a), show(b)),
            }
        }
        show(&parse(text).unwrap_or_else(|e| panic!("{text}: {e}")))
    }

    #[test]
    fn and_binds_tighter_than_or() {
        assert_eq!(shape("pool_full || step > 1 && !stopped"), "(PoolFull|(c&!Stopped))");
        assert_eq!(shape("(pool_full||step>1)&&stopped"), "((PoolFull|c)&Stopped)");
        assert_eq!(shape("!!(step == 1)"), "!!c");
    }

    #[test]
    fn numbers_and_words_have_their_values() {
        for (text, number) in
            [("0x20", 32), ("64K", 65_536), ("1_000", 1000), ("2M", 2 << 20), ("3g", 3 << 30), ("7", 7)]
        {
            let Ok(Node::Compare(_, _, right)) = parse(&format!("bytes <= {text}")) else { panic!("{text}") };
            assert_eq!(right, Operand::Number(number), "{text}");
        }
        let Ok(Node::Compare(left, ..)) = parse("obj != domain") else { panic!() };
        assert_eq!(left, Operand::Number(2));
    }

    #[test]
    fn errors_say_where_and_what() {
        for (text, column, part) in [
            ("", 1, "ends here"),
            ("arenas >", 9, "ends here"),
            ("arena_relased", 1, "nothing is called `arena_relased`; events: arena_obtained"),
            ("arenas", 1, "compare it"),
            ("pool_full && 5", 14, "compare it"),
            ("arenas = 5", 8, "`==`"),
            ("pool_full & stopped", 11, "`&&`"),
            ("(pool_full", 11, "`)` is missing"),
            ("pool_full)", 10, "no ( for this"),
            ("pool_full stopped", 11, "missing before this"),
            ("pool_full == 1", 1, "is an event"),
            ("1 == pool_full", 6, "is an event"),
            ("size == raw", 9, "with `domain` only"),
            ("free != domain", 1, "with `kind` only"),
            ("step > 99999999999999999999", 8, "no number"),
            ("step > 12Q", 8, "no number"),
            ("ä > 1", 1, "nothing is called `ä`"),
            ("step > ? ", 8, "`?` has no meaning"),
            ("&& stopped", 1, "missing before this"),
        ] {
            let error = parse(text).expect_err(text);
            assert_eq!(error.column, column, "{text}: {error}");
            assert!(error.what.contains(part), "{text}: {error}");
        }
        let deep = format!("{}stopped", "(".repeat(1000));
        assert!(parse(&deep).expect_err("deep").what.contains("deeper"));
        assert!(parse(&vec!["stopped"; 700].join(" || ")).is_ok());
        assert!(parse(&vec!["stopped"; 7000].join(" || ")).expect_err("long").what.contains("longer"));
    }

    #[test]
    fn a_condition_knows_the_events_it_needs() {
        let needs = |text: &str| Condition::parse(text).ok().and_then(|c| c.needs_one_of());
        assert!(needs("arenas > 4 && pool_full").is_some_and(|m| m.has(RareEvent::PoolFull)));
        assert!(
            needs("pool_full || stopped")
                .is_some_and(|m| m.has(RareEvent::PoolFull) && m.has(RareEvent::Stopped))
        );
        assert_eq!(needs("pool_full || arenas > 4"), None);
        assert_eq!(needs("!pool_full"), None);
    }
}
