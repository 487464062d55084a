//! Practice: fresh questions on the lessons of the course, from a seed.
//!
//! A template (`pools`, `arenas`, `big`, …) makes a program and asks for something that its last piece does. The machine runs it, and
//! what it did is the key. Where that is a place, [wrong machines](Rule) run the same operations, and what they would have done are the
//! distractors; elsewhere the key is a formula over the machine (`formula`), and the distractors are what people would reckon instead. Each has
//! the misconception that it comes from. A question with fewer than three different distractors is thrown away, and the seed's next throw makes another one.
//! Nothing here is stored, and the same seed gives the same question everywhere.

mod arenas;
mod asked;
mod big;
mod builds;
mod draft;
mod formula;
mod layers;
mod objects;
mod pages;
mod pools;
mod record;
mod rule;
mod show;
mod stats;
mod traces;
mod wrong;

use serde::{Deserialize, Serialize};
use sim_core::profile::DEFAULT_PRESET;
use sim_core::{ArenaPlacement, Profile};
use trace_io::lesson::{Show, truth};

pub use asked::{Answer, Asked, Said, Statement};
pub use record::{Happened, Header, Record, Spot, Staged};
pub use rule::Rule;

use crate::dice::Dice;
use draft::{Build, Draft};
use wrong::Wrong;

/// Distractors without which a question is none; as many stand beside the key.
pub const DISTRACTORS: usize = 3;
/// Throws of a seed until it is given up.
const THROWS: u64 = 400;
/// Sentences on what happened, at most.
const SENTENCES: usize = 8;

type Template = fn(&mut Dice, u8, &Build<'_>) -> Option<Draft>;

/// The lessons that there are questions on, by their ids, in the course's order.
pub const LESSONS: [&str; 25] = [
    "first-block",
    "classes",
    "lifo",
    "carving",
    "filling",
    "emptied",
    "which-arena",
    "released",
    "survivor",
    "big",
    "realloc",
    "whose",
    "domains",
    "hooks",
    "tracemalloc",
    "stats",
    "what-ifs",
    "objects",
    "growth",
    "type-lists",
    "versions",
    "mi-lists",
    "threads",
    "interpreters",
    "diagnosis",
];

const TEMPLATES: [Template; LESSONS.len()] = [
    pools::first_block,
    pools::classes,
    |dice, level, build| Some(pools::lifo(dice, level, build)),
    pools::carving,
    pools::full_pools,
    |dice, level, build| Some(pools::emptied(dice, level, build)),
    arenas::which_arena,
    arenas::released,
    arenas::survivor,
    |dice, level, build| Some(big::library(dice, level, build)),
    |dice, level, build| Some(big::realloc(dice, level, build)),
    layers::whose,
    |dice, level, build| Some(layers::domains(dice, level, build)),
    layers::hooks,
    traces::tracemalloc,
    stats::stats,
    |dice, level, build| Some(builds::what_ifs(dice, level, build)),
    |dice, level, build| Some(objects::objects(dice, level, build)),
    objects::growth,
    |dice, level, build| Some(objects::type_lists(dice, level, build)),
    |dice, level, build| Some(builds::versions(dice, level, build)),
    pages::lists,
    pages::threads,
    |dice, level, build| Some(pages::interpreters(dice, level, build)),
    builds::diagnosis,
];

/// The builds that a lesson holds for, as a formula over their constants.
fn holds(lesson: &str) -> &'static str {
    match lesson {
        "tracemalloc" => "1",
        "mi-lists" | "threads" => "free_threaded",
        "interpreters" => "version >= 312 and not free_threaded",
        "objects" | "growth" | "type-lists" => "pointer == 8 and not free_threaded",
        _ => "not free_threaded",
    }
}

/// The lessons on arenas, which are easier to see with few pools.
const SMALL_ARENAS: [&str; 5] = ["which-arena", "released", "survivor", "what-ifs", "diagnosis"];

