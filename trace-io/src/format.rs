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

/// What is said of a format.
struct Row {
    /// As `info` prints it.
    name: &'static str,
    /// What it is, for the middle of a sentence.
    about: &'static str,
    /// Endings of its files.
    endings: &'static [&'static str],
}

const fn row(name: &'static str, about: &'static str, endings: &'static [&'static str]) -> Row {
    Row { name, about, endings }
}

/// Endings of packed files.
const PACKED: &[&str] = &["zst", "gz", "lz4"];

impl Format {
    /// All of them, in the order in which they are listed.
    pub const ALL: [Self; 10] = [
        Self::Atrace,
        Self::Ptrace,
        Self::Ron,
        Self::Memray,
        Self::Csv,
        Self::Heaptrack,
        Self::Mtrace,
        Self::MtraceUtils,
        Self::StatsText,
        Self::BlockMessage,
    ];

    /// Whether it holds operations; else it says something of one moment.
    pub(crate) fn is_trace(self) -> bool {
        !matches!(self, Self::StatsText | Self::BlockMessage)
    }

    /// Everything that is said of it; dialogs, menus and messages take it from here.
    const fn row(self) -> Row {
        match self {
            Self::Atrace => row("atrace", "operations in columns", &["atrace"]),
            Self::Ptrace => row("ptrace", "plain text, one operation a line", &["ptrace"]),
            Self::Ron => row("ron", "a lesson or scenario written by hand", &["ron"]),
            Self::Memray => row("memray", "a capture of memray", &["bin"]),
            Self::Csv => row("csv", "a table with a header", &["csv"]),
            Self::Heaptrack => row("heaptrack", "heaptrack's raw recording", &["raw"]),
            Self::Mtrace => row("mtrace", "what glibc's mtrace() writes", &["mtrace"]),
            Self::MtraceUtils => {
                row("malloc-trace-utils", "a recording of glibc-malloc-trace-utils", &["mtrace"])
            }
            Self::StatsText => row("debugmallocstats", "the text of sys._debugmallocstats()", &["txt"]),
            Self::BlockMessage => {
                row("debug-hooks-message", "what debug hooks print of a damaged block", &["txt"])
            }
        }
    }

    /// Its name, as `info` prints it.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// What it is, for the middle of a sentence.
    pub fn about(self) -> &'static str {
        self.row().about
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

/// Endings that files of some format have, packed ones last, without points: what a file dialog shows.
pub fn endings() -> Vec<&'static str> {
    let mut all: Vec<&str> = Vec::new();
    for ending in Format::ALL.iter().flat_map(|format| format.row().endings).chain(PACKED) {
        if !all.contains(ending) {
            all.push(ending);
        }
    }
    all
}

/// The formats in one sentence's middle: `ptrace, ron, …, or the text of sys._debugmallocstats()`.
pub fn readable() -> String {
    let traces: Vec<&str> = Format::ALL.into_iter().filter(|f| f.is_trace()).map(Format::name).collect();
    let texts: Vec<&str> = Format::ALL.into_iter().filter(|f| !f.is_trace()).map(Format::about).collect();
    format!("{}, {}, plain or packed with zstd, LZ4 or gzip", traces.join(", "), texts.join(", or "))
}

/// What a file's name calls its trace: without the endings of packing and of a format. A text keeps its own.
pub(crate) fn stem(name: &str) -> &str {
    let formats = Format::ALL.iter().filter(|f| f.is_trace()).flat_map(|f| f.row().endings);
    PACKED.iter().chain(formats).fold(name, |stem, ending| {
        let cut = stem.strip_suffix(ending).and_then(|stem| stem.strip_suffix('.'));
        cut.unwrap_or(stem)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_is_named_and_its_endings_are_shown() {
        for (at, format) in Format::ALL.into_iter().enumerate() {
            assert!(!Format::ALL[..at].contains(&format), "{format:?} twice");
            let said = if format.is_trace() { format.name() } else { format.about() };
            assert!(readable().contains(said), "{said}");
        }
        let shown = endings();
        for ending in ["bin", "atrace", "csv", "gz", "zst", "lz4", "ptrace", "ron", "raw", "mtrace", "txt"] {
            assert_eq!(shown.iter().filter(|e| **e == ending).count(), 1, "{ending} of {shown:?}");
        }
    }

    #[test]
    fn names_lose_the_endings_of_packing_and_format() {
        for (name, stem_of) in [
            ("app.ptrace.zst", "app"),
            ("app.raw.zst", "app"),
            ("app.bin", "app"),
            ("app.atrace.lz4", "app"),
            ("tiny.py311.bin", "tiny.py311"),
            ("stats.txt", "stats.txt"),
            ("zst", "zst"),
        ] {
            assert_eq!(stem(name), stem_of);
        }
    }
}
