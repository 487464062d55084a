//! What became of the memory over a run, in one word, with what speaks for it and what to try next. `docs/verdicts.md` has the rules.

mod pictures;
mod process;
mod word;

use serde::{Deserialize, Serialize};

use super::holders::{Group, Rule};
use super::layout::Placed;
use super::sentence::{Ask, Sentence, To};
use super::survey::{Doubts, Point, Survey};
use crate::at::At;
use crate::format::{bytes, count, grouped};

pub use pictures::of_pictures;
pub use process::{advice, says};
pub use word::Word;

/// What shows a figure.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum View {
    /// The curves.
    Timeline,
    /// Who holds, at the end.
    Holders,
    /// What bytes are used for, at the end.
    Waterfall,
    /// The statistics.
    Stats,
    /// The process, of which there is a picture.
    Process,
}

impl View {
    /// The call of the command line that shows it, after `arenascope`.
    pub fn call(self, file: &str) -> String {
        match self {
            Self::Timeline | Self::Process => file.to_owned(),
            Self::Holders => format!("holders {file} --at end"),
            Self::Waterfall => format!("waterfall {file} --at end"),
            Self::Stats => format!("info {file}"),
        }
    }
}

/// A sentence that speaks for the verdict.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Evidence {
    /// What it says, its numbers as links.
    pub said: Sentence,
    /// Where to see it.
    pub view: View,
}

/// What could be tried.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Try {
    /// Something to do, in words.
    Do(String),
    /// Something to ask.
    Ask(Ask),
}

impl Try {
    /// As the command line says it.
    pub fn on_command_line(&self, file: &str) -> String {
        match self {
            Self::Do(what) => what.clone(),
            Self::Ask(ask) => format!("arenascope {}", ask.call(file)),
        }
    }
}

/// The verdict.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Verdict {
    /// On which heap.
    pub placed: Placed,
    /// In a word.
    pub word: Word,
    /// How sure, 0 to 1.
    pub confidence: f64,
    /// In a sentence that a colleague would say.
    pub says: Sentence,
    /// What speaks for it.
    pub evidence: Vec<Evidence>,
    /// What to try next.
    pub tries: Vec<Try>,
    /// Why it is not surer.
    pub doubts: Vec<String>,
}

/// Arenas below which there is nothing to speak of.
const FEW_ARENAS: u64 = 4;
/// A share of arenas in use below which survivors are few.
const PINNED_SHARE: f64 = 0.25;
/// What live bytes must have fallen to, of their peak, for arenas that stay to be the peak's.
const FALLEN: f64 = 0.6;
/// Of the peak's arenas, how many must still be there.
const STAYS: f64 = 0.75;
/// A share of what is held that is the C library's.
const ELSEWHERE: f64 = 0.75;
/// Live bytes must grow by this share of their peak after the start.
const GROWTH: f64 = 0.1;
/// How flat the last half of a plateau is, of the peak.
const FLAT: f64 = 0.1;
/// Bytes asked for over the run, as a multiple of the most that was live.
const TURNOVER: f64 = 20.0;
/// Windows in which the least live bytes are compared.
const WINDOWS: usize = 6;

/// The figures that rules ask.
struct Figures<'a> {
    survey: &'a Survey,
    end: Point,
    peak_live: u64,
    /// The moment that had as much.
    peak_step: u64,
    /// The moment that had the most arenas.
    most_step: u64,
    peak_blocks: u64,
    peak_raw: u64,
    /// The least live bytes of each window after the first quarter.
    floors: Vec<u64>,
}

impl<'a> Figures<'a> {
    fn of(survey: &'a Survey) -> Self {
        let points = &survey.points;
        let most = |of: fn(&Point) -> u64| points.iter().map(of).max().unwrap_or(0);
        let after_start = points.get(points.len() / 4..).unwrap_or_default();
        let width = after_start.len().div_ceil(WINDOWS).max(1);
        let floors = after_start
            .chunks(width)
            .map(|window| window.iter().map(Point::live_bytes).min().unwrap_or(0))
            .collect();
        Self {
            survey,
            end: points.last().copied().unwrap_or_default(),
            peak_live: most(Point::live_bytes),
            peak_step: points
                .iter()
                .rev()
                .max_by_key(|point| point.live_bytes())
                .map_or(0, |point| point.step),
            most_step: points.iter().rev().max_by_key(|point| point.arenas).map_or(0, |point| point.step),
            peak_blocks: most(|point| point.block_bytes),
            peak_raw: most(|point| point.raw_bytes),
            floors,
        }
    }

