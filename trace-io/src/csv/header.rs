//! The first line of a table: its separator, its columns, and what is wrong with them.

/// The columns, in the order in which they are written.
pub(super) const COLUMNS: [&str; 13] = [
    "op",
    "domain",
    "id",
    "newid",
    "size",
    "nelem",
    "elsize",
    "thread",
    "time_ns",
    "rss_bytes",
    "address",
    "stack",
    "note",
];

/// What may stand between cells.
const SEPARATORS: [u8; 3] = [b',', b';', b'\t'];

/// Names that others give to a column, and what its cells are.
const OTHERS: [(&[&str], &str); 7] = [
    (&["type", "event", "func", "function", "call", "kind", "operation"], "call it `op`"),
    (&["ptr", "pointer", "addr", "block"], "call it `id`, or `address` if ids stand in another column"),
    (&["bytes", "nbytes", "len", "length", "alloc_size"], "call it `size`"),
    (&["tid", "thread_id", "threadid"], "call it `thread`, with numbers from 0 to 65535"),
    (&["timestamp", "time", "ts", "time_us", "time_ms", "time_s"], "call it `time_ns`, with nanoseconds"),
    (&["rss"], "call it `rss_bytes`"),
    (&["stack_trace", "stacktrace", "traceback", "backtrace"], "call it `stack`"),
];

/// The name in a cell of a header, in small letters.
pub(super) fn name(cell: &[u8]) -> String {
    let cell = cell.strip_prefix(b"\xef\xbb\xbf").unwrap_or(cell);
    String::from_utf8_lossy(cell).trim().trim_matches('"').to_ascii_lowercase()
}

/// The names in a line that has no quotes to speak of, as a header has.
fn names(line: &[u8], separator: u8) -> impl Iterator<Item = String> {
    line.split(move |&b| b == separator).map(name)
}

/// Cells that name a column.
fn known(line: &[u8], separator: u8) -> usize {
    names(line, separator).filter(|cell| COLUMNS.contains(&cell.as_str())).count()
}

/// What stands between the cells of a header.
pub(super) fn separator(line: &[u8]) -> u8 {
    let best = SEPARATORS.into_iter().rev().max_by_key(|&separator| known(line, separator));
    best.unwrap_or(SEPARATORS[0])
}

/// Whether a file's first line is the header of a table: names, of which two are columns here, or `op` alone. What
/// is wrong with it is said when it is read.
pub(crate) fn is_header(line: &[u8]) -> bool {
    let separator = separator(line);
    let is_name = |cell: String| {
        !cell.is_empty() && cell.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b' '))
    };
    line.len() < 1024
        && names(line, separator).all(is_name)
        && (known(line, separator) > 1 || names(line, separator).eq([COLUMNS[0].to_owned()]))
}

/// What to do about a name that is no column.
pub(super) fn remedy(name: &str) -> String {
    let other = OTHERS.iter().find(|(names, _)| names.contains(&name));
    other.map_or("docs/formats.md lists the columns", |(_, remedy)| remedy).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_known_by_their_names_whatever_stands_between() {
        for (line, expected) in [
            (b"op,domain,id,size".as_slice(), Some(b',')),
            (b"op;id;size\r", Some(b';')),
            (b"op\tid\tsize", Some(b'\t')),
            (b"\xef\xbb\xbf\"OP\",\"ID\"", Some(b',')),
            (b"timestamp,op,id,size", Some(b',')),
            (b"id,size", Some(b',')),
            (b"op", Some(b',')),
            (b"m o 1 48", None),
            (b"# id, size", None),
            (b"size", None),
            (b"allocator,num_allocations,size,tid,thread_name,stack_trace", None),
        ] {
            let found = is_header(line).then(|| separator(line));
            assert_eq!(found, expected, "{}", line.escape_ascii());
        }
    }
}
