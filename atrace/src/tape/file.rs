//! A trace that can be read from the middle.

use std::io::{Read, Seek};
use std::sync::Arc;

use sim_core::{Trace, TraceBuilder};

use super::decode::{Decoder, take_marks};
use super::facts::{set_meta, tape_totals};
use super::picture::PictureReader;
use crate::container::{BlockKind, FileProfile};
use crate::error::AtraceError;
use crate::file::BlockFile;
use crate::index::Entry;
use crate::meta::Meta;

/// An `.atrace` file whose blocks can be read in any order.
///
/// Reading begins at the last STATE block before what is wanted, or at the start: at most as many
/// operations before it as lie between two states, some million.
pub struct AtraceFile<S> {
    file: BlockFile<S>,
    name: String,
    /// Where reading goes on: the next entry, and the trace so far.
    at: usize,
    decoder: Decoder,
    /// Entries of tables that were read.
    tables_to: usize,
}

impl<S: Read + Seek> AtraceFile<S> {
    /// Opens a file called `name`: reads its index, or where that is missing the header of each block.
    pub fn open(name: &str, source: S) -> Result<Self, AtraceError> {
        let file = BlockFile::open(source)?;
        let decoder = Decoder::new(TraceBuilder::new(name), file.header().pool_bits);
        Ok(Self { file, name: name.to_owned(), at: 0, decoder, tables_to: 0 })
    }

    /// What the file was optimised for.
    pub fn profile(&self) -> FileProfile {
        self.file.header().profile
    }

    /// All blocks of known kinds, in order.
    pub fn blocks(&self) -> &[Entry] {
        self.file.entries()
    }

    /// Operations that can be read.
    pub fn operations(&self) -> u64 {
        self.file.operations()
    }

    /// Why not all of the file can be read, in one sentence.
    pub fn truncated(&self) -> Option<&str> {
        self.file.truncated()
    }

    /// Whether every block up to the last one is whole, by its checksum. Bytes are read once and nothing is unpacked.
    pub fn intact(&mut self) -> Result<bool, AtraceError> {
        self.file.intact()
    }

    /// Everything known of the trace but its operations, tables and notes, from facts, marks, picture and index alone, with
    /// the number of notes; `None` where the file has no index.
    pub fn summary(&mut self) -> Result<Option<(Trace, u64)>, AtraceError> {
        let Some(totals) = self.file.totals().cloned() else { return Ok(None) };
        let mut builder = TraceBuilder::new(&self.name);
        let meta = self.blocks().iter().rfind(|e| e.kind == BlockKind::Meta).copied();
        if let Some(entry) = meta {
            let raw = self.file.payload(&entry)?;
            Meta::take(&raw)
                .and_then(|meta| set_meta(meta, builder.trace_mut()))
                .map_err(|problem| entry.damaged(problem))?;
        }
        let entries: Vec<Entry> =
            self.blocks().iter().filter(|e| e.kind == BlockKind::Marks).copied().collect();
        for entry in entries {
            let raw = self.file.payload(&entry)?;
            take_marks(entry.first, &raw, entry.count, &mut builder)
                .map_err(|problem| entry.damaged(problem))?;
        }
        self.read_picture(&mut builder)?;
        builder.trace_mut().set_totals(tape_totals(&totals));
        Ok(Some((builder.finish(), totals.notes)))
    }

    /// Takes the picture that the file begins with, where it has one.
    fn read_picture(&mut self, builder: &mut TraceBuilder) -> Result<(), AtraceError> {
        let mut picture = PictureReader::default();
        let entries: Vec<Entry> =
            self.blocks().iter().filter(|e| e.kind == BlockKind::Picture).copied().collect();
        for entry in entries {
            let (header, payload) = self.file.block(&entry)?;
            let raw = self.decoder.unpack(&header, &payload).map_err(|problem| entry.damaged(problem))?;
            if let Some(whole) = picture.take(&header, &raw).map_err(|problem| entry.damaged(problem))? {
                builder.begin_with(Arc::new(whole)).map_err(|problem| entry.damaged(problem.to_string()))?;
            }
        }
        Ok(())
    }

    /// Goes to the last place at or before operation `step` (counted from 0) where reading can begin. The
    /// next [`Self::next_block`] gives the operations from there on.
    pub fn seek(&mut self, step: u64) -> Result<(), AtraceError> {
        let start = self.blocks().iter().rposition(|e| e.kind == BlockKind::State && e.first <= step);
        let start = start.unwrap_or(0);
        // Tables and facts before it are needed, whatever was read so far.
        if start < self.tables_to {
            self.decoder = Decoder::new(TraceBuilder::new(&self.name), self.file.header().pool_bits);
            self.tables_to = 0;
        }
        for at in self.tables_to..start {
            let entry = self.blocks()[at];
            if !matches!(entry.kind, BlockKind::Operations | BlockKind::State | BlockKind::Times) {
                let (header, payload) = self.file.block(&entry)?;
                self.decoder.block(&header, &payload).map_err(|problem| entry.damaged(problem))?;
            }
        }
        self.at = start;
        if let Some(entry) = self.blocks().get(start).copied().filter(|e| e.kind == BlockKind::State) {
            let (header, payload) = self.file.block(&entry)?;
            self.decoder.resume(&header, &payload).map_err(|problem| entry.damaged(problem))?;
            self.at = start + 1;
        }
        self.tables_to = self.at;
        Ok(())
    }

    /// The next block of operations, with all that is known of the trace so far; `None` after the last.
    /// Operations of the block before are dropped. [`Trace::first`] says where it stands.
    pub fn next_block(&mut self) -> Result<Option<&Trace>, AtraceError> {
        self.decoder.builder.forget();
        while let Some(entry) = self.blocks().get(self.at).copied() {
            let (header, payload) = self.file.block(&entry)?;
            self.decoder.block(&header, &payload).map_err(|problem| entry.damaged(problem))?;
            self.at += 1;
            self.tables_to = self.at;
            if entry.kind == BlockKind::Operations {
                return Ok(Some(self.decoder.builder.trace()));
            }
        }
        Ok(None)
    }

    /// The trace as it is known now.
    pub fn trace(&self) -> &Trace {
        self.decoder.builder.trace()
    }
}