    /// How steadily the floor rises, 0 to 1, where it does.
    fn growth(&self) -> Option<f64> {
        let (first, last) = (*self.floors.first()?, *self.floors.last()?);
        let rise = last.checked_sub(first)?;
        let steps: Vec<f64> = self.floors.windows(2).map(|pair| pair[1] as f64 - pair[0] as f64).collect();
        if self.floors.len() < WINDOWS || (rise as f64) < GROWTH * self.peak_live as f64 {
            return None;
        }
        let mean = rise as f64 / steps.len() as f64;
        let steady = steps.iter().filter(|step| **step >= mean / 4.0).count();
        let falls = steps.iter().any(|step| *step < -mean / 10.0);
        let goes_on = steps.last().is_some_and(|step| *step >= mean / 3.0);
        let even = steps.iter().filter(|step| (0.5..=2.0).contains(&(**step / mean))).count();
        (steady + 1 >= steps.len() && !falls && goes_on).then(|| even as f64 / steps.len() as f64)
    }

    /// The share of held arenas that blocks in use take.
    fn in_use(&self) -> f64 {
        share(self.end.block_bytes, self.end.held_bytes)
    }

    /// The C library's share of what is there.
    fn elsewhere(&self) -> f64 {
        share(self.end.raw_bytes, self.end.raw_bytes + self.end.held_bytes)
    }

    fn is_flat(&self) -> bool {
        let half = &self.floors[self.floors.len() / 2..];
        let (least, most) = (half.iter().min().copied(), half.iter().max().copied());
        let spread = most.unwrap_or(0) - least.unwrap_or(0);
        spread as f64 <= FLAT * self.peak_live as f64
    }

    /// Whether it had still to come to what it is, at a twentieth of the run: what is there from the start is the program itself.
    fn rose(&self) -> bool {
        let early = self.survey.points.get(self.survey.points.len() / 20);
        early.is_some_and(|point| share(point.live_bytes(), self.peak_live) <= STAYS)
    }

    fn turnover(&self) -> f64 {
        self.survey.asked_bytes as f64 / self.peak_live.max(1) as f64
    }
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

fn percent(share: f64) -> String {
    // Hardly any is not none.
    let digits = usize::from(share > 0.0 && share < 0.01);
    format!("{:.digits$} %", 100.0 * share)
}

/// How far a figure is beyond a bound, 0 to 1, where twice as far is as far as it goes.
fn beyond(figure: f64, bound: f64) -> f64 {
    ((figure - bound) / bound.max(1e-9)).clamp(0.0, 1.0)
}

/// Of a run along a whole tape.
pub fn of_run(survey: &Survey, doubts: &Doubts) -> Verdict {
    let figures = Figures::of(survey);
    if let Some(verdict) = survey.process.as_ref().and_then(|process| figures.of_process(process)) {
        return verdict;
    }
    let mut verdict = figures.judge();
    figures.common(&mut verdict, doubts);
    verdict
}

impl Figures<'_> {
    /// Words that lead to the end of the run.
    fn at_end(&self, words: &str, to: To) -> Sentence {
        Sentence::default().link(words, self.end.step, to)
    }

    fn holders(&self, rule: Rule, name: Option<String>) -> To {
        To::Holders { key: self.survey.key, rule, name }
    }

    fn ask_holders(&self, at: Option<At>, rule: Rule) -> Try {
        Try::Ask(Ask::Holders { at, key: Some(self.survey.key), rule })
    }

    fn judge(&self) -> Verdict {
        let end = self.end;
        let arenas = count(end.arenas, "arena");
        let pinned = end.arenas >= FEW_ARENAS && self.in_use() < PINNED_SHARE;
        if let Some(evenness) = self.growth() {
            return self.grows(evenness);
        }
        if pinned && self.elsewhere() < ELSEWHERE {
            return self.pinned();
        }
        if self.elsewhere() >= ELSEWHERE && self.peak_raw >= FEW_ARENAS * self.survey.arena_bytes {
            return self.not_pymalloc();
        }
        let stays = share(end.arenas, self.survey.arenas_highwater) >= STAYS;
        let fell = share(end.block_bytes, self.peak_blocks) <= FALLEN;
        if self.survey.arenas_highwater >= FEW_ARENAS && stays && fell {
            return self.high_water();
        }
        let large = self.peak_live >= FEW_ARENAS * self.survey.arena_bytes;
        if large && self.rose() && self.is_flat() && share(end.live_bytes(), self.peak_live) >= STAYS {
            return self.plateau();
        }
        if self.turnover() >= TURNOVER && self.survey.asked_bytes >= self.survey.arena_bytes {
            return self.churn();
        }
        let says = Sentence::from("Nothing to mend: ")
            .link(&arenas, end.step, To::Waterfall)
            .say(" held at the end");
        let says = if end.arenas <= 1 {
            says.say(".")
        } else {
            says.say(", ").link(&percent(self.in_use()), end.step, To::Waterfall).say(" of them in use.")
        };
        self.verdict(Word::Healthy, 0.7, says)
    }

