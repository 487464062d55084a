//! Named, timed steps and their summary.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::workspace::human;

/// Steps done so far.
#[derive(Default)]
pub(crate) struct Steps {
    done: Vec<(&'static str, Outcome, Duration)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Passed,
    Failed,
    Skipped,
}

impl Steps {
    /// Runs a step, says how it went and whether it passed.
    pub(crate) fn run(&mut self, name: &'static str, step: impl FnOnce() -> Result<()>) -> bool {
        println!("\n==> {name}");
        let start = Instant::now();
        let result = step();
        let time = start.elapsed();
        let outcome = match &result {
            Ok(()) => {
                println!("==> {name}: ok, {}", human(time));
                Outcome::Passed
            }
            Err(error) => {
                println!("==> {name}: FAILED, {}: {error:#}", human(time));
                Outcome::Failed
            }
        };
        self.done.push((name, outcome, time));
        result.is_ok()
    }

    /// Writes down that a step was not run.
    pub(crate) fn skip(&mut self, name: &'static str) {
        self.done.push((name, Outcome::Skipped, Duration::ZERO));
    }

    /// Whether a step failed.
    pub(crate) fn any_failed(&self) -> bool {
        self.count(Outcome::Failed) > 0
    }

    /// Prints the summary; an error when a step failed.
    pub(crate) fn finish(self) -> Result<()> {
        println!("\n{:<28} {:<8} {:>12}", "step", "result", "time");
        for (name, outcome, time) in &self.done {
            let (word, time) = match outcome {
                Outcome::Passed => ("ok", human(*time)),
                Outcome::Failed => ("FAILED", human(*time)),
                Outcome::Skipped => ("not run", String::new()),
            };
            println!("{name:<28} {word:<8} {time:>12}");
        }
        let total = self.done.iter().map(|step| step.2).sum();
        println!("{:<28} {:<8} {:>12}\n", "all", "", human(total));
        let skipped = match self.count(Outcome::Skipped) {
            0 => String::new(),
            count => format!(", {count} skipped"),
        };
        println!("{} passed, {} failed{skipped}", self.count(Outcome::Passed), self.count(Outcome::Failed));
        if self.any_failed() {
            let failed = self.done.iter().filter(|step| step.1 == Outcome::Failed);
            bail!("failed: {}", failed.map(|step| step.0).collect::<Vec<_>>().join(", "));
        }
        Ok(())
    }

    fn count(&self, outcome: Outcome) -> usize {
        self.done.iter().filter(|step| step.1 == outcome).count()
    }
}
