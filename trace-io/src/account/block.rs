//! What `CPython`'s debug hooks print of a damaged block, read again: which bytes are wrong, and what that means.

mod explain;

use serde::{Deserialize, Serialize};

/// What stands for an id that the text lost: a byte that was no character.
pub(crate) const REPLACED: u8 = 0xff;

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
    /// Says what its bytes mean, once all is read.
    pub(crate) fn explain(&mut self) {
        explain::explain(self);
    }

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
