//! A list that only grows. Its clones share what was in it, so that a list that goes on growing can be handed out at any time.

use std::sync::Arc;

/// log2 of the entries of one piece.
const PIECE_BITS: u32 = 12;
const PIECE: usize = 1 << PIECE_BITS;

/// Entries in the order they came.
#[derive(Clone, Debug)]
pub(super) struct Grown<T> {
    /// Pieces that are full.
    full: Vec<Arc<[T]>>,
    last: Vec<T>,
}

impl<T> Default for Grown<T> {
    fn default() -> Self {
        Self { full: Vec::new(), last: Vec::new() }
    }
}

impl<T> Grown<T> {
    /// Entries.
    #[inline]
    pub(super) fn len(&self) -> usize {
        (self.full.len() << PIECE_BITS) + self.last.len()
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends an entry.
    #[inline]
    pub(super) fn push(&mut self, entry: T) {
        self.last.push(entry);
        if self.last.len() == PIECE {
            self.full.push(Arc::from(std::mem::take(&mut self.last)));
        }
    }

    /// The entry after `at` others.
    #[inline]
    pub(super) fn get(&self, at: usize) -> Option<&T> {
        match self.full.get(at >> PIECE_BITS) {
            Some(piece) => piece.get(at & (PIECE - 1)),
            None => self.last.get(at - (self.full.len() << PIECE_BITS)),
        }
    }

    /// The entries after `from` others.
    pub(super) fn iter_from(&self, from: usize) -> impl Iterator<Item = &T> {
        let pieces = self.full.iter().skip(from >> PIECE_BITS).flat_map(|piece| piece.iter());
        let begun = self.full.len().min(from >> PIECE_BITS) << PIECE_BITS;
        pieces.chain(&self.last).skip(from - begun)
    }

    /// Room for entries.
    pub(super) fn capacity(&self) -> usize {
        (self.full.len() << PIECE_BITS) + self.last.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_keep_what_was_there() {
        let mut list = Grown::default();
        let mut clones = Vec::new();
        for n in 0..3 * PIECE + 5 {
            if n % 1000 == 7 {
                clones.push(list.clone());
            }
            list.push(n);
        }
        for (at, list) in clones.iter().chain([&list]).enumerate() {
            let len = if at < clones.len() { at * 1000 + 7 } else { 3 * PIECE + 5 };
            assert_eq!((list.len(), list.get(len)), (len, None));
            assert!((0..len).all(|n| list.get(n) == Some(&n)));
            for from in [0, 1, PIECE - 1, PIECE, PIECE + 1, len].into_iter().filter(|&f| f <= len) {
                assert!(list.iter_from(from).copied().eq(from..len), "{from} of {len}");
            }
        }
        // What is full is there once.
        assert!(Arc::ptr_eq(&clones[9].full[0], &list.full[0]));
    }
}
