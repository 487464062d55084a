//! What a link says: a lesson and its beat, a puzzle, a whole program or a quiz, with what it is shown under.
//!
//! The grammar is `docs/links.md`, version 1: `#v=1&lesson=lifo&beat=4&profile=cpython-3.9`. A link comes from anybody, so everything
//! about it has a bound: its length, what it unpacks to, and what its program may do ([`trace_io::program::Bounds`]).

use std::fmt::Write as _;
use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flate2::write::DeflateEncoder;
use flate2::{Compression, Decompress, FlushDecompress, Status};

use crate::at::At;

/// The version of the grammar that this program writes, and reads.
const VERSION: &str = "1";
/// The longest fragment, in bytes.
pub const FRAGMENT_BYTES_MAX: usize = 64 << 10;
/// The most that a program unpacks to, in bytes.
pub const PROGRAM_BYTES_MAX: u64 = 4 << 20;

/// Bytes that are unpacked at a time.
const PIECE_BYTES: usize = 64 << 10;

/// What a link says.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Link {
    /// What is shown.
    pub what: What,
    /// Under which preset.
    pub profile: Option<String>,
    /// At which step; in a lesson the beat decides.
    pub step: Option<At>,
    /// Large and without the rest of the window, for a class.
    pub present: bool,
    /// Inside another page: without the rest of the window.
    pub embed: bool,
    /// What is shown then, in this order; text and picture where it is empty.
    pub panes: Vec<Part>,
}

/// A part of a lesson that is shown without the rest of the window.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    /// What the lesson says and asks.
    Text,
    /// The pane that it points at.
    Picture,
    /// What the current operation did.
    Narration,
    /// The place that is selected, field by field.
    Inspector,
}

const PARTS: [(&str, Part); 4] = [
    ("text", Part::Text),
    ("picture", Part::Picture),
    ("narration", Part::Narration),
    ("inspector", Part::Inspector),
];

/// What a link shows.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum What {
    /// What stands there anyway.
    #[default]
    Nothing,
    /// A lesson.
    Lesson {
        /// Its id.
        id: String,
        /// Its beat, counted from 1.
        beat: usize,
    },
    /// A program in the playground.
    Program(String),
    /// A puzzle.
    Puzzle {
        /// Its id.
        id: String,
        /// A program to solve it, instead of what stands there at first.
        program: Option<String>,
    },
    /// A quiz, as its file has it.
    Quiz(String),
}

impl Link {
    /// Reads a fragment, with or without its `#`. An empty one says nothing; what is wrong is said in a sentence.
    pub fn parse(fragment: &str) -> Result<Self, String> {
        let fragment = fragment.strip_prefix('#').unwrap_or(fragment);
        if fragment.is_empty() {
            return Ok(Self::default());
        }
        if fragment.len() > FRAGMENT_BYTES_MAX {
            return Err(format!(
                "the link is longer than {} KiB; save the program as a file and send that",
                FRAGMENT_BYTES_MAX >> 10
            ));
        }
        let mut link = Self::default();
        let (mut lesson, mut puzzle, mut beat, mut version) = (None, None, 1, None);
        let (mut program, mut quiz) = (None, None);
        for pair in fragment.split('&') {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            match key {
                "v" => version = Some(value),
                "lesson" => lesson = Some(name(key, value)?),
                "puzzle" => puzzle = Some(name(key, value)?),
                "beat" => beat = usize::try_from(number(key, value)?).unwrap_or(usize::MAX),
                "step" => link.step = Some(place(key, value)?),
                "profile" => link.profile = Some(name(key, value)?),
                "present" => link.present = flag(key, value)?,
                "embed" => link.embed = flag(key, value)?,
                "panes" => link.panes = parts(value)?,
                "play" => program = Some(unpack(value, "program")?),
                "quiz" => quiz = Some(unpack(value, "quiz")?),
                // A later version may say more; what it says of this one still holds.
                _ => {}
            }
        }
        match version {
            Some(VERSION) => {}
            Some(other) => {
                return Err(format!(
                    "the link is of version {}, and this program reads version {VERSION}; a newer one may open it",
                    short(other)
                ));
            }
            None => return Err(format!("the link has no version; it should begin with #v={VERSION}")),
        }
        let lesson = lesson.map(|id| What::Lesson { id, beat });
        // A puzzle may come with the program that is to solve it.
        let puzzle = puzzle.map(|id| What::Puzzle { id, program: program.take() });
        let program = program.map(What::Program);
        let mut said = [lesson, puzzle, program, quiz.map(What::Quiz)].into_iter().flatten();
        link.what = said.next().unwrap_or_default();
        if said.next().is_some() {
            return Err(
                "the link has several of a lesson, a puzzle, a program and a quiz; leave one".to_owned()
            );
        }
        Ok(link)
    }

