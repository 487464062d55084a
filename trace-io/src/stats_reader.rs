//! Reads the text of `sys._debugmallocstats()`, which is no trace.

use sim_core::TraceBuilder;

use crate::error::TraceError;
use crate::lines::ShortLines;
use crate::reader::Reader;
use crate::stats_lines::Pictures;
use crate::stats_text::StatsText;

/// Longer lines are none of the report's, even if it was put on one.
const LINE_BYTES_MAX: usize = 1 << 16;

/// Reads the text.
#[derive(Default)]
pub(crate) struct Parser {
    pictures: Pictures,
    lines: ShortLines<LINE_BYTES_MAX>,
    /// No operation is ever in it.
    none: TraceBuilder,
}

impl Reader for Parser {
    fn feed(&mut self, bytes: &[u8]) -> Result<(), TraceError> {
        self.lines.feed(bytes, |line| self.pictures.line(&String::from_utf8_lossy(line)));
        Ok(())
    }

    fn end(&mut self) -> Result<(), TraceError> {
        self.lines.end(|line| self.pictures.line(&String::from_utf8_lossy(line)));
        Ok(())
    }

    fn picture(&mut self) -> Option<StatsText> {
        Some(self.pictures.finish())
    }

    fn builder(&self) -> &TraceBuilder {
        &self.none
    }

    fn builder_mut(&mut self) -> &mut TraceBuilder {
        &mut self.none
    }
}
