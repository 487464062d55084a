//! The texts of `Lib/tracemalloc.py`, letter by letter.

use std::fmt;

use super::snapshot::{NamedFrame, NamedTraceback, SnapshotTrace};
use super::statistics::{Statistic, StatisticDiff};

/// `_format_size(size, sign)` of a number of bytes, which may be an average: up to five digits, or with
/// one decimal below 100 of a unit. KiB means 1024 bytes.
#[must_use]
pub fn format_size(size: f64, sign: bool) -> String {
    let mut size = size;
    let mut units = ["B", "KiB", "MiB", "GiB", "TiB"].into_iter().peekable();
    while let Some(unit) = units.next() {
        let decimals = usize::from(size.abs() < 100.0 && unit != "B");
        if decimals == 1 || size.abs() < 10.0 * 1024.0 || units.peek().is_none() {
            return if sign {
                format!("{size:+.decimals$} {unit}")
            } else {
                format!("{size:.decimals$} {unit}")
            };
        }
        size /= 1024.0;
    }
    String::new()
}

/// [`format_size`] of a sum of sizes without a sign.
#[must_use]
pub fn format_sum(bytes: u128) -> String {
    format_size(bytes as f64, false)
}

/// `size / count` as Python divides integers: rounded once. Sums over 2⁵³ would otherwise be rounded
/// before the division, too.
fn true_divide(size: u128, count: u64) -> f64 {
    if size < 1 << f64::MANTISSA_DIGITS && count < 1 << f64::MANTISSA_DIGITS {
        return size as f64 / count as f64;
    }
    let shift = size.max(1).leading_zeros();
    let (dividend, divisor) = (size << shift, u128::from(count));
    // The quotient has at least 64 bits, so that the lowest can stand for all that follow.
    let quotient = (dividend / divisor) | u128::from(dividend % divisor != 0);
    quotient as f64 / 2_f64.powi(shift.cast_signed())
}

/// `, average=…` if there is anything to divide by.
fn write_average(f: &mut fmt::Formatter<'_>, size: u128, count: u64) -> fmt::Result {
    if count == 0 {
        return Ok(());
    }
    write!(f, ", average={}", format_size(true_divide(size, count), false))
}

impl fmt::Display for NamedFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.filename, self.lineno)
    }
}

/// The *oldest* frame, as `str()` of a traceback gives.
impl fmt::Display for NamedTraceback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.frames().first().map_or(Ok(()), |frame| frame.fmt(f))
    }
}

impl fmt::Display for SnapshotTrace<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.traceback, format_sum(u128::from(self.size)))
    }
}

impl fmt::Display for Statistic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: size={}, count={}", self.traceback, format_sum(self.size), self.count)?;
        write_average(f, self.size, self.count)
    }
}

impl fmt::Display for StatisticDiff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { traceback, size, size_diff, count, count_diff } = self;
        let (size_text, diff_text) = (format_sum(*size), format_size(*size_diff as f64, true));
        write!(f, "{traceback}: size={size_text} ({diff_text}), count={count} ({count_diff:+})")?;
        write_average(f, *size, *count)
    }
}

impl NamedTraceback {
    /// `Traceback.format(limit, most_recent_first)`: a line for each frame and, if `source_line` has a line
    /// that is not blank, a second one with it. A positive limit takes that many of the most recent
    /// frames, a negative one leaves so many of the most recent out, 0 takes none.
    pub fn format<'a>(
        &self,
        limit: Option<i64>,
        most_recent_first: bool,
        source_line: impl Fn(&str, u32) -> Option<&'a str>,
    ) -> Vec<String> {
        let frames = self.frames();
        let clamped = |n: u64| usize::try_from(n).unwrap_or(usize::MAX).min(frames.len());
        let mut taken: Vec<&NamedFrame> = match limit {
            None => frames.iter().collect(),
            Some(limit) if limit > 0 => {
                frames[frames.len() - clamped(limit.unsigned_abs())..].iter().collect()
            }
            Some(0) => Vec::new(),
            Some(limit) => frames[..frames.len() - clamped(limit.unsigned_abs())].iter().collect(),
        };
        if most_recent_first {
            taken.reverse();
        }
        let mut lines = Vec::new();
        for frame in taken {
            lines.push(format!("  File \"{}\", line {}", frame.filename, frame.lineno));
            let line = source_line(&frame.filename, frame.lineno).map(strip).unwrap_or_default();
            if !line.is_empty() {
                lines.push(format!("    {line}"));
            }
        }
        lines
    }
}

