//! What tracemalloc would say of a trace in which it did not run, kept between two looks.

use std::sync::Arc;

use sim_core::tracemalloc::Snapshot;

use crate::diagnosis::Inquiry;
use crate::diagnosis::traced::{caveats, deepest};
use crate::snapshots::{Kept, Snapshots, Which};
use crate::view::tracemalloc::{Grouped, Groups, Question, SupposedPicture, TracemallocLook};

/// What is looked at, with the steps of the two snapshots.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct SupposedLook {
    look: TracemallocLook,
    steps: [Option<u64>; 2],
    titles: [Option<String>; 2],
}

impl SupposedLook {
    pub(super) fn of(look: &TracemallocLook, kept: &Snapshots) -> Self {
        let both = [Which::A, Which::B].map(|which| kept.get(which));
        Self {
            look: look.clone(),
            steps: both.map(|kept| kept.map(|kept| kept.step)),
            titles: both.map(|kept| kept.map(Kept::title)),
        }
    }
}

/// The last snapshots, and how they were grouped.
#[derive(Default)]
pub(super) struct Supposing {
    snapshots: Vec<(u64, u16, Arc<Snapshot>)>,
    grouped: Option<Grouped>,
    deepest: Option<u16>,
}

impl Supposing {
    /// Snapshots that are kept: of this step, A and B.
    const KEPT: usize = 3;

    pub(super) fn picture(
        &mut self,
        inquiry: &mut Inquiry,
        step: u64,
        asked: &SupposedLook,
    ) -> SupposedPicture {
        let look = &asked.look;
        let groups = match self.question(inquiry, step, asked) {
            Err(nothing) => {
                self.grouped = None;
                nothing
            }
            Ok(question) => {
                let grouped = Grouped::answer(self.grouped.take(), question);
                self.grouped.insert(grouped).groups(&look.rows)
            }
        };
        SupposedPicture {
            traced_memory: inquiry.traced_memory(step),
            limit: look.limit,
            deepest: *self.deepest.get_or_insert_with(|| deepest(inquiry.trace())),
            kept: asked.titles.clone(),
            key: look.key,
            groups,
            caveats: caveats(inquiry.trace()).into_iter().map(str::to_owned).collect(),
        }
    }

    fn question(
        &mut self,
        inquiry: &mut Inquiry,
        step: u64,
        asked: &SupposedLook,
    ) -> Result<Question, Groups> {
        let TracemallocLook { key, cumulative, limit, diff, .. } = asked.look;
        let (old, new) = if diff {
            let [Some(a), Some(b)] = asked.steps else { return Err(Groups::NothingToCompare) };
            (Some(self.snapshot(inquiry, a, limit)?), self.snapshot(inquiry, b, limit)?)
        } else {
            (None, self.snapshot(inquiry, step, limit)?)
        };
        Ok(Question { old, new, key, cumulative })
    }

    fn snapshot(&mut self, inquiry: &mut Inquiry, step: u64, limit: u16) -> Result<Arc<Snapshot>, Groups> {
        let known = self.snapshots.iter().position(|(at, frames, _)| (*at, *frames) == (step, limit));
        let found = match known {
            Some(at) => self.snapshots.remove(at),
            None => match inquiry.snapshot(step, limit) {
                Ok(snapshot) => (step, limit, Arc::new(snapshot)),
                Err(error) => return Err(Groups::Error(error.to_string())),
            },
        };
        let snapshot = Arc::clone(&found.2);
        self.snapshots.insert(0, found);
        self.snapshots.truncate(Self::KEPT);
        Ok(snapshot)
    }

    /// All groups that were looked at last, as text.
    pub(super) fn text(&self) -> String {
        self.grouped.as_ref().map(Grouped::text).unwrap_or_default()
    }
}
