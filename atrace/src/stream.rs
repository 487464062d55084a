//! Writes the file: one pass, a block at a time, and an index of them at the end.

use std::io::{self, Write};

use crate::codec::{Codec, Packer};
use crate::columns::{Block, BlockWriter};
use crate::container::{BlockKind, FileHeader, FileProfile, HEADER_BYTES, Header};
use crate::index::{Entry, Totals, put_index};

/// A file that is being written.
///
/// [`Self::begin`] comes first, then tables and facts before the operations that need them, [`Self::finish`] last. A file that is
/// left without it is good up to its last whole block. Nothing is held back here: what was written before a process dies is in `out`.
pub struct Stream<W> {
    out: W,
    /// Bytes written.
    offset: u64,
    /// Operations written.
    operations: u64,
    /// Bytes that addresses took of them.
    address_bytes: u64,
    /// The last moment so far.
    time_ns: u64,
    packer: Packer,
    blocks: BlockWriter,
    entries: Vec<Entry>,
    payload: Vec<u8>,
}

impl<W: Write> Stream<W> {
    /// A file into `out`, its blocks packed as the profile has them: with zstd for an archive where this build can write that,
    /// else with LZ4.
    pub fn new(out: W, profile: FileProfile) -> Self {
        let codec = if profile == FileProfile::Archive { Codec::Zstd } else { Codec::Lz4 };
        Self {
            out,
            offset: 0,
            operations: 0,
            address_bytes: 0,
            time_ns: 0,
            packer: Packer::new(codec),
            blocks: BlockWriter::new(codec),
            entries: Vec::new(),
            payload: Vec::new(),
        }
    }

    /// Writes the file header.
    pub fn begin(&mut self, header: FileHeader) -> io::Result<()> {
        let bytes = header.encode();
        self.out.write_all(&bytes)?;
        self.offset += bytes.len() as u64;
        Ok(())
    }

    /// Operations in blocks that are written.
    pub fn operations(&self) -> u64 {
        self.operations
    }

    /// Bytes an operation so far, without addresses.
    pub fn bytes_an_operation(&self) -> f64 {
        (self.offset - self.address_bytes) as f64 / self.operations.max(1) as f64
    }

    /// The last moment among the operations of the next block: their header has the one before.
    pub fn set_time_ns(&mut self, time_ns: u64) {
        self.time_ns = time_ns;
    }

    /// Writes a block of anything but operations: `count` entries, `first` as the kind has it.
    pub fn write(&mut self, kind: BlockKind, count: u32, first: u64, raw: &[u8]) -> io::Result<()> {
        let (codec, stored) = self.packer.pack(raw);
        let header = Header {
            kind: kind.code(),
            codec: codec.code(),
            raw: raw.len() as u32,
            stored: stored.len() as u32,
            count,
            first,
            time_ns: self.time_ns,
        };
        self.out.write_all(&header.encode(stored))?;
        self.out.write_all(stored)?;
        let bytes = HEADER_BYTES as u64 + stored.len() as u64;
        self.note(kind, (count, first), bytes, (0, 0));
        Ok(())
    }

    /// Bytes that the payload of a block of operations would take.
    pub fn try_operations(&mut self, block: &Block) -> usize {
        self.payload.clear();
        self.blocks.pack(block, &mut self.payload);
        self.payload.len()
    }

    /// Writes a block of operations, which follow those written before.
    pub fn write_operations(&mut self, block: &Block) -> io::Result<()> {
        self.payload.clear();
        let (raw, of_addresses) = self.blocks.pack(block, &mut self.payload);
        let count = block.heads.len() as u32;
        let header = Header {
            kind: BlockKind::Operations.code(),
            codec: Codec::None.code(),
            raw,
            stored: self.payload.len() as u32,
            count,
            first: self.operations,
            time_ns: self.time_ns,
        };
        self.out.write_all(&header.encode(&self.payload))?;
        self.out.write_all(&self.payload)?;
        let bytes = HEADER_BYTES as u64 + self.payload.len() as u64;
        let occurs = (block.thread_bits(), block.size_bits());
        self.note(BlockKind::Operations, (count, self.operations), bytes, occurs);
        self.address_bytes += of_addresses;
        self.operations += u64::from(count);
        Ok(())
    }

    fn note(
        &mut self,
        kind: BlockKind,
        (count, first): (u32, u64),
        bytes: u64,
        (threads, sizes): (u64, u64),
    ) {
        let (offset, time_ns) = (self.offset, self.time_ns);
        self.entries.push(Entry { kind, offset, count, first, time_ns, threads, sizes });
        self.offset += bytes;
    }

    /// Writes the index and the end of the file, and flushes.
    pub fn finish(&mut self, totals: &Totals) -> io::Result<()> {
        let mut raw = Vec::new();
        let entries = std::mem::take(&mut self.entries);
        put_index(&entries, totals, &mut raw);
        let index = self.offset;
        self.write(BlockKind::Index, entries.len() as u32, totals.operations, &raw)?;
        let end = Header {
            kind: BlockKind::End.code(),
            codec: Codec::None.code(),
            raw: 8,
            stored: 8,
            count: 0,
            first: totals.operations,
            time_ns: self.time_ns,
        };
        let payload = index.to_le_bytes();
        self.out.write_all(&end.encode(&payload))?;
        self.out.write_all(&payload)?;
        self.out.flush()
    }
}
