//! What blocks can have in common, and which group each belongs to.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sim_core::tape::{SourceLine, StackId, Stacks};
use sim_core::{Domain, Kind, Profile, Trace};
use thiserror::Error;

use super::births::{age, picture_block, stack_of};
use super::census::{Census, Unborn};
use crate::format::{count, grouped};

/// What blocks are put together by.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Key {
    /// The call site: so many frames of the Python stack, the most recent first. One is the line that allocates.
    Site(u32),
    /// The function that allocates.
    Function,
    /// The module that allocates.
    Module,
    /// The size class.
    Class,
    /// The thread that allocated.
    Thread,
    /// The domain that was called.
    Domain,
    /// The function of the allocator that was called.
    Kind,
    /// How many operations ago.
    Age,
    /// The type of the object, in a picture of a process.
    Type,
    /// Whose the block is, there.
    Owner,
    /// By which way it is kept, there.
    Path,
}

/// What a trace knows of its blocks beside what each has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Known {
    /// Python stacks.
    pub stacks: bool,
    /// What a picture of a process says of those that were there before.
    pub picture: bool,
}

impl Known {
    /// Of a trace.
    pub fn of(trace: &Trace) -> Self {
        let picture = trace.origin.picture.as_ref();
        Self {
            stacks: has_stacks(trace),
            picture: picture.is_some_and(|picture| !picture.inventory.blocks.types.is_empty()),
        }
    }

    /// What two traces both know.
    #[must_use]
    pub fn both(self, other: Self) -> Self {
        Self { stacks: self.stacks && other.stacks, picture: self.picture && other.picture }
    }

    /// Whether blocks can be asked by a key.
    pub fn has(self, key: Key) -> bool {
        (self.stacks || !key.needs_stacks()) && (self.picture || !key.needs_picture())
    }
}

/// All frames of a stack.
pub const WHOLE_STACK: u32 = u32::MAX;

/// Why something is no key.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum KeyError {
    /// Something else.
    #[error("{0:?} is no key; there are {names}", names = Key::NAMES.join(", "))]
    Unknown(String),
}

impl Key {
    /// Names of the keys.
    pub const NAMES: [&str; 11] =
        ["site", "function", "module", "class", "thread", "domain", "kind", "age", "type", "owner", "path"];

    /// Those that a trace can be asked by, the usual one first.
    pub fn choices(known: Known) -> impl Iterator<Item = Self> {
        let all = [
            Self::Path,
            Self::Type,
            Self::Owner,
            Self::Site(1),
            Self::Function,
            Self::Module,
            Self::Class,
            Self::Thread,
            Self::Domain,
            Self::Kind,
            Self::Age,
        ];
        all.into_iter().filter(move |key| known.has(*key))
    }

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Site(_) => "site",
            Self::Function => "function",
            Self::Module => "module",
            Self::Class => "class",
            Self::Thread => "thread",
            Self::Domain => "domain",
            Self::Kind => "kind",
            Self::Age => "age",
            Self::Type => "type",
            Self::Owner => "owner",
            Self::Path => "path",
        }
    }

    /// Its name in a sentence.
    pub fn words(self) -> &'static str {
        match self {
            Self::Site(_) => "call site",
            Self::Class => "size class",
            Self::Path => "way",
            key => key.name(),
        }
    }

    /// Whether it needs Python stacks.
    pub fn needs_stacks(self) -> bool {
        matches!(self, Self::Site(_) | Self::Function | Self::Module)
    }

    /// Whether it needs a picture of a process.
    pub fn needs_picture(self) -> bool {
        matches!(self, Self::Type | Self::Owner | Self::Path)
    }

    /// The call site where there are stacks, the way to a block in a picture, else the size class.
    pub fn usual(trace: &Trace) -> Self {
        Self::usual_for(Known::of(trace))
    }

    /// The same of what is known.
    pub fn usual_for(known: Known) -> Self {
        match known {
            Known { stacks: true, .. } => Self::Site(1),
            Known { picture: true, .. } => Self::Path,
            _ => Self::Class,
        }
    }
}

impl FromStr for Key {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        Ok(match text {
            "site" => Self::Site(1),
            "function" => Self::Function,
            "module" => Self::Module,
            "class" => Self::Class,
            "thread" => Self::Thread,
            "domain" => Self::Domain,
            "kind" => Self::Kind,
            "age" => Self::Age,
            "type" => Self::Type,
            "owner" => Self::Owner,
            "path" => Self::Path,
            _ => return Err(KeyError::Unknown(text.to_owned())),
        })
    }
}

/// Whether calls of a trace have Python stacks, each its own or as actions set them.
pub fn has_stacks(trace: &Trace) -> bool {
    trace.has_stacks() || trace.stack_count() > 0
}

/// What a group is called.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
pub struct Label {
    /// The key, unique among the groups: `app.py:12`, `2`, `31 (512 bytes)`. It is a trace's own text where it names a place in the source.
    pub key: String,
    /// What a person wants to know beside it: a site's function, a thread's name.
    pub beside: String,
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key)?;
        if self.beside.is_empty() { Ok(()) } else { write!(f, " {}", self.beside) }
    }
}