    /// The fragment, with its `#`.
    pub fn fragment(&self) -> Result<String, String> {
        let mut text = format!("#v={VERSION}");
        match &self.what {
            What::Nothing => {}
            What::Lesson { id, beat } => {
                let _ = write!(text, "&lesson={id}&beat={beat}");
            }
            What::Program(program) => {
                let _ = write!(text, "&play={}", pack(program)?);
            }
            What::Puzzle { id, program } => {
                let _ = write!(text, "&puzzle={id}");
                if let Some(program) = program {
                    let _ = write!(text, "&play={}", pack(program)?);
                }
            }
            What::Quiz(quiz) => {
                let _ = write!(text, "&quiz={}", pack(quiz)?);
            }
        }
        if let Some(profile) = &self.profile {
            let _ = write!(text, "&profile={profile}");
        }
        if let Some(step) = &self.step {
            let _ = write!(text, "&step={}", escaped(&step.to_string()));
        }
        if !self.panes.is_empty() {
            let named =
                |part: &Part| PARTS.iter().find(|(_, other)| other == part).map_or("", |(name, _)| name);
            let names: Vec<&str> = self.panes.iter().map(named).collect();
            let _ = write!(text, "&panes={}", names.join(","));
        }
        for (key, on) in [("present", self.present), ("embed", self.embed)] {
            if on {
                let _ = write!(text, "&{key}=1");
            }
        }
        if text.len() > FRAGMENT_BYTES_MAX {
            return Err(format!(
                "it is too long for a link of {} KiB; save it as a file and send that",
                FRAGMENT_BYTES_MAX >> 10
            ));
        }
        Ok(text)
    }
}

fn parts(value: &str) -> Result<Vec<Part>, String> {
    let mut parts: Vec<Part> = Vec::new();
    for name in value.split(',') {
        let part = PARTS.iter().find(|(known, _)| *known == name).map(|(_, part)| *part);
        let Some(part) = part else {
            let known: Vec<&str> = PARTS.iter().map(|(name, _)| *name).collect();
            return Err(format!("the link's panes are {}, and not `{}`", known.join(", "), short(name)));
        };
        if !parts.contains(&part) {
            parts.push(part);
        }
    }
    Ok(parts)
}

fn pack(program: &str) -> Result<String, String> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    let packed = encoder.write_all(program.as_bytes()).and_then(|()| encoder.finish());
    packed.map(|bytes| URL_SAFE_NO_PAD.encode(bytes)).map_err(|error| error.to_string())
}

fn unpack(value: &str, what: &str) -> Result<String, String> {
    let damaged = || format!("the {what} in the link is damaged; ask for the link again");
    let packed = URL_SAFE_NO_PAD.decode(value).map_err(|_| damaged())?;
    let mut inflate = Decompress::new(false);
    let mut text = Vec::new();
    loop {
        text.reserve(PIECE_BYTES);
        let (came, went) = (inflate.total_in(), text.len());
        let rest = usize::try_from(came).ok().and_then(|from| packed.get(from..)).unwrap_or_default();
        let status = inflate.decompress_vec(rest, &mut text, FlushDecompress::None).map_err(|_| damaged())?;
        if text.len() as u64 > PROGRAM_BYTES_MAX {
            return Err(format!(
                "the {what} in the link unpacks to more than {} MiB, which no {what} is",
                PROGRAM_BYTES_MAX >> 20
            ));
        }
        if status == Status::StreamEnd {
            break;
        }
        // It ends before its end.
        if (came, went) == (inflate.total_in(), text.len()) {
            return Err(damaged());
        }
    }
    String::from_utf8(text).map_err(|_| damaged())
}

/// An id, or the name of a preset: nothing that could mean something to a page.
fn name(key: &str, value: &str) -> Result<String, String> {
    const LONGEST: usize = 64;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    if value.is_empty() || value.len() > LONGEST || !value.chars().all(plain) {
        return Err(format!("`{key}={}` in the link is no name", short(value)));
    }
    Ok(value.to_owned())
}

/// A step, whose mark may have any character as `%` and two digits.
fn place(key: &str, value: &str) -> Result<At, String> {
    let wrong = || format!("`{key}={}` in the link is no step", short(value));
    let mut bytes = Vec::new();
    let mut rest = value.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        if first == b'%' {
            let digits = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
            let byte = digits.filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()));
            bytes.push(byte.and_then(|d| u8::from_str_radix(d, 16).ok()).ok_or_else(wrong)?);
            rest = &after[2..];
        } else {
            bytes.push(first);
            rest = after;
        }
    }
    String::from_utf8(bytes).ok().and_then(|text| text.parse().ok()).ok_or_else(wrong)
}

