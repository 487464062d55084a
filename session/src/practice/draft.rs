//! A question before it is known whether it is a good one, and what the templates of all lessons use. None of it is inlined: the page's engine is
//! compiled for speed, templates call these hundreds of times, and no question waits for them.

use sim_core::Profile;
use trace_io::lesson::Show;

use super::asked::{Asked, Said, Statement, and};
use super::rule::Rule;
use crate::dice::Dice;

/// A question that a template made: not yet run, so that nobody knows its key.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) program: Vec<String>,
    pub(super) then: Vec<String>,
    pub(super) text: String,
    pub(super) asked: Asked,
    /// Wrong machines, each with the rules that it breaks.
    pub(super) rules: Vec<Vec<Rule>>,
    /// Those of the rules that the lesson is about: where one of them gives the key, the question tells nothing.
    pub(super) needed: Vec<Rule>,
    pub(super) show: Show,
    pub(super) select: Option<String>,
    /// Said before what happened.
    pub(super) why: Option<String>,
    /// What is changed of the build.
    pub(super) settings: Vec<(String, String)>,
    /// What people reckon instead of the formula that is asked for.
    pub(super) reckoned: Vec<Reckoned>,
    /// The text's numbers are those of the end, which it tells of.
    pub(super) late: bool,
    /// Whether what the last operations did explains the key.
    pub(super) told: bool,
    /// A formula: where it is worth as much, the question tells nothing.
    pub(super) trap: Option<String>,
}

/// A formula that somebody takes for the one that is asked for.
#[derive(Debug)]
pub(super) struct Reckoned {
    pub(super) formula: String,
    /// Who does.
    pub(super) belief: Belief,
}

/// What is believed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Belief {
    /// A misconception of the catalogue.
    M(u32),
    /// Another one.
    That(&'static str),
}

impl Draft {
    #[inline(never)]
    pub(super) fn new(program: Vec<String>, then: Vec<String>, text: String, asked: Asked) -> Self {
        let (rules, show) = (Vec::new(), Show::Blocks);
        Self {
            program,
            then,
            text,
            asked,
            rules,
            needed: Vec::new(),
            show,
            select: None,
            why: None,
            settings: Vec::new(),
            reckoned: Vec::new(),
            late: false,
            told: false,
            trap: None,
        }
    }

    /// One that asks what a formula is worth.
    #[inline(never)]
    pub(super) fn worth(
        program: Vec<String>,
        then: Vec<String>,
        text: String,
        formula: String,
        said: Said,
    ) -> Self {
        Self::new(program, then, text, Asked::Formula(formula, said))
    }

    /// One that asks which statement is true.
    #[inline(never)]
    pub(super) fn which(program: Vec<String>, then: Vec<String>, text: String) -> Self {
        Self { told: true, ..Self::new(program, then, text, Asked::Which(Vec::new())) }
    }

    /// A statement; the misconception of who takes it for true, 0 for none.
    #[inline(never)]
    pub(super) fn or(mut self, say: String, is: String, misconception: u32) -> Self {
        if let Asked::Which(all) = &mut self.asked {
            let misconception = (misconception > 0).then_some(misconception);
            all.push(Statement { say, is, misconception });
        }
        self
    }

    /// What is reckoned by who has a misconception.
    #[inline(never)]
    pub(super) fn m(self, misconception: u32, formula: String) -> Self {
        self.reckoned(Belief::M(misconception), formula)
    }

    /// What is reckoned by who believes something else.
    #[inline(never)]
    pub(super) fn that(self, belief: &'static str, formula: String) -> Self {
        self.reckoned(Belief::That(belief), formula)
    }

    #[inline(never)]
    fn reckoned(mut self, belief: Belief, formula: String) -> Self {
        self.reckoned.push(Reckoned { formula, belief });
        self
    }

    /// The key must not be what this is worth.
    #[inline(never)]
    pub(super) fn differs_from(mut self, formula: String) -> Self {
        self.trap = Some(formula);
        self
    }

    /// The text tells of the end.
    #[inline(never)]
    pub(super) fn late(mut self) -> Self {
        self.late = true;
        self
    }

    /// Changes the build.
    #[inline(never)]
    pub(super) fn set(mut self, key: &str, value: &str) -> Self {
        self.settings.push((key.to_owned(), value.to_owned()));
        self
    }

