//! Reads the text of `sys._debugmallocstats()`, which is no trace.

use sim_core::TraceBuilder;

use crate::error::TraceError;
use crate::reader::Reader;
use crate::stats_lines::Pictures;
use crate::stats_text::StatsText;

/// Longer lines are none of the report's, even if it was put on one.
const LINE_BYTES_MAX: usize = 1 << 16;

/// Reads the text.
#[derive(Default)]
pub(crate) struct Parser {
    pictures: Pictures,
    rest: Vec<u8>,
    /// Inside a line that is too long.
    skipping: bool,
    /// No operation is ever in it.
    none: TraceBuilder,
}

impl Parser {
    fn line(&mut self) {
        if !std::mem::take(&mut self.skipping) {
            self.pictures.line(&String::from_utf8_lossy(&self.rest));
        }
        self.rest.clear();
    }
}

impl Reader for Parser {
    fn feed(&mut self, bytes: &[u8]) -> Result<(), TraceError> {
        let mut pieces = bytes.split(|&b| b == b'\n').peekable();
        while let Some(piece) = pieces.next() {
            if self.rest.len() + piece.len() > LINE_BYTES_MAX {
                self.skipping = true;
                self.rest.clear();
            } else if !self.skipping {
                self.rest.extend_from_slice(piece);
            }
            if pieces.peek().is_some() {
                self.line();
            }
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), TraceError> {
        self.line();
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
