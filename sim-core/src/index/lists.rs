//! Ascending numbers in few bytes: what an index consists of.

/// Entries between two places at which reading can begin.
const SKIP: u64 = 128;

/// Appends a number, seven bits a byte, least significant first.
fn write_varint(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// Numbers as differences from a place on, ending with the bytes.
fn read(bytes: &[u8], mut last: u64) -> impl Iterator<Item = u64> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        let (mut delta, mut shift) = (0, 0);
        loop {
            let byte = *bytes.get(at)?;
            at += 1;
            delta |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 {
                break;
            }
        }
        last += delta;
        Some(last)
    })
}

/// Steps in ascending order, found again without reading all of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Steps {
    bytes: Vec<u8>,
    /// For each [`SKIP`] entries the one before them and where they begin.
    skips: Vec<(u64, usize)>,
    last: u64,
    len: u64,
}

impl Steps {
    /// Appends a step that is larger than all before.
    pub(super) fn push(&mut self, step: u64) {
        if self.len.is_multiple_of(SKIP) {
            self.skips.push((self.last, self.bytes.len()));
        }
        write_varint(&mut self.bytes, step - self.last);
        self.last = step;
        self.len += 1;
    }

    /// The last entry before the block that can hold `step`, and the entries from that block on.
    fn from(&self, step: u64) -> (Option<u64>, impl Iterator<Item = u64> + '_) {
        let block = self.skips.partition_point(|s| s.0 < step).saturating_sub(1);
        let (last, offset) = self.skips.get(block).copied().unwrap_or_default();
        ((block > 0).then_some(last), read(&self.bytes[offset..], last))
    }

    /// The first step after `step`.
    pub(super) fn after(&self, step: u64) -> Option<u64> {
        self.from(step).1.find(|&s| s > step)
    }

    /// The last step before `step`.
    pub(super) fn before(&self, step: u64) -> Option<u64> {
        let (earlier, entries) = self.from(step);
        entries.take_while(|&s| s < step).last().or(earlier)
    }

    /// Steps in it.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Bytes it takes.
    pub(super) fn state_bytes(&self) -> u64 {
        (self.bytes.capacity() + self.skips.capacity() * size_of::<(u64, usize)>()) as u64
    }
}

/// For each key, a small dense number, the stretches of the tape in which it occurs.
#[derive(Clone, Debug, Default)]
pub(super) struct Stretches {
    lists: Vec<List>,
    bytes: u64,
}

#[derive(Clone, Debug, Default)]
struct List {
    bytes: Vec<u8>,
    /// One more than the last stretch in it.
    next: u32,
}

impl Stretches {
    /// Notes that a key occurs in a stretch; stretches come in ascending order.
    #[inline]
    pub(super) fn add(&mut self, key: u32, stretch: u32) {
        if self.lists.get(key as usize).is_none_or(|l| l.next <= stretch) {
            self.append(key as usize, stretch);
        }
    }

    #[cold]
    fn append(&mut self, key: usize, stretch: u32) {
        if key >= self.lists.len() {
            self.bytes += ((key + 1 - self.lists.len()) * size_of::<List>()) as u64;
            self.lists.resize_with(key + 1, List::default);
        }
        let list = &mut self.lists[key];
        let before = list.bytes.capacity();
        write_varint(&mut list.bytes, u64::from(stretch + 1 - list.next));
        list.next = stretch + 1;
        self.bytes += (list.bytes.capacity() - before) as u64;
    }

    fn of(&self, key: u32) -> impl Iterator<Item = u32> + '_ {
        let bytes = self.lists.get(key as usize).map_or(&[][..], |l| &l.bytes);
        read(bytes, 0).map(|next| next as u32 - 1)
    }

    /// The first stretch from `stretch` on in which a key occurs.
    pub(super) fn at_or_after(&self, key: u32, stretch: u32) -> Option<u32> {
        self.of(key).find(|&s| s >= stretch)
    }

    /// The last stretch up to `stretch` in which a key occurs.
    pub(super) fn at_or_before(&self, key: u32, stretch: u32) -> Option<u32> {
        self.of(key).take_while(|&s| s <= stretch).last()
    }

    /// Bytes it takes.
    pub(super) fn state_bytes(&self) -> u64 {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_found_from_both_sides() {
        let all: Vec<u64> = (1..2000).map(|i| i * i * 3).collect();
        let mut steps = Steps::default();
        for &step in &all {
            steps.push(step);
        }
        assert_eq!(steps.len(), 1999);
        for step in (0..13_000_000).step_by(4_999).chain(all.iter().copied()) {
            assert_eq!(steps.after(step), all.iter().copied().find(|&s| s > step), "{step}");
            assert_eq!(steps.before(step), all.iter().copied().rfind(|&s| s < step), "{step}");
        }
        assert_eq!((Steps::default().after(0), Steps::default().before(9)), (None, None));
    }

    #[test]
    fn stretches_keep_each_number_once() {
        let mut stretches = Stretches::default();
        for stretch in [0, 0, 3, 3, 200, 70_000] {
            stretches.add(5, stretch);
        }
        assert_eq!(stretches.of(5).collect::<Vec<_>>(), [0, 3, 200, 70_000]);
        assert_eq!((stretches.at_or_after(5, 4), stretches.at_or_before(5, 199)), (Some(200), Some(3)));
        assert_eq!((stretches.at_or_after(5, 70_001), stretches.at_or_before(4, 9)), (None, None));
        assert_eq!((stretches.at_or_after(9, 0), stretches.at_or_after(5, 0)), (None, Some(0)));
    }
}
