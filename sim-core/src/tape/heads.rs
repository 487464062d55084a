//! The byte that stands for an operation: its bits, and which of them fit together.

use crate::domains::Domain;

/// Where the domain's two bits begin.
pub(super) const DOMAIN_SHIFT: u8 = 3;
/// The bits of a head's domain, all set where the used block tells it.
pub(super) const DOMAIN_OF_BLOCK: u8 = 3 << DOMAIN_SHIFT;
pub(super) const NULL_BIT: u8 = 1 << 5;
pub(super) const WIDE_BIT: u8 = 1 << 6;
/// In columns that come in; the tape itself keeps new ids apart.
pub(super) const NEW_ID_BIT: u8 = 1 << 7;
/// With the fourth domain code: the object's heap is `gc_pre`, not `gc`.
pub(super) const GC_PRE_BIT: u8 = 1 << 7;

/// The domain in a head: the fourth number is OBJ with an object heap of its own, or in columns that come in one that the used
/// block tells.
#[inline]
pub(super) fn head_domain(head: u8) -> Domain {
    // A table takes half the instructions of telling them apart.
    const DOMAINS: [Domain; 4] = [Domain::Raw, Domain::Mem, Domain::Obj, Domain::Obj];
    DOMAINS[usize::from(head >> DOMAIN_SHIFT & 3)]
}

/// Whether a head's bits fit together.
fn head_stands(head: u8, tight: bool) -> bool {
    let (kind, null) = (head & 7, head & NULL_BIT != 0);
    kind <= 5
        && (head & DOMAIN_OF_BLOCK != DOMAIN_OF_BLOCK || (tight && matches!(kind, 2..=4) && !null))
        && (!null || matches!(kind, 2 | 3 | 5))
        && (head & WIDE_BIT == 0 || matches!(kind, 0 | 2))
        && (head & NEW_ID_BIT == 0 || (kind == 2 && !null))
}

/// How often each head stands there.
pub(super) type HeadCounts = [u32; 256];

/// Counts heads, each of which must stand, or says which one does not. Two tables in turns, since the same head often follows itself.
pub(super) fn count_heads(heads: &[u8], tight: bool) -> Result<HeadCounts, u8> {
    let (mut even, mut odd) = ([0; 256], [0; 256]);
    let mut pairs = heads.chunks_exact(2);
    for pair in &mut pairs {
        even[usize::from(pair[0])] += 1;
        odd[usize::from(pair[1])] += 1;
    }
    for &head in pairs.remainder() {
        even[usize::from(head)] += 1;
    }
    for (even, odd) in even.iter_mut().zip(odd) {
        *even += odd;
    }
    match (0..=255_u8).find(|&h| even[usize::from(h)] > 0 && !head_stands(h, tight)) {
        Some(head) => Err(head),
        None => Ok(even),
    }
}
