//! A file whose blocks can be read in any order.

use std::io::{Read, Seek, SeekFrom};

use crate::codec::Unpacker;
use crate::container::{BlockKind, FILE_HEADER_BYTES, FileHeader, HEADER_BYTES, Header, u64_at};
use crate::error::AtraceError;
use crate::index::{Entry, Totals, take_index};

/// A file with its index, or what was found of its blocks where that is missing.
pub struct BlockFile<S> {
    source: S,
    header: FileHeader,
    unpacker: Unpacker,
    entries: Vec<Entry>,
    /// `None` where the index was rebuilt.
    totals: Option<Totals>,
    truncated: Option<String>,
}

impl<S: Read + Seek> BlockFile<S> {
    /// Opens a file: reads its index, or where that is missing the header of each block.
    pub fn open(mut source: S) -> Result<Self, AtraceError> {
        let bytes = source.seek(SeekFrom::End(0)).map_err(|e| read_error(0, e))?;
        let mut header = [0; FILE_HEADER_BYTES];
        read_at(&mut source, 0, &mut header)?;
        let header = FileHeader::decode(&header)?;
        let unpacker = Unpacker::default();
        let mut file = Self { source, header, unpacker, entries: Vec::new(), totals: None, truncated: None };
        if !file.read_index(bytes)? {
            file.scan(bytes)?;
        }
        Ok(file)
    }

    /// Reads the index that the last block points to; false where there is none that can be trusted.
    fn read_index(&mut self, bytes: u64) -> Result<bool, AtraceError> {
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
        let mut raw = Vec::new();
        if index.unpack(&mut self.unpacker, &payload, &mut raw).is_err() {
            return Ok(false);
        }
        let Some((entries, totals)) = take_index(&raw) else { return Ok(false) };
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
        self.totals = Some(totals);
        Ok(true)
    }

    /// Walks from block to block, as far as they are whole.
    fn scan(&mut self, bytes: u64) -> Result<(), AtraceError> {
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
    fn block_at(&mut self, offset: u64, bytes: u64) -> Result<Option<(Header, Vec<u8>)>, AtraceError> {
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

    /// The file's header.
    pub fn header(&self) -> FileHeader {
        self.header
    }

    /// All blocks of known kinds, in order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// What the index says of the whole; `None` where the file has no index.
    pub fn totals(&self) -> Option<&Totals> {
        self.totals.as_ref()
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

    /// Whether every block up to the last one is whole, by its checksum. Bytes are read once and nothing is unpacked.
    pub fn intact(&mut self) -> Result<bool, AtraceError> {
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

    /// Header and stored payload of an entry's block, whose checksum holds.
    pub fn block(&mut self, entry: &Entry) -> Result<(Header, Vec<u8>), AtraceError> {
        self.block_at(entry.offset, u64::MAX)?
            .filter(|(header, _)| header.kind() == Some(entry.kind) && header.first == entry.first)
            .ok_or_else(|| entry.damaged("a block is not what the index says".to_owned()))
    }

    /// What an entry's block holds, unpacked; for operations, whose columns are packed each on its own, that is what
    /// [`crate::BlockReader`] takes.
    pub fn payload(&mut self, entry: &Entry) -> Result<Vec<u8>, AtraceError> {
        let (header, payload) = self.block(entry)?;
        let mut raw = Vec::new();
        if entry.kind == BlockKind::Operations {
            return Ok(payload);
        }
        header.unpack(&mut self.unpacker, &payload, &mut raw).map_err(|problem| entry.damaged(problem))?;
        Ok(raw)
    }
}

impl Entry {
    /// Its block does not hold what it must.
    pub(crate) fn damaged(&self, problem: String) -> AtraceError {
        AtraceError::Damaged { offset: self.offset, operation: self.first + 1, problem }
    }
}

fn read_error(offset: u64, error: std::io::Error) -> AtraceError {
    AtraceError::Read { offset, error }
}

fn read_at(source: &mut (impl Read + Seek), offset: u64, bytes: &mut [u8]) -> Result<(), AtraceError> {
    source
        .seek(SeekFrom::Start(offset))
        .and_then(|_| source.read_exact(bytes))
        .map_err(|e| read_error(offset, e))
}