    /// Wrong machines that break one rule each.
    #[inline(never)]
    pub(super) fn against(mut self, rules: &[Rule]) -> Self {
        self.rules.extend(rules.iter().map(|&rule| vec![rule]));
        self
    }

    /// Of those that are broken these may not be right by chance.
    #[inline(never)]
    pub(super) fn needs(mut self, rules: &[Rule]) -> Self {
        self.needed.extend(rules);
        self
    }

    /// A wrong machine that breaks several.
    #[inline(never)]
    pub(super) fn against_all(mut self, rules: &[Rule]) -> Self {
        self.rules.push(rules.to_vec());
        self
    }

    #[inline(never)]
    pub(super) fn at(mut self, show: Show, select: &str) -> Self {
        self.show = show;
        self.select = (!select.is_empty()).then(|| select.to_owned());
        self
    }

    #[inline(never)]
    pub(super) fn why(mut self, why: String) -> Self {
        self.why = Some(why);
        self
    }
}

/// What templates know of a build.
pub(super) struct Build<'a> {
    pub(super) profile: &'a Profile,
    pub(super) step: u64,
    pub(super) most: u64,
}

impl<'a> Build<'a> {
    #[inline(never)]
    pub(super) fn new(profile: &'a Profile) -> Self {
        Self { profile, step: profile.alignment, most: profile.small_request_threshold }
    }

    /// Bytes of the block that a request takes.
    #[inline(never)]
    pub(super) fn block(&self, size: u64) -> u64 {
        size.max(1).next_multiple_of(self.step)
    }

    /// Blocks of a pool.
    pub(super) fn blocks(&self, size: u64) -> u64 {
        (self.profile.pool_size - self.profile.pool_overhead()) / self.block(size)
    }

    /// Pools of an arena.
    pub(super) fn pools(&self) -> u64 {
        self.profile.arena_size / self.profile.pool_size
    }

    /// A request that takes a block of so many bytes.
    #[inline(never)]
    pub(super) fn request(&self, dice: &mut Dice, block: u64) -> u64 {
        dice.within(block - self.step + 1, block)
    }

    /// A block size from `from` to `to`.
    #[inline(never)]
    pub(super) fn some_block(&self, dice: &mut Dice, from: u64, to: u64) -> u64 {
        dice.within(from.div_ceil(self.step).max(1), to.min(self.most) / self.step) * self.step
    }

    /// Several different ones.
    #[inline(never)]
    pub(super) fn some_blocks(&self, dice: &mut Dice, count: usize, from: u64, to: u64) -> Vec<u64> {
        let all: Vec<u64> = (from.div_ceil(self.step).max(1)..=to.min(self.most) / self.step)
            .map(|n| n * self.step)
            .collect();
        dice.some(&all, count)
    }
}

/// A name of one letter or two.
#[inline(never)]
pub(super) fn letter(index: usize) -> String {
    let letter = |n: usize| char::from(b'a' + (n % 26) as u8);
    if index < 26 {
        letter(index).to_string()
    } else {
        format!("{}{}", letter(index / 26 - 1), letter(index))
    }
}

/// So many of something.
#[inline(never)]
pub(super) fn count_of(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// Lines of a program within a sentence.
#[inline(never)]
pub(super) fn calls(lines: &[String]) -> String {
    and(&lines.iter().map(|line| format!("`{}`", line.replace("\n    ", " "))).collect::<Vec<_>>())
}

/// The blocks that a template has made, as it goes along.
#[derive(Default)]
pub(super) struct Blocks {
    /// Name and block size of those that live.
    pub(super) live: Vec<(String, u64)>,
    made: usize,
}

impl Blocks {
    /// One more, as a line.
    #[inline(never)]
    pub(super) fn malloc(&mut self, size: u64, block: u64) -> String {
        let name = letter(self.made);
        self.made += 1;
        let line = format!("{name} = malloc({size})");
        self.live.push((name, block));
        line
    }

    /// One of them goes, as a line.
    #[inline(never)]
    pub(super) fn free(&mut self, dice: &mut Dice) -> Option<String> {
        if self.live.is_empty() {
            return None;
        }
        let at = dice.within(0, self.live.len() as u64 - 1) as usize;
        let (name, _) = self.live.remove(at);
        Some(format!("free({name})"))
    }

    /// The one that was made last.
    #[inline(never)]
    pub(super) fn last(&self) -> String {
        letter(self.made.saturating_sub(1))
    }
}