/// The build to ask on where nobody has named one: the one that is open, or the first that the lesson holds for.
pub fn build_for(lesson: &str, open: Profile) -> Profile {
    let holds = |profile: &Profile| matches!(truth(holds(lesson), profile), Ok(true));
    let others = [DEFAULT_PRESET, "cpython-3.14t"];
    if holds(&open) {
        return open;
    }
    others.iter().filter_map(|name| Profile::named(name).ok()).find(holds).unwrap_or(open)
}

/// How large arenas are in the lessons on them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scale {
    /// A few pools, so that the picture is small.
    Small,
    /// As large as the build has them: a real interpreter has no others.
    Own,
}

/// A question, as plain data.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Question {
    /// The lesson's id.
    pub lesson: String,
    /// 1 to 3.
    pub level: u8,
    /// What it was made of.
    pub seed: u64,
    /// The profile's name.
    pub profile: String,
    /// What it changes of the profile.
    pub settings: Vec<(String, String)>,
    /// What is shown first.
    pub program: String,
    /// What is asked about.
    pub then: String,
    /// The question; code stands in backticks.
    pub text: String,
    /// What the learner does.
    pub task: Task,
    /// Why the key is right: what happens.
    pub because: Vec<String>,
    /// What is in front.
    pub show: Show,
    /// What is selected.
    pub select: Option<String>,
    /// What is asked, to be read off any record of these operations.
    pub asked: Asked,
    /// The key in the same form.
    pub answer: Answer,
}

/// What the learner does.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Task {
    /// Chooses one of several answers.
    Choose {
        /// In the order in which they are shown.
        choices: Vec<Choice>,
        /// Which one is right.
        key: usize,
    },
    /// Clicks a place on the map.
    Click {
        /// The right one.
        key: Spot,
        /// Places that betray a belief.
        wrong: Vec<Choice>,
    },
    /// Types a number.
    Number {
        /// The right one.
        key: i64,
        /// Numbers that betray a belief.
        wrong: Vec<WrongNumber>,
    },
}

/// An answer to choose.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Choice {
    /// What it says.
    pub text: String,
    /// The misconception that it comes from.
    pub misconception: Option<u32>,
    /// Where its machine first does otherwise than the real one; none for the key.
    pub differs: Option<String>,
    /// The answer.
    pub answer: Answer,
}

/// A number that a wrong machine would give.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct WrongNumber {
    /// The number.
    pub value: i64,
    /// The misconception that it comes from.
    pub misconception: Option<u32>,
    /// Where its machine first does otherwise than the real one.
    pub differs: String,
}

/// A question on a lesson at a level from 1 to 3; none where there are no such questions, or where the lesson does not hold. It is
/// one of the build that the profile is called after: what somebody has changed of that would be the answer to half of the questions.
pub fn question(lesson: &str, level: u8, seed: u64, profile: &Profile) -> Option<Question> {
    question_at(lesson, level, seed, profile, Scale::Small)
}

/// The same with arenas of another size.
pub fn question_at(lesson: &str, level: u8, seed: u64, profile: &Profile, scale: Scale) -> Option<Question> {
    let number = LESSONS.iter().position(|&id| id == lesson)?;
    let preset = Profile::named(&profile.name).ok()?;
    if !(1..=3).contains(&level) || !matches!(truth(holds(lesson), &preset), Ok(true)) {
        return None;
    }
    let profile = &preset;
    let mut settings = Vec::new();
    if scale == Scale::Small && SMALL_ARENAS.contains(&lesson) {
        let pools = if level < 3 { 4 } else { 8 };
        settings.push(("arena_size".to_owned(), (pools * profile.pool_size).to_string()));
    }
    if profile.arena_placement != ArenaPlacement::Aligned {
        settings.push(("arena_placement".to_owned(), "aligned".to_owned()));
    }
    let profile = profile.clone().changed(&settings).ok()?;
    (0..THROWS).find_map(|throw| {
        let mut dice = Dice::of(&[number as u64, u64::from(level), seed, throw]);
        let draft = TEMPLATES[number](&mut dice, level, &Build::new(&profile))?;
        let settings: Vec<_> = settings.iter().chain(&draft.settings).cloned().collect();
        let mut question = if draft.settings.is_empty() {
            tried(draft, level, &mut dice, &profile, &settings)
        } else {
            tried(draft, level, &mut dice, &profile.clone().changed(&settings).ok()?, &settings)
        }?;
        lesson.clone_into(&mut question.lesson);
        question.seed = seed;
        question.settings = settings;
        Some(question)
    })
}

