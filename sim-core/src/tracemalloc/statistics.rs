//! `Snapshot.statistics()` and `Snapshot.compare_to()`.

use std::cmp::Reverse;
use std::collections::BTreeMap;
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
        let mut statistics: Vec<Statistic> = self
            .group_by(key_type, cumulative)?
            .into_iter()
            .map(|(traceback, (size, count))| Statistic { traceback, size, count })
            .collect();
        // No two groups share a traceback, so the order is total and stability does not matter.
        statistics
            .sort_unstable_by(|a, b| (b.size, b.count, &b.traceback).cmp(&(a.size, a.count, &a.traceback)));
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
        let new_group = self.group_by(key_type, cumulative)?;
        let mut old_group = old_snapshot.group_by(key_type, cumulative)?;
        let mut statistics: Vec<StatisticDiff> = new_group
            .into_iter()
            .map(|(traceback, sum)| {
                let previous = old_group.remove(&traceback).unwrap_or_default();
                difference(traceback, sum, previous)
            })
            .collect();
        statistics.extend(
            old_group.into_iter().map(|(traceback, previous)| difference(traceback, (0, 0), previous)),
        );
        statistics.sort_by(|a, b| sort_key(a).cmp(&sort_key(b)));
        Ok(statistics)
    }

    /// `_group_by`. Each distinct traceback is looked up once; blocks then only add to their group.
    fn group_by(
        &self,
        key_type: KeyType,
        cumulative: bool,
    ) -> Result<BTreeMap<NamedTraceback, Sum>, GroupByError> {
        if cumulative && key_type == KeyType::Traceback {
            return Err(GroupByError::CumulativeTraceback);
        }
        let key = |frame: &NamedFrame| {
            let lineno = if key_type == KeyType::Filename { 0 } else { frame.lineno };
            NamedTraceback::new([NamedFrame { filename: Arc::clone(&frame.filename), lineno }], None)
        };
        let mut keys: BTreeMap<NamedTraceback, usize> = BTreeMap::new();
        let mut index_of = |key: NamedTraceback| {
            let next = keys.len();
            *keys.entry(key).or_insert(next)
        };
        let credited: Vec<Vec<usize>> = self
            .tracebacks()
            .iter()
            .map(|traceback| {
                if key_type == KeyType::Traceback {
                    vec![index_of(traceback.without_total())]
                } else if cumulative {
                    traceback.frames().iter().map(|frame| index_of(key(frame))).collect()
                } else {
                    vec![index_of(key(traceback.most_recent()))]
                }
            })
            .collect();
        let mut sums: Vec<Sum> = vec![(0, 0); keys.len()];
        for (size, traceback) in self.sizes() {
            for &group in &credited[traceback] {
                sums[group].0 += u128::from(size);
                sums[group].1 += 1;
            }
        }
        // A filtered snapshot may know tracebacks that no block has any more.
        Ok(keys
            .into_iter()
            .map(|(key, index)| (key, sums[index]))
            .filter(|(_, (_, count))| *count > 0)
            .collect())
    }
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

fn sort_key(diff: &StatisticDiff) -> Reverse<(u128, u128, u64, u64, &NamedTraceback)> {
    let StatisticDiff { traceback, size, size_diff, count, count_diff } = diff;
    Reverse((size_diff.unsigned_abs(), *size, count_diff.unsigned_abs(), *count, traceback))
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
