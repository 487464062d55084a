//! Two moments of tracemalloc that the user keeps, to see what changed between them.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sim_core::Machine;
use sim_core::machine::Layers;
use sim_core::tracemalloc::{Snapshot, take_snapshot};

/// Which of the two.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Which {
    /// The older one, as a rule.
    A,
    /// The newer one.
    B,
}

impl Which {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::B => "B",
        }
    }
}

/// A snapshot with the step it was taken at.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Operations done then; 0 for one that has a name.
    pub step: u64,
    /// What tracemalloc knew; none where it did not run and is only supposed to have.
    pub snapshot: Option<Arc<Snapshot>>,
    /// What the program called it, if the program took it.
    pub name: Option<String>,
}

impl Kept {
    /// A machine's state after some steps. Without tracing there is nothing to keep, which is the error.
    pub fn of(machine: &Machine, step: u64) -> Result<Self, String> {
        let layers = machine.layers().ok_or("tracemalloc never runs in this trace")?;
        let snapshot = take_snapshot(layers.tracemalloc()).map_err(|e| format!("RuntimeError: {e}"))?;
        Ok(Self { step, snapshot: Some(Arc::new(snapshot)), name: None })
    }

    /// A step at which tracemalloc would have taken one.
    pub fn supposed(step: u64) -> Self {
        Self { step, snapshot: None, name: None }
    }

    /// A snapshot that the program took.
    pub fn named(layers: &Layers, name: String) -> Option<Self> {
        let snapshot = Arc::clone(layers.snapshots().get(&name)?);
        Some(Self { step: 0, snapshot: Some(snapshot), name: Some(name) })
    }

    /// The program's name for it, or the step.
    pub fn title(&self) -> String {
        self.name.clone().unwrap_or_else(|| format!("step {}", crate::format::grouped(self.step)))
    }
}

/// The two. They are replaced, never changed.
#[derive(Clone, Debug, Default)]
pub struct Snapshots {
    a: Option<Kept>,
    b: Option<Kept>,
}

impl Snapshots {
    /// One of them.
    pub fn get(&self, which: Which) -> Option<&Kept> {
        match which {
            Which::A => self.a.as_ref(),
            Which::B => self.b.as_ref(),
        }
    }

    /// Puts one in place of what was there.
    pub fn keep(&mut self, which: Which, kept: Kept) {
        match which {
            Which::A => self.a = Some(kept),
            Which::B => self.b = Some(kept),
        }
    }
}
