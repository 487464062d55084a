//! Limits that a run has to keep, for who builds software: figures of a moment, held against bounds and against an earlier run.

use serde::{Deserialize, Serialize};

use super::census::Census;

/// The figures of a moment that can be bounded.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Figures {
    /// Arenas that are held.
    pub held_arenas: u64,
    /// Bytes of arenas that a block keeps and that are in no block in use.
    pub pinned_bytes: u64,
    /// Bytes of live blocks, those of the C library too.
    pub live_bytes: u64,
}

impl Figures {
    /// Of a census.
    pub fn of(census: &Census) -> Self {
        let inside = census.used_bytes();
        let outside = census.block_bytes[census.range(census.regions.len())].iter();
        let kept = census.regions.iter().filter(|region| region.blocks > 0);
        Self {
            held_arenas: census.regions.len() as u64,
            pinned_bytes: kept.map(|region| region.bytes.saturating_sub(region.block_bytes)).sum(),
            live_bytes: outside.fold(inside, |sum, bytes| sum.saturating_add(*bytes)),
        }
    }
}

/// Bounds, each where it is wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Limits {
    /// Of [`Figures::held_arenas`].
    pub held_arenas: Option<u64>,
    /// Of [`Figures::pinned_bytes`].
    pub pinned_bytes: Option<u64>,
    /// Of [`Figures::live_bytes`].
    pub live_bytes: Option<u64>,
}

impl Limits {
    /// An earlier run's figures and so many hundredths more.
    pub fn after(earlier: Figures, tolerance_percent: u64) -> Self {
        let with = |figure: u64| {
            let more = u128::from(figure) * u128::from(tolerance_percent) / 100;
            Some(figure.saturating_add(u64::try_from(more).unwrap_or(u64::MAX)))
        };
        Self {
            held_arenas: with(earlier.held_arenas),
            pinned_bytes: with(earlier.pinned_bytes),
            live_bytes: with(earlier.live_bytes),
        }
    }

    /// The tighter of both, bound by bound.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let tighter = |a: Option<u64>, b: Option<u64>| match (a, b) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        Self {
            held_arenas: tighter(self.held_arenas, other.held_arenas),
            pinned_bytes: tighter(self.pinned_bytes, other.pinned_bytes),
            live_bytes: tighter(self.live_bytes, other.live_bytes),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Each bound with its figure.
    pub fn results(&self, figures: Figures) -> Vec<Held> {
        [
            ("held arenas", false, figures.held_arenas, self.held_arenas),
            ("pinned bytes", true, figures.pinned_bytes, self.pinned_bytes),
            ("live bytes", true, figures.live_bytes, self.live_bytes),
        ]
        .into_iter()
        .filter_map(|(name, bytes, figure, limit)| Some(Held { name, bytes, figure, limit: limit? }))
        .collect()
    }
}

/// A figure held against its bound.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Held {
    /// What is bounded.
    pub name: &'static str,
    /// Whether it is bytes.
    pub bytes: bool,
    /// How many there are.
    pub figure: u64,
    /// How many there may be.
    pub limit: u64,
}

impl Held {
    /// Whether the bound is kept.
    pub fn is_kept(&self) -> bool {
        self.figure <= self.limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tighter_bound_counts_and_what_has_none_is_not_asked() {
        let earlier = Figures { held_arenas: 10, pinned_bytes: 1000, live_bytes: 7 };
        let limits = Limits::after(earlier, 50).and(Limits { held_arenas: Some(12), ..Limits::default() });
        let figures = Figures { held_arenas: 13, pinned_bytes: 1500, live_bytes: 11 };
        let kept: Vec<_> = limits.results(figures).iter().map(|h| (h.name, h.limit, h.is_kept())).collect();
        assert_eq!(
            kept,
            [("held arenas", 12, false), ("pinned bytes", 1500, true), ("live bytes", 10, false)]
        );
        let one = Limits { live_bytes: Some(0), ..Limits::default() };
        assert_eq!(one.results(figures).len(), 1);
        assert!(Limits::default().is_empty() && !one.is_empty());
    }
}