/// A record of the machine that a rule, or several, makes of a build's; none where they say nothing else of it.
pub fn wrong_record(rules: &[Rule], staged: &Staged, profile: &Profile) -> Option<Record> {
    Some(Wrong::new(rules, profile)?.run(staged))
}

/// A wrong machine's answer.
struct Distractor {
    answer: Answer,
    text: String,
    misconception: Option<u32>,
    differs: String,
    /// Whether the lesson is about what its machine does wrong.
    needed: bool,
}

impl Distractor {
    fn choice(self) -> Choice {
        let Self { answer, text, misconception, differs, .. } = self;
        Choice { text, misconception, differs: Some(differs), answer }
    }
}

/// What came of a draft's operations.
struct Found {
    /// The key, and how it is said.
    answer: Answer,
    key: String,
    /// The question, with its numbers.
    text: String,
    distractors: Vec<Distractor>,
    because: Vec<String>,
    /// Whether the key is a place that is on the map.
    seen: bool,
}

/// What the machine and the wrong ones do of a draft's operations.
fn placed(draft: &Draft, program: &str, then: &str, profile: &Profile) -> Option<Found> {
    let staged = Staged::new(program, then, profile).ok()?;
    let all = staged.trace.len() as usize;
    if staged.shown == all {
        return None;
    }
    let (right, told) = staged.run(profile, draft.asked.about(&staged))?;
    let answer = draft.asked.answer(&staged, &right)?;
    let key = draft.asked.words(&answer, &staged, &right);
    let mut distractors: Vec<Distractor> = Vec::new();
    for rules in &draft.rules {
        let Some(record) = wrong_record(rules, &staged, profile) else { continue };
        let Some(other) = draft.asked.answer(&staged, &record) else { continue };
        let text = draft.asked.words(&other, &staged, &right);
        let needed = matches!(rules[..], [rule] if draft.needed.contains(&rule));
        if other == answer && needed {
            return None;
        }
        if other == answer || text == key || distractors.iter().any(|before| before.text == text) {
            continue;
        }
        let beliefs: Vec<String> = rules.iter().map(|rule| rule.belief(profile)).collect();
        let belief = beliefs.join(" and ");
        let differs = differs(&belief, &staged, &right, &record)
            .unwrap_or_else(|| format!("If {belief}, the answer would be {text}; it is {key}."));
        let misconception = rules.iter().find_map(|rule| rule.misconception(profile));
        distractors.push(Distractor { answer: other, text, misconception, differs, needed });
    }
    let mut because: Vec<String> = draft.why.iter().cloned().collect();
    because.extend(draft.asked.because(&staged, &right));
    because.extend(told.into_iter().take(SENTENCES).map(|sentence| told_of(&sentence)));
    let seen = matches!(answer, Answer::Spot(spot) if seen(spot, &staged, &right));
    Some(Found { answer, key, text: draft.text.clone(), distractors, because, seen })
}

