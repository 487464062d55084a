//! A trace at the moment that is asked about.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use session::at::At;
use session::diagnosis::{Census, Inquiry, Placed};
use session::format::{bytes, count, grouped};
use session::pass::{self, Watcher};
use session::{Overrides, Setup};
use sim_core::report::Trust;
use sim_core::tape::Missing;
use sim_core::{Domain, Machine};

use super::super::input::{self, RunArgs};

/// Which trace, how it runs, and when.
#[derive(clap::Args)]
pub(super) struct MomentArgs {
    /// The trace; `-` is standard input
    file: PathBuf,
    /// When: operations done, start, end, peak, or mark:NAME
    #[arg(long, value_name = "STEP", default_value = "end")]
    at: At,
    /// Where blocks lie: as the model puts them, or as their addresses were recorded; default: model, but recorded
    /// where the model puts more than 1 % of the blocks elsewhere
    #[arg(long, value_name = "model|recorded", value_parser = super::placed)]
    placed: Option<Placed>,
    #[command(flatten)]
    run: RunArgs,
}

/// The trace there.
pub(super) struct Moment {
    pub(super) inquiry: Inquiry,
    pub(super) machine: Machine,
    pub(super) step: u64,
    pub(super) placed: Placed,
    /// The share of blocks that the model puts where they were recorded, up to here.
    pub(super) trust: Option<f64>,
    /// Why it may differ.
    pub(super) reasons: Vec<String>,
}

impl MomentArgs {
    /// Opens the trace and runs it to the step.
    pub(super) fn reach(&self) -> Result<Moment> {
        reach(&self.file, &self.at, self.placed, &self.run.overrides(), self.run.taken.domain)
    }

    pub(super) fn shown(&self) -> String {
        self.file.display().to_string()
    }
}

/// Opens a trace and runs it to a step.
pub(super) fn reach(
    file: &Path,
    at: &At,
    placed: Option<Placed>,
    overrides: &Overrides,
    domain: Option<Domain>,
) -> Result<Moment> {
    let trace = input::open(file, domain)?;
    let shown = file.display();
    let setup = Setup::resolve(&trace, overrides)?;
    let step = at.resolve(&trace, || input::peak(&setup, &trace)).with_context(|| shown.to_string())?;
    let mut machine = setup.machine(&trace)?;
    let mut trust = Trust::new(&setup.profile);
    let watchers: &mut [&mut dyn Watcher] = &mut [&mut trust];
    pass::run(&mut machine, &trace, step as usize, watchers);
    let agreement = trust.total().share();
    let reasons = trust.reasons(&trace).iter().map(ToString::to_string).collect();
    let inquiry = Inquiry::new(Arc::new(trace), setup);
    let placed = match placed {
        Some(Placed::Recorded) if inquiry.layout().is_none() => anyhow::bail!(
            "{shown} has no addresses of blocks in pymalloc's pools, so there is no heap as recorded; leave --placed out"
        ),
        Some(placed) => placed,
        // Recorded addresses are those of the recorded build.
        None if overrides.profile.is_some() || !overrides.settings.is_empty() => Placed::Model,
        None => inquiry.usual_placement(agreement),
    };
    Ok(Moment { inquiry, machine, step, placed, trust: agreement, reasons })
}

impl Moment {
    pub(super) fn census(&mut self) -> Arc<Census> {
        self.inquiry.census(&self.machine, self.step, self.placed)
    }

    /// Whether the recording begins with blocks that it does not know.
    pub(super) fn lacks_birth(&self) -> bool {
        self.inquiry.trace().origin.source.missing.iter().any(|m| m.what == Missing::PROCESS_BIRTH)
    }

    /// Which heap it is, in a line.
    pub(super) fn heading(&self, census: &Census) -> String {
        let operations = self.inquiry.trace().len();
        let step = format!("step {} of {}", grouped(census.step), grouped(operations));
        let trust = self.trust.map(|share| format!("{:.1} %", 100.0 * share));
        match (census.placed, trust) {
            (Placed::Model, None) => format!("{step}, as the model places blocks"),
            (Placed::Model, Some(trust)) => {
                format!("{step}, as the model places blocks; {trust} of them lie where they were recorded")
            }
            (Placed::Recorded, trust) => format!(
                "{step}, as recorded{}; free lists are not in a recording, nor arenas that came and went unseen",
                trust.map_or_else(String::new, |trust| format!(
                    " (the model puts {trust} of the blocks there)"
                ))
            ),
        }
    }

    /// What is held, in a line.
    pub(super) fn held(census: &Census) -> String {
        let held = census.held_bytes();
        let used = census.used_bytes();
        let noun = if census.regions.len() == 1 { "is" } else { "are" };
        format!(
            "{} {noun} held, {}, of which blocks in use take {}",
            count(census.regions.len() as u64, "arena"),
            bytes(held),
            bytes(used)
        )
    }
}
