//! Reads the file as its bytes come.

use sim_core::TraceBuilder;

use super::decode::Decoder;
use crate::container::{FILE_HEADER_BYTES, FileHeader, HEADER_BYTES, Header};
use crate::error::AtraceError;

/// A reader of `.atrace`. A file that is cut or damaged keeps what stands before, and says so.
pub struct AtraceReader {
    state: State,
    decoder: Decoder,
    /// Bytes that are not dealt with, from `at` on.
    waiting: Vec<u8>,
    at: usize,
    /// Bytes of the file before `waiting[at]`.
    offset: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// The file header has not come.
    Start,
    Blocks,
    /// The last block was read, or what follows cannot be.
    Done,
}

impl AtraceReader {
    /// Nothing read yet of a trace called `name` until the file says otherwise.
    pub fn new(name: &str) -> Self {
        Self {
            state: State::Start,
            decoder: Decoder::new(TraceBuilder::new(name), 14),
            waiting: Vec::new(),
            at: 0,
            offset: 0,
        }
    }

    fn error(&self, problem: String) -> AtraceError {
        let operation = self.decoder.builder.len() + 1;
        AtraceError::Damaged { offset: self.offset, operation, problem }
    }

    /// The file is no use from here on: what came before stays, with the reason.
    fn stop(&mut self, what: &str) -> Result<(), AtraceError> {
        let operations = self.decoder.builder.len();
        if operations == 0 && self.decoder.builder.trace().origin.picture.is_none() {
            return Err(self.error(what.to_owned()));
        }
        self.state = State::Done;
        self.decoder.builder.drop_marks_ahead();
        let sentence = format!(
            "the file is damaged or cut at byte {}: {what}; {operations} operations before it were read",
            self.offset
        );
        let doubt = &mut self.decoder.builder.trace_mut().origin.source.doubt;
        // What was said of the recording itself stays.
        doubt.truncated = Some(match doubt.truncated.take() {
            Some(before) => format!("{before}; {sentence}"),
            None => sentence,
        });
        Ok(())
    }

    fn advance(&mut self, bytes: usize) {
        self.at += bytes;
        self.offset += bytes as u64;
    }

    /// Takes one thing from what is waiting; false where more bytes are needed.
    fn step(&mut self) -> Result<bool, AtraceError> {
        let here = &self.waiting[self.at..];
        match self.state {
            State::Done => return Ok(false),
            State::Start => {
                let Some(header) = here.first_chunk::<FILE_HEADER_BYTES>() else { return Ok(false) };
                let header = FileHeader::decode(header)?;
                let builder = std::mem::take(&mut self.decoder.builder);
                self.decoder = Decoder::new(builder, header.pool_bits);
                self.state = State::Blocks;
                self.advance(FILE_HEADER_BYTES);
            }
            State::Blocks => {
                let Some(bytes) = here.first_chunk::<HEADER_BYTES>() else { return Ok(false) };
                let header = match Header::decode(bytes) {
                    Ok(header) => header,
                    Err(what) => {
                        self.stop(what)?;
                        return Ok(false);
                    }
                };
                let Some(payload) = here[HEADER_BYTES..].get(..header.stored as usize) else {
                    return Ok(false);
                };
                if !Header::holds(bytes, payload) {
                    self.stop("a block's checksum is wrong")?;
                    return Ok(false);
                }
                match self.decoder.block(&header, payload) {
                    Ok(true) => self.state = State::Done,
                    Ok(false) => {}
                    Err(problem) => return Err(self.error(problem)),
                }
                self.advance(HEADER_BYTES + header.stored as usize);
            }
        }
        Ok(true)
    }

    /// No bytes follow, for `reason`.
    fn ends(&mut self, reason: &str) -> Result<(), AtraceError> {
        match self.state {
            State::Done => Ok(()),
            State::Start => Err(self.error("the file ends before its header does".to_owned())),
            State::Blocks => self.stop(reason),
        }
    }

    /// Takes more bytes.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), AtraceError> {
        if self.state == State::Done {
            return Ok(());
        }
        self.waiting.drain(..self.at);
        self.at = 0;
        self.waiting.extend_from_slice(bytes);
        while self.step()? {}
        Ok(())
    }

    /// Whether the file says that nothing follows; more bytes are then passed over.
    pub fn complete(&self) -> bool {
        self.state == State::Done
    }

    /// All bytes were fed.
    pub fn end(&mut self) -> Result<(), AtraceError> {
        self.ends("it ends without its last block")
    }

    /// No more bytes can be had, for `reason`.
    pub fn cut(&mut self, reason: &str) -> Result<(), AtraceError> {
        self.ends(reason)
    }

    /// The trace so far.
    pub fn builder(&self) -> &TraceBuilder {
        &self.decoder.builder
    }

    /// The trace so far, to take it away or to drop rows that were dealt with.
    pub fn builder_mut(&mut self) -> &mut TraceBuilder {
        &mut self.decoder.builder
    }
}