/// The group of blocks that no operation of the trace gave.
pub const FROM_BEFORE: &str = "(from before the trace)";
/// The group of blocks whose stack is not known.
pub const NO_STACK: &str = "(no stack)";
/// The group of blocks that no size class has.
const NO_CLASS: &str = "(no size class)";
/// The group of blocks of a picture that are no object, or whose owner or way is not known.
pub const NOT_KNOWN: &str = "(not known)";
/// The group of blocks that no picture has, since they came later.
pub const SINCE: &str = "(since the picture)";

/// The group of blocks outside of the scope that is looked at.
pub const OUTSIDE: &str = "(outside of the scope)";

const UNSEEN: u32 = u32::MAX;
/// Numbers whose groups are found without a search.
const SMALL_NUMBERS: usize = 1 << 13;
/// Ages are told apart by powers of ten, from under this one on.
const YOUNG: u64 = 1000;

/// Gives each block the number of its group.
pub struct Keyer<'a> {
    trace: &'a Trace,
    profile: &'a Profile,
    key: Key,
    step: u64,
    /// Where stacks change by actions.
    changes: &'a [(u64, StackId)],
    /// The group of each stack that was met.
    by_stack: Vec<u32>,
    /// Of each thing a group is made of, its number.
    numbers: BTreeMap<Part, u32>,
    /// The same of small numbers, which most blocks have.
    by_number: Vec<u32>,
    labels: Vec<Label>,
}

/// What makes a group, beside a text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Text(String),
    Number(u64),
    Before,
    Outside,
}

impl<'a> Keyer<'a> {
    /// For the blocks of a census; `changes` as [`crate::actions::stack_changes`] gives them.
    pub fn new(
        trace: &'a Trace,
        profile: &'a Profile,
        changes: &'a [(u64, StackId)],
        key: Key,
        step: u64,
    ) -> Self {
        let stacks = if key.needs_stacks() { trace.origin.stacks.len() as usize + 1 } else { 0 };
        let by_number = vec![UNSEEN; SMALL_NUMBERS];
        let (by_stack, numbers, labels) = (vec![UNSEEN; stacks], BTreeMap::new(), Vec::new());
        Self { trace, profile, key, step, changes, by_stack, numbers, by_number, labels }
    }

    /// The group of a block of the census.
    #[inline]
    pub fn of(&mut self, census: &Census, at: usize) -> u32 {
        let birth = census.births[at];
        let before = picture_block(birth);
        match self.key {
            Key::Type | Key::Owner | Key::Path => self.of_picture(before),
            Key::Site(_) | Key::Function | Key::Module | Key::Thread | Key::Domain | Key::Kind
                if before.is_some() =>
            {
                self.part(Part::Before)
            }
            Key::Site(_) | Key::Function | Key::Module => {
                let stack = stack_of(self.trace, self.changes, birth);
                match self.by_stack.get(stack.0 as usize).copied() {
                    Some(UNSEEN) | None => self.of_stack(stack),
                    Some(group) => group,
                }
            }
            Key::Class => {
                let in_region = census.addrs[at].0 != 0;
                self.number(if in_region { census.block_bytes[at] } else { 0 })
            }
            Key::Thread => self.number(u64::from(self.trace.thread_of(birth as usize))),
            Key::Domain => self.number(self.trace.packed(birth as usize).domain as u64),
            Key::Kind => self.number(self.trace.packed(birth as usize).kind as u64),
            Key::Age => {
                let age = age(self.step, birth);
                self.number(if age < YOUNG { 0 } else { u64::from(age.ilog10()) })
            }
        }
    }

    /// The group of a block that a picture has, by what that says of it.
    fn of_picture(&mut self, block: Option<u32>) -> u32 {
        let (Some(block), Some(picture)) = (block, &self.trace.origin.picture) else {
            return self.number(0);
        };
        let columns = &picture.inventory.blocks;
        let column = match self.key {
            Key::Type => &columns.types,
            Key::Owner => &columns.owners,
            _ => &columns.paths,
        };
        // 0 is a block that came later.
        self.number(1 + column.get(block as usize).map_or(0, |number| u64::from(*number)))
    }

    /// The group of blocks that no operation gave.
    pub fn of_unborn(&mut self, unborn: &Unborn) -> u32 {
        if self.key == Key::Class { self.number(unborn.block_bytes) } else { self.part(Part::Before) }
    }

    /// The group of blocks outside of the scope.
    pub fn outside(&mut self) -> u32 {
        self.part(Part::Outside)
    }

    /// What the groups are called, by number.
    pub fn labels(self) -> Vec<Label> {
        self.labels
    }