/// A text in which nothing means something to a link.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b':') {
            out.push(char::from(byte));
        } else {
            // Writing into a string does not fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

fn number(key: &str, value: &str) -> Result<u64, String> {
    value.parse().map_err(|_| format!("`{key}={}` in the link is no number", short(value)))
}

fn flag(key: &str, value: &str) -> Result<bool, String> {
    match value {
        "1" => Ok(true),
        "0" => Ok(false),
        _ => Err(format!("`{key}={}` in the link is neither 0 nor 1", short(value))),
    }
}

/// The beginning of something that may be long.
fn short(value: &str) -> String {
    const SHOWN: usize = 24;
    if value.chars().count() > SHOWN {
        format!("{}\u{2026}", value.chars().take(SHOWN).collect::<String>())
    } else {
        value.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_say_what_they_were_made_of() {
        let lesson = Link {
            what: What::Lesson { id: "lifo".to_owned(), beat: 4 },
            profile: Some("cpython-3.9".to_owned()),
            present: true,
            ..Link::default()
        };
        assert_eq!(lesson.fragment().unwrap(), "#v=1&lesson=lifo&beat=4&profile=cpython-3.9&present=1");
        let program = Link {
            what: What::Program("a = malloc(48)\nfree(a)\n".repeat(40)),
            step: Some(At::Step(7)),
            ..Link::default()
        };
        let marked = Link { step: Some(At::Mark("a b&step=1#2, größe%".to_owned())), ..program.clone() };
        let fragment = marked.fragment().unwrap();
        assert!(fragment.ends_with("&step=mark:a%20b%26step%3D1%232%2C%20gr%C3%B6%C3%9Fe%25"), "{fragment}");
        let peak = Link { step: Some(At::Peak), ..program.clone() };
        assert!(program.fragment().unwrap().len() < 120, "{:?}", program.fragment());
        let puzzle =
            |program| Link { what: What::Puzzle { id: "full-pool".to_owned(), program }, ..Link::default() };
        assert_eq!(puzzle(None).fragment().unwrap(), "#v=1&puzzle=full-pool");
        let tried = puzzle(Some("a = malloc(48)\n".to_owned()));
        let quiz = Link { what: What::Quiz("(name: \"x\")".to_owned()), ..Link::default() };
        let parts = Link { embed: true, panes: vec![Part::Picture, Part::Narration], ..lesson.clone() };
        assert!(parts.fragment().unwrap().contains("&panes=picture,narration&"));
        assert!(Link::parse("#v=1&panes=text,map").unwrap_err().contains("and not `map`"));
        for link in [lesson, parts, program, marked, peak, puzzle(None), tried, quiz, Link::default()] {
            assert_eq!(Link::parse(&link.fragment().unwrap()), Ok(link));
        }
        assert_eq!(Link::parse(""), Ok(Link::default()));
        assert_eq!(Link::parse("#v=1&to_come=x"), Ok(Link::default()), "what is not known is passed over");
    }

    #[test]
    fn hostile_links_are_refused_in_a_sentence() {
        let bomb = pack(&" ".repeat(5 << 20)).unwrap();
        assert!(bomb.len() < FRAGMENT_BYTES_MAX, "short enough to come in a link");
        let long = format!("#v=1&lesson={}", "x".repeat(FRAGMENT_BYTES_MAX));
        for (fragment, words) in [
            (format!("#v=1&play={bomb}"), "unpacks to more than 4 MiB"),
            (long, "longer than 64 KiB"),
            ("#v=1&play=????".to_owned(), "damaged"),
            ("#v=1&play=AAAA".to_owned(), "damaged"),
            ("#v=1&quiz=AAAA".to_owned(), "the quiz in the link is damaged"),
            ("#v=1&lesson=lifo&play=AwA".to_owned(), "leave one"),
            ("#v=1&quiz=AwA&play=AwA".to_owned(), "leave one"),
            ("#v=1&lesson=<script>".to_owned(), "is no name"),
            ("#v=1&profile=../../etc".to_owned(), "is no name"),
            ("#v=1&step=-1".to_owned(), "is no step"),
            ("#v=1&step=mark:".to_owned(), "is no step"),
            ("#v=1&step=mark:%zz".to_owned(), "is no step"),
            ("#v=1&step=mark:%f".to_owned(), "is no step"),
            ("#v=1&step=mark:%+1".to_owned(), "is no step"),
            ("#v=1&step=mark:%ff".to_owned(), "is no step"),
            ("#v=1&step=mark:%1b[2J".to_owned(), "is no step"),
            (format!("#v=1&step=mark:{}", "x".repeat(300)), "is no step"),
            ("#v=1&beat=-1".to_owned(), "is no number"),
            ("#v=1&embed=yes".to_owned(), "neither 0 nor 1"),
            ("#v=1&lesson=lifo&puzzle=full-pool".to_owned(), "leave one"),
            ("#v=1&lesson=lifo&play=S1SwVchNzMnJT9YwsdDkSitKTdVI1OQCAA".to_owned(), "leave one"),
            ("#v=1&puzzle=full pool".to_owned(), "is no name"),
            ("#v=2&lesson=lifo".to_owned(), "version 2"),
            ("#lesson=lifo".to_owned(), "no version"),
        ] {
            let error = Link::parse(&fragment).unwrap_err();
            assert!(error.contains(words) && error.len() < 200, "{error}");
        }
        // Noise does not get shorter.
        let mut state = 1_u32;
        let noise: String = (0..120_000)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 17;
                state ^= state << 5;
                char::from(33 + (state >> 26) as u8)
            })
            .collect();
        assert!(
            Link { what: What::Program(noise), ..Link::default() }
                .fragment()
                .unwrap_err()
                .contains("too long")
        );
    }
}
