//! `Snapshot.statistics()` and `Snapshot.compare_to()`.

use std::cmp::{Ordering, Reverse};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use thiserror::Error;

use super::snapshot::{NamedFrame, NamedTraceback, Snapshot};

/// What blocks are grouped by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum KeyType {
    /// The whole traceback.
    Traceback,
    /// The file of the most recent frame; its line is then 0.
    Filename,
    /// The most recent frame.
    Lineno,
}

impl KeyType {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Traceback, Self::Filename, Self::Lineno];

    /// The name that Python code uses.
    pub fn name(self) -> &'static str {
        match self {
            Self::Traceback => "traceback",
            Self::Filename => "filename",
            Self::Lineno => "lineno",
        }
    }
}

impl fmt::Display for KeyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// `ValueError` for the name of a key type.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("unknown key_type: {}", quoted(.0))]
pub struct UnknownKeyType(pub String);

impl FromStr for KeyType {
    type Err = UnknownKeyType;

    fn from_str(name: &str) -> Result<Self, UnknownKeyType> {
        Self::ALL
            .into_iter()
            .find(|key_type| key_type.name() == name)
            .ok_or_else(|| UnknownKeyType(name.to_owned()))
    }
}

/// `repr()` of a string of printable characters.
fn quoted(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut repr = String::from(quote);
    for c in text.chars() {
        match c {
            '\\' => repr.push_str("\\\\"),
            '\n' => repr.push_str("\\n"),
            '\r' => repr.push_str("\\r"),
            '\t' => repr.push_str("\\t"),
            c if c == quote => repr.extend(['\\', c]),
            c if c.is_ascii_control() => {
                let hex = |digit: u32| char::from_digit(digit, 16).unwrap_or('0');
                repr.extend(['\\', 'x', hex(c as u32 >> 4), hex(c as u32 & 15)]);
            }
            c => repr.push(c),
        }
    }
    repr.push(quote);
    repr
}

/// `ValueError` for a key type that cannot be used so.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum GroupByError {
    /// Cumulative statistics credit single frames. The spelling is `CPython`'s.
    #[error("cumulative mode cannot by used with key type 'traceback'")]
    CumulativeTraceback,
}

/// `tracemalloc.Statistic`: a group of blocks. Python adds without overflow, hence the wide sums.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Statistic {
    /// The group's key.
    pub traceback: NamedTraceback,
    /// Bytes.
    pub size: u128,
    /// Blocks.
    pub count: u64,
}

/// `tracemalloc.StatisticDiff`: a group of blocks in a new snapshot against an old one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StatisticDiff {
    /// The group's key.
    pub traceback: NamedTraceback,
    /// Bytes in the new snapshot, 0 if the group is gone.
    pub size: u128,
    /// Bytes more than in the old one.
    pub size_diff: i128,
    /// Blocks in the new snapshot.
    pub count: u64,
    /// Blocks more than in the old one.
    pub count_diff: i64,
}

/// Size in bytes and blocks.
type Sum = (u128, u64);

impl Snapshot {
    /// `statistics(key_type, cumulative)`: groups of blocks, sorted by size, count and traceback, all
    /// descending. When cumulative, each frame of a traceback is credited with the whole block, and twice
    /// if it is there twice.
    pub fn statistics(&self, key_type: KeyType, cumulative: bool) -> Result<Vec<Statistic>, GroupByError> {
        let groups = self.group_by(key_type, cumulative)?.into_iter();
        // Tracebacks descend already, and a stable sort leaves them so among equals.
        let mut statistics: Vec<Statistic> =
            groups.rev().map(|(traceback, (size, count))| Statistic { traceback, size, count }).collect();
        statistics.sort_by_key(|group| Reverse((group.size, group.count)));
        Ok(statistics)
    }

