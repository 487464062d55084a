//! Text as Windows writes it: `PowerShell`'s `>` makes UTF-16 of what a program prints.

use std::io::{self, Read};

/// Whether the first bytes are the mark of UTF-16, and of which byte order: true for the big end first.
pub(crate) fn mark(head: &[u8]) -> Option<bool> {
    match head {
        [0xff, 0xfe, ..] => Some(false),
        [0xfe, 0xff, ..] => Some(true),
        _ => None,
    }
}

/// The same text in UTF-8. What is no character becomes the replacement character, as for a terminal.
pub(crate) struct Utf16<R> {
    source: R,
    big_end_first: bool,
    /// The first byte of a unit whose second has not come yet.
    byte: Option<u8>,
    /// The first half of a pair.
    half: Option<u16>,
    begun: bool,
    ready: Vec<u8>,
    at: usize,
}

impl<R: Read> Utf16<R> {
    /// Over a source that begins with the mark.
    pub(crate) fn new(source: R, big_end_first: bool) -> Self {
        Self { source, big_end_first, byte: None, half: None, begun: false, ready: Vec::new(), at: 0 }
    }

    fn unit(&mut self, unit: u16) {
        if !std::mem::replace(&mut self.begun, true) {
            // The mark.
            return;
        }
        let units = self.half.take().into_iter().chain([unit]);
        for character in char::decode_utf16(units) {
            match character {
                Ok(character) => self.put(character),
                // The first half of a pair waits for the second.
                Err(error) if error.unpaired_surrogate() == unit && (0xd800..0xdc00).contains(&unit) => {
                    self.half = Some(unit);
                }
                Err(_) => self.put(char::REPLACEMENT_CHARACTER),
            }
        }
    }

    fn put(&mut self, character: char) {
        self.ready.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    }
}

impl<R: Read> Read for Utf16<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.ready.len() {
            self.ready.clear();
            self.at = 0;
            let mut bytes = [0; 4096];
            let read = self.source.read(&mut bytes)?;
            if read == 0 {
                // What was cut in the middle.
                if self.byte.take().is_some() | self.half.take().is_some() {
                    self.put(char::REPLACEMENT_CHARACTER);
                    continue;
                }
                return Ok(0);
            }
            for &byte in &bytes[..read] {
                match self.byte.take() {
                    None => self.byte = Some(byte),
                    Some(first) if self.big_end_first => self.unit(u16::from_be_bytes([first, byte])),
                    Some(first) => self.unit(u16::from_le_bytes([first, byte])),
                }
            }
        }
        let count = buffer.len().min(self.ready.len() - self.at);
        buffer[..count].copy_from_slice(&self.ready[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives a byte at a time.
    struct Drops(Vec<u8>);

    impl Read for Drops {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.0.is_empty() {
                return Ok(0);
            }
            buffer[0] = self.0.remove(0);
            Ok(1)
        }
    }

    #[test]
    fn both_orders_pairs_and_cuts_become_utf_8() {
        let text = "m o 1 48\r\n# \u{e9}\u{20ac}\u{1f40d}\n";
        for big in [false, true] {
            let units = std::iter::once(0xfeff).chain(text.encode_utf16());
            let bytes: Vec<u8> =
                units.flat_map(|u| if big { u.to_be_bytes() } else { u.to_le_bytes() }).collect();
            assert_eq!(mark(&bytes), Some(big));
            let back = |bytes: &[u8]| {
                let mut out = String::new();
                Utf16::new(Drops(bytes.to_vec()), big).read_to_string(&mut out).map(|_| out)
            };
            assert_eq!(back(&bytes).ok().as_deref(), Some(text));
            assert_eq!(
                back(&bytes[..bytes.len() - 1]).ok(),
                Some(text[..text.len() - 1].to_owned() + "\u{fffd}")
            );
            // A pair without its second half.
            let cut = bytes.len() - 4;
            assert_eq!(back(&bytes[..cut]).ok(), Some(text[..text.len() - 5].to_owned() + "\u{fffd}"));
        }
        assert_eq!(mark(b"m o 1 48\n"), None);
    }
}
