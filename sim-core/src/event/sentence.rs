//! What narration is made of.

use crate::addr::Addr;

/// An event in words, with the `CPython` function it happened in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sentence {
    /// The `CPython` function.
    pub function: &'static str,
    /// What it did, without a final period.
    pub text: String,
    /// The place to look at: a block, a pool or an arena base.
    pub place: Option<Addr>,
}

/// A count with its noun in the right number.
pub(super) fn many(count: impl Into<u64>, noun: &str) -> String {
    let count = count.into();
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// Bytes.
pub(super) fn bytes(count: u64) -> String {
    many(count, "byte")
}

/// The ending of a verb of the third person: `1 byte fits`, `2 bytes fit`.
pub(super) fn verb(count: u64, stem: &str) -> String {
    format!("{stem}{}", if count == 1 { "s" } else { "" })
}

/// What a move copies.
pub(super) fn are_copied(count: u64) -> String {
    format!("{} {} copied", bytes(count), if count == 1 { "is" } else { "are" })
}
