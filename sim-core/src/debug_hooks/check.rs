//! `_PyMem_DebugCheckAddress` and `_PyObject_DebugDumpAddress`.

use std::fmt::Write as _;

use super::{FORBIDDENBYTE, Layout};
use crate::addr::Addr;
use crate::bytes::{Bytes, Unmapped};
use crate::domains::Domain;

/// The first thing that is wrong with a block, in the order of the checks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Damage {
    /// The id is another domain's, or none.
    BadId {
        /// The id found.
        stored: u8,
        /// The id of the hook that checks.
        expected: Domain,
    },
    /// A byte of the leading pad is not `FORBIDDENBYTE`.
    LeadingPad,
    /// A byte of the trailing pad is not.
    TrailingPad,
}

impl Damage {
    /// The fatal message, after `Fatal Python error: <function>: `. An id is one byte, shown as Latin-1.
    pub fn message(self) -> String {
        match self {
            Self::BadId { stored, expected } => format!(
                "bad ID: Allocated using API '{}', verified using API '{}'",
                char::from(stored),
                expected.letter()
            ),
            Self::LeadingPad => "bad leading pad byte".to_owned(),
            Self::TrailingPad => "bad trailing pad byte".to_owned(),
        }
    }
}

/// Checks a block as the hook of `domain` does: id, leading pad, trailing pad.
pub fn check(layout: Layout, bytes: &Bytes, p: Addr, domain: Domain) -> Result<Option<Damage>, Unmapped> {
    let stored = layout.stored_id(bytes, p)?;
    if stored != domain.letter() as u8 {
        return Ok(Some(Damage::BadId { stored, expected: domain }));
    }
    let word = u64::from(layout.word_bytes);
    for i in 1..word {
        if bytes.get(Addr(p.0.wrapping_sub(i)))? != FORBIDDENBYTE {
            return Ok(Some(Damage::LeadingPad));
        }
    }
    let tail = p.offset(layout.stored_size(bytes, p)?);
    for i in 0..word {
        if bytes.get(tail.offset(i))? != FORBIDDENBYTE {
            return Ok(Some(Damage::TrailingPad));
        }
    }
    Ok(None)
}

/// The report of a block, and where reading it met unmapped memory, which is where a process would have
/// died with what stands above printed.
pub fn dump(layout: Layout, bytes: &Bytes, p: Addr) -> (String, Option<Unmapped>) {
    let mut out = String::new();
    let fault = write_dump(&mut out, layout, bytes, p).err();
    (out, fault)
}

fn write_dump(out: &mut String, layout: Layout, bytes: &Bytes, p: Addr) -> Result<(), Unmapped> {
    // Writing to a String cannot fail.
    let _ = write!(out, "Debug memory block at address p={}:", pointer(p));
    if p == Addr(0) {
        out.push('\n');
        return Ok(());
    }
    let word = u64::from(layout.word_bytes);
    let id = layout.stored_id(bytes, p)?;
    let _ = writeln!(out, " API '{}'", char::from(id));
    let nbytes = layout.stored_size(bytes, p)?;
    let _ = writeln!(out, "    {nbytes} bytes originally requested");

    let _ = write!(out, "    The {} pad bytes at p-{} are ", word - 1, word - 1);
    let leading = bytes.read(Addr(p.0.wrapping_sub(word - 1)), word - 1)?;
    if leading.iter().all(|&b| b == FORBIDDENBYTE) {
        out.push_str("FORBIDDENBYTE, as expected.\n");
    } else {
        let _ = writeln!(out, "not all FORBIDDENBYTE (0x{FORBIDDENBYTE:02x}):");
        for (i, &b) in (1..word).rev().zip(&leading) {
            let _ = writeln!(out, "        at p-{i}: 0x{b:02x}{}", ouch(b));
        }
        out.push_str(
            "    Because memory is corrupted at the start, the count of bytes requested\n       may be bogus, and checking the trailing pad bytes may segfault.\n",
        );
    }

    let tail = p.offset(nbytes);
    let _ = write!(out, "    The {word} pad bytes at tail={} are ", pointer(tail));
    let trailing = bytes.read(tail, word)?;
    if trailing.iter().all(|&b| b == FORBIDDENBYTE) {
        out.push_str("FORBIDDENBYTE, as expected.\n");
    } else {
        let _ = writeln!(out, "not all FORBIDDENBYTE (0x{FORBIDDENBYTE:02x}):");
        for (i, &b) in (0..word).zip(&trailing) {
            let _ = writeln!(out, "        at tail+{i}: 0x{b:02x}{}", ouch(b));
        }
    }

    if nbytes > 0 {
        out.push_str("    Data at p:");
        for b in bytes.read(p, nbytes.min(8))? {
            let _ = write!(out, " {b:02x}");
        }
        if nbytes > 8 {
            let rest = nbytes - 8;
            if rest > 8 {
                out.push_str(" ...");
            }
            for b in bytes.read(p.offset(nbytes - rest.min(8)), rest.min(8))? {
                let _ = write!(out, " {b:02x}");
            }
        }
        out.push('\n');
    }
    out.push('\n');
    Ok(())
}

fn ouch(byte: u8) -> &'static str {
    if byte == FORBIDDENBYTE { "" } else { " *** OUCH" }
}

/// `%p` of glibc.
fn pointer(addr: Addr) -> String {
    if addr == Addr(0) { "(nil)".to_owned() } else { format!("{addr}") }
}
