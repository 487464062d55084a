//! A file that can be read from the middle.

use std::io::{Read, Seek, SeekFrom};

use sim_core::tape::Totals;
use sim_core::{Trace, TraceBuilder};

use super::container::{BlockKind, FILE_HEADER_BYTES, FileHeader, FileProfile, HEADER_BYTES, Header, u64_at};
use super::decode::Decoder;
use super::index::{Entry, take_index};
use super::meta::take_meta;
use crate::error::TraceError;

/// An `.atrace` file whose blocks can be read in any order.
///
/// Reading begins at the last STATE block before what is wanted, or at the start: at most as many
/// operations before it as lie between two states, some million.
pub struct AtraceFile<S> {
    source: S,
    header: FileHeader,
    name: String,
    entries: Vec<Entry>,
    /// What the index says of the whole; `None` where the index was rebuilt.
    totals: Option<(Totals, u64)>,
    /// Why not all of the file can be read.
    truncated: Option<String>,
    /// Where reading goes on: the next entry, and the trace so far.
    at: usize,
    decoder: Decoder,
    /// Entries of tables that were read.
    tables_to: usize,
}

impl<S: Read + Seek> AtraceFile<S> {
    /// Opens a file called `name`: reads its index, or where that is missing the header of each block.
    pub fn open(name: &str, mut source: S) -> Result<Self, TraceError> {
        let bytes = source.seek(SeekFrom::End(0)).map_err(|e| read_error(0, e))?;
        let mut header = [0; FILE_HEADER_BYTES];
        read_at(&mut source, 0, &mut header)?;
        let header = FileHeader::decode(&header).map_err(|message| TraceError::Atrace {
            offset: 0,
            operation: 1,
            message,
        })?;
        let mut file = Self {
            source,
            header,
            name: name.to_owned(),
            entries: Vec::new(),
            totals: None,
            truncated: None,
            at: 0,
            decoder: Decoder::new(TraceBuilder::new(name), header.pool_bits),
            tables_to: 0,
        };
        if !file.read_index(bytes)? {
            file.scan(bytes)?;
        }
        Ok(file)
    }

    /// Reads the index that the last block points to; false where there is none that can be trusted.
    fn read_index(&mut self, bytes: u64) -> Result<bool, TraceError> {
        let Some(end_at) =
            bytes.checked_sub(HEADER_BYTES as u64 + 8).filter(|&at| at >= FILE_HEADER_BYTES as u64)
        else {
            return Ok(false);
        };
        let Some((end, payload)) = self.block_at(end_at, bytes)? else { return Ok(false) };
        if end.kind() != Some(BlockKind::End) || payload.len() != 8 {
            return Ok(false);
        }
        let Some((index, payload)) = self.block_at(u64_at(&payload, 0), end_at)? else { return Ok(false) };
        if index.kind() != Some(BlockKind::Index) {
            return Ok(false);
        }
        let Ok(raw) = self.decoder.unpack(&index, &payload) else { return Ok(false) };
        let Some((entries, totals, notes)) = take_index(&raw) else { return Ok(false) };
        // Blocks of operations must follow each other, or the index is another file's.
        let mut first = 0;
        for entry in entries.iter().filter(|e| e.kind == BlockKind::Operations) {
            if entry.first != first {
                return Ok(false);
            }
            first += u64::from(entry.count);
        }
        if first != totals.operations || end.first != first {
            return Ok(false);
        }
        self.entries = entries;
        self.totals = Some((totals, notes));
        Ok(true)
    }

    /// Walks from block to block, as far as they are whole.
    fn scan(&mut self, bytes: u64) -> Result<(), TraceError> {
        let mut offset = FILE_HEADER_BYTES as u64;
        let mut ended = false;
        while let Some((header, _)) = self.block_at(offset, bytes)? {
            if let Some(kind) = header.kind() {
                self.entries.push(Entry {
                    kind,
                    offset,
                    count: header.count,
                    first: header.first,
                    time_ns: header.time_ns,
                    threads: u64::MAX,
                    sizes: u64::MAX,
                });
                ended = kind == BlockKind::End;
            }
            offset += HEADER_BYTES as u64 + u64::from(header.stored);
            if ended {
                break;
            }
        }
        self.entries.retain(|e| !matches!(e.kind, BlockKind::Index | BlockKind::End));
        if !ended {
            self.truncated = Some(format!(
                "the file is damaged or cut at byte {offset}: no whole block begins there; {} operations before it \
                 can be read",
                self.operations()
            ));
        }
        Ok(())
    }

    /// The block at a place, `None` where there is no whole one.
    fn block_at(&mut self, offset: u64, bytes: u64) -> Result<Option<(Header, Vec<u8>)>, TraceError> {
        let mut head = [0; HEADER_BYTES];
        if offset.checked_add(HEADER_BYTES as u64).is_none_or(|end| end > bytes) {
            return Ok(None);
        }
        read_at(&mut self.source, offset, &mut head)?;
        let Ok(header) = Header::decode(&head) else { return Ok(None) };
        let payload_at = offset + HEADER_BYTES as u64;
        if payload_at + u64::from(header.stored) > bytes {
            return Ok(None);
        }
        let mut payload = vec![0; header.stored as usize];
        read_at(&mut self.source, payload_at, &mut payload)?;
        Ok(Header::holds(&head, &payload).then_some((header, payload)))
    }