/// Runs a draft; `None` if it is no good question.
fn tried(
    draft: Draft,
    level: u8,
    dice: &mut Dice,
    profile: &Profile,
    settings: &[(String, String)],
) -> Option<Question> {
    let (program, then) = (draft.program.join("\n"), draft.then.join("\n"));
    let Found { answer, key, text, distractors: mut found, because, seen } = match draft.asked {
        Asked::Formula(..) | Asked::Which(_) => formula::found(&draft, &program, &then, profile, settings),
        _ => placed(&draft, &program, &then, profile),
    }?;
    // What the learner reads must not say it. What is asked about may be told in other words than the program's.
    let told = match draft.asked {
        Asked::Formula(..) if !then.lines().any(|line| text.contains(line)) => "",
        _ => &then,
    };
    if found.len() < DISTRACTORS || shows(&[&program, told, &text], &answer) {
        return None;
    }
    let task = match answer {
        Answer::Number(key) if level > 2 => {
            let wrong = found.into_iter().filter_map(|distractor| match distractor.answer {
                Answer::Number(value) => {
                    let Distractor { misconception, differs, .. } = distractor;
                    Some(WrongNumber { value, misconception, differs })
                }
                _ => None,
            });
            Task::Number { key, wrong: wrong.collect() }
        }
        Answer::Spot(key) if level == 2 && seen && dice.within(0, 2) == 0 => {
            Task::Click { key, wrong: found.into_iter().map(Distractor::choice).collect() }
        }
        _ => {
            dice.shuffle(&mut found);
            // What the lesson is about before what people are known to believe, and that before what somebody might.
            found.sort_by_key(|distractor| (!distractor.needed, distractor.misconception.is_none()));
            found.truncate(DISTRACTORS);
            let mut choices =
                vec![Choice { text: key, misconception: None, differs: None, answer: answer.clone() }];
            choices.extend(found.into_iter().map(Distractor::choice));
            dice.shuffle(&mut choices);
            let key = choices.iter().position(|choice| choice.differs.is_none())?;
            Task::Choose { choices, key }
        }
    };
    Some(Question {
        lesson: String::new(),
        level,
        seed: 0,
        profile: profile.name.clone(),
        settings: Vec::new(),
        program,
        then,
        text,
        task,
        because,
        show: draft.show,
        select: draft.select,
        asked: draft.asked,
        answer,
    })
}

/// A sentence of the machine's as one of a text, in which brackets and backticks mean something.
fn told_of(sentence: &str) -> String {
    let mut text = sentence.replace(['{', '}', '`'], "").replace("[[", "[");
    if let Some(first) = text.get(..1) {
        text.replace_range(..1, &first.to_uppercase());
    }
    text.push('.');
    text
}

/// Whether a number that is asked for stands in what is read before.
fn shows(texts: &[&str], answer: &Answer) -> bool {
    let Answer::Number(key) = answer else { return false };
    // Small numbers stand everywhere, and say nothing.
    *key > 9
        && texts
            .iter()
            .any(|text| text.split(|c: char| !c.is_ascii_digit()).any(|word| word.parse() == Ok(*key)))
}

/// Whether the picture before the question has the place: a pool is cut into blocks by the class that it served last.
fn seen(spot: Spot, staged: &Staged, right: &Record) -> bool {
    let Spot::Block { arena, offset } = spot else { return false };
    (0..staged.shown).rev().find_map(|at| match right.happened[at].spot {
        Some(Spot::Block { arena: other, offset: before })
            if (other, before / right.pool_size) == (arena, offset / right.pool_size) =>
        {
            let (_, size) = staged.result(at)?;
            Some(offset.abs_diff(before).is_multiple_of(size.max(1).next_multiple_of(right.step)))
        }
        _ => None,
    }) == Some(true)
}

/// Where a wrong machine first does otherwise, in a sentence.
fn differs(belief: &str, staged: &Staged, right: &Record, wrong: &Record) -> Option<String> {
    let at = (0..right.happened.len()).find(|&at| right.happened[at] != wrong.happened[at])?;
    let (ours, theirs) = (&right.happened[at], &wrong.happened[at]);
    let call = staged.written(at);
    let words = |spot| asked::spot_words(spot, staged, right, at);
    if let (Some(ours), Some(theirs)) = (ours.spot, theirs.spot)
        && ours != theirs
    {
        return Some(format!(
            "If {belief}, the block of `{call}` would lie {}; it lies {}.",
            words(theirs),
            words(ours)
        ));
    }
    let gone = |released: &[u64]| match released {
        [] => "no arena would go".to_owned(),
        [one] => format!("arena {one} would go"),
        many => {
            let numbers: Vec<String> = many.iter().map(u64::to_string).collect();
            format!("arenas {} would go", asked::and(&numbers))
        }
    };
    let goes = |released: &[u64]| gone(released).replace(" would go", " goes");
    (ours.released != theirs.released)
        .then(|| format!("If {belief}, {} at `{call}`; {}.", gone(&theirs.released), goes(&ours.released)))
}
