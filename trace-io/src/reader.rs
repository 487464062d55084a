//! What the door asks of a format.

use sim_core::{Domain, TraceBuilder};

use crate::account::Account;
use crate::error::TraceError;
use crate::lesson::{Lesson, Puzzle, Quiz};
use crate::stats_text::StatsText;

/// Reads one format from bytes as they come, unpacked.
pub(crate) trait Reader {
    /// Takes more bytes.
    fn feed(&mut self, bytes: &[u8]) -> Result<(), TraceError>;

    /// Whether the format itself says that nothing follows; more bytes are then not asked for.
    fn complete(&self) -> bool {
        false
    }

    /// All bytes were fed.
    fn end(&mut self) -> Result<(), TraceError>;

    /// The bytes end early for `reason`. A format that can stand being cut keeps what it has and notes
    /// the reason in the trace; for the others the reason is the error.
    fn cut(&mut self, reason: TraceError) -> Result<(), TraceError> {
        Err(reason)
    }

    /// Takes all calls for those of a domain; false where the format says itself which domain a call is in.
    /// Asked before the first byte is fed.
    fn take_as(&mut self, domain: Domain) -> bool {
        let _ = domain;
        false
    }

    /// Only counts operations from here on, where the format can do without the rest: the trace then has no rows.
    /// Asked before the first byte is fed.
    fn count_only(&mut self) {}

    /// What it read, where that is no trace but a picture. Asked after the end.
    fn picture(&mut self) -> Option<StatsText> {
        None
    }

    /// What it read, where that is no trace and no picture. Asked after the end.
    fn account(&mut self) -> Option<Account> {
        None
    }

    /// The lesson that its trace is made of, if it is one of the course. Asked after the end.
    fn lesson(&mut self) -> Option<Box<Lesson>> {
        None
    }

    /// The puzzle that its trace solves, if it is one. Asked after the end.
    fn puzzle(&mut self) -> Option<Box<Puzzle>> {
        None
    }

    /// What it read, where that is a quiz. Asked after the end.
    fn quiz(&mut self) -> Option<Box<Quiz>> {
        None
    }

    /// The trace so far.
    fn builder(&self) -> &TraceBuilder;

    /// The trace so far, to take it away or to drop rows that were dealt with.
    fn builder_mut(&mut self) -> &mut TraceBuilder;
}