    #[inline]
    fn number(&mut self, number: u64) -> u32 {
        match self.by_number.get(number as usize).copied() {
            None => self.part(Part::Number(number)),
            Some(UNSEEN) => {
                let group = self.part(Part::Number(number));
                self.by_number[number as usize] = group;
                group
            }
            Some(group) => group,
        }
    }

    fn part(&mut self, part: Part) -> u32 {
        if let Some(group) = self.numbers.get(&part) {
            return *group;
        }
        let group = self.labels.len() as u32;
        let label = match &part {
            Part::Text(text) => Label { key: text.clone(), beside: String::new() },
            Part::Number(number) => self.label(*number),
            Part::Before => Label { key: FROM_BEFORE.to_owned(), beside: String::new() },
            Part::Outside => Label { key: OUTSIDE.to_owned(), beside: String::new() },
        };
        self.labels.push(label);
        self.numbers.insert(part, group);
        group
    }

    fn label(&self, number: u64) -> Label {
        let named = |key: String| Label { key, beside: String::new() };
        match self.key {
            Key::Class if number == 0 => named(NO_CLASS.to_owned()),
            Key::Class if number > self.profile.small_request_threshold => {
                named(format!("({})", count(number, "byte")))
            }
            Key::Class => {
                let class = (number - 1) / self.profile.alignment;
                named(format!("{class} ({})", count(number, "byte")))
            }
            Key::Thread => {
                let name = self.trace.origin.source.thread_names.get(number as usize);
                Label { key: number.to_string(), beside: name.cloned().unwrap_or_default() }
            }
            Key::Domain => named(Domain::ALL.get(number as usize).map_or("", |d| d.name()).to_owned()),
            Key::Kind => {
                let kind = Kind::ALL.into_iter().find(|kind| *kind as u64 == number);
                named(kind.map_or("", Kind::name).to_owned())
            }
            Key::Age if number == 0 => named(format!("under {} operations", grouped(YOUNG))),
            Key::Age => {
                let from = 10_u64.pow(number as u32);
                named(format!("{} to {} operations", grouped(from), grouped((from * 10).saturating_sub(1))))
            }
            Key::Site(_) | Key::Function | Key::Module => named(number.to_string()),
            Key::Type | Key::Owner | Key::Path => {
                let inventory = self.trace.origin.picture.as_ref().map(|picture| &picture.inventory);
                let name = number.checked_sub(2).and_then(|at| {
                    let (at, inventory) = (at as usize, inventory?);
                    match self.key {
                        Key::Type => inventory.types.get(at).map(|of| &of.name),
                        Key::Owner => inventory.owners.get(at),
                        _ => inventory.paths.get(at),
                    }
                });
                let none = if number == 0 { SINCE } else { NOT_KNOWN };
                named(name.map_or_else(|| none.to_owned(), Clone::clone))
            }
        }
    }

    fn of_stack(&mut self, stack: StackId) -> u32 {
        let Label { key, beside } = stack_label(&self.trace.origin.stacks, stack, self.key);
        let known = self.labels.len() as u32;
        let group = self.part(Part::Text(key));
        if group == known {
            self.labels[group as usize].beside = beside;
        }
        if let Some(of) = self.by_stack.get_mut(stack.0 as usize) {
            *of = group;
        }
        group
    }
}

/// What blocks of a stack are called by a key that is read off it.
pub(super) fn stack_label(stacks: &Stacks, stack: StackId, key: Key) -> Label {
    let first = stacks.frames(stack).next().map(|frame| stacks.line(frame));
    let (key, beside) = match (key, first) {
        (_, None) => (NO_STACK.to_owned(), String::new()),
        (Key::Site(depth), Some(first)) if depth <= 1 => (place(&first), first.function),
        (Key::Site(depth), Some(_)) => {
            let places = stacks.frames(stack).take(depth as usize).map(|frame| place(&stacks.line(frame)));
            (places.collect::<Vec<_>>().join(" < "), String::new())
        }
        (Key::Function, Some(first)) if first.function.is_empty() => (first.file, String::new()),
        (Key::Function, Some(first)) => (format!("{} ({})", first.function, first.file), String::new()),
        (_, Some(first)) => (module(&first.file), String::new()),
    };
    Label { key, beside }
}

/// A place in the source as it is written everywhere: `app.py:12`.
fn place(line: &SourceLine) -> String {
    match (line.line, line.file.as_str()) {
        (_, "") => line.function.clone(),
        (0, file) => file.to_owned(),
        (number, file) => format!("{file}:{number}"),
    }
}

/// The module of a file: as it is imported where the file lies in a library or has a path of its own, else the file's name.
pub fn module(file: &str) -> String {
    let short = crate::format::short_path(file);
    let whole = if short.starts_with('\u{2026}') || short.starts_with('/') { file } else { &*short };
    let Some(stem) = whole.strip_suffix(".py") else { return whole.to_owned() };
    if whole.starts_with('/') || whole.contains([':', '\\']) {
        return whole.to_owned();
    }
    stem.strip_suffix("/__init__").unwrap_or(stem).replace('/', ".")
}
