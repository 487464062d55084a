//! What is kept between two questions about one trace: births, the recorded layout, the census that was asked for last.

use std::sync::Arc;

use sim_core::tape::StackId;
use sim_core::tracemalloc::Snapshot;
use sim_core::{Machine, Trace};

use super::births::Births;
use super::census::Census;
use super::choice::{Choice, ChoiceError, Chosen};
use super::forecast::{self, Forecast};
use super::holders::{Holders, Rule};
use super::key::{Key, Keyer, Label};
use super::layout::{Layout, Placed, SharedLayout};
use super::scope::{LastFrees, Scope, Within};
use super::traced::{self, TooManyFrames};
use super::tree::Tree;
use super::waterfall::Waterfall;
use crate::actions::stack_changes;
use crate::setup::Setup;

/// A recording with less agreement than this is asked as it was recorded.
pub const TRUSTED: f64 = 0.99;

/// Questions about one trace under one set-up.
#[derive(Debug)]
pub struct Inquiry {
    trace: Arc<Trace>,
    setup: Setup,
    changes: Vec<(u64, StackId)>,
    births: Births,
    layout: SharedLayout,
    frees: LastFrees,
    /// The last as the model places blocks, and as they were recorded.
    last: [Option<Arc<Census>>; 2],
}

impl Inquiry {
    /// About a trace under `setup`.
    pub fn new(trace: Arc<Trace>, setup: Setup) -> Self {
        Self::sharing(trace, setup, SharedLayout::default())
    }

    /// The same with the arenas of a recording that others ask for as well.
    pub fn sharing(trace: Arc<Trace>, setup: Setup, layout: SharedLayout) -> Self {
        let changes = stack_changes(&trace, 0);
        Self {
            births: Births::under(&setup.profile),
            trace,
            setup,
            changes,
            layout,
            frees: LastFrees::default(),
            last: [None, None],
        }
    }

    /// Goes on with a longer tape, which begins as the one before did; `layout` is that of the longer one.
    pub fn grow(&mut self, trace: Arc<Trace>, layout: SharedLayout) {
        self.changes.extend(stack_changes(&trace, self.trace.len()));
        self.trace = trace;
        (self.layout, self.last) = (layout, [None, None]);
    }

    /// The trace.
    pub fn trace(&self) -> &Arc<Trace> {
        &self.trace
    }

    /// What it runs under.
    pub fn setup(&self) -> &Setup {
        &self.setup
    }

    /// The arenas that recorded addresses imply, where there are any; they are looked for when this is asked first.
    pub fn layout(&self) -> Option<&Arc<Layout>> {
        self.layout.of(&self.trace, &self.setup)
    }

    /// Where questions begin: on the recorded heap where the model agrees with it for too few blocks.
    pub fn usual_placement(&self, trust: Option<f64>) -> Placed {
        let doubted = trust.is_some_and(|share| share < TRUSTED);
        if doubted && self.layout().is_some() { Placed::Recorded } else { Placed::Model }
    }

    /// The blocks that are live at the step of `machine`, which has done `step` operations. As recorded where that is asked for and
    /// the trace has addresses.
    pub fn census(&mut self, machine: &Machine, step: u64, placed: Placed) -> Arc<Census> {
        // Arenas are told from addresses only for who asks for them: it reads the whole trace.
        let recorded = placed == Placed::Recorded && self.layout().is_some();
        let kept = usize::from(recorded);
        if let Some(last) = self.last[kept].as_ref().filter(|last| last.step == step) {
            return Arc::clone(last);
        }
        self.births.go_to(&self.trace, step);
        let layout = self.layout.known().filter(|_| recorded);
        let census = Arc::new(match layout {
            Some(layout) => Census::as_recorded(layout, &self.trace, &self.births),
            None => Census::of_model(machine, &self.trace, &self.births),
        });
        self.last[kept] = Some(Arc::clone(&census));
        census
    }

