//! Compression of one column or one block.

#[cfg(not(feature = "zstd"))]
use ruzstd::decoding::FrameDecoder;

/// How bytes are stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Codec {
    /// As they are.
    None = 0,
    /// An LZ4 block.
    Lz4 = 1,
    /// A zstd frame.
    Zstd = 2,
}

impl Codec {
    /// All, by their numbers.
    pub const ALL: [Self; 3] = [Self::None, Self::Lz4, Self::Zstd];

    /// Its number in a file.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The codec with a number.
    pub fn of_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|codec| codec.code() == code)
    }
}

/// Packs bytes, with the tables it needs.
pub(crate) struct Packer {
    codec: Codec,
    #[cfg(feature = "zstd")]
    zstd: Option<zstd::bulk::Compressor<'static>>,
    packed: Vec<u8>,
}

/// The level that pays: higher ones gain a few hundredths and take several times as long.
#[cfg(feature = "zstd")]
const ZSTD_LEVEL: i32 = 3;
/// The level where a few hundredths are wanted.
#[cfg(feature = "zstd")]
const ZSTD_LEVEL_TIGHT: i32 = 6;

impl Packer {
    /// For a codec; [`Codec::Zstd`] falls back to LZ4 where this build cannot write it.
    pub(crate) fn new(codec: Codec) -> Self {
        #[cfg(feature = "zstd")]
        let zstd = if codec == Codec::Zstd { zstd::bulk::Compressor::new(ZSTD_LEVEL).ok() } else { None };
        #[cfg(feature = "zstd")]
        let codec = if codec == Codec::Zstd && zstd.is_none() { Codec::Lz4 } else { codec };
        #[cfg(not(feature = "zstd"))]
        let codec = if codec == Codec::Zstd { Codec::Lz4 } else { codec };
        Self {
            codec,
            #[cfg(feature = "zstd")]
            zstd,
            packed: Vec::new(),
        }
    }

    /// Packs what follows as well as it goes, or fast.
    #[cfg(feature = "zstd")]
    pub(crate) fn set_tight(&mut self, tight: bool) {
        if let Some(zstd) = &mut self.zstd {
            // Every level that is asked for here exists.
            let _ = zstd.set_compression_level(if tight { ZSTD_LEVEL_TIGHT } else { ZSTD_LEVEL });
        }
    }

    /// Packs bytes where that makes them fewer.
    pub(crate) fn pack<'a>(&'a mut self, raw: &'a [u8]) -> (Codec, &'a [u8]) {
        let filled = match self.codec {
            Codec::None => None,
            Codec::Lz4 => {
                self.packed.resize(lz4_flex::block::get_maximum_output_size(raw.len()), 0);
                lz4_flex::block::compress_into(raw, &mut self.packed).ok()
            }
            Codec::Zstd => self.pack_zstd(raw),
        };
        match filled {
            Some(n) if n < raw.len() => (self.codec, &self.packed[..n]),
            _ => (Codec::None, raw),
        }
    }

    #[cfg(feature = "zstd")]
    fn pack_zstd(&mut self, raw: &[u8]) -> Option<usize> {
        // No more than the raw bytes: what does not fit is better stored as it is.
        self.packed.resize(raw.len(), 0);
        self.zstd.as_mut()?.compress_to_buffer(raw, self.packed.as_mut_slice()).ok()
    }

    #[cfg(not(feature = "zstd"))]
    #[expect(clippy::unused_self, reason = "the other build has a compressor")]
    fn pack_zstd(&mut self, _: &[u8]) -> Option<usize> {
        None
    }
}

/// Unpacks bytes, with the tables it needs.
#[derive(Default)]
pub(crate) struct Unpacker {
    #[cfg(feature = "zstd")]
    zstd: Option<zstd::bulk::Decompressor<'static>>,
    #[cfg(not(feature = "zstd"))]
    zstd: Option<Box<FrameDecoder>>,
}

impl Unpacker {
    /// Unpacks `stored` into `raw` bytes at the end of `out`; `None` where they are not that many.
    pub(crate) fn unpack(
        &mut self,
        codec: Codec,
        stored: &[u8],
        raw: usize,
        out: &mut Vec<u8>,
    ) -> Option<()> {
        let start = out.len();
        match codec {
            Codec::None => out.extend_from_slice(stored),
            Codec::Lz4 => {
                out.resize(start + raw, 0);
                let filled = lz4_flex::block::decompress_into(stored, &mut out[start..]).ok()?;
                out.truncate(start + filled);
            }
            Codec::Zstd => self.unpack_zstd(stored, raw, out)?,
        }
        (out.len() == start + raw).then_some(())
    }

    #[cfg(feature = "zstd")]
    fn unpack_zstd(&mut self, stored: &[u8], raw: usize, out: &mut Vec<u8>) -> Option<()> {
        if self.zstd.is_none() {
            self.zstd = zstd::bulk::Decompressor::new().ok();
        }
        let decoder = self.zstd.as_mut()?;
        let start = out.len();
        if start == 0 {
            // Room that nobody filled is enough for it; there may be more than was asked for.
            out.reserve_exact(raw);
            return decoder.decompress_to_buffer(stored, out).ok().map(|_| ());
        }
        out.resize(start + raw, 0);
        let filled = decoder.decompress_to_buffer(stored, &mut out[start..]).ok()?;
        out.truncate(start + filled);
        Some(())
    }

    #[cfg(not(feature = "zstd"))]
    fn unpack_zstd(&mut self, stored: &[u8], raw: usize, out: &mut Vec<u8>) -> Option<()> {
        let start = out.len();
        out.resize(start + raw, 0);
        let decoder = self.zstd.get_or_insert_with(|| Box::new(FrameDecoder::new()));
        let filled = decoder.decode_all(stored, &mut out[start..]).ok()?;
        out.truncate(start + filled);
        Some(())
    }
}

#[cfg(all(test, feature = "zstd"))]
mod tests {
    use super::*;
    use ruzstd::decoding::FrameDecoder;

    #[test]
    fn both_decoders_read_what_is_written() {
        let raw: Vec<u8> = (0..100_000_u32).map(|i| (i.wrapping_mul(i) >> 7) as u8).collect();
        for codec in [Codec::Lz4, Codec::Zstd] {
            let mut packer = Packer::new(codec);
            let (used, stored) = packer.pack(&raw);
            assert_eq!(used, codec);
            let mut out = b"before".to_vec();
            assert!(Unpacker::default().unpack(codec, stored, raw.len(), &mut out).is_some());
            assert_eq!(out[6..], raw);
            assert!(Unpacker::default().unpack(codec, stored, raw.len() - 1, &mut out).is_none());
            if codec == Codec::Zstd {
                let mut plain = vec![0; raw.len()];
                assert_eq!(FrameDecoder::new().decode_all(stored, &mut plain).ok(), Some(raw.len()));
                assert_eq!(plain, raw);
            }
        }
    }
}
