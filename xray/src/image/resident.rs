//! Which memory is resident.

/// Runs of memory that are resident, to sum over any stretch.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Resident {
    /// From where, behind the last byte, and how many resident bytes lie before.
    runs: Vec<(u64, u64, u64)>,
}

impl Resident {
    /// Of runs by address.
    pub fn new(runs: impl IntoIterator<Item = (u64, u64)>) -> Self {
        let mut sum = 0;
        let mut end = 0;
        let mut all = Vec::new();
        for (lo, hi) in runs {
            let lo = lo.max(end);
            if lo < hi {
                all.push((lo, hi, sum));
                sum += hi - lo;
                end = hi;
            }
        }
        Self { runs: all }
    }

    /// Resident bytes below an address.
    fn below(&self, addr: u64) -> u64 {
        let Some(at) = self.runs.partition_point(|run| run.0 < addr).checked_sub(1) else { return 0 };
        let (lo, hi, before) = self.runs[at];
        before + (addr.min(hi) - lo)
    }

    /// Resident bytes of a stretch.
    pub fn within(&self, lo: u64, hi: u64) -> u64 {
        self.below(hi).saturating_sub(self.below(lo))
    }

    /// All of them.
    pub fn bytes(&self) -> u64 {
        self.runs.last().map_or(0, |(lo, hi, before)| before + (hi - lo))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_bytes_are_summed_over_any_stretch() {
        let resident = Resident::new([(0x1000, 0x3000), (0x5000, 0x6000), (0x5800, 0x7000)]);
        assert_eq!(resident.bytes(), 0x4000);
        assert_eq!(resident.within(0, u64::MAX), 0x4000);
        assert_eq!(resident.within(0x1800, 0x5800), 0x1800 + 0x800);
        assert_eq!(resident.within(0x3000, 0x5000), 0);
        assert_eq!(resident.within(0x6000, 0x6001), 1);
    }
}
