//! Traces that come with the program.

/// A bundled trace.
pub(crate) struct Example {
    /// File name; its ending tells the loader nothing, but people recognise it.
    pub(crate) file: &'static str,
    /// What the menu says.
    pub(crate) label: &'static str,
    /// One sentence on what it shows.
    pub(crate) about: &'static str,
    /// The file.
    pub(crate) bytes: &'static [u8],
}

/// All bundled traces; the first opens when nothing else is asked for.
pub(crate) const EXAMPLES: &[Example] = &[
    #[cfg(feature = "large-examples")]
    Example {
        file: "tiny-script-3.11.ptrace.zst",
        label: "A small script under Python 3.11",
        about: "Start-up, a few imports and some work of a real interpreter: 126,631 operations, three arenas",
        bytes: include_bytes!("../../traces/tiny-script-3.11.ptrace.zst"),
    },
    Example {
        file: "tiny-script-3.14.ptrace.zst",
        label: "A small script under Python 3.14",
        about: "Start-up, a few imports and some work of a newer interpreter, which asks its allocator for less",
        bytes: include_bytes!("../../traces/tiny-script-3.14.ptrace.zst"),
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_example_opens() {
        for example in EXAMPLES {
            let opened = trace_io::open(example.file, Box::new(std::io::Cursor::new(example.bytes)));
            assert!(opened.is_ok_and(|t| !t.is_empty()), "{}", example.file);
        }
    }
}
