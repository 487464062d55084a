//! The formats by name.

/// Bytes looked at before the format is decided.
pub(crate) const HEAD_BYTES: usize = 4096;

/// A format of traces.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// Plain text, one operation a line.
    Ptrace,
    /// A lesson written by hand.
    Ron,
    /// memray's capture, formats 10 to 13.
    Memray,
    /// A table of text.
    Csv,
    /// heaptrack's raw recording.
    Heaptrack,
    /// glibc's `mtrace`.
    Mtrace,
    /// glibc-malloc-trace-utils' records.
    MtraceUtils,
    /// The text of `sys._debugmallocstats()`, which is no trace but a picture: [`crate::Loaded::Picture`].
    StatsText,
    /// What debug hooks print of a damaged block, which is no trace: [`crate::Loaded::Account`].
    BlockMessage,
    /// Operations in columns, packed and seekable.
    Atrace,
}

impl Format {
    /// Its name, as `info` prints it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ptrace => "ptrace",
            Self::Ron => "ron",
            Self::Memray => "memray",
            Self::Csv => "csv",
            Self::Heaptrack => "heaptrack",
            Self::Mtrace => "mtrace",
            Self::MtraceUtils => "malloc-trace-utils",
            Self::StatsText => "debugmallocstats",
            Self::BlockMessage => "debug-hooks-message",
            Self::Atrace => "atrace",
        }
    }

    /// The format that a file's ending asks for.
    pub fn of_ending(ending: &str) -> Option<Self> {
        match ending {
            "ptrace" => Some(Self::Ptrace),
            "ron" => Some(Self::Ron),
            "bin" => Some(Self::Memray),
            "csv" => Some(Self::Csv),
            "atrace" => Some(Self::Atrace),
            _ => None,
        }
    }
}

/// Endings that are cut off a file's name to make the trace's.
const ENDINGS: &[&str] = &[".zst", ".gz", ".raw", ".ptrace", ".ron", ".csv", ".mtrace", ".bin", ".atrace"];

/// What a file's name calls its trace.
pub(crate) fn stem(name: &str) -> &str {
    ENDINGS.iter().fold(name, |stem, ending| stem.strip_suffix(ending).unwrap_or(stem))
}
