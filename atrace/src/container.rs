//! The container: a file header, then blocks that say how long they are and carry a checksum.

use twox_hash::XxHash64;

use crate::codec::{Codec, Unpacker};
use crate::error::AtraceError;
use crate::version::{MAJOR, MINOR};

/// The first eight bytes: not text, not seven bits, and broken by any conversion of line ends.
pub const MAGIC: [u8; 8] = *b"\x89ATR\r\n\x1a\n";
/// Bytes of the file header.
pub const FILE_HEADER_BYTES: usize = 16;
/// Bytes of a block's header.
pub const HEADER_BYTES: usize = 44;
/// The first four bytes of a block.
pub const SYNC: [u8; 4] = [0xc5, b'B', b'L', b'K'];
/// The most bytes a block takes, stored or raw.
pub const BLOCK_BYTES_MAX: u32 = 1 << 26;
/// The most operations or entries of one block.
pub const COUNT_MAX: u32 = 1 << 22;

/// What a file is optimised for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum FileProfile {
    /// Written while a program runs: LZ4.
    Capture = 0,
    /// Kept: zstd.
    Archive = 1,
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
pub struct FileHeader {
    /// What the file is optimised for: a remark, nothing depends on it.
    pub profile: FileProfile,
    /// log2 of the bytes of a pool, for the prediction of addresses.
    pub pool_bits: u8,
    /// The minor version that a reader must know.
    pub minor: u8,
}

impl FileHeader {
    /// Its bytes.
    pub fn encode(self) -> [u8; FILE_HEADER_BYTES] {
        let mut bytes = [0; FILE_HEADER_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8] = MAJOR;
        bytes[9] = self.minor;
        bytes[10] = self.profile as u8;
        bytes[11] = self.pool_bits;
        let sum = XxHash64::oneshot(0, &bytes[..12]) as u32;
        bytes[12..].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// The header in a file's first bytes.
    pub fn decode(bytes: &[u8; FILE_HEADER_BYTES]) -> Result<Self, AtraceError> {
        let damaged = |problem: String| Err(AtraceError::Damaged { offset: 0, operation: 1, problem });
        if bytes[..8] != MAGIC {
            return damaged("the first eight bytes are not those of an .atrace file".to_owned());
        }
        let (major, minor) = (bytes[8], bytes[9]);
        // Another major version may have its checksum elsewhere; within one it tells damage from a file to come.
        if major != MAJOR {
            return Err(AtraceError::Version { major, minor });
        }
        if u32_at(bytes, 12) != XxHash64::oneshot(0, &bytes[..12]) as u32 {
            return damaged("the file header's checksum is wrong".to_owned());
        }
        if minor > MINOR {
            return Err(AtraceError::Version { major, minor });
        }
        let pool_bits = bytes[11];
        if !(8..=24).contains(&pool_bits) {
            return damaged(format!("pools of 2^{pool_bits} bytes are none"));
        }
        let profile = if bytes[10] == 0 { FileProfile::Capture } else { FileProfile::Archive };
        Ok(Self { profile, pool_bits, minor })
    }
}

/// What a block holds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum BlockKind {
    /// Facts about the trace, the last such block holds.
    Meta = 1,
    /// Entries of the table of strings.
    Strings = 2,
    /// Entries of the table of frames.
    Frames = 3,
    /// Entries of the table of stacks.
    Stacks = 4,
    /// Notes of the operations that follow.
    Notes = 5,
    /// Moments among the operations that follow.
    Times = 6,
    /// All slots, to begin reading here.
    State = 7,
    /// Operations.
    Operations = 8,
    /// Where all other blocks are.
    Index = 9,
    /// The end of the file.
    End = 10,
    /// Names of snapshots.
    Names = 11,
    /// Marks among the operations that follow, and after the last one.
    Marks = 12,
    /// The process as it was before the first operation.
    Picture = 13,
}

impl BlockKind {
    /// All kinds, by their numbers.
    pub const ALL: [Self; 13] = [
        Self::Meta,
        Self::Strings,
        Self::Frames,
        Self::Stacks,
        Self::Notes,
        Self::Times,
        Self::State,
        Self::Operations,
        Self::Index,
        Self::End,
        Self::Names,
        Self::Marks,
        Self::Picture,
    ];

