//! glibc-malloc-trace-utils' `.mtrace`: records of 64 bytes, one a call.

use std::collections::HashMap;

use sim_core::TraceBuilder;

use crate::births::{Origin, PointerTape};
use crate::error::TraceError;
use crate::reader::Reader;

const RECORD_BYTES: usize = 64;
/// The type of the record that a file begins with.
const MAGIC: u8 = 255;
const MAGIC_POINTER: u64 = 0x1234;

/// Whether a file begins as one of a 64-bit process does.
pub(crate) fn is_magic(head: &[u8]) -> bool {
    let record = Record(head);
    head.len() >= RECORD_BYTES
        && record.kind() == MAGIC
        && record.word(PTR1) == MAGIC_POINTER
        && record.word(SIZE) == 8
}

/// Words of a record, from the second one on.
const PTR1: usize = 1;
const PTR2: usize = 2;
const SIZE: usize = 3;

/// One record: thread, type and flags in the first word, then seven words.
#[derive(Clone, Copy)]
struct Record<'a>(&'a [u8]);

impl Record<'_> {
    fn word(self, index: usize) -> u64 {
        let bytes = self.0.get(8 * index..8 * index + 8).and_then(|b| b.try_into().ok());
        u64::from_le_bytes(bytes.unwrap_or_default())
    }

    fn kind(self) -> u8 {
        self.0.get(4).copied().unwrap_or_default()
    }

    fn thread(self) -> u32 {
        self.word(0) as u32
    }
}

/// Reads the records.
pub(crate) struct Parser {
    tape: PointerTape,
    /// The start of a record whose end has not come yet.
    rest: Vec<u8>,
    records: u64,
    /// Our numbers of the threads, in order of appearance.
    threads: HashMap<u32, u16>,
    unknown: u64,
    over: bool,
}

impl Parser {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            tape: PointerTape::new(name),
            rest: Vec::new(),
            records: 0,
            threads: HashMap::new(),
            unknown: 0,
            over: false,
        }
    }

    fn record(&mut self, record: Record<'_>) -> Result<(), TraceError> {
        let offset = self.records * RECORD_BYTES as u64;
        self.records += 1;
        let kind = record.kind();
        // Unused records lie at the end, where the file was grown ahead.
        if matches!(kind, 0 | MAGIC) {
            return Ok(());
        }
        let next = u16::try_from(self.threads.len()).unwrap_or(u16::MAX);
        let thread = *self.threads.entry(record.thread()).or_insert(next);
        let from = Origin { thread, ..Origin::default() };
        let (old, new, size) = (record.word(PTR1), record.word(PTR2), record.word(SIZE));
        match kind {
            1 | 5..=8 => self.tape.malloc(from, new, size),
            2 => self.tape.calloc(from, new, size),
            3 => self.tape.free(from, old),
            // What realloc returns for size 0 is NULL, and the block is gone; else NULL is a failure.
            4 if new == 0 && size == 0 => self.tape.free(from, old),
            4 if new == 0 => Ok(()),
            4 => self.tape.realloc(from, old, new, size),
            _ => {
                self.unknown += 1;
                Ok(())
            }
        }
        .map_err(|error| TraceError::Binary {
            offset,
            problem: error.to_string(),
            remedy: "the file is damaged; record it again".to_owned(),
        })
    }

    fn mark(&mut self, sentence: String) {
        self.tape.builder.trace_mut().origin.source.doubt.truncated.get_or_insert(sentence);
    }

    fn take(&mut self, mut bytes: &[u8]) -> Result<(), TraceError> {
        if !self.rest.is_empty() {
            let wanted = (RECORD_BYTES - self.rest.len()).min(bytes.len());
            self.rest.extend_from_slice(&bytes[..wanted]);
            bytes = &bytes[wanted..];
            if self.rest.len() < RECORD_BYTES {
                return Ok(());
            }
            let whole = std::mem::take(&mut self.rest);
            self.record(Record(&whole))?;
        }
        let mut records = bytes.chunks_exact(RECORD_BYTES);
        for record in &mut records {
            self.record(Record(record))?;
        }
        self.rest.extend_from_slice(records.remainder());
        Ok(())
    }
}

impl Reader for Parser {
    fn feed(&mut self, bytes: &[u8]) -> Result<(), TraceError> {
        let taken = self.take(bytes);
        if let Err(error) = &taken
            && !self.tape.builder.is_empty()
        {
            self.over = true;
            self.mark(error.to_string());
            return Ok(());
        }
        taken
    }

    fn complete(&self) -> bool {
        self.over
    }

    fn end(&mut self) -> Result<(), TraceError> {
        if !self.over && !self.rest.is_empty() {
            let offset = self.records * RECORD_BYTES as u64;
            self.mark(format!("the file ends inside the record at byte {offset}, which was left out"));
        }
        self.tape.note_what_is_missing("this recorder keeps no stacks");
        let source = &mut self.tape.builder.trace_mut().origin.source;
        source.set("recorder", "glibc-malloc-trace-utils");
        source.lacks("times", "this recorder writes none");
        source.records = Some(self.records);
        if self.unknown > 0 {
            source.set("unknown_records", self.unknown.to_string());
        }
        Ok(())
    }

    fn cut(&mut self, reason: TraceError) -> Result<(), TraceError> {
        if self.tape.builder.is_empty() {
            return Err(reason);
        }
        self.mark(reason.to_string());
        self.over = true;
        self.end()
    }

    fn take_as(&mut self, domain: sim_core::Domain) -> bool {
        self.tape.domain = domain;
        true
    }

    fn builder(&self) -> &TraceBuilder {
        &self.tape.builder
    }

    fn builder_mut(&mut self) -> &mut TraceBuilder {
        &mut self.tape.builder
    }
}
