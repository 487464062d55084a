//! Which rows of a grid nothing beats.

/// What a grid says: rows by their numbers, of those that can be compared.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Front {
    /// Rows that no other beats both at the end and at the peak, those that hold less at the end first.
    pub rows: Vec<usize>,
    /// The row that holds least at the end, among such the one with the lowest peak: the first of `rows`.
    pub best: Option<usize>,
}

/// What the best rows gain over the run as it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Gain {
    /// The row.
    pub row: usize,
    /// Bytes that it holds less.
    pub bytes: u64,
}

impl Front {
    /// Of rows that hold so many bytes at the end and at the most; `None` for those that cannot be compared.
    pub fn of(rows: &[Option<(u64, u64)>]) -> Self {
        let mut order: Vec<((u64, u64), usize)> =
            rows.iter().enumerate().filter_map(|(row, held)| Some(((*held)?, row))).collect();
        order.sort_unstable();
        let (mut front, mut lowest) = (Vec::new(), None::<(u64, u64)>);
        for (held, row) in order {
            // Rows alike are all on the front.
            if lowest.is_none_or(|best| held.1 < best.1 || held == best) {
                front.push(row);
                lowest = Some(held);
            }
        }
        Self { best: front.first().copied(), rows: front }
    }
}

impl Gain {
    /// The first row that holds least, if that is less than `base`; `of` says what a row holds.
    pub fn over(base: u64, rows: &[Option<(u64, u64)>], of: impl Fn((u64, u64)) -> u64) -> Option<Self> {
        let least = rows.iter().enumerate().filter_map(|(row, held)| Some((of((*held)?), row))).min()?;
        (least.0 < base).then(|| Self { row: least.1, bytes: base - least.0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_front_is_what_no_row_beats() {
        let rows = [Some((5, 9)), Some((7, 7)), None, Some((7, 8)), Some((9, 3)), Some((5, 9)), Some((6, 9))];
        assert_eq!(Front::of(&rows), Front { rows: vec![0, 5, 1, 4], best: Some(0) });
        assert_eq!(Front::of(&[None]), Front::default());
    }

    #[test]
    fn a_gain_is_over_the_run_as_it_is() {
        let rows = [Some((5, 9)), None, Some((4, 12))];
        assert_eq!(Gain::over(6, &rows, |held| held.0), Some(Gain { row: 2, bytes: 2 }));
        assert_eq!(Gain::over(9, &rows, |held| held.1), None);
    }
}
