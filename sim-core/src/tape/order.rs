//! Live blocks in the order of their births, by which columns name the block that an operation uses.
//!
//! A program frees near where it freed last, or what it allocated last, or goes on where it was before a detour. A
//! code of one byte says so many blocks from one of these places; other blocks are named by their slot.

/// Places where blocks were used, the latest first.
const GAPS: usize = 4;
/// Blocks to either side of a gap, and before the end, that have a code.
const REACH: u32 = 16;
/// Codes of one gap.
const SIDES: u32 = 2 * REACH;
/// The first code that counts from the end.
const END: u32 = 1 + GAPS as u32 * SIDES;
/// Uses without a code, beyond those with one, after which fewer blocks are looked at.
const STRAYS: u32 = 32;
const STRAYS_MAX: u32 = 64;

/// The code of a use that is named by its slot.
pub(super) const JUMP: u8 = 0;

/// A block is its slot plus one here, and 0 stands for both ends.
#[derive(Clone, Copy, Debug, Default)]
struct Link {
    before: u32,
    after: u32,
}

/// The list. It knows all live blocks.
#[derive(Clone, Debug, Default)]
pub(super) struct BirthOrder {
    links: Vec<Link>,
    /// The block before each gap.
    gaps: [u32; GAPS],
    /// How badly codes have done lately, for [`Self::code`].
    strays: u32,
}

impl BirthOrder {
    /// Of blocks whose births are not known, by slot.
    pub(super) fn of_slots(slots: impl Iterator<Item = u32>) -> Self {
        let mut order = Self { links: vec![Link::default()], gaps: [0; GAPS], strays: 0 };
        slots.for_each(|slot| order.born(slot));
        order
    }

    /// A block is born, or born again by a realloc: it is the last one.
    #[inline]
    pub(super) fn born(&mut self, slot: u32) {
        let block = slot + 1;
        if block as usize >= self.links.len() {
            self.links.resize(block as usize + 1, Link::default());
        }
        let last = std::mem::replace(&mut self.links[0].before, block);
        self.links[last as usize].after = block;
        self.links[block as usize] = Link { before: last, after: 0 };
    }

    /// A block was used, and stays.
    #[inline]
    pub(super) fn used(&mut self, slot: u32) {
        self.gaps[0] = slot + 1;
    }

    /// A block was used, and is gone.
    #[inline]
    pub(super) fn gone(&mut self, slot: u32) {
        let block = slot + 1;
        let Link { before, after } = self.links[block as usize];
        self.links[before as usize].after = after;
        self.links[after as usize].before = before;
        for gap in &mut self.gaps[1..] {
            if *gap == block {
                *gap = before;
            }
        }
        self.gaps[0] = before;
    }

    /// The slot that a code other than [`JUMP`] names; `None` if there is no such block.
    #[inline]
    pub(super) fn slot(&mut self, code: u8) -> Option<u32> {
        let code = u32::from(code) - 1;
        if code < SIDES { self.beside(self.gaps[0], code) } else { self.elsewhere(code) }
    }

    fn elsewhere(&mut self, code: u32) -> Option<u32> {
        let from = code / SIDES;
        if from < GAPS as u32 {
            let gap = self.gaps[from as usize];
            self.gaps[..=from as usize].rotate_right(1);
            self.beside(gap, code % SIDES)
        } else {
            self.jump();
            let mut block = 0;
            for _ in 0..=code - GAPS as u32 * SIDES {
                block = self.links[block as usize].before;
            }
            block.checked_sub(1)
        }
    }

    /// The block on a side of a gap: the next one after it, the one before it, the next but one, and so on.
    #[inline]
    fn beside(&self, gap: u32, side: u32) -> Option<u32> {
        let mut block = gap;
        if side.is_multiple_of(2) {
            for _ in 0..=side / 2 {
                block = self.links[block as usize].after;
            }
        } else {
            for _ in 0..side / 2 {
                block = self.links[block as usize].before;
            }
        }
        block.checked_sub(1)
    }

    /// A block is used that has no code.
    #[inline]
    pub(super) fn jump(&mut self) {
        let [a, b, c, d] = self.gaps;
        self.gaps = [d, a, b, c];
    }

    /// The code of a block that is used now. The list moves as it does for those who read the code.
    pub(super) fn code(&mut self, slot: u32) -> u8 {
        let reach = if self.strays > STRAYS { 2 } else { REACH };
        if let Some(code) = self.find(slot + 1, reach) {
            self.strays = self.strays.saturating_sub(2);
            self.slot(code);
            code
        } else {
            self.strays = (self.strays + 1).min(STRAYS_MAX);
            self.jump();
            JUMP
        }
    }

    fn find(&self, block: u32, reach: u32) -> Option<u8> {
        let end = || {
            let mut at = 0;
            (0..reach).find(|_| {
                at = self.links[at as usize].before;
                at == block
            })
        };
        let beside = |gap: usize| {
            let (mut after, mut before) = (self.gaps[gap], self.gaps[gap]);
            for step in 0..reach {
                after = self.links[after as usize].after;
                if after == block {
                    return Some(2 * step);
                }
                if before == block {
                    return Some(2 * step + 1);
                }
                before = self.links[before as usize].before;
            }
            None
        };
        let of_gap = |gap: usize| beside(gap).map(|side| 1 + gap as u32 * SIDES + side);
        let code =
            of_gap(0).or_else(|| end().map(|steps| END + steps)).or_else(|| (1..GAPS).find_map(of_gap));
        code.map(|code| code as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_names_its_block() {
        let mut writer = BirthOrder::of_slots(0..200);
        let mut reader = writer.clone();
        let mut live: Vec<u32> = (0..200).collect();
        let (mut random, mut next, mut jumps) = (9_u32, 200, 0);
        for round in 0..50_000 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            // Near the block used last, far, or at the end.
            let at = match random >> 30 {
                0 => (random >> 8) as usize % live.len(),
                1 => live.len() - 1 - (random >> 8) as usize % 20,
                _ => (round * 3 + (random >> 8) as usize % 9) % live.len(),
            };
            let slot = live[at];
            let code = writer.code(slot);
            if code == JUMP {
                jumps += 1;
                reader.jump();
            } else {
                assert_eq!(reader.slot(code), Some(slot), "code {code}");
            }
            if random % 3 == 0 {
                for order in [&mut writer, &mut reader] {
                    order.used(slot);
                }
            } else {
                for order in [&mut writer, &mut reader] {
                    order.gone(slot);
                }
                live.remove(at);
                live.push(next % 300);
                while live[..live.len() - 1].contains(&live[live.len() - 1]) {
                    next += 1;
                    let last = live.len() - 1;
                    live[last] = next % 300;
                }
                for order in [&mut writer, &mut reader] {
                    order.born(live[live.len() - 1]);
                }
            }
            assert_eq!(writer.gaps, reader.gaps);
        }
        assert!((1_000..25_000).contains(&jumps), "{jumps}");
    }

    #[test]
    fn a_code_of_no_block_is_told() {
        for code in 1..=255 {
            assert_eq!(BirthOrder::of_slots(0..0).slot(code), None, "{code}");
        }
        let mut order = BirthOrder::of_slots(0..3);
        assert_eq!(order.slot(END as u8), Some(2));
        assert_eq!(order.slot(END as u8 + 3), None);
        assert_eq!(order.slot(1), Some(0));
        assert_eq!(order.slot(2), None);
    }
}
