//! What a picture says of all the memory of its process.

use sim_core::Trace;
use sim_core::picture::{Finding, Inventory, PictureSource};

/// Parts of the resident memory that are named.
const PARTS: usize = 3;

/// What a picture says of the memory of its process.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Process {
    /// Where it comes from.
    pub source: PictureSource,
    /// What there is to say, the weightiest first.
    pub findings: Vec<Finding>,
    /// All that is resident, as the parts sum up.
    pub resident: u64,
    /// Its largest parts.
    pub parts: Vec<(String, u64)>,
}

impl Process {
    /// Of a trace that is nothing but a picture: what ran on from it says more than one moment.
    pub fn of(trace: &Trace) -> Option<Self> {
        let Inventory { source, findings, parts, .. } = &trace.origin.picture.as_ref()?.inventory;
        if !trace.is_empty() || findings.is_empty() {
            return None;
        }
        let mut parts: Vec<(String, u64)> =
            parts.iter().map(|part| (part.name.clone(), part.bytes)).collect();
        let resident = parts.iter().fold(0_u64, |sum, part| sum.saturating_add(part.1));
        parts.sort_by_key(|part| std::cmp::Reverse(part.1));
        parts.truncate(PARTS);
        Some(Self { source: source.clone(), findings: findings.clone(), resident, parts })
    }
}
