//! tracemalloc's view of the step shown: what is traced, who allocated it, and what changed between two
//! steps. Texts are those of `Lib/tracemalloc.py`.

use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sim_core::tracemalloc::{KeyType, Snapshot, Statistic, StatisticDiff};

use crate::format::printable;
use crate::run::Session;
use crate::snapshots::{Kept, Snapshots, Which};
use crate::view::tape::FrameFacts;

/// How a front wants blocks to be grouped, and which groups it has room for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TracemallocLook {
    /// By line, file or traceback.
    pub key: KeyType,
    /// Credit every frame of a stack.
    pub cumulative: bool,
    /// Snapshot B compared to A instead of this step.
    pub diff: bool,
    /// Groups, by rank.
    pub rows: Range<u32>,
    /// Frames kept of each stack, where tracemalloc is only supposed to have run.
    pub limit: u16,
}

impl Default for TracemallocLook {
    fn default() -> Self {
        Self { key: KeyType::Lineno, cumulative: false, diff: false, rows: 0..0, limit: 1 }
    }
}

/// A group as a line.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct GroupLine {
    /// As `Statistic.__str__` or `StatisticDiff.__str__` has it.
    pub text: String,
    /// Its stack, most recent call first.
    pub frames: Vec<String>,
}

/// What blocks are grouped into.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Groups {
    /// tracemalloc is not tracing.
    NotTracing,
    /// One of the two snapshots to compare is not there.
    NothingToCompare,
    /// What `tracemalloc` would raise.
    Error(String),
    /// The groups, largest first.
    Lines {
        /// Groups in all.
        total: u32,
        /// The first of the lines below.
        first: u32,
        /// As many as were asked for.
        lines: Vec<GroupLine>,
    },
}

/// What tracemalloc says at this step.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TracemallocPicture {
    /// `is_tracing()`.
    pub is_tracing: bool,
    /// `get_traced_memory()`: bytes now and at their peak.
    pub traced_memory: (u64, u64),
    /// `get_traceback_limit()`, in frames.
    pub traceback_limit: u16,
    /// `get_tracemalloc_memory()`, in bytes.
    pub tracemalloc_memory: u64,
    /// The stack that calls come from now, most recent frame first; `None` where the trace says nothing.
    pub stack: Option<Vec<FrameFacts>>,
    /// What snapshots A and B are, where they are kept.
    pub kept: [Option<String>; 2],
    /// Snapshots that the program took, by name.
    pub taken: Vec<String>,
    /// By what blocks are grouped.
    pub key: KeyType,
    /// The groups.
    pub groups: Groups,
}

/// What tracemalloc would say at a step of a trace in which it did not run, had it been started before the first operation.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SupposedPicture {
    /// What `get_traced_memory()` would return.
    pub traced_memory: (u64, u64),
    /// Frames kept of each stack.
    pub limit: u16,
    /// Frames of the deepest stack of the trace: a higher limit keeps no more.
    pub deepest: u16,
    /// What snapshots A and B are, where they are kept.
    pub kept: [Option<String>; 2],
    /// By what blocks are grouped.
    pub key: KeyType,
    /// The groups.
    pub groups: Groups,
    /// In what the trace differs from what tracemalloc would have met, a sentence each.
    pub caveats: Vec<String>,
}

/// What groups answer: the snapshots (by address), and how they are grouped.
pub(crate) struct Question {
    pub(crate) old: Option<Arc<Snapshot>>,
    pub(crate) new: Arc<Snapshot>,
    pub(crate) key: KeyType,
    pub(crate) cumulative: bool,
}

impl Question {
    fn same(&self, other: &Self) -> bool {
        let same = |a: &Option<Arc<Snapshot>>, b: &Option<Arc<Snapshot>>| match (a, b) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            (a, b) => a.is_none() && b.is_none(),
        };
        same(&self.old, &other.old)
            && Arc::ptr_eq(&self.new, &other.new)
            && (self.key, self.cumulative) == (other.key, other.cumulative)
    }
}

/// Groups as `Lib/tracemalloc.py` sorts them. Lines are made of those alone that somebody has room for.
enum Answer {
    Statistics(Vec<Statistic>),
    Differences(Vec<StatisticDiff>),
    Error(String),
}

/// A question with its answer.
pub(crate) struct Grouped {
    question: Question,
    answer: Answer,
}

impl Grouped {
    /// The answer: the last one, where it was to the same question.
    pub(crate) fn answer(last: Option<Self>, question: Question) -> Self {
        if let Some(last) = last.filter(|last| last.question.same(&question)) {
            return last;
        }
        let Question { old, new, key, cumulative } = &question;
        let answer = match old {
            Some(old) => new.compare_to(old, *key, *cumulative).map(Answer::Differences),
            None => new.statistics(*key, *cumulative).map(Answer::Statistics),
        };
        let answer = answer.unwrap_or_else(|error| Answer::Error(format!("ValueError: {error}")));
        Self { question, answer }
    }

