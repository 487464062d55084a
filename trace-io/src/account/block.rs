//! What `CPython`'s debug hooks print of a damaged block, read again: which bytes are wrong, and what that means.

mod explain;

use serde::{Deserialize, Serialize};
use sim_core::TraceBuilder;

use super::Account;
use crate::error::TraceError;
use crate::reader::Reader;

/// What the first line of the message has in it.
pub(crate) const BEGINNING: &[u8] = b"Debug memory block at address p=";
/// Longer lines are none of the message's.
const LINE_BYTES_MAX: usize = 1 << 12;
/// Lines after the first that may still belong to it.
const LINES_MAX: usize = 4096;
const FRAMES_MAX: usize = 64;

/// A pad.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Pad {
    /// Whether the message says that all its bytes are as expected.
    pub intact: bool,
    /// Its bytes from the lowest address on, where the message has them.
    pub bytes: Vec<u8>,
}

/// The message, with what it means.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct BlockMessage {
    /// The block's address as the program knew it.
    pub address: String,
    /// The byte in front of it that names an API: `r`, `m` or `o` where it is sound.
    pub api: Option<u8>,
    /// The size in front of it, in bytes.
    pub size: Option<u64>,
    /// The number of the call that made it, in builds that count.
    pub serial: Option<u64>,
    /// What guards are made of: 0xfd, or 0xfb before 3.8.
    pub forbidden: u8,
    /// The bytes between the API's and the data.
    pub leading: Option<Pad>,
    /// The bytes behind the data, where the size puts them.
    pub trailing: Option<Pad>,
    /// The data's first bytes, and its last ones where the message leaves some out.
    pub data: Vec<u8>,
    /// How many of these are the first ones; all where none is left out.
    pub data_first: usize,
    /// The fatal error, without `Fatal Python error: `.
    pub fatal: Option<String>,
    /// Where the block was allocated, the latest call first.
    pub allocated_at: Vec<String>,
    /// Messages in the text; this is the first.
    pub messages: u64,
    /// What happened, in one sentence.
    pub verdict: String,
    /// What its bytes show, a sentence each.
    pub findings: Vec<String>,
    /// What to do next, a sentence each.
    pub next: Vec<String>,
}

impl BlockMessage {
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = vec![self.verdict.clone()];
        lines.push(format!("  block       p={}{}", self.address, explain::size_and_api(self)));
        if let Some(serial) = self.serial {
            lines.push(format!("  made by     call #{serial} to debug malloc or realloc"));
        }
        lines.extend(self.fatal.as_ref().map(|fatal| format!("  said        {fatal}")));
        lines.extend(self.findings.iter().map(|finding| format!("  shows       {finding}")));
        lines.extend(self.allocated_at.iter().map(|frame| format!("  allocated   {frame}")));
        lines.extend(self.next.iter().map(|step| format!("  next        {step}")));
        if self.messages > 1 {
            lines.push(format!("  the text has {} such messages; this is the first", self.messages));
        }
        lines
    }
}

/// Which pad the lines belong to that come next.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Within {
    #[default]
    Nothing,
    Leading,
    Trailing,
    Frames,
}

/// Reads the text.
#[derive(Default)]
pub(crate) struct BlockReader {
    message: BlockMessage,
    within: Within,
    lines: usize,
    rest: Vec<u8>,
    skipping: bool,
    /// No operation is ever in it.
    none: TraceBuilder,
}

