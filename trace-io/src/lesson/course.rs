//! Lessons of the course: a program in pieces, and between the pieces what is said, asked and shown.
//!
//! `docs/lessons.md` shows the form. Everything that is claimed is a formula, so that it follows the profile and can
//! be checked against the machine.

use std::collections::BTreeMap;

use serde::Deserialize;
use sim_core::{Note, Profile, TraceBuilder};

use super::text;
use super::under::{Holds, Under, truth};
use crate::error::TraceError;
use crate::program::expr::Constants;
use crate::program::{Bounds, Expanded, Expander, Program};

/// A lesson, as it is written.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename = "Lesson")]
pub struct Lesson {
    /// What links and other lessons call it.
    pub id: String,
    /// Its place in the course, from 1; 0 for one that stands alone.
    #[serde(default)]
    pub number: u32,
    /// Its title.
    pub name: String,
    /// What who did it can do.
    pub goal: String,
    /// How long it takes.
    pub minutes: u32,
    /// Ids of lessons that come before it.
    #[serde(default)]
    pub needs: Vec<String>,
    /// Terms that it explains.
    #[serde(default)]
    pub terms: Vec<String>,
    /// The profile that it is written for.
    #[serde(default)]
    pub profile: Option<String>,
    /// `PYTHONMALLOC`.
    #[serde(default)]
    pub malloc: Option<String>,
    /// Fields of the profile that it changes; numbers may be formulas over the profile.
    #[serde(default)]
    pub settings: BTreeMap<String, String>,
    /// For which builds it holds.
    #[serde(default)]
    pub holds: Option<Holds>,
    /// The Python that its operations come from.
    #[serde(default)]
    pub source: Option<Source>,
    /// What is done, said and asked, in order.
    pub steps: Vec<Step>,
}

/// Python that was run, and what ran it: `snippets` of real-cpython writes it beside the calls that were made.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// The program.
    pub text: String,
    /// The interpreter and its platform, as in "CPython 3.13.0, Linux x86-64".
    pub recorded: String,
}

/// One step of a lesson.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// A piece of the program.
    Run(String),
    /// A number is kept under a name for what comes later.
    Keep(String, String),
    /// Something is said.
    Say(Say),
    /// Something is asked.
    Ask(Ask),
    /// The next piece of the program is done by the learner, who says where each block goes.
    Play(Play),
}

/// What is in front, and how near.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Show {
    /// The map with all arenas.
    #[default]
    Arenas,
    /// The map with the pools of an arena.
    Pools,
    /// The map with the blocks of a pool.
    Blocks,
    /// The size classes with their used pools.
    Classes,
    /// `usable_arenas`, one row an arena.
    ArenaList,
    /// The text of `sys._debugmallocstats()`.
    Stats,
    /// The domains' tables.
    Domains,
    /// A block's bytes under debug hooks.
    Debug,
    /// tracemalloc's groups.
    Tracemalloc,
    /// mimalloc's segments and pages.
    Mimalloc,
    /// What the last operation did.
    Narration,
}

/// A beat that says something.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Say {
    /// The text, with formulas in braces, terms in double square brackets, and code in backticks.
    pub text: String,
    /// What is in front.
    #[serde(default)]
    pub show: Show,
    /// The block, pool or arena that is selected.
    #[serde(default)]
    pub select: Option<String>,
    /// What is pointed at: blocks, pools, arenas, or a field of the inspector as `field:nextoffset`.
    #[serde(default)]
    pub point: Vec<String>,
    /// What is true at this moment.
    #[serde(default)]
    pub claims: Vec<String>,
    /// What is said instead under other builds: the first whose condition holds.
    #[serde(default)]
    pub variants: Vec<Variant>,
    /// The line of [`Lesson::source`] that it speaks of, from 1.
    #[serde(default)]
    pub line: Option<u32>,
}

impl Say {
    /// What is said under a build.
    pub fn text_under(&self, profile: &Profile) -> Result<&str, TraceError> {
        Ok(self.variant(profile)?.map_or(&self.text, |variant| &variant.text))
    }

    /// What is claimed under a build.
    pub fn claims_under(&self, profile: &Profile) -> Result<&[String], TraceError> {
        Ok(self.variant(profile)?.map_or(&self.claims, |variant| &variant.claims))
    }

    fn variant(&self, profile: &Profile) -> Result<Option<&Variant>, TraceError> {
        for variant in &self.variants {
            if truth(&variant.when, profile)? {
                return Ok(Some(variant));
            }
        }
        Ok(None)
    }
}

/// Another text for some builds.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variant {
    /// A formula over the build's constants.
    pub when: String,
    /// The text.
    pub text: String,
    /// What is true at this moment.
    #[serde(default)]
    pub claims: Vec<String>,
}