    fn not_pymalloc(&self) -> Verdict {
        let end = self.end;
        let says = Sentence::from("Most of the memory is not pymalloc's: ")
            .link(&bytes(end.raw_bytes), end.step, To::Waterfall)
            .say(" of ")
            .link(&bytes(end.raw_bytes + end.held_bytes), end.step, To::Waterfall)
            .say(" are RAW or large blocks of the C library.");
        let sure = 0.6 + 0.35 * beyond(self.elsewhere(), ELSEWHERE);
        let mut verdict = self.verdict(Word::NotPymalloc, sure, says);
        verdict.show(
            Sentence::from("pymalloc holds ")
                .link(&count(end.arenas, "arena"), end.step, To::Waterfall)
                .say(", ")
                .link(&bytes(end.held_bytes), end.step, To::Waterfall),
            View::Waterfall,
        );
        verdict.tries = vec![
            self.ask_holders(None, Rule::Split),
            Try::Do(
                "look at the largest groups without an arena: buffers, arrays, extension modules; whether the C library gives \
                 freed blocks back is its own policy (malloc_trim, MALLOC_ARENA_MAX, another malloc)"
                    .to_owned(),
            ),
        ];
        verdict
    }

    fn high_water(&self) -> Verdict {
        let end = self.end;
        let live = share(end.block_bytes, self.peak_blocks);
        let says = Sentence::from("The arenas of the peak are still held: ")
            .link(&count(end.arenas, "arena"), end.step, self.holders(Rule::Sole, None))
            .say(" of ")
            .link(&grouped(self.survey.arenas_highwater), self.peak_step, To::Step)
            .say(", though only ")
            .link(&percent(live), end.step, To::Waterfall)
            .say(" of the peak's blocks live. What lives is spread over all of them.");
        let sure = 0.6 + 0.35 * beyond(FALLEN - live, 0.2);
        let mut verdict = self.verdict(Word::HighWater, sure, says);
        verdict.show(
            Sentence::from("blocks in use take ")
                .link(&percent(self.in_use()), end.step, To::Waterfall)
                .say(" of the ")
                .link(&bytes(end.held_bytes), end.step, To::Waterfall)
                .say(" held"),
            View::Waterfall,
        );
        verdict.tries = vec![
            Try::Do(
                "the free blocks are used again by what comes next; lower the peak itself (smaller batches, a generator in place of \
                 a list), or do the burst in a process that ends"
                    .to_owned(),
            ),
            self.ask_holders(Some(At::Peak), Rule::Sole),
            Try::Ask(Ask::Want(50)),
        ];
        verdict
    }

    fn plateau(&self) -> Verdict {
        let end = self.end;
        let says = Sentence::from("It rose to ")
            .link(&bytes(self.peak_live), self.peak_step, To::Step)
            .say(" and stays there: the data are live, as a cache's are that is full.");
        let mut verdict = self.verdict(Word::Plateau, 0.8, says);
        verdict.show(
            Sentence::from("live bytes at the end: ").link(
                &bytes(end.live_bytes()),
                end.step,
                self.holders(Rule::Split, None),
            ),
            View::Timeline,
        );
        verdict.tries = vec![
            self.ask_holders(None, Rule::Split),
            Try::Do("bound the largest holder if that is more than it should keep".to_owned()),
        ];
        verdict
    }

    fn churn(&self) -> Verdict {
        let says = Sentence::from("Much comes and goes and little stays: ")
            .link(&bytes(self.survey.asked_bytes), self.end.step, To::Step)
            .say(" were asked for in all, ")
            .link(&bytes(self.peak_live), self.peak_step, To::Step)
            .say(" at once at the most.");
        let sure = 0.6 + 0.3 * beyond(self.turnover(), TURNOVER);
        let mut verdict = self.verdict(Word::Churn, sure, says);
        verdict.show(
            self.at_end(&count(self.survey.arenas_obtained, "arena"), To::Step)
                .say(" obtained over the run, ")
                .link(&grouped(self.survey.arenas_highwater), self.peak_step, To::Step)
                .say(" at once at the most"),
            View::Timeline,
        );
        verdict.tries = vec![
            Try::Do(
                "memory is not the trouble; time may be: reuse objects where the most are made".to_owned(),
            ),
            Try::Ask(Ask::Stats),
        ];
        verdict
    }