/// `str.strip()`. Python counts four separators of ASCII as white space that Unicode does not.
fn strip(line: &str) -> &str {
    line.trim_matches(|c: char| c.is_whitespace() || ('\x1c'..='\x1f').contains(&c))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn frame(filename: &str, lineno: u32) -> NamedFrame {
        NamedFrame { filename: Arc::from(filename), lineno }
    }

    #[test]
    fn sizes_have_up_to_five_digits() {
        let mebi = 1024.0 * 1024.0;
        for (size, text) in [
            (0.0, "0 B"),
            (99.0, "99 B"),
            (10239.0, "10239 B"),
            (10240.0, "10.0 KiB"),
            (12544.0, "12.2 KiB"), // 12.25: ties go to the even digit
            (102_400.0, "100 KiB"),
            (10.0 * mebi - 1.0, "10240 KiB"),
            (10.0 * mebi, "10.0 MiB"),
            (1e18, "909495 TiB"),
            (2.5, "2 B"),
        ] {
            assert_eq!(format_size(size, false), text);
        }
        assert_eq!(format_size(0.0, true), "+0 B");
        assert_eq!(format_size(-10240.0, true), "-10.0 KiB");
        assert_eq!(format_size(204_800.0, true), "+200 KiB");
        assert_eq!(format_size(-5.0, false), "-5 B");
    }

    #[test]
    fn big_sums_are_divided_exactly() {
        assert_eq!(true_divide(10, 4).to_bits(), 2.5_f64.to_bits());
        // (2^53 + 1) / 2 is half way between two floats after a first rounding, but is exact.
        assert_eq!(true_divide((1 << 53) + 1, 2).to_bits(), (2_f64.powi(52) + 0.5).to_bits());
        assert_eq!(true_divide(0, u64::MAX).to_bits(), 0);
        assert_eq!(true_divide(u128::MAX, 1).to_bits(), 2_f64.powi(128).to_bits());
    }

    #[test]
    fn statistics_as_text() {
        let traceback = NamedTraceback::new([frame("a.py", 3), frame("main.py", 1)], None);
        let statistic = Statistic { traceback: traceback.clone(), size: 20480, count: 3 };
        assert_eq!(statistic.to_string(), "main.py:1: size=20.0 KiB, count=3, average=6827 B");
        let gone = StatisticDiff { traceback, size: 0, size_diff: -20480, count: 0, count_diff: -3 };
        assert_eq!(gone.to_string(), "main.py:1: size=0 B (-20.0 KiB), count=0 (-3)");
    }

    #[test]
    fn a_traceback_is_cut_at_either_end() {
        let traceback = NamedTraceback::new([frame("c", 3), frame("b", 2), frame("a", 1)], None);
        let source = |name: &str, _| match name {
            "a" => Some("  run()\x1f\n"),
            "b" => Some(" \n"),
            _ => None,
        };
        let (a, a_line) = ("  File \"a\", line 1", "    run()");
        let (b, c) = ("  File \"b\", line 2", "  File \"c\", line 3");
        for (limit, reversed, lines) in [
            (None, false, vec![a, a_line, b, c]),
            (None, true, vec![c, b, a, a_line]),
            (Some(2), false, vec![b, c]),
            (Some(9), false, vec![a, a_line, b, c]),
            (Some(0), false, vec![]),
            (Some(-1), true, vec![b, a, a_line]),
            (Some(i64::MIN), false, vec![]),
        ] {
            assert_eq!(traceback.format(limit, reversed, source), lines, "{limit:?} {reversed}");
        }
    }
}