    fn len(&self) -> usize {
        match &self.answer {
            Answer::Statistics(all) => all.len(),
            Answer::Differences(all) => all.len(),
            Answer::Error(_) => 0,
        }
    }

    fn line(&self, at: usize) -> Option<GroupLine> {
        let (text, traceback) = match &self.answer {
            Answer::Statistics(all) => all.get(at).map(|s| (s.to_string(), &s.traceback))?,
            Answer::Differences(all) => all.get(at).map(|d| (d.to_string(), &d.traceback))?,
            Answer::Error(_) => return None,
        };
        // Names are a recording's.
        let shown = |text: String| printable(&text).into_owned();
        let frames = traceback.format(None, true, |_, _| None).into_iter().map(shown).collect();
        Some(GroupLine { text: shown(text), frames })
    }

    /// The groups with some of their lines.
    pub(crate) fn groups(&self, rows: &Range<u32>) -> Groups {
        if let Answer::Error(error) = &self.answer {
            return Groups::Error(error.clone());
        }
        let total = self.len() as u32;
        let (first, end) = (rows.start.min(total), rows.end.min(total));
        Groups::Lines { total, first, lines: (first..end).filter_map(|at| self.line(at as usize)).collect() }
    }

    /// All lines as text, stacks below theirs where blocks are grouped by them.
    pub(crate) fn text(&self) -> String {
        let all = (0..self.len()).filter_map(|at| self.line(at)).map(|line| match self.question.key {
            KeyType::Traceback => format!("{}\n{}", line.text, line.frames.join("\n")),
            KeyType::Lineno | KeyType::Filename => line.text,
        });
        all.collect::<Vec<_>>().join("\n")
    }
}

/// Keeps what was grouped last, so that scrolling groups nothing anew.
#[derive(Default)]
pub(crate) struct Statistics {
    now: Option<(u64, Arc<Snapshot>)>,
    grouped: Option<Grouped>,
}

impl Statistics {
    /// The groups that answer a look.
    fn grouped(
        &mut self,
        session: &Session,
        kept: &Snapshots,
        look: &TracemallocLook,
    ) -> Result<&Grouped, Groups> {
        let (old, new) = if look.diff {
            let kept = |which| kept.get(which).and_then(|kept| kept.snapshot.clone());
            let (Some(a), Some(b)) = (kept(Which::A), kept(Which::B)) else {
                return Err(Groups::NothingToCompare);
            };
            (Some(a), b)
        } else {
            if self.now.as_ref().is_none_or(|(revision, _)| *revision != session.revision()) {
                let kept = Kept::of(session.machine(), session.step()).ok();
                let snapshot = kept.and_then(|kept| kept.snapshot);
                self.now = snapshot.map(|snapshot| (session.revision(), snapshot));
            }
            let (_, now) = self.now.as_ref().ok_or(Groups::NotTracing)?;
            (None, Arc::clone(now))
        };
        let question = Question { old, new, key: look.key, cumulative: look.cumulative };
        let grouped = Grouped::answer(self.grouped.take(), question);
        Ok(self.grouped.insert(grouped))
    }

    /// All lines as text.
    pub(crate) fn text(&mut self, session: &Session, kept: &Snapshots, look: &TracemallocLook) -> String {
        self.grouped(session, kept, look).map_or_else(|_| String::new(), Grouped::text)
    }

    /// What is shown; `None` in a run without layers, and where tracemalloc is only supposed.
    pub(super) fn picture(
        &mut self,
        session: &Session,
        kept: &Snapshots,
        look: &TracemallocLook,
    ) -> Option<TracemallocPicture> {
        let layers = session.machine().layers().filter(|_| session.supposed().is_err())?;
        let engine = layers.tracemalloc();
        let groups = match self.grouped(session, kept, look) {
            Err(nothing) => nothing,
            Ok(grouped) => grouped.groups(&look.rows),
        };
        Some(TracemallocPicture {
            is_tracing: engine.is_tracing(),
            traced_memory: engine.get_traced_memory(),
            traceback_limit: engine.get_traceback_limit(),
            tracemalloc_memory: engine.get_tracemalloc_memory(),
            stack: session.stack().map(|stack| stack.iter().map(FrameFacts::of).collect()),
            kept: [Which::A, Which::B].map(|which| kept.get(which).map(Kept::title)),
            taken: layers.snapshots().keys().cloned().collect(),
            key: look.key,
            groups,
        })
    }
}