    /// Who holds the blocks of a census.
    pub fn holders(&self, census: &Census, key: Key, rule: Rule) -> Holders {
        Holders::of(census, &self.trace, &self.setup.profile, &self.changes, key, rule)
    }

    /// The blocks of a census that are in a scope; `None` where all are.
    pub fn within(&mut self, census: &Census, scope: &Scope) -> Option<Within> {
        if *scope == Scope::NeverFreed {
            self.frees.read(&self.trace);
        }
        scope.within(census, &self.frees)
    }

    /// Who holds the blocks of a census, where only a part of them is looked at.
    pub fn holders_within(&self, census: &Census, by: (Key, Rule), within: Option<&Within>) -> Holders {
        Holders::within(census, &self.trace, &self.setup.profile, &self.changes, by, within)
    }

    /// The stacks that the blocks of a census, or a part of them, were born by.
    pub fn tree(&self, census: &Census, within: Option<&Within>) -> Tree {
        Tree::of(census, &self.trace, &self.changes, within)
    }

    /// The groups of some blocks of a census, each with its blocks and their bytes as asked for, the largest first.
    pub fn groups_of(&self, census: &Census, blocks: &[usize], key: Key) -> Vec<(Label, u64, u64)> {
        let mut keyer = Keyer::new(&self.trace, &self.setup.profile, &self.changes, key, census.step);
        let mut sums: Vec<(u64, u64)> = Vec::new();
        for at in blocks {
            let group = keyer.of(census, *at) as usize;
            if sums.len() <= group {
                sums.resize(group + 1, (0, 0));
            }
            sums[group].0 += 1;
            sums[group].1 = sums[group].1.saturating_add(census.asked[*at]);
        }
        let labels = keyer.labels().into_iter().zip(sums);
        let mut groups: Vec<_> = labels.map(|(label, (blocks, bytes))| (label, blocks, bytes)).collect();
        groups.sort_by(|a, b| (b.1, b.2).cmp(&(a.1, a.2)).then_with(|| a.0.cmp(&b.0)));
        groups
    }

    /// What the choices mean among the blocks of a census.
    pub fn chosen(&self, census: &Census, choices: &[Choice]) -> Result<Chosen, ChoiceError> {
        Chosen::of(census, &self.trace, &self.setup.profile, &self.changes, choices)
    }

    /// What freeing chosen blocks gives back. `machine` is at the step of the census.
    pub fn forecast(&self, machine: &Machine, census: &Census, chosen: &Chosen) -> Forecast {
        Forecast::of(Some(machine), &self.trace, census, chosen)
    }

    /// Groups to free so that at least `want_bytes` go back, see [`forecast::want`].
    pub fn want(
        &self,
        machine: &Machine,
        census: &Census,
        holders: &Holders,
        want_bytes: u64,
    ) -> (Vec<u32>, Forecast) {
        forecast::want(Some(machine), &self.trace, census, holders, want_bytes)
    }

    /// What `tracemalloc.take_snapshot()` would give at a step, had it been started with a limit before the first operation.
    pub fn snapshot(&mut self, step: u64, limit: u16) -> Result<Snapshot, TooManyFrames> {
        // Who asks for a snapshot asks for these too, and should not wait twice.
        self.births.count_asked();
        self.births.go_to(&self.trace, step);
        traced::snapshot(&self.trace, &self.births, &self.changes, limit)
    }

    /// What `tracemalloc.get_traced_memory()` would return there: bytes, and the most up to it.
    pub fn traced_memory(&mut self, step: u64) -> (u64, u64) {
        self.births.count_asked();
        self.births.go_to(&self.trace, step);
        self.births.asked()
    }

    /// What every byte of a census is used for.
    pub fn waterfall(&self, machine: &Machine, census: &Census) -> Waterfall {
        Waterfall::of(machine, &self.setup, census)
    }
}
