//! tracemalloc's view of the step shown: what is traced, who allocated it, and what changed between two
//! steps. Texts are those of `Lib/tracemalloc.py`.

use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sim_core::tracemalloc::{KeyType, NamedTraceback, Snapshot};

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
}

impl Default for TracemallocLook {
    fn default() -> Self {
        Self { key: KeyType::Lineno, cumulative: false, diff: false, rows: 0..0 }
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

/// What lines answer: the snapshots (by address), and how they are grouped.
struct Question {
    old: Option<Arc<Snapshot>>,
    new: Arc<Snapshot>,
    key: KeyType,
    cumulative: bool,
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

    fn answer(&self) -> Lines {
        let line = |text: String, traceback: &NamedTraceback| GroupLine {
            text,
            frames: traceback.format(None, true, |_, _| None),
        };
        let lines = match &self.old {
            Some(old) => self
                .new
                .compare_to(old, self.key, self.cumulative)
                .map(|all| all.iter().map(|d| line(d.to_string(), &d.traceback)).collect()),
            None => self
                .new
                .statistics(self.key, self.cumulative)
                .map(|all| all.iter().map(|s| line(s.to_string(), &s.traceback)).collect()),
        };
        lines.map_err(|e| format!("ValueError: {e}"))
    }
}

type Lines = Result<Vec<GroupLine>, String>;

/// Keeps what was grouped last, so that scrolling groups nothing anew.
#[derive(Default)]
pub(crate) struct Statistics {
    now: Option<(u64, Arc<Snapshot>)>,
    answered: Option<(Question, Lines)>,
}

impl Statistics {
    /// The lines that answer a look.
    fn lines(
        &mut self,
        session: &Session,
        kept: &Snapshots,
        look: &TracemallocLook,
    ) -> Result<&Lines, Groups> {
        let (old, new) = if look.diff {
            let (Some(a), Some(b)) = (kept.get(Which::A), kept.get(Which::B)) else {
                return Err(Groups::NothingToCompare);
            };
            (Some(Arc::clone(&a.snapshot)), Arc::clone(&b.snapshot))
        } else {
            if self.now.as_ref().is_none_or(|(revision, _)| *revision != session.revision()) {
                let kept = Kept::of(session.machine(), session.step()).ok();
                self.now = kept.map(|kept| (session.revision(), kept.snapshot));
            }
            let (_, now) = self.now.as_ref().ok_or(Groups::NotTracing)?;
            (None, Arc::clone(now))
        };
        let question = Question { old, new, key: look.key, cumulative: look.cumulative };
        if !self.answered.as_ref().is_some_and(|(q, _)| q.same(&question)) {
            let lines = question.answer();
            self.answered = Some((question, lines));
        }
        self.answered.as_ref().map(|(_, lines)| lines).ok_or(Groups::NotTracing)
    }

    /// All lines as text, stacks below theirs where blocks are grouped by them.
    pub(crate) fn text(&mut self, session: &Session, kept: &Snapshots, look: &TracemallocLook) -> String {
        let Ok(Ok(lines)) = self.lines(session, kept, look) else { return String::new() };
        let all = lines.iter().map(|line| match look.key {
            KeyType::Traceback => format!("{}\n{}", line.text, line.frames.join("\n")),
            KeyType::Lineno | KeyType::Filename => line.text.clone(),
        });
        all.collect::<Vec<_>>().join("\n")
    }

    /// What is shown; `None` in a run without layers.
    pub(super) fn picture(
        &mut self,
        session: &Session,
        kept: &Snapshots,
        look: &TracemallocLook,
    ) -> Option<TracemallocPicture> {
        let layers = session.machine().layers()?;
        let engine = layers.tracemalloc();
        let groups = match self.lines(session, kept, look) {
            Err(nothing) => nothing,
            Ok(Err(error)) => Groups::Error(error.clone()),
            Ok(Ok(lines)) => {
                let total = lines.len() as u32;
                let (first, end) = (look.rows.start.min(total), look.rows.end.min(total));
                let lines = lines.get(first as usize..end as usize).unwrap_or_default().to_vec();
                Groups::Lines { total, first, lines }
            }
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
