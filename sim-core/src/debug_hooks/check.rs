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
        if bytes.get(layout.at(p, i.wrapping_neg()))? != FORBIDDENBYTE {
            return Ok(Some(Damage::LeadingPad));
        }
    }
    let tail = layout.at(p, layout.stored_size(bytes, p)?);
    for i in 0..word {
        if bytes.get(layout.at(tail, i))? != FORBIDDENBYTE {
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
    // Each byte is read when it is printed, so that a process that dies of one has printed those before it.
    let before = |i: u64| bytes.get(layout.at(p, i.wrapping_neg()));
    if all_forbidden((1..word).map(before))? {
        out.push_str("FORBIDDENBYTE, as expected.\n");
    } else {
        let _ = writeln!(out, "not all FORBIDDENBYTE (0x{FORBIDDENBYTE:02x}):");
        for i in (1..word).rev() {
            let b = before(i)?;
            let _ = writeln!(out, "        at p-{i}: 0x{b:02x}{}", ouch(b));
        }
        out.push_str(
            "    Because memory is corrupted at the start, the count of bytes requested\n       may be bogus, and checking the trailing pad bytes may segfault.\n",
        );
    }

    let tail = layout.at(p, nbytes);
    let _ = write!(out, "    The {word} pad bytes at tail={} are ", pointer(tail));
    let behind = |i: u64| bytes.get(layout.at(tail, i));
    if all_forbidden((0..word).map(behind))? {
        out.push_str("FORBIDDENBYTE, as expected.\n");
    } else {
        let _ = writeln!(out, "not all FORBIDDENBYTE (0x{FORBIDDENBYTE:02x}):");
        for i in 0..word {
            let b = behind(i)?;
            let _ = writeln!(out, "        at tail+{i}: 0x{b:02x}{}", ouch(b));
        }
    }

    if nbytes > 0 {
        out.push_str("    Data at p:");
        for i in 0..nbytes.min(8) {
            let _ = write!(out, " {:02x}", bytes.get(layout.at(p, i))?);
        }
        if nbytes > 8 {
            let rest = nbytes - 8;
            if rest > 8 {
                out.push_str(" ...");
            }
            for i in nbytes - rest.min(8)..nbytes {
                let _ = write!(out, " {:02x}", bytes.get(layout.at(p, i))?);
            }
        }
        out.push('\n');
    }
    out.push('\n');
    Ok(())
}

/// Whether all are, read up to the first that is not.
fn all_forbidden(bytes: impl Iterator<Item = Result<u8, Unmapped>>) -> Result<bool, Unmapped> {
    for byte in bytes {
        if byte? != FORBIDDENBYTE {
            return Ok(false);
        }
    }
    Ok(true)
}

fn ouch(byte: u8) -> &'static str {
    if byte == FORBIDDENBYTE { "" } else { " *** OUCH" }
}

/// `%p` of glibc.
fn pointer(addr: Addr) -> String {
    if addr == Addr(0) { "(nil)".to_owned() } else { format!("{addr}") }
}
