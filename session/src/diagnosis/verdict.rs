//! What became of the memory over a run, in one word, with what speaks for it and what to try next. `docs/verdicts.md` has the rules.

use serde::{Deserialize, Serialize};
use trace_io::stats_text::StatsText;

use super::survey::{Doubts, Point, Survey};
use crate::format::{bytes, count};

/// The word.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Word {
    /// Live data grows steadily.
    Growth,
    /// Few blocks keep many arenas.
    Pinned,
    /// The peak's arenas stay, spread over blocks that live.
    HighWater,
    /// It rose and stays: the data are in use, as a cache's are.
    Plateau,
    /// Much comes and goes, and little stays.
    Churn,
    /// Most of it is not pymalloc's.
    NotPymalloc,
    /// Nothing to mend.
    Healthy,
}

impl Word {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Growth => "growth",
            Self::Pinned => "pinned",
            Self::HighWater => "high_water",
            Self::Plateau => "plateau",
            Self::Churn => "churn",
            Self::NotPymalloc => "not_pymalloc",
            Self::Healthy => "healthy",
        }
    }
}

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
}

/// A sentence that speaks for the verdict.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Evidence {
    /// What it says.
    pub text: String,
    /// Where to see it.
    pub view: View,
}

/// What could be tried.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Try {
    /// Something to do, in words.
    Do(String),
    /// Something to ask, as arguments of the command line; FILE stands for the trace.
    Ask(String),
}

/// The verdict.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Verdict {
    /// In a word.
    pub word: Word,
    /// How sure, 0 to 1.
    pub confidence: f64,
    /// In a sentence that a colleague would say.
    pub says: String,
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
    format!("{:.0} %", 100.0 * share)
}

/// How far a figure is beyond a bound, 0 to 1, where twice as far is as far as it goes.
fn beyond(figure: f64, bound: f64) -> f64 {
    ((figure - bound) / bound.max(1e-9)).clamp(0.0, 1.0)
}

/// Of a run along a whole tape.
pub fn of_run(survey: &Survey, doubts: &Doubts) -> Verdict {
    let figures = Figures::of(survey);
    let mut verdict = figures.judge();
    figures.common(&mut verdict, doubts);
    verdict
}