impl BlockReader {
    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.rest);
        if !std::mem::take(&mut self.skipping) {
            self.line(&line);
        }
    }

    fn line(&mut self, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        let begins = bytes.windows(BEGINNING.len()).any(|w| w == BEGINNING);
        if let Some((_, rest)) = text.split_once("address p=").filter(|_| begins) {
            self.message.messages += 1;
            if self.message.messages == 1 {
                self.first_line(bytes, rest);
            }
            return;
        }
        if self.message.messages != 1 || self.lines >= LINES_MAX {
            return;
        }
        self.lines += 1;
        let message = &mut self.message;
        if let Some((before, _)) = text.split_once(" bytes originally requested") {
            message.size = last_word(before).parse().ok();
        } else if let Some((_, rest)) = text.split_once("made by call #") {
            message.serial = number(rest);
        } else if let Some((_, rest)) = text.split_once("Fatal Python error: ") {
            let shown = on_one_line(rest);
            message.fatal.get_or_insert(shown);
        } else if let Some((_, rest)) = text.split_once(" pad bytes at ") {
            let pad = Some(Pad { intact: rest.contains("as expected"), bytes: Vec::new() });
            if let Some((_, byte)) = rest.split_once("FORBIDDENBYTE (0x") {
                message.forbidden = hex(byte.get(..2).unwrap_or_default()).unwrap_or(message.forbidden);
            }
            if rest.starts_with("tail") {
                (message.trailing, self.within) = (pad, Within::Trailing);
            } else {
                (message.leading, self.within) = (pad, Within::Leading);
            }
        } else if let Some((_, rest)) = text.split_once("Data at p:") {
            self.within = Within::Nothing;
            for word in rest.split_whitespace().take(17) {
                match hex(word) {
                    Some(byte) => message.data.push(byte),
                    None if message.data_first == 0 => message.data_first = message.data.len(),
                    None => {}
                }
            }
            if message.data_first == 0 {
                message.data_first = message.data.len();
            }
        } else if text.contains("Memory block allocated at") {
            self.within = Within::Frames;
        } else if self.within == Within::Frames {
            match text.trim() {
                frame if frame.starts_with("File ") && message.allocated_at.len() < FRAMES_MAX => {
                    message.allocated_at.push(on_one_line(frame));
                }
                _ => self.within = Within::Nothing,
            }
        } else if let Some((_, rest)) = text.split_once("at tail+").or_else(|| text.split_once("at p-")) {
            let pad =
                if self.within == Within::Leading { &mut message.leading } else { &mut message.trailing };
            if let Some((_, byte)) = rest.split_once(": 0x")
                && let (Some(pad), Some(byte)) = (pad, byte.get(..2).and_then(hex))
                && pad.bytes.len() < 8
            {
                pad.bytes.push(byte);
            }
        }
    }

    /// `0x7f0a…: API 'o'`. The id is one byte, whatever it is.
    fn first_line(&mut self, bytes: &[u8], rest: &str) {
        const API: &[u8] = b"API '";
        let message = &mut self.message;
        message.forbidden = 0xfd;
        message.address =
            rest.chars().take_while(|c| c.is_ascii_alphanumeric() || "()".contains(*c)).take(24).collect();
        let at = bytes.windows(API.len()).position(|w| w == API).map(|at| at + API.len());
        message.api = at.map(|at| match bytes.get(at..) {
            // A terminal that shows Latin-1 as UTF-8 makes two bytes of one.
            Some([high @ 0xc2..=0xc3, low @ 0x80..=0xbf, b'\'', ..]) => (high - 0xc2) * 0x40 + low,
            Some([0xef, 0xbf, 0xbd, ..]) => REPLACED,
            Some([byte, ..]) => *byte,
            // A line feed ended the line.
            _ => b'\n',
        });
    }
}

/// What stands for an id that the text lost: a byte that was no character.
const REPLACED: u8 = 0xff;

/// The text as a terminal stands it.
fn on_one_line(text: &str) -> String {
    text.trim()
        .chars()
        .take(400)
        .map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c })
        .collect()
}

fn last_word(text: &str) -> &str {
    text.split_whitespace().next_back().unwrap_or_default()
}

fn number(text: &str) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text[..end].parse().ok()
}

fn hex(text: &str) -> Option<u8> {
    (text.len() == 2).then(|| u8::from_str_radix(text, 16).ok()).flatten()
}

impl Reader for BlockReader {
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
                self.end_line();
            }
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), TraceError> {
        self.end_line();
        Ok(())
    }

    fn cut(&mut self, _: TraceError) -> Result<(), TraceError> {
        self.end()
    }

    fn account(&mut self) -> Option<Account> {
        let mut message = std::mem::take(&mut self.message);
        explain::explain(&mut message);
        Some(Account::Block(message))
    }

    fn builder(&self) -> &TraceBuilder {
        &self.none
    }

    fn builder_mut(&mut self) -> &mut TraceBuilder {
        &mut self.none
    }
}
