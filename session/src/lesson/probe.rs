//! A program on its machine, for who has formulas to ask of it at one moment and another.

use sim_core::event::narrate_operation;
use sim_core::{Profile, Trace};
use trace_io::lesson::text;

use super::compile::SENTENCES;
use super::runner::Runner;
use crate::setup::{Overrides, Setup};

/// Somewhere along a program.
pub(crate) struct Probe<'a> {
    runner: Runner<'a>,
    sentences: Vec<String>,
}

impl<'a> Probe<'a> {
    /// At its beginning; nothing where the trace cannot run.
    pub(crate) fn new(trace: &'a Trace, profile: &'a Profile) -> Option<Self> {
        let setup = Setup::resolve(trace, &Overrides::default()).ok()?;
        Some(Self { runner: Runner::new(trace, &setup, profile, 0).ok()?, sentences: Vec::new() })
    }

    /// Goes on to a step.
    pub(crate) fn go_to(&mut self, step: u64) {
        self.sentences.clear();
        while self.runner.step < step {
            let Some(op) = self.runner.advance() else { break };
            if step - self.runner.step < SENTENCES as u64 {
                let told = narrate_operation(&op, &self.runner.events, self.runner.profile);
                self.sentences.extend(told.into_iter().map(|sentence| sentence.text));
            }
        }
        self.sentences.drain(..self.sentences.len().saturating_sub(SENTENCES));
    }

    /// What a formula is worth now.
    pub(crate) fn value(&self, formula: &str) -> Option<i64> {
        self.runner.value(formula).ok()
    }

    /// A text with its numbers, code still in backticks.
    pub(crate) fn words(&self, written: &str) -> Option<String> {
        let pieces = text::shown(written, &self.runner.moment()).ok()?;
        let word = |piece: &text::Piece| match piece {
            text::Piece::Code(code) => format!("`{code}`"),
            other => other.text().to_owned(),
        };
        Some(pieces.iter().map(word).collect())
    }

    /// What the last operations did, in sentences.
    pub(crate) fn sentences(self) -> Vec<String> {
        self.sentences
    }
}