/// A question. It is asked before the next piece of the program, and answered by what that piece does.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ask {
    /// The question.
    pub text: String,
    /// What is in front.
    #[serde(default)]
    pub show: Show,
    /// What is selected.
    #[serde(default)]
    pub select: Option<String>,
    /// Answers to choose from, of which one is true.
    #[serde(default)]
    pub options: Vec<Answer>,
    /// The number to type, as a formula.
    #[serde(default)]
    pub number: Option<String>,
    /// Typed numbers that betray a misconception.
    #[serde(default)]
    pub wrong: Vec<(String, u32)>,
    /// The block, pool or arena to click on the map.
    #[serde(default)]
    pub click: Option<String>,
    /// Whether it is about the moment that is shown, and not about what comes next.
    #[serde(default)]
    pub now: bool,
    /// A formula over the build's constants: where it is 0 the question is left out.
    #[serde(default)]
    pub when: Option<String>,
    /// Added to the explanation, as text of a beat.
    #[serde(default)]
    pub because: String,
    /// The line of [`Lesson::source`] that it is about, from 1.
    #[serde(default)]
    pub line: Option<u32>,
}

/// One answer to choose.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// What it says.
    pub say: String,
    /// What would have to be true for it to be right.
    pub is: String,
    /// The number of the misconception that it belongs to.
    #[serde(default)]
    pub m: Option<u32>,
}

/// A piece that the learner does.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Play {
    /// What to do.
    pub text: String,
    /// What is in front.
    #[serde(default)]
    pub show: Show,
    /// What is selected.
    #[serde(default)]
    pub select: Option<String>,
    /// The line of [`Lesson::source`] that is played, from 1.
    #[serde(default)]
    pub line: Option<u32>,
}

/// The operations of a lesson, and after how many of them each of its steps stands.
#[derive(Clone, Debug)]
pub struct Staged {
    /// The operations.
    pub expanded: Expanded,
    /// For each of [`Lesson::steps`] the operations before it; for a piece of the program those after it.
    pub at: Vec<u64>,
}

impl Lesson {
    /// Reads a lesson.
    pub fn parse(text: &str) -> Result<Self, TraceError> {
        // `say(text: "…")`, not `say(Say(text: "…"))`.
        let text = super::form::without_mark(text);
        super::form::from_ron(text, ron::extensions::Extensions::UNWRAP_VARIANT_NEWTYPES)
    }

    fn under(&self) -> Under<'_> {
        Under {
            profile: self.profile.as_deref(),
            malloc: self.malloc.as_deref(),
            settings: &self.settings,
            holds: self.holds.as_ref(),
        }
    }

    /// The build that it runs on where no other is asked for.
    pub fn profile(&self, preset: Option<&str>) -> Result<Profile, TraceError> {
        self.under().profile(preset)
    }

    /// Whether it holds under a build; else what to say.
    pub fn holds(&self, profile: &Profile) -> Result<(), String> {
        self.under().holds(profile)
    }

    /// Its operations under a build.
    pub fn stage(&self, profile: &Profile, bounds: Bounds) -> Result<Staged, TraceError> {
        let mut expander = Expander::new(&self.title(), profile, bounds);
        let head = &mut expander.trace_mut().head;
        head.lesson = true;
        head.description.clone_from(&self.goal);
        head.profile = Some(profile.name.clone());
        head.settings = self.under().settings(&Profile::named(&profile.name).unwrap_or_default());
        head.malloc = self.under().allocator()?;
        let mut at = Vec::with_capacity(self.steps.len());
        for (index, step) in self.steps.iter().enumerate() {
            if let Step::Run(text) = step {
                let within = |fault: crate::program::Fault| TraceError::Syntax {
                    at: fault.at,
                    problem: format!("step {} of {}: {}", index + 1, self.id, fault.problem),
                    remedy: fault.remedy,
                };
                let program = Program::parse(text).map_err(within)?;
                expander.run(&program).map_err(within)?;
            }
            at.push(expander.len());
        }
        Ok(Staged { expanded: expander.finish(), at })
    }

    /// A trace for who reads it without its pictures: texts are notes, with the numbers that follow from the build.
    pub(crate) fn builder(&self) -> Result<TraceBuilder, TraceError> {
        let profile = self.profile(None)?;
        let Staged { mut expanded, at } = self.stage(&profile, Bounds::default())?;
        for (step, at) in self.steps.iter().zip(at) {
            let text = match step {
                Step::Say(say) => say.text_under(&profile)?,
                Step::Run(_) | Step::Keep(..) | Step::Ask(_) | Step::Play(_) => continue,
            };
            // What is said of a result belongs to the operation that had it.
            let note = Note { at: at.saturating_sub(1), text: text::words(text, &Constants(&profile))? };
            expanded.trace.head.notes.push(note);
        }
        let mut builder = TraceBuilder::default();
        *builder.trace_mut() = expanded.trace;
        Ok(builder)
    }

    /// As menus name it.
    pub fn title(&self) -> String {
        if self.number == 0 { self.name.clone() } else { format!("{} {}", self.number, self.name) }
    }
}