    fn grows(&self, evenness: f64) -> Verdict {
        let (first, last) = (self.floors.first().copied(), self.floors.last().copied());
        let (first, last) = (first.unwrap_or(0), last.unwrap_or(0));
        let quarter = self.survey.points.get(self.survey.points.len() / 4).map_or(0, |point| point.step);
        let end = self.end.step;
        let says = Sentence::from("Live data grows steadily: what was live at the least rose from ")
            .link(&bytes(first), quarter, To::Step)
            .say(" to ")
            .link(&bytes(last), end, To::Step)
            .say(" after the first quarter of the run.");
        let mut verdict = self.verdict(Word::Growth, 0.65 + 0.3 * evenness, says);
        verdict.show(
            Sentence::from("live bytes at the end: ")
                .link(&bytes(self.end.live_bytes()), end, self.holders(Rule::Split, None))
                .say(", at the peak ")
                .link(&bytes(self.peak_live), self.peak_step, To::Step),
            View::Timeline,
        );
        for grown in self.survey.grown.iter().take(3) {
            let row = self.holders(Rule::Split, Some(grown.label.key.clone()));
            verdict.show(
                self.at_end(&grown.label.to_string(), row.clone())
                    .say(" grew from ")
                    .link(&bytes(grown.before), self.survey.half, row.clone())
                    .say(" half-way to ")
                    .link(&bytes(grown.after), end, row),
                View::Holders,
            );
        }
        let key = self.survey.key.name();
        if let Some(most) = self.survey.grown.first() {
            verdict.tries.push(Try::Do(format!(
                "look who keeps what {} {} makes; free it or bound it",
                key, most.label.key
            )));
        }
        verdict.tries.push(self.ask_holders(Some(At::End), Rule::Split));
        verdict.tries.push(Try::Do(
            "run twice as long: a leak is then twice as large, a cache that fills is not".to_owned(),
        ));
        verdict
    }

    fn pinned(&self) -> Verdict {
        let end = self.end;
        let groups = &self.survey.at_end;
        let alone: u64 = groups.iter().map(|group| group.arenas_alone).sum();
        let says = Sentence::from("Few blocks keep many arenas: ")
            .link(&count(end.arenas, "arena"), end.step, self.holders(Rule::Sole, None))
            .say(" are held (")
            .link(&bytes(end.held_bytes), end.step, To::Waterfall)
            .say("), and blocks in use take ")
            .link(&bytes(end.block_bytes), end.step, To::Waterfall)
            .say(" of that.");
        let sure = 0.6 + 0.35 * beyond(PINNED_SHARE - self.in_use(), PINNED_SHARE / 2.0);
        let mut verdict = self.verdict(Word::Pinned, sure, says);
        let firsts = groups.iter().zip(&self.survey.alone).filter(|(group, _)| group.arenas_alone > 0);
        for (group, arena) in firsts.take(3) {
            verdict.show(self.keeps(group, arena.map(To::Arena)), View::Holders);
        }
        if alone < end.arenas {
            verdict.show(
                self.at_end(&count(end.arenas - alone, "arena"), self.holders(Rule::Split, None))
                    .say(" are kept by several groups, or by none"),
                View::Holders,
            );
        }
        // Where most arenas are kept by several groups together, no place in the source is the one to change.
        let together = alone * 2 < end.arenas;
        if together {
            let mut spread: Vec<&Group> =
                groups.iter().filter(|group| group.arenas * 2 >= end.arenas).collect();
            spread.sort_by_key(|group| std::cmp::Reverse(group.arenas));
            for group in spread.into_iter().take(3) {
                verdict.show(self.stands_in(group), View::Holders);
            }
        }
        let apart = Try::Do("do the burst in a process of its own that ends".to_owned());
        if together {
            verdict.tries.push(apart.clone());
        }
        if let Some(first) = groups.first().filter(|group| group.arenas_alone > 0) {
            verdict.tries.push(Try::Ask(Ask::Free(self.survey.key, first.label.key.clone())));
            if !together {
                verdict.tries.push(Try::Do(format!(
                    "make what {} keeps before the burst, or drop it after: its blocks lie among those that are gone",
                    first.label.key
                )));
            }
        }
        verdict.tries.push(if together { Try::Ask(Ask::Want(50)) } else { apart });
        verdict
    }