    /// What the file was optimised for.
    pub fn profile(&self) -> FileProfile {
        self.header.profile
    }

    /// All blocks of known kinds, in order.
    pub fn blocks(&self) -> &[Entry] {
        &self.entries
    }

    /// Operations that can be read.
    pub fn operations(&self) -> u64 {
        let last = self.entries.iter().rev().find(|e| e.kind == BlockKind::Operations);
        last.map_or(0, |e| e.first + u64::from(e.count))
    }

    /// Why not all of the file can be read, in one sentence.
    pub fn truncated(&self) -> Option<&str> {
        self.truncated.as_deref()
    }

    /// Everything known of the trace but its operations, tables and notes, from facts and index alone, with
    /// the number of notes; `None` where the file has no index.
    pub fn summary(&mut self) -> Result<Option<(Trace, u64)>, TraceError> {
        let Some((totals, notes)) = self.totals.clone() else { return Ok(None) };
        let mut builder = TraceBuilder::new(&self.name);
        let meta = self.entries.iter().rfind(|e| e.kind == BlockKind::Meta).copied();
        if let Some(entry) = meta {
            let (header, payload) = self.whole(&entry)?;
            let raw = self.decoder.unpack(&header, &payload).map_err(|m| error(&entry, m))?;
            take_meta(&raw, builder.trace_mut()).map_err(|m| error(&entry, m))?;
        }
        builder.trace_mut().set_totals(totals);
        Ok(Some((builder.finish(), notes)))
    }

    /// Whether every block up to the last one is whole, by its checksum. Bytes are read once and nothing is unpacked.
    pub fn intact(&mut self) -> Result<bool, TraceError> {
        let bytes = self.source.seek(SeekFrom::End(0)).map_err(|e| read_error(0, e))?;
        let mut offset = FILE_HEADER_BYTES as u64;
        while let Some((header, _)) = self.block_at(offset, bytes)? {
            if header.kind() == Some(BlockKind::End) {
                return Ok(true);
            }
            offset += HEADER_BYTES as u64 + u64::from(header.stored);
        }
        Ok(false)
    }

    /// The block of an entry.
    fn whole(&mut self, entry: &Entry) -> Result<(Header, Vec<u8>), TraceError> {
        self.block_at(entry.offset, u64::MAX)?
            .filter(|(header, _)| header.kind() == Some(entry.kind) && header.first == entry.first)
            .ok_or_else(|| error(entry, "a block is not what the index says".to_owned()))
    }

    /// Goes to the last place at or before operation `step` (counted from 0) where reading can begin. The
    /// next [`Self::next_block`] gives the operations from there on.
    pub fn seek(&mut self, step: u64) -> Result<(), TraceError> {
        let start = self.entries.iter().rposition(|e| e.kind == BlockKind::State && e.first <= step);
        let start = start.unwrap_or(0);
        // Tables and facts before it are needed, whatever was read so far.
        if start < self.tables_to {
            self.decoder = Decoder::new(TraceBuilder::new(&self.name), self.header.pool_bits);
            self.tables_to = 0;
        }
        for at in self.tables_to..start {
            let entry = self.entries[at];
            if !matches!(entry.kind, BlockKind::Operations | BlockKind::State | BlockKind::Times) {
                let (header, payload) = self.whole(&entry)?;
                self.decoder.block(&header, &payload).map_err(|m| error(&entry, m))?;
            }
        }
        self.at = start;
        if let Some(entry) = self.entries.get(start).copied().filter(|e| e.kind == BlockKind::State) {
            let (header, payload) = self.whole(&entry)?;
            self.decoder.resume(&header, &payload).map_err(|m| error(&entry, m))?;
            self.at = start + 1;
        }
        self.tables_to = self.at;
        Ok(())
    }

    /// The next block of operations, with all that is known of the trace so far; `None` after the last.
    /// Operations of the block before are dropped. [`Trace::first`] says where it stands.
    pub fn next_block(&mut self) -> Result<Option<&Trace>, TraceError> {
        self.decoder.builder.forget();
        while let Some(entry) = self.entries.get(self.at).copied() {
            let (header, payload) = self.whole(&entry)?;
            self.decoder.block(&header, &payload).map_err(|m| error(&entry, m))?;
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

fn error(entry: &Entry, message: String) -> TraceError {
    TraceError::Atrace { offset: entry.offset, operation: entry.first + 1, message }
}

fn read_error(offset: u64, error: std::io::Error) -> TraceError {
    TraceError::Read { offset, error }
}

fn read_at(source: &mut (impl Read + Seek), offset: u64, bytes: &mut [u8]) -> Result<(), TraceError> {
    source
        .seek(SeekFrom::Start(offset))
        .and_then(|_| source.read_exact(bytes))
        .map_err(|e| read_error(offset, e))
}
