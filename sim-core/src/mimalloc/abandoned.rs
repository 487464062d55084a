//! Where abandoned segments wait: two stacks in 2.1.2, a bitmap over arenas and a queue in 2.5.2.

use std::collections::{BTreeMap, VecDeque};

use super::Mimalloc;
use crate::profile::MimallocVersion;

/// The container.
#[derive(Clone, Default, Debug)]
pub(super) struct Abandoned {
    /// 2.1.2: `abandoned`, the top last.
    stack: Vec<u32>,
    /// 2.1.2: `abandoned_visited`, the top last.
    visited: Vec<u32>,
    /// 2.5.2: segments in arenas by ordinal.
    in_arenas: BTreeMap<u32, u32>,
    /// 2.5.2: all others, the oldest first.
    outside: VecDeque<u32>,
}

/// Where a walk over the container of 2.5.2 stands. It begins with the first arena; the real one begins with a
/// random arena where there are several.
pub(super) struct Cursor {
    ordinal: Option<u32>,
    outside: usize,
}

impl Abandoned {
    /// Segments in it.
    pub(super) fn len(&self) -> usize {
        self.stack.len() + self.visited.len() + self.in_arenas.len() + self.outside.len()
    }

    /// All of them, in no order that means something.
    pub(super) fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        let stacks = self.stack.iter().chain(&self.visited);
        stacks.chain(self.in_arenas.values()).chain(&self.outside).copied()
    }

    pub(super) fn cursor(&self) -> Cursor {
        Cursor { ordinal: Some(0), outside: self.outside.len() }
    }

    /// `mi_abandoned_visited_revisit`: what was visited comes on top.
    pub(super) fn revisit(&mut self) {
        self.stack.append(&mut self.visited);
    }
}

impl Mimalloc {
    pub(super) fn abandoned_push(&mut self, seg: u32, visited: bool) {
        let s = &self.segments[seg as usize];
        let a = &mut self.abandoned;
        match self.config.version {
            MimallocVersion::V2_1_2 if visited => a.visited.push(seg),
            MimallocVersion::V2_1_2 => a.stack.push(seg),
            MimallocVersion::V2_5_2 if s.arena_blocks.is_some() => {
                a.in_arenas.insert(s.ordinal, seg);
            }
            MimallocVersion::V2_5_2 => a.outside.push_back(seg),
        }
    }

    pub(super) fn abandoned_pop(&mut self, cursor: &mut Cursor) -> Option<u32> {
        let a = &mut self.abandoned;
        if self.config.version == MimallocVersion::V2_1_2 {
            if a.stack.is_empty() {
                a.revisit();
            }
            return a.stack.pop();
        }
        if let Some(from) = cursor.ordinal {
            if let Some((&ordinal, &seg)) = a.in_arenas.range(from..).next() {
                a.in_arenas.remove(&ordinal);
                cursor.ordinal = Some(ordinal + 1);
                return Some(seg);
            }
            cursor.ordinal = None;
        }
        cursor.outside = cursor.outside.checked_sub(1)?;
        a.outside.pop_front()
    }
}
