//! `tracemalloc.Filter`, `tracemalloc.DomainFilter` and `Snapshot.filter_traces()`.
//!
//! A filter's match already has `inclusive` in it: an exclusive filter matches what it lets through.

use super::fnmatch::Pattern;
use super::snapshot::{NamedTraceback, Snapshot};

/// `_normalize_filename` on POSIX: compiled files count as their sources; `.pyo` does not.
fn normalize_filename(filename: &str) -> &str {
    match filename.strip_suffix(".pyc") {
        Some(_) => &filename[..filename.len() - 1],
        None => filename,
    }
}

/// `tracemalloc.Filter`: by file name, and perhaps line and domain.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Filter {
    inclusive: bool,
    filename_pattern: String,
    pattern: Pattern,
    lineno: Option<u32>,
    all_frames: bool,
    domain: Option<u32>,
}

impl Filter {
    /// `Filter(inclusive, filename_pattern)`: the most recent frame only, any line, any domain.
    #[must_use]
    pub fn new(inclusive: bool, filename_pattern: &str) -> Self {
        let filename_pattern = normalize_filename(filename_pattern);
        Self {
            inclusive,
            filename_pattern: filename_pattern.to_owned(),
            pattern: Pattern::new(filename_pattern),
            lineno: None,
            all_frames: false,
            domain: None,
        }
    }

    /// Sets `lineno`: the frame must be at this line, too.
    #[must_use]
    pub fn lineno(self, lineno: Option<u32>) -> Self {
        Self { lineno, ..self }
    }

    /// Sets `all_frames`: any frame of the traceback will do.
    #[must_use]
    pub fn all_frames(self, all_frames: bool) -> Self {
        Self { all_frames, ..self }
    }

    /// Sets `domain`: inclusive filters match only there, exclusive ones let all other domains through.
    #[must_use]
    pub fn domain(self, domain: Option<u32>) -> Self {
        Self { domain, ..self }
    }

    /// `inclusive`.
    pub fn inclusive(&self) -> bool {
        self.inclusive
    }

    /// `filename_pattern`, normalized.
    pub fn filename_pattern(&self) -> &str {
        &self.filename_pattern
    }

    /// `_match_traceback`, the part that does not depend on the block.
    fn matches_traceback(&self, traceback: &NamedTraceback) -> bool {
        // The oldest frames cannot matter unless all do.
        let skipped = if self.all_frames { 0 } else { traceback.frames().len() - 1 };
        let hit = traceback.frames().iter().skip(skipped).any(|frame| {
            self.lineno.is_none_or(|lineno| lineno == frame.lineno)
                && self.pattern.matches(normalize_filename(&frame.filename))
        });
        hit == self.inclusive
    }

    fn matches(&self, domain: u32, matches_traceback: bool) -> bool {
        let same = self.domain.is_none_or(|expected| expected == domain);
        if self.inclusive { matches_traceback && same } else { matches_traceback || !same }
    }
}

/// `tracemalloc.DomainFilter`: by domain.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DomainFilter {
    /// Whether to keep the domain or to drop it.
    pub inclusive: bool,
    /// The tracemalloc domain.
    pub domain: u32,
}

impl DomainFilter {
    fn matches(self, domain: u32) -> bool {
        (self.domain == domain) == self.inclusive
    }
}

/// `tracemalloc.BaseFilter`: either filter.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum BaseFilter {
    /// By file name.
    Filter(Filter),
    /// By domain.
    DomainFilter(DomainFilter),
}

impl BaseFilter {
    /// Whether it keeps what it describes, or drops it.
    pub fn inclusive(&self) -> bool {
        match self {
            Self::Filter(filter) => filter.inclusive,
            Self::DomainFilter(filter) => filter.inclusive,
        }
    }
}

impl From<Filter> for BaseFilter {
    fn from(filter: Filter) -> Self {
        Self::Filter(filter)
    }
}

impl From<DomainFilter> for BaseFilter {
    fn from(filter: DomainFilter) -> Self {
        Self::DomainFilter(filter)
    }
}

