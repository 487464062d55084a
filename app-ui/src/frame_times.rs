//! How long frames take.

use session::format::grouped;

/// Frames that median and percentile speak of.
const KEPT: usize = 8192;

/// Times of frames, in milliseconds.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct FrameSummary {
    /// Frames since the last reset.
    pub frames: u64,
    /// Half of the last 8,192 frames took no longer.
    pub median_ms: f32,
    /// 99 of a hundred of them took no longer.
    pub p99_ms: f32,
    /// The longest since the last reset.
    pub worst_ms: f32,
}

impl std::fmt::Display for FrameSummary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { frames, median_ms, p99_ms, worst_ms } = self;
        write!(
            f,
            "frames {}: median {median_ms:.1} ms, 99% {p99_ms:.1} ms, worst {worst_ms:.1} ms",
            grouped(*frames)
        )
    }
}

/// The last frames and the longest one.
#[derive(Debug, Default)]
pub(crate) struct FrameTimes {
    ring: Vec<f32>,
    frames: u64,
    worst_ms: f32,
}

impl FrameTimes {
    /// Takes in a frame.
    pub(crate) fn add(&mut self, seconds: f64) {
        let ms = (seconds * 1e3) as f32;
        let at = (self.frames % KEPT as u64) as usize;
        match self.ring.get_mut(at) {
            Some(place) => *place = ms,
            None => self.ring.push(ms),
        }
        self.frames += 1;
        self.worst_ms = self.worst_ms.max(ms);
    }

    /// What can be said of them.
    pub(crate) fn summary(&self) -> FrameSummary {
        let mut times = self.ring.clone();
        let mut at = |share: f64| {
            let index = ((times.len() as f64 * share) as usize).min(times.len().saturating_sub(1));
            if times.is_empty() { 0.0 } else { *times.select_nth_unstable_by(index, f32::total_cmp).1 }
        };
        FrameSummary { frames: self.frames, median_ms: at(0.5), p99_ms: at(0.99), worst_ms: self.worst_ms }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_is_kept_and_the_median_is_of_the_last_ones() {
        let mut times = FrameTimes::default();
        assert_eq!(times.summary(), FrameSummary { frames: 0, median_ms: 0.0, p99_ms: 0.0, worst_ms: 0.0 });
        times.add(0.5);
        for i in 0..KEPT {
            times.add(if i % 50 == 0 { 0.009 } else { 0.001 });
        }
        let summary = times.summary();
        assert_eq!(summary.frames, KEPT as u64 + 1);
        assert!((summary.median_ms - 1.0).abs() < 0.001, "{summary}");
        assert!((summary.p99_ms - 9.0).abs() < 0.001, "{summary}");
        assert!((summary.worst_ms - 500.0).abs() < 0.1, "the first one is out of the ring: {summary}");
    }
}