    /// `compare_to(old_snapshot, key_type, cumulative)`: groups of this snapshot against an older one,
    /// groups without a difference included, sorted by |`size_diff`|, size, |`count_diff`|, count and
    /// traceback, all descending.
    pub fn compare_to(
        &self,
        old_snapshot: &Self,
        key_type: KeyType,
        cumulative: bool,
    ) -> Result<Vec<StatisticDiff>, GroupByError> {
        let mut new_group = self.group_by(key_type, cumulative)?.into_iter().peekable();
        let mut old_group = old_snapshot.group_by(key_type, cumulative)?.into_iter().peekable();
        // Both ascend, so that what they share meets.
        let mut statistics: Vec<StatisticDiff> = Vec::new();
        loop {
            let order = match (new_group.peek(), old_group.peek()) {
                (Some((new, _)), Some((old, _))) => new.cmp(old),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => break,
            };
            let new = if order.is_le() { new_group.next() } else { None };
            let old = if order.is_ge() { old_group.next() } else { None };
            let previous = old.as_ref().map_or((0, 0), |(_, sum)| *sum);
            let sum = new.as_ref().map_or((0, 0), |(_, sum)| *sum);
            if let Some((traceback, _)) = new.or(old) {
                statistics.push(difference(traceback, sum, previous));
            }
        }
        statistics.reverse();
        statistics.sort_by_key(sort_key);
        Ok(statistics)
    }

    /// `_group_by`, by tracebacks in ascending order. Blocks add to their traceback, tracebacks to their groups.
    fn group_by(
        &self,
        key_type: KeyType,
        cumulative: bool,
    ) -> Result<Vec<(NamedTraceback, Sum)>, GroupByError> {
        if cumulative && key_type == KeyType::Traceback {
            return Err(GroupByError::CumulativeTraceback);
        }
        let mut of_traceback: Vec<Sum> = vec![(0, 0); self.tracebacks().len()];
        for (size, traceback) in self.sizes() {
            add(&mut of_traceback[traceback], (u128::from(size), 1));
        }
        // A filtered snapshot may know tracebacks that no block has any more.
        let used = of_traceback.iter().enumerate().filter(|(_, (_, count))| *count > 0);
        let numbered = self.numbered();
        if key_type == KeyType::Traceback {
            let mut used: Vec<(&[u32], usize)> =
                used.map(|(index, _)| (numbered.traceback(index), index)).collect();
            used.sort_unstable();
            // Those that differ in their depth alone are one group.
            let groups = used.chunk_by(|a, b| a.0 == b.0).map(|same| {
                let mut sum = (0, 0);
                for (_, index) in same {
                    add(&mut sum, of_traceback[*index]);
                }
                (self.tracebacks()[same[0].1].without_total(), sum)
            });
            return Ok(groups.collect());
        }
        let frames = numbered.frames();
        let mut of_frame: Vec<Sum> = vec![(0, 0); frames.len()];
        for (index, sum) in used {
            let traceback = numbered.traceback(index);
            let credited = if cumulative { traceback } else { &traceback[traceback.len() - 1..] };
            for frame in credited {
                add(&mut of_frame[*frame as usize], *sum);
            }
        }
        let key = |frame: &NamedFrame, lineno| {
            NamedTraceback::new([NamedFrame { filename: Arc::clone(&frame.filename), lineno }], None)
        };
        let mut groups: Vec<(NamedTraceback, Sum)> = Vec::new();
        let all: Vec<(&NamedFrame, Sum)> = frames.iter().zip(of_frame).filter(|(_, sum)| sum.1 > 0).collect();
        let same = |a: &(&NamedFrame, Sum), b: &(&NamedFrame, Sum)| {
            key_type == KeyType::Filename && a.0.filename == b.0.filename
        };
        for same in all.chunk_by(same) {
            let frame = same[0].0;
            let lineno = if key_type == KeyType::Filename { 0 } else { frame.lineno };
            let mut sum = (0, 0);
            for (_, more) in same {
                add(&mut sum, *more);
            }
            groups.push((key(frame, lineno), sum));
        }
        Ok(groups)
    }
}

