//! A column that begins with the first operation that has something to say.

/// Values by row; the default stands for rows nobody said anything about.
#[derive(Clone, Debug, Default)]
pub(super) struct Column<T> {
    rows: Vec<T>,
    begun: bool,
}

impl<T: Copy + Default + PartialEq> Column<T> {
    /// Whether any row ever had a value, forgotten ones too.
    pub(super) fn begun(&self) -> bool {
        self.begun
    }

    /// Sets the value of the row after `before` others. Nothing may be set at it or after it.
    #[inline]
    pub(super) fn set(&mut self, before: usize, value: T) {
        if self.begun || value != T::default() {
            self.begun = true;
            if self.rows.len() != before {
                self.rows.resize(before, T::default());
            }
            self.rows.push(value);
        }
    }

    /// Sets the values of the rows after `before` others.
    pub(super) fn set_all(&mut self, before: usize, values: &[T]) {
        if self.begun || values.iter().any(|v| *v != T::default()) {
            self.begun = true;
            self.rows.resize(before, T::default());
            self.rows.extend_from_slice(values);
        }
    }

    /// The column of a trace whose earlier rows had values.
    pub(super) fn begin(&mut self) {
        self.begun = true;
    }

    #[inline]
    pub(super) fn get(&self, row: usize) -> T {
        self.rows.get(row).copied().unwrap_or_default()
    }

    /// The rows from `from` to before `to` as a column of their own.
    pub(super) fn part(&self, from: usize, to: usize) -> Self {
        let end = self.rows.len().min(to);
        Self { rows: self.rows[from.min(end)..end].to_vec(), begun: self.begun }
    }

    pub(super) fn clear(&mut self) {
        self.rows.clear();
    }

    pub(super) fn state_bytes(&self) -> u64 {
        (self.rows.len() * size_of::<T>()) as u64
    }
}