    /// Its number in a block's header.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The kind with a number.
    pub fn of_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }
}

/// A block's header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// The kind's number, which may be one of a later version.
    pub kind: u8,
    /// How the payload is packed, a [`Codec`]'s number.
    pub codec: u8,
    /// Bytes of the payload unpacked.
    pub raw: u32,
    /// Bytes of the payload as it stands in the file.
    pub stored: u32,
    /// Operations or entries.
    pub count: u32,
    /// Operations before the block's first, or number of its first entry.
    pub first: u64,
    /// The last moment before it, in nanoseconds.
    pub time_ns: u64,
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
    pub fn encode(&self, payload: &[u8]) -> [u8; HEADER_BYTES] {
        let mut all = [0; HEADER_BYTES];
        let bytes = self.bytes();
        all[..36].copy_from_slice(&bytes);
        all[36..].copy_from_slice(&sum(&bytes, payload).to_le_bytes());
        all
    }

    /// What is wrong, as the middle of a sentence, where it cannot be a header.
    pub fn decode(bytes: &[u8; HEADER_BYTES]) -> Result<Self, &'static str> {
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
    pub fn holds(bytes: &[u8; HEADER_BYTES], payload: &[u8]) -> bool {
        sum(&bytes[..36], payload) == u64_at(bytes, 36)
    }

    /// The kind, where it is known.
    pub fn kind(&self) -> Option<BlockKind> {
        BlockKind::of_code(self.kind)
    }

    /// The codec, where it is known.
    pub fn codec(&self) -> Option<Codec> {
        Codec::of_code(self.codec)
    }
}

impl Header {
    /// Appends the payload of a block that is packed as one, unpacked. What is wrong, as the middle of a sentence.
    pub(crate) fn unpack(
        &self,
        unpacker: &mut Unpacker,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), String> {
        let codec =
            self.codec().ok_or_else(|| format!("codec {} is unknown; use a newer version", self.codec))?;
        unpacker
            .unpack(codec, payload, self.raw as usize, out)
            .ok_or_else(|| "a block cannot be unpacked".to_owned())
    }
}

/// xxh64 of the payload, seeded with that of the header.
fn sum(header: &[u8], payload: &[u8]) -> u64 {
    XxHash64::oneshot(XxHash64::oneshot(0, header), payload)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes)
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|b| b.try_into().ok()).map_or(0, u64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What stands in files for ever.
    #[test]
    fn numbers_are_those_of_the_page() {
        let profiles = [FileProfile::Capture, FileProfile::Archive].map(|p| p as u8);
        assert_eq!(profiles, [0, 1]);
        let kinds = BlockKind::ALL.map(|k| (k.code(), format!("{k:?}")));
        let page = [
            "Meta",
            "Strings",
            "Frames",
            "Stacks",
            "Notes",
            "Times",
            "State",
            "Operations",
            "Index",
            "End",
            "Names",
            "Marks",
            "Picture",
        ];
        assert_eq!(kinds.to_vec(), (1..=13).zip(page.map(str::to_owned)).collect::<Vec<_>>());
        assert!(BlockKind::ALL.into_iter().all(|k| BlockKind::of_code(k.code()) == Some(k)));
        assert_eq!((BlockKind::of_code(0), BlockKind::of_code(14)), (None, None));
    }

    #[test]
    fn versions_to_come_are_refused_by_both_numbers() {
        let header = FileHeader { profile: FileProfile::Capture, pool_bits: 14, minor: MINOR };
        let bytes = header.encode();
        assert_eq!(FileHeader::decode(&bytes).ok(), Some(header));
        for (major, minor) in [(MAJOR, MINOR + 1), (MAJOR + 1, 0), (MAJOR - 1, 0), (MAJOR, 255)] {
            let mut other = bytes;
            (other[8], other[9]) = (major, minor);
            let sum = XxHash64::oneshot(0, &other[..12]) as u32;
            other[12..].copy_from_slice(&sum.to_le_bytes());
            let error = FileHeader::decode(&other).unwrap_err().to_string();
            assert!(
                error.contains(&format!("version {major}.{minor} of"))
                    && error.contains(&format!("reads {MAJOR}.0 to {MAJOR}.{MINOR}")),
                "{error}"
            );
        }
    }
}
