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