impl Figures<'_> {
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
            let says = format!(
                "Most of the memory is not pymalloc's: {} of {} are RAW or large blocks of the C library.",
                bytes(end.raw_bytes),
                bytes(end.raw_bytes + end.held_bytes)
            );
            let mut verdict =
                Verdict::new(Word::NotPymalloc, 0.6 + 0.35 * beyond(self.elsewhere(), ELSEWHERE), says);
            verdict.show(format!("pymalloc holds {arenas}, {}", bytes(end.held_bytes)), View::Waterfall);
            verdict.tries = vec![
                Try::Ask("holders FILE --by site --rule split".to_owned()),
                Try::Do(
                    "look at the largest groups without an arena: buffers, arrays, extension modules; whether the C library gives \
                     freed blocks back is its own policy (malloc_trim, MALLOC_ARENA_MAX, another malloc)"
                        .to_owned(),
                ),
            ];
            return verdict;
        }
        let stays = share(end.arenas, self.survey.arenas_highwater) >= STAYS;
        let fell = share(end.block_bytes, self.peak_blocks) <= FALLEN;
        if self.survey.arenas_highwater >= FEW_ARENAS && stays && fell {
            let says = format!(
                "The arenas of the peak are still held: {arenas} of {}, though only {} of the peak's blocks live. What lives is spread \
                 over all of them.",
                self.survey.arenas_highwater,
                percent(share(end.block_bytes, self.peak_blocks))
            );
            let sure = 0.6 + 0.35 * beyond(FALLEN - share(end.block_bytes, self.peak_blocks), 0.2);
            let mut verdict = Verdict::new(Word::HighWater, sure, says);
            verdict.show(
                format!(
                    "blocks in use take {} of the {} held",
                    percent(self.in_use()),
                    bytes(end.held_bytes)
                ),
                View::Waterfall,
            );
            verdict.tries = vec![
                Try::Do(
                    "the free blocks are used again by what comes next; lower the peak itself (smaller batches, a generator in place of \
                     a list), or do the burst in a process that ends"
                        .to_owned(),
                ),
                Try::Ask("holders FILE --at peak".to_owned()),
                Try::Ask("forecast FILE --want 50%".to_owned()),
            ];
            return verdict;
        }
        let large = self.peak_live >= FEW_ARENAS * self.survey.arena_bytes;
        if large && self.rose() && self.is_flat() && share(end.live_bytes(), self.peak_live) >= STAYS {
            let says = format!(
                "It rose to {} and stays there: the data are live, as a cache's are that is full.",
                bytes(self.peak_live)
            );
            let mut verdict = Verdict::new(Word::Plateau, 0.8, says);
            verdict.show(format!("live bytes at the end: {}", bytes(end.live_bytes())), View::Timeline);
            verdict.tries = vec![
                Try::Ask("holders FILE --by site --rule split".to_owned()),
                Try::Do("bound the largest holder if that is more than it should keep".to_owned()),
            ];
            return verdict;
        }
        if self.turnover() >= TURNOVER && self.survey.asked_bytes >= self.survey.arena_bytes {
            let says = format!(
                "Much comes and goes and little stays: {} were asked for in all, {} at once at the most.",
                bytes(self.survey.asked_bytes),
                bytes(self.peak_live)
            );
            let mut verdict = Verdict::new(Word::Churn, 0.6 + 0.3 * beyond(self.turnover(), TURNOVER), says);
            verdict.show(
                format!(
                    "{} obtained over the run, {} at once at the most",
                    count(self.survey.arenas_obtained, "arena"),
                    self.survey.arenas_highwater
                ),
                View::Timeline,
            );
            verdict.tries = vec![
                Try::Do(
                    "memory is not the trouble; time may be: reuse objects where the most are made"
                        .to_owned(),
                ),
                Try::Ask("stats FILE".to_owned()),
            ];
            return verdict;
        }
        let says = if end.arenas <= 1 {
            format!("Nothing to mend: {arenas} held at the end.")
        } else {
            format!("Nothing to mend: {arenas} held at the end, {} of them in use.", percent(self.in_use()))
        };
        Verdict::new(Word::Healthy, 0.7, says)
    }

    fn grows(&self, evenness: f64) -> Verdict {
        let (first, last) = (self.floors.first().copied(), self.floors.last().copied());
        let (first, last) = (first.unwrap_or(0), last.unwrap_or(0));
        let says = format!(
            "Live data grows steadily: what was live at the least rose from {} to {} after the first quarter of the run.",
            bytes(first),
            bytes(last)
        );
        let mut verdict = Verdict::new(Word::Growth, 0.65 + 0.3 * evenness, says);
        verdict.show(
            format!(
                "live bytes at the end: {}, at the peak {}",
                bytes(self.end.live_bytes()),
                bytes(self.peak_live)
            ),
            View::Timeline,
        );
        for grown in self.survey.grown.iter().take(3) {
            verdict.show(
                format!(
                    "{} grew from {} half-way to {}",
                    grown.label,
                    bytes(grown.before),
                    bytes(grown.after)
                ),
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
        verdict.tries.push(Try::Ask(format!("holders FILE --at end --by {key} --rule split")));
        verdict.tries.push(Try::Do(
            "run twice as long: a leak is then twice as large, a cache that fills is not".to_owned(),
        ));
        verdict
    }

    fn pinned(&self) -> Verdict {
        let end = self.end;
        let groups = &self.survey.at_end;
        let alone: u64 = groups.iter().map(|group| group.arenas_alone).sum();
        let says = format!(
            "Few blocks keep many arenas: {} are held ({}), and blocks in use take {} of that.",
            count(end.arenas, "arena"),
            bytes(end.held_bytes),
            bytes(end.block_bytes)
        );
        let sure = 0.6 + 0.35 * beyond(PINNED_SHARE - self.in_use(), PINNED_SHARE / 2.0);
        let mut verdict = Verdict::new(Word::Pinned, sure, says);
        for group in groups.iter().filter(|group| group.arenas_alone > 0).take(3) {
            verdict.show(
                format!(
                    "{} alone keeps {} with {} ({})",
                    group.label,
                    count(group.arenas_alone, "arena"),
                    count(group.blocks, "block"),
                    bytes(group.block_bytes)
                ),
                View::Holders,
            );
        }
        if alone < end.arenas {
            verdict.show(
                format!("{} are kept by several groups, or by none", count(end.arenas - alone, "arena")),
                View::Holders,
            );
        }
        if let Some(first) = groups.first().filter(|group| group.arenas_alone > 0) {
            let key = self.survey.key.name();
            verdict.tries.push(Try::Ask(format!("forecast FILE --free '{key}={}'", first.label.key)));
            verdict.tries.push(Try::Do(format!(
                "make what {} keeps before the burst, or drop it after: its blocks lie among those that are gone",
                first.label.key
            )));
        } else {
            verdict.tries.push(Try::Ask("forecast FILE --want 50%".to_owned()));
        }
        verdict.tries.push(Try::Do("do the burst in a process of its own that ends".to_owned()));
        verdict
    }

    /// What is said whatever the word is.
    fn common(&self, verdict: &mut Verdict, doubts: &Doubts) {
        let end = self.end;
        if verdict.word != Word::Growth {
            verdict.show(
                format!(
                    "live bytes: {} at the peak, {} at the end; arenas: {} at the most, {} at the end",
                    bytes(self.peak_live),
                    bytes(end.live_bytes()),
                    self.survey.arenas_highwater,
                    end.arenas
                ),
                View::Timeline,
            );
        }
        if let Some((first, last)) = doubts.resident {
            verdict.show(
                format!("resident: {} at first, {} at last", bytes(first), bytes(last)),
                View::Timeline,
            );
        }
        let of_arenas = matches!(verdict.word, Word::Pinned | Word::HighWater);
        let mut doubt = |weight: f64, text: String| {
            verdict.confidence = (verdict.confidence - weight).max(0.3);
            verdict.doubts.push(text);
        };
        if let Some(trust) = doubts.trust.filter(|trust| *trust < super::inquiry::TRUSTED) {
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
        if end.step < 10_000 {
            doubt(0.1, format!("it is short: {}", count(end.step, "operation")));
        }
    }
}

impl Verdict {
    fn new(word: Word, confidence: f64, says: String) -> Self {
        Self { word, confidence, says, evidence: Vec::new(), tries: Vec::new(), doubts: Vec::new() }
    }

    fn show(&mut self, text: String, view: View) {
        self.evidence.push(Evidence { text, view });
    }
}

/// Of the text of `sys._debugmallocstats()`: one picture, or several of one run.
pub fn of_pictures(stats: &StatsText) -> Verdict {
    let all: Vec<&StatsText> = stats.series().collect();
    let (held, in_use) = (stats.bytes_held(), stats.bytes_in_use());
    let used = share(in_use, held);
    let arenas = stats.arenas().map_or(0, |(count, _)| count);
    let most = all.iter().filter_map(|picture| picture.arenas()).map(|(count, _)| count).max().unwrap_or(0);
    let peak = all.iter().map(|picture| picture.bytes_in_use()).max().unwrap_or(0);
    let grows = all.len() >= WINDOWS
        && all.windows(2).all(|pair| pair[1].bytes_in_use() >= pair[0].bytes_in_use())
        && in_use.saturating_sub(all[all.len() / 4].bytes_in_use()) as f64 >= GROWTH * peak as f64;
    let mut verdict = if grows {
        Verdict::new(
            Word::Growth,
            0.6,
            format!(
                "Blocks in use grow from picture to picture, to {} in the last of {}.",
                bytes(in_use),
                all.len()
            ),
        )
    } else if arenas >= FEW_ARENAS && used < PINNED_SHARE {
        Verdict::new(
            Word::Pinned,
            0.6,
            format!(
                "Few blocks keep many arenas: {} are held ({}), blocks in use take {}.",
                count(arenas, "arena"),
                bytes(held),
                bytes(in_use)
            ),
        )
    } else if all.len() > 1
        && arenas >= FEW_ARENAS
        && share(arenas, most) >= STAYS
        && share(in_use, peak) <= FALLEN
    {
        Verdict::new(
            Word::HighWater,
            0.6,
            format!(
                "The arenas of the peak are still held: {arenas} of {most}, though blocks in use fell to {}.",
                bytes(in_use)
            ),
        )
    } else {
        Verdict::new(
            Word::Healthy,
            0.5,
            format!(
                "pymalloc holds {}, of which blocks in use take {}: too little to mend, or well used.",
                bytes(held),
                percent(used)
            ),
        )
    };
    if all.len() > 1 {
        let line: Vec<String> = all.iter().map(|picture| bytes(picture.bytes_in_use())).collect();
        verdict.show(format!("in use, picture by picture: {}", line.join(", ")), View::Stats);
        let line: Vec<String> =
            all.iter().map(|p| p.arenas().map_or(0, |(count, _)| count).to_string()).collect();
        verdict.show(format!("arenas: {}", line.join(", ")), View::Stats);
    } else {
        verdict
            .doubts
            .push("one picture shows a moment: whether it grows, only a second one tells".to_owned());
        verdict.tries.push(Try::Do(
            "print sys._debugmallocstats() again later, and give both pictures in one file".to_owned(),
        ));
    }
    if let Some(largest) = stats.classes.iter().max_by_key(|class| class.available * class.size) {
        verdict.show(
            format!(
                "the most free room is in class {} ({} bytes): {} of {} blocks are free",
                largest.class,
                largest.size,
                largest.available,
                largest.available + largest.in_use
            ),
            View::Stats,
        );
    }
    verdict
        .tries
        .push(Try::Do("record a trace to see who holds: memray run --trace-python-allocators".to_owned()));
    verdict
}