    /// In how many arenas a group is, with others.
    fn stands_in(&self, group: &Group) -> Sentence {
        let row = self.holders(Rule::Split, Some(group.label.key.clone()));
        let end = self.end.step;
        self.at_end(&group.label.to_string(), row.clone())
            .say(" is in ")
            .link(&count(group.arenas, "arena"), end, row.clone())
            .say(" with ")
            .link(&count(group.blocks, "block"), end, row.clone())
            .say(" (")
            .link(&bytes(group.block_bytes), end, row)
            .say(")")
    }

    /// What one group alone keeps; `arena` is one of these.
    fn keeps(&self, group: &Group, arena: Option<To>) -> Sentence {
        let row = self.holders(Rule::Sole, Some(group.label.key.clone()));
        let end = self.end.step;
        self.at_end(&group.label.to_string(), row.clone())
            .say(" alone keeps ")
            .link(&count(group.arenas_alone, "arena"), end, arena.unwrap_or_else(|| row.clone()))
            .say(" with ")
            .link(&count(group.blocks, "block"), end, row.clone())
            .say(" (")
            .link(&bytes(group.block_bytes), end, row)
            .say(")")
    }

    /// What is said whatever the word is.
    fn common(&self, verdict: &mut Verdict, doubts: &Doubts) {
        let end = self.end;
        if verdict.word != Word::Growth {
            let live = Sentence::from("live bytes: ")
                .link(&bytes(self.peak_live), self.peak_step, To::Step)
                .say(" at the peak, ")
                .link(&bytes(end.live_bytes()), end.step, self.holders(Rule::Split, None))
                .say(" at the end; arenas: ");
            let arenas = live
                .link(&self.survey.arenas_highwater.to_string(), self.most_step, To::Step)
                .say(" at the most, ")
                .link(&end.arenas.to_string(), end.step, self.holders(Rule::Sole, None))
                .say(" at the end");
            verdict.show(arenas, View::Timeline);
        }
        if let Some((first, last)) = doubts.resident {
            let said = Sentence::from("resident: ").link(&bytes(first), 0, To::Step).say(" at first, ");
            let said = said.link(&bytes(last), end.step, To::Step).say(" at last");
            verdict.show(said, View::Timeline);
        }
        let of_arenas = matches!(verdict.word, Word::Pinned | Word::HighWater);
        let mut doubt = |weight: f64, text: String| {
            verdict.confidence = (verdict.confidence - weight).max(0.3);
            verdict.doubts.push(text);
        };
        let trust = doubts.trust.filter(|trust| *trust < super::inquiry::TRUSTED);
        if self.survey.placed == Placed::Recorded {
            doubt(
                0.05,
                "free lists are not in a recording, nor arenas that came and went unseen or hold only blocks from before it"
                    .to_owned(),
            );
        } else if let Some(trust) = trust {
            let recorded = doubts.recorded_arenas.map_or_else(String::new, |arenas| {
                format!("; recorded addresses imply {} at the end", count(arenas, "arena"))
            });
            let weight = if of_arenas { 0.2 } else { 0.05 };
            doubt(
                weight,
                format!("the model puts {} of the blocks where they were recorded{recorded}", percent(trust)),
            );
        }
        if doubts.mid_life {
            doubt(0.05, "the recording begins in mid-life: what was there before is not in it".to_owned());
        }
        if doubts.truncated {
            doubt(0.1, "the recording ends early".to_owned());
        }
        // The picture of a process is one moment, however long that has run.
        if (1..10_000).contains(&end.step) {
            doubt(0.1, format!("it is short: {}", count(end.step, "operation")));
        }
    }
}

impl Figures<'_> {
    fn verdict(&self, word: Word, confidence: f64, says: Sentence) -> Verdict {
        Verdict { placed: self.survey.placed, ..Verdict::new(word, confidence, says) }
    }
}

impl Verdict {
    fn new(word: Word, confidence: f64, says: Sentence) -> Self {
        let (evidence, tries, doubts) = (Vec::new(), Vec::new(), Vec::new());
        Self { placed: Placed::Model, word, confidence, says, evidence, tries, doubts }
    }

    fn show(&mut self, said: Sentence, view: View) {
        self.evidence.push(Evidence { said, view });
    }

    /// How sure it is, in a word and hundredths.
    pub fn sure(&self) -> String {
        let word = match self.confidence {
            0.8.. => "likely",
            0.6.. => "probably",
            _ => "perhaps",
        };
        format!("{word}, {:.0} %", 100.0 * self.confidence)
    }
}