fn add(sum: &mut Sum, more: Sum) {
    *sum = (sum.0 + more.0, sum.1 + more.1);
}

fn difference(traceback: NamedTraceback, (size, count): Sum, previous: Sum) -> StatisticDiff {
    StatisticDiff {
        traceback,
        size,
        size_diff: size.cast_signed() - previous.0.cast_signed(),
        count,
        count_diff: count.cast_signed() - previous.1.cast_signed(),
    }
}

/// By what differences are sorted before their tracebacks.
fn sort_key(diff: &StatisticDiff) -> Reverse<(u128, u128, u64, u64)> {
    let StatisticDiff { size, size_diff, count, count_diff, .. } = diff;
    Reverse((size_diff.unsigned_abs(), *size, count_diff.unsigned_abs(), *count))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::tracemalloc::filters::tests::{five, snapshot};

    /// Key, size and count of each group; a whole traceback is shown by its oldest frame.
    fn rows(statistics: &[Statistic]) -> Vec<String> {
        statistics.iter().map(|s| format!("{} {}/{}", s.traceback, s.size, s.count)).collect()
    }

    #[test]
    fn groups_are_sorted_by_size_count_and_traceback() {
        let snapshot = five();
        let query =
            |name: &str, cumulative| rows(&snapshot.statistics(name.parse().unwrap(), cumulative).unwrap());
        assert_eq!(query("lineno", false), ["c:5 300/1", "b:7 300/1", "a:1 150/2", "a:2 100/1"]);
        assert_eq!(query("filename", false), ["c:0 300/1", "b:0 300/1", "a:0 250/3"]);
        assert_eq!(query("traceback", false), ["b:7 300/1", "a:1 300/1", "a:1 150/2", "b:9 100/1"]);
    }

    #[test]
    fn cumulative_statistics_count_recursive_frames_each_time() {
        let snapshot = five();
        assert_eq!(
            rows(&snapshot.statistics(KeyType::Lineno, true).unwrap()),
            ["b:7 600/2", "a:1 450/3", "c:5 300/1", "b:9 100/1", "a:2 100/1"]
        );
        assert_eq!(
            rows(&snapshot.statistics(KeyType::Filename, true).unwrap()),
            ["b:0 700/3", "a:0 550/4", "c:0 300/1"]
        );
    }

    #[test]
    fn differences_keep_groups_that_are_gone_or_unchanged() {
        let old = five();
        let new = snapshot(&[
            (0, 100, &[("a", 1)], 1),
            (0, 100, &[("a", 2), ("b", 9)], 3),
            (0, 10, &[("d", 1)], 1),
            (0, 1000, &[("a", 1)], 1),
        ]);
        let diffs = new.compare_to(&old, KeyType::Lineno, false).unwrap();
        let rows: Vec<String> = diffs
            .iter()
            .map(|d| format!("{} {}({:+}) {}({:+})", d.traceback, d.size, d.size_diff, d.count, d.count_diff))
            .collect();
        assert_eq!(
            rows,
            [
                "a:1 1100(+950) 2(+0)",
                "c:5 0(-300) 0(-1)",
                "b:7 0(-300) 0(-1)",
                "d:1 10(+10) 1(+1)",
                "a:2 100(+0) 1(+0)"
            ]
        );
    }

    #[test]
    fn what_cannot_be_grouped_by_is_refused_in_the_words_of_python() {
        assert_eq!(
            five().statistics(KeyType::Traceback, true).unwrap_err().to_string(),
            "cumulative mode cannot by used with key type 'traceback'"
        );
        for (name, text) in [("line", "'line'"), ("it's", "\"it's\""), ("a\\\n\u{1}'\"", r#"'a\\\n\x01\'"'"#)]
        {
            let error = name.parse::<KeyType>().unwrap_err();
            assert_eq!(error.to_string(), format!("unknown key_type: {text}"));
        }
    }
}
