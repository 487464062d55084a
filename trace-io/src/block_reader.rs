//! Reads what `CPython`'s debug hooks print of a damaged block, alone or among the lines of a log.

use sim_core::TraceBuilder;

use crate::account::{Account, BlockMessage, Pad, REPLACED};
use crate::error::TraceError;
use crate::lines::ShortLines;
use crate::reader::Reader;

/// What the first line of the message has in it.
pub(crate) const BEGINNING: &[u8] = b"Debug memory block at address p=";
/// Longer lines are none of the message's.
const LINE_BYTES_MAX: usize = 1 << 12;
/// Lines after the first that may still belong to it.
const LINES_MAX: usize = 4096;
const FRAMES_MAX: usize = 64;

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
    text: ShortLines<LINE_BYTES_MAX>,
    found: Found,
    /// No operation is ever in it.
    none: TraceBuilder,
}

/// The message as far as it has come.
#[derive(Default)]
struct Found {
    message: BlockMessage,
    within: Within,
    lines: usize,
}

impl Found {
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
        self.text.feed(bytes, |line| self.found.line(line));
        Ok(())
    }

    fn end(&mut self) -> Result<(), TraceError> {
        self.text.end(|line| self.found.line(line));
        Ok(())
    }

    fn cut(&mut self, _: TraceError) -> Result<(), TraceError> {
        self.end()
    }

    fn account(&mut self) -> Option<Account> {
        let mut message = std::mem::take(&mut self.found.message);
        message.explain();
        Some(Account::Block(message))
    }

    fn builder(&self) -> &TraceBuilder {
        &self.none
    }

    fn builder_mut(&mut self) -> &mut TraceBuilder {
        &mut self.none
    }
}
