//! The container: a file header, then blocks that say how long they are and carry a checksum.

use twox_hash::XxHash64;

use super::codec::Codec;

/// The first eight bytes: not text, not seven bits, and broken by any conversion of line ends.
pub(crate) const MAGIC: [u8; 8] = *b"\x89ATR\r\n\x1a\n";
/// Bytes of the file header.
pub(crate) const FILE_HEADER_BYTES: usize = 16;
/// Bytes of a block's header.
pub(crate) const HEADER_BYTES: usize = 44;
/// The first four bytes of a block.
pub(crate) const SYNC: [u8; 4] = [0xc5, b'B', b'L', b'K'];
/// A reader of this major version reads files of it, whatever their minor version.
pub(crate) const MAJOR: u8 = 1;
const MINOR: u8 = 1;
/// The most bytes a block takes, stored or raw.
pub(crate) const BLOCK_BYTES_MAX: u32 = 1 << 26;
/// The most operations or entries of one block.
pub(crate) const COUNT_MAX: u32 = 1 << 22;

/// What a file is optimised for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FileProfile {
    /// Written while a program runs: LZ4.
    Capture,
    /// Kept: zstd.
    Archive,
}

impl FileProfile {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Capture => "capture",
            Self::Archive => "archive",
        }
    }

    /// What this build writes unless asked otherwise.
    pub fn best() -> Self {
        if cfg!(feature = "zstd") { Self::Archive } else { Self::Capture }
    }
}

/// The 16 bytes at the start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct FileHeader {
    pub(crate) profile: FileProfile,
    /// log2 of the bytes of a pool, for the prediction of addresses.
    pub(crate) pool_bits: u8,
}

impl FileHeader {
    pub(crate) fn encode(self) -> [u8; FILE_HEADER_BYTES] {
        let mut bytes = [0; FILE_HEADER_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8] = MAJOR;
        bytes[9] = MINOR;
        bytes[10] = self.profile as u8;
        bytes[11] = self.pool_bits;
        let sum = XxHash64::oneshot(0, &bytes[..12]) as u32;
        bytes[12..].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// What is wrong with it, as the middle of a sentence.
    pub(crate) fn decode(bytes: &[u8; FILE_HEADER_BYTES]) -> Result<Self, String> {
        if bytes[..8] != MAGIC {
            return Err("the first eight bytes are not those of an .atrace file".to_owned());
        }
        if bytes[8] != MAJOR {
            return Err(format!(
                "the file has version {}.{}, this program reads {MAJOR}.x; use a newer one",
                bytes[8], bytes[9]
            ));
        }
        if u32_at(bytes, 12) != XxHash64::oneshot(0, &bytes[..12]) as u32 {
            return Err("the file header's checksum is wrong".to_owned());
        }
        let pool_bits = bytes[11];
        if !(8..=24).contains(&pool_bits) {
            return Err(format!("pools of 2^{pool_bits} bytes are none"));
        }
        let profile = if bytes[10] == 0 { FileProfile::Capture } else { FileProfile::Archive };
        Ok(Self { profile, pool_bits })
    }
}

/// What a block holds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum BlockKind {
    /// Facts about the trace, the last such block holds.
    Meta,
    /// Entries of the table of strings.
    Strings,
    /// Entries of the table of frames.
    Frames,
    /// Entries of the table of stacks.
    Stacks,
    /// Notes of the operations that follow.
    Notes,
    /// Moments among the operations that follow.
    Times,
    /// All slots, to begin reading here.
    State,
    /// Operations.
    Operations,
    /// Names of snapshots.
    Names,
    /// Where all other blocks are.
    Index,
    /// The end of the file.
    End,
}

impl BlockKind {
    /// All kinds with their numbers.
    const CODES: [(u8, Self); 11] = [
        (1, Self::Meta),
        (2, Self::Strings),
        (3, Self::Frames),
        (4, Self::Stacks),
        (5, Self::Notes),
        (6, Self::Times),
        (7, Self::State),
        (8, Self::Operations),
        (9, Self::Index),
        (10, Self::End),
        (11, Self::Names),
    ];

    pub(crate) fn code(self) -> u8 {
        Self::CODES.iter().find(|c| c.1 == self).map_or(0, |c| c.0)
    }

    pub(crate) fn of_code(code: u8) -> Option<Self> {
        Self::CODES.iter().find(|c| c.0 == code).map(|c| c.1)
    }
}

/// A block's header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Header {
    /// The kind's number, which may be one of a later version.
    pub(crate) kind: u8,
    pub(crate) codec: u8,
    pub(crate) raw: u32,
    pub(crate) stored: u32,
    /// Operations or entries.
    pub(crate) count: u32,
    /// Operations before the block's first, or number of its first entry.
    pub(crate) first: u64,
    /// The last moment before it, in nanoseconds.
    pub(crate) time_ns: u64,
}

impl Header {
    fn bytes(&self) -> [u8; HEADER_BYTES - 8] {
        let mut bytes = [0; HEADER_BYTES - 8];
        bytes[..4].copy_from_slice(&SYNC);
        bytes[4] = self.kind;
        bytes[5] = self.codec;
        bytes[8..12].copy_from_slice(&self.raw.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.stored.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.count.to_le_bytes());
        bytes[20..28].copy_from_slice(&self.first.to_le_bytes());
        bytes[28..].copy_from_slice(&self.time_ns.to_le_bytes());
        bytes
    }

    /// The header with the checksum of itself and the payload.
    pub(crate) fn encode(&self, payload: &[u8]) -> [u8; HEADER_BYTES] {
        let mut all = [0; HEADER_BYTES];
        let bytes = self.bytes();
        all[..36].copy_from_slice(&bytes);
        all[36..].copy_from_slice(&sum(&bytes, payload).to_le_bytes());
        all
    }

    /// What is wrong, as the middle of a sentence, where it cannot be a header.
    pub(crate) fn decode(bytes: &[u8; HEADER_BYTES]) -> Result<Self, &'static str> {
        if bytes[..4] != SYNC {
            return Err("no block begins where one must");
        }
        let header = Self {
            kind: bytes[4],
            codec: bytes[5],
            raw: u32_at(bytes, 8),
            stored: u32_at(bytes, 12),
            count: u32_at(bytes, 16),
            first: u64_at(bytes, 20),
            time_ns: u64_at(bytes, 28),
        };
        if header.raw > BLOCK_BYTES_MAX || header.stored > BLOCK_BYTES_MAX || header.count > COUNT_MAX {
            return Err("a block says it is larger than blocks are");
        }
        Ok(header)
    }

    /// Whether the checksum of header and payload holds.
    pub(crate) fn holds(bytes: &[u8; HEADER_BYTES], payload: &[u8]) -> bool {
        sum(&bytes[..36], payload) == u64_at(bytes, 36)
    }

    pub(crate) fn kind(&self) -> Option<BlockKind> {
        BlockKind::of_code(self.kind)
    }

    pub(crate) fn codec(&self) -> Option<Codec> {
        Codec::of_code(self.codec)
    }
}

/// xxh64 of the payload, seeded with that of the header.
fn sum(header: &[u8], payload: &[u8]) -> u64 {
    XxHash64::oneshot(XxHash64::oneshot(0, header), payload)
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes)
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|b| b.try_into().ok()).map_or(0, u64::from_le_bytes)
}
