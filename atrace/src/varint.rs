//! LEB128 numbers, least significant seven bits first, and signed ones zig-zag.

/// Appends a number.
#[inline]
pub fn put(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a text with its length.
pub fn put_text(out: &mut Vec<u8>, text: &str) {
    put(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

/// 0, -1, 1, -2, 2 as 0, 1, 2, 3, 4.
#[inline]
pub fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// The way back.
#[inline]
pub fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -((value & 1).cast_signed())
}

/// The distance from `from` to `to`, which may wrap around.
#[inline]
pub fn distance(from: u64, to: u64) -> u64 {
    zigzag(to.wrapping_sub(from).cast_signed())
}

/// The way back.
#[inline]
pub fn moved(from: u64, distance: u64) -> u64 {
    from.wrapping_add(unzigzag(distance) as u64)
}

/// Reads numbers one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Numbers<'a>(pub &'a [u8]);

impl<'a> Numbers<'a> {
    /// The next number; `None` at the end and for one over 64 bits.
    #[inline]
    pub fn number(&mut self) -> Option<u64> {
        let (&first, rest) = self.0.split_first()?;
        if first < 0x80 {
            self.0 = rest;
            return Some(u64::from(first));
        }
        self.long()
    }

    /// The next eight numbers where each is one byte.
    #[inline]
    pub fn eight(&mut self) -> Option<[u8; 8]> {
        let (&bytes, rest) = self.0.split_first_chunk::<8>()?;
        if u64::from_le_bytes(bytes) & 0x8080_8080_8080_8080 != 0 {
            return None;
        }
        self.0 = rest;
        Some(bytes)
    }

    fn long(&mut self) -> Option<u64> {
        let mut value = 0;
        for (at, &byte) in self.0.iter().enumerate().take(10) {
            let bits = u64::from(byte & 0x7f);
            if at == 9 && bits > 1 {
                return None;
            }
            value |= bits << (7 * at);
            if byte < 0x80 {
                self.0 = &self.0[at + 1..];
                return Some(value);
            }
        }
        None
    }

    /// The next number where it has 32 bits.
    #[inline]
    pub fn small(&mut self) -> Option<u32> {
        self.number().and_then(|n| u32::try_from(n).ok())
    }

    /// The next bytes.
    pub fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(bytes)
    }

    /// The next text.
    pub fn text(&mut self) -> Option<&'a str> {
        let length = usize::try_from(self.number()?).ok()?;
        std::str::from_utf8(self.bytes(length)?).ok()
    }

    /// Whether nothing is left.
    pub fn done(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back() {
        let all = [0, 1, 127, 128, 300, 1 << 32, u64::MAX >> 1, u64::MAX];
        let mut out = Vec::new();
        for n in all {
            put(&mut out, n);
        }
        let mut numbers = Numbers(&out);
        assert!(all.iter().all(|&n| numbers.number() == Some(n)) && numbers.done());
        for value in [0, 1, -1, i64::MAX, i64::MIN] {
            assert_eq!(unzigzag(zigzag(value)), value);
        }
        assert_eq!(moved(u64::MAX, distance(u64::MAX, 3)), 3);
        assert_eq!(Numbers(&[5; 9]).eight(), Some([5; 8]));
        assert_eq!((Numbers(&[5; 7]).eight(), Numbers(&[5, 5, 5, 0x80, 1, 5, 5, 5]).eight()), (None, None));
        assert_eq!(Numbers(&[0x80; 11]).number(), None, "over 64 bits");
        assert_eq!(Numbers(&[0x80]).number(), None, "cut");
    }
}