impl Snapshot {
    /// `filter_traces(filters)`: the blocks that match an inclusive filter, if there is one, and every
    /// exclusive filter. Without filters it is a copy.
    #[must_use]
    pub fn filter_traces(&self, filters: &[BaseFilter]) -> Self {
        // Patterns are tried once per traceback instead of once per block.
        let verdicts: Vec<Vec<bool>> = filters
            .iter()
            .map(|filter| match filter {
                BaseFilter::Filter(filter) => {
                    self.tracebacks().iter().map(|traceback| filter.matches_traceback(traceback)).collect()
                }
                BaseFilter::DomainFilter(_) => Vec::new(),
            })
            .collect();
        let any_inclusive = filters.iter().any(BaseFilter::inclusive);
        self.retain(|domain, traceback| {
            let mut included = !any_inclusive;
            for (filter, verdicts) in filters.iter().zip(&verdicts) {
                let matches = match filter {
                    BaseFilter::Filter(filter) => filter.matches(domain, verdicts[traceback]),
                    BaseFilter::DomainFilter(filter) => filter.matches(domain),
                };
                if filter.inclusive() {
                    included |= matches;
                } else if !matches {
                    return false;
                }
            }
            included
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::tracemalloc::NamedFrame;

    /// Domain, size, frames most recent first, depth.
    type Literal<'a> = (u32, u64, &'a [(&'a str, u32)], u16);

    pub(in crate::tracemalloc) fn snapshot(traces: &[Literal<'_>]) -> Snapshot {
        let traces = traces.iter().map(|&(domain, size, frames, total)| {
            let frames =
                frames.iter().map(|&(name, lineno)| NamedFrame { filename: Arc::from(name), lineno });
            (domain, size, NamedTraceback::new(frames, Some(total)))
        });
        Snapshot::new(traces, 5)
    }

    /// Five blocks, executed on `CPython` 3.14.
    pub(in crate::tracemalloc) fn five() -> Snapshot {
        snapshot(&[
            (0, 100, &[("a", 1)], 1),
            (0, 100, &[("a", 2), ("b", 9)], 3),
            (1, 50, &[("a", 1)], 1),
            (0, 300, &[("c", 5), ("a", 1)], 2),
            (0, 300, &[("b", 7), ("b", 7)], 2),
        ])
    }

    /// The numbers, from 1, of the five blocks that pass.
    fn kept(filters: &[BaseFilter]) -> Vec<usize> {
        let all = five();
        let passed = all.filter_traces(filters);
        let mut passed = passed.traces().peekable();
        all.traces()
            .enumerate()
            .filter_map(|(index, trace)| passed.next_if(|p| *p == trace).map(|_| index + 1))
            .collect()
    }

    #[test]
    fn filters_look_at_the_most_recent_frame_or_at_all() {
        let filter = Filter::new;
        assert_eq!(kept(&[]), [1, 2, 3, 4, 5]);
        assert_eq!(kept(&[filter(true, "a").into()]), [1, 2, 3]);
        assert_eq!(kept(&[filter(false, "a").into()]), [4, 5]);
        assert_eq!(kept(&[filter(true, "a").all_frames(true).into()]), [1, 2, 3, 4]);
        assert_eq!(kept(&[filter(false, "a").all_frames(true).into()]), [5]);
        assert_eq!(kept(&[filter(true, "a").lineno(Some(1)).into()]), [1, 3]);
        assert_eq!(kept(&[filter(false, "a").lineno(Some(1)).into()]), [2, 4, 5]);
    }

    #[test]
    fn filters_by_domain() {
        assert_eq!(kept(&[Filter::new(true, "a").domain(Some(0)).into()]), [1, 2]);
        assert_eq!(kept(&[Filter::new(false, "a").domain(Some(0)).into()]), [3, 4, 5]);
        assert_eq!(kept(&[DomainFilter { inclusive: true, domain: 1 }.into()]), [3]);
        assert_eq!(kept(&[DomainFilter { inclusive: false, domain: 1 }.into()]), [1, 2, 4, 5]);
    }

    #[test]
    fn one_inclusive_filter_and_every_exclusive_one_must_match() {
        let a = Filter::new(true, "a");
        let not_line_2 = Filter::new(false, "*").lineno(Some(2));
        assert_eq!(kept(&[a.clone().into(), not_line_2.clone().into()]), [1, 3]);
        assert_eq!(kept(&[a.into(), Filter::new(true, "c").into(), not_line_2.into()]), [1, 3, 4]);
    }

    #[test]
    fn compiled_files_count_as_their_sources() {
        assert_eq!(Filter::new(true, "x.pyc").filename_pattern(), "x.py");
        assert_eq!(Filter::new(true, "x.pyo").filename_pattern(), "x.pyo");
        let compiled = snapshot(&[(0, 1, &[("x.pyc", 1)], 1)]);
        assert_eq!(compiled.filter_traces(&[Filter::new(true, "*.py").into()]).traces().len(), 1);
    }
}
