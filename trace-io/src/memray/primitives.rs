//! The codes that memray's numbers and strings are written in.

/// Why a record could not be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fault {
    /// It goes on after the bytes that are here.
    Short,
    /// It says what memray never writes. Behind a second pointer, so that results fit two registers.
    Damage(&'static &'static str),
}

pub(super) type Read<T> = Result<T, Fault>;

/// The longest string: names of functions, files and threads.
const STRING_BYTES_MAX: usize = 1 << 20;

/// Bytes, read from the front. The caller goes back to the start of a record that turns out short.
#[derive(Debug)]
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Bytes read.
    #[inline]
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// The next bytes, if there are as many.
    #[inline]
    pub(super) fn window<const N: usize>(&self) -> Option<&'a [u8; N]> {
        self.bytes.get(self.at..)?.first_chunk()
    }

    /// Goes on to after bytes that [`Self::window`] gave.
    #[inline]
    pub(super) fn skip(&mut self, n: usize) {
        self.at += n;
    }

    #[inline]
    pub(super) fn byte(&mut self) -> Read<u8> {
        let byte = *self.bytes.get(self.at).ok_or(Fault::Short)?;
        self.at += 1;
        Ok(byte)
    }

    pub(super) fn take(&mut self, n: usize) -> Read<&'a [u8]> {
        let taken = self.bytes[self.at..].get(..n).ok_or(Fault::Short)?;
        self.at += n;
        Ok(taken)
    }

    pub(super) fn u32(&mut self) -> Read<u32> {
        let bytes = self.take(4)?;
        Ok(bytes.iter().rev().fold(0, |n, &b| n << 8 | u32::from(b)))
    }

    pub(super) fn u64(&mut self) -> Read<u64> {
        let bytes = self.take(8)?;
        Ok(bytes.iter().rev().fold(0, |n, &b| n << 8 | u64::from(b)))
    }

    /// LEB128: 7 bits a byte, the low group first.
    #[inline]
    pub(super) fn varint(&mut self) -> Read<u64> {
        let first = self.byte()?;
        if first < 0x80 {
            return Ok(u64::from(first));
        }
        let mut n = u64::from(first & 0x7f);
        let mut shift = 7;
        loop {
            let byte = self.byte()?;
            if shift == 63 && byte > 1 {
                return Err(Fault::Damage(&"a number has more than 64 bits"));
            }
            n |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(n);
            }
            shift += 7;
        }
    }

    /// A signed number in zig-zag order.
    #[inline]
    pub(super) fn signed(&mut self) -> Read<i64> {
        self.varint().map(zig_zag)
    }

    /// A number written as its difference to the last one of its kind.
    #[inline]
    pub(super) fn delta(&mut self, last: u64) -> Read<u64> {
        Ok(last.wrapping_add_signed(self.signed()?))
    }

    /// Bytes up to a NUL, without it.
    pub(super) fn string(&mut self) -> Read<&'a [u8]> {
        let rest = &self.bytes[self.at..];
        let window = &rest[..rest.len().min(STRING_BYTES_MAX)];
        match window.iter().position(|&b| b == 0) {
            Some(end) => {
                self.at += end + 1;
                Ok(&rest[..end])
            }
            None if window.len() == STRING_BYTES_MAX => {
                Err(Fault::Damage(&"a name has more than a megabyte"))
            }
            None => Err(Fault::Short),
        }
    }
}

/// The signed number of an unsigned one.
#[inline]
pub(super) fn zig_zag(n: u64) -> i64 {
    (n >> 1).cast_signed() ^ -(n & 1).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_every_length() {
        for n in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX - 1, u64::MAX] {
            let mut bytes = Vec::new();
            let mut rest = n;
            while rest >= 0x80 {
                bytes.push(rest as u8 | 0x80);
                rest >>= 7;
            }
            bytes.push(rest as u8);
            assert_eq!(Cursor::new(&bytes).varint(), Ok(n));
            let signed = (n >> 1).cast_signed() ^ -(n & 1).cast_signed();
            assert_eq!(Cursor::new(&bytes).signed(), Ok(signed));
            assert_eq!(Cursor::new(&bytes[..bytes.len() - 1]).varint(), Err(Fault::Short));
        }
        assert!(matches!(Cursor::new(&[0xff; 11]).varint(), Err(Fault::Damage(_))));
        let mut wide = [0x80; 10];
        wide[9] = 2;
        assert!(matches!(Cursor::new(&wide).varint(), Err(Fault::Damage(_))));
    }

    #[test]
    fn strings_end_at_a_nul() {
        let mut cursor = Cursor::new(b"ab\0\0c");
        assert_eq!((cursor.string(), cursor.string()), (Ok(&b"ab"[..]), Ok(&b""[..])));
        assert_eq!(cursor.string(), Err(Fault::Short));
        assert!(matches!(Cursor::new(&vec![b'a'; STRING_BYTES_MAX]).string(), Err(Fault::Damage(_))));
    }
}
