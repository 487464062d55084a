//! Numbers and calls as text: digits in groups of three, KiB and MiB of 1024, calls by `CPython`'s names.

use std::borrow::Cow;
use std::fmt::Write as _;

pub use sim_core::profile::parse_bytes;
pub use sim_core::report::grouped;
use sim_core::tape::{Action, SourceLine};
use sim_core::{Addr, Call, Domain, Op};

/// A count with its noun: `1 arena`, `2,000 arenas`.
pub fn count(value: u64, noun: &str) -> String {
    format!("{} {noun}{}", grouped(value), if value == 1 { "" } else { "s" })
}

/// Bytes in the largest unit that keeps three digits.
pub fn bytes(value: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if value < 1024 {
        return count(value, "byte");
    }
    let mut amount = value as f64 / 1024.0;
    let mut unit = 0;
    while amount >= 1024.0 && unit + 1 < UNITS.len() {
        amount /= 1024.0;
        unit += 1;
    }
    if value.is_multiple_of(1 << (10 * (unit + 1))) {
        return format!("{amount:.0} {}", UNITS[unit]);
    }
    format!("{amount:.1} {}", UNITS[unit])
}

/// A moment in seconds since 1970 as date and time: `2026-03-01 09:05 UTC`.
pub fn instant(seconds: u64) -> String {
    /// Days of 400 years, after which the calendar repeats.
    const ERA: u64 = 146_097;
    // Counted from a March on, so that a leap day is a year's last.
    let (days, minutes) = (seconds / 86_400 + 719_468, seconds % 86_400 / 60);
    let (era, of_era) = (days / ERA, days % ERA);
    let years = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * years + years / 4 - years / 100);
    let march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march + 2) / 5 + 1;
    let month = if march < 10 { march + 3 } else { march - 9 };
    let year = era * 400 + years + u64::from(month <= 2);
    format!("{year}-{month:02}-{day:02} {:02}:{:02} UTC", minutes / 60, minutes % 60)
}

/// Whether a character steers a terminal, begins a line, or turns the direction of writing.
pub fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Text from a trace for a terminal or a line of a report: what would steer a terminal, begin a new line or turn the direction of writing is
/// written as its number, so that a name can neither hide nor forge anything.
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(steers) {
        return Cow::Borrowed(text);
    }
    text.chars()
        .fold(String::new(), |mut shown, c| {
            if steers(c) {
                let _ = write!(shown, "\\u{:04x}", u32::from(c));
            } else {
                shown.push(c);
            }
            shown
        })
        .into()
}

/// Text from a trace as a cell of a file of values: one line, in quotes where it has to be, and never a formula, which a spreadsheet would
/// work out.
pub fn csv_cell(text: &str) -> String {
    let safe = printable(text);
    let begins = safe.starts_with(['=', '+', '-', '@']) || text.starts_with(['\t', '\r', '\n']);
    let harmless = if begins { format!("'{safe}") } else { safe.into_owned() };
    if harmless.contains([',', '"', ';', '\'']) || harmless != harmless.trim() {
        format!("\"{}\"", harmless.replace('"', "\"\""))
    } else {
        harmless
    }
}

/// A frame of a Python stack in a line: the function, and where it is.
pub fn frame(line: &SourceLine) -> String {
    in_place(line, &short_path(&line.file))
}

/// The same with its file's whole name.
pub fn whole_frame(line: &SourceLine) -> String {
    in_place(line, &line.file)
}

fn in_place(line: &SourceLine, file: &str) -> String {
    let at = if line.line == 0 { file.to_owned() } else { format!("{file}:{}", line.line) };
    let text = match (line.function.as_str(), line.file.as_str()) {
        ("", "") => "unknown".to_owned(),
        ("", _) => at,
        (function, "") => function.to_owned(),
        (function, _) => format!("{function}, {at}"),
    };
    printable(&text).into_owned()
}

/// A file's name without what is the same for all of an installation: a package's path from `site-packages` on, a standard
/// module's from the library's folder on, and of another long one the end.
pub fn short_path(path: &str) -> String {
    const KEPT: usize = 3;
    let parts: Vec<&str> = path.split(['/', '\\']).collect();
    let after = |at: usize| parts.get(at + 1..).filter(|rest| !rest.is_empty()).map(|rest| rest.join("/"));
    if let Some(at) = parts.iter().rposition(|part| matches!(*part, "site-packages" | "dist-packages"))
        && let Some(rest) = after(at)
    {
        return rest;
    }
    let is_library = |part: &&str| {
        part.strip_prefix("python").is_some_and(|version| version.starts_with(|c: char| c.is_ascii_digit()))
    };
    let library =
        parts.iter().rposition(is_library).filter(|at| parts[..*at].iter().any(|p| p.starts_with("lib")));
    if let Some(rest) = library.and_then(after) {
        return rest;
    }
    // A root and a folder are short enough.
    if parts.len() <= KEPT + 1 {
        return path.to_owned();
    }
    format!("\u{2026}/{}", parts[parts.len() - KEPT..].join("/"))
}

/// An operation as the C call it stands for, without its result.
pub fn call(op: &Op) -> String {
    let prefix = op.domain.prefix();
    match op.call {
        Call::Malloc { size, .. } => format!("{prefix}Malloc({size})"),
        Call::Calloc { nelem, elsize, .. } => format!("{prefix}Calloc({nelem}, {elsize})"),
        Call::Realloc { id: 0, size, .. } => format!("{prefix}Realloc(NULL, {size})"),
        Call::Realloc { id, size, .. } => format!("{prefix}Realloc(#{id}, {size})"),
        Call::Free { id: 0 } => format!("{prefix}Free(NULL)"),
        Call::Free { id } | Call::FreeKeep { id } => format!("{prefix}Free(#{id})"),
        Call::Act(action) => self::action(action, op.domain),
    }
}

/// An action as the C call or the assignment it stands for.
fn action(action: Action, domain: Domain) -> String {
    match action {
        Action::SetupDebugHooks => "PyMem_SetupDebugHooks()".to_owned(),
        Action::SetAllocator(table) => format!("PyMem_SetAllocator(PYMEM_DOMAIN_{}, {table})", domain.name()),
        Action::Poke { id, offset, bytes } => format!("write #{id}{offset:+}: {bytes}"),
        Action::Stack(number) => format!("calls now come from stack {}", number.0),
        Action::TracemallocStart(n) => format!("tracemalloc.start({n})"),
        Action::TracemallocStop => "tracemalloc.stop()".to_owned(),
        Action::TracemallocClear => "tracemalloc.clear_traces()".to_owned(),
        Action::TracemallocResetPeak => "tracemalloc.reset_peak()".to_owned(),
        Action::TracemallocSnapshot(_) => "tracemalloc.take_snapshot()".to_owned(),
        Action::SetArenaAllocator(hook) => format!("PyObject_SetArenaAllocator({hook})"),
        Action::VirtualAlloc { size, .. } => format!("_PyObject_VirtualAlloc({size})"),
        Action::VirtualFree { id } => format!("_PyObject_VirtualFree(#{id})"),
        Action::InterpreterNew { number, own_obmalloc } => format!(
            "Py_NewInterpreterFromConfig(use_main_obmalloc={}) -> interpreter {number}",
            u8::from(!own_obmalloc)
        ),
        Action::InterpreterSwitch(number) => format!("PyThreadState_Swap(interpreter {number})"),
        Action::InterpreterEnd(number) => format!("Py_EndInterpreter(interpreter {number})"),
        Action::Track { domain, id, size } => format!("PyTraceMalloc_Track({domain}, #{id}, {size})"),
        Action::Untrack { domain, id } => format!("PyTraceMalloc_Untrack({domain}, #{id})"),
        Action::HeapCollect { force } => format!("mi_heap_collect(heap, {force}) of all heaps"),
        Action::ThreadExit => "the thread ends".to_owned(),
        Action::HeapWalk { mask } => format!("walk over the heaps in mask {mask}"),
        Action::Quiescent => "_Py_qsbr_quiescent_state()".to_owned(),
        Action::FreeDelayed { id, size } => format!("_PyMem_FreeDelayed(#{id}, {size})"),
        Action::ProcessDelayed => "_PyMem_ProcessDelayed()".to_owned(),
        Action::ThreadState { attached: true } => "PyEval_AcquireThread()".to_owned(),
        Action::ThreadState { attached: false } => "PyEval_ReleaseThread()".to_owned(),
    }
}

/// The id that names an operation's block afterwards, if the operation leaves one.
pub fn id_after(op: &Op) -> Option<u64> {
    match op.call {
        Call::Malloc { id, .. } | Call::Calloc { id, .. } => Some(id),
        Call::Realloc { newid, .. } => Some(newid),
        Call::Free { .. } | Call::FreeKeep { .. } | Call::Act(_) => None,
    }
}

/// An address, or what stands for none.
pub fn address(addr: Option<Addr>) -> String {
    addr.map_or_else(|| "NULL".to_owned(), |a| a.to_string())
}

/// A position that a person typed: `1,234`, `50%`. `None` when it is no such thing.
pub fn parse_step(text: &str, total: u64) -> Option<u64> {
    let text = text.trim();
    if let Some(percent) = text.strip_suffix('%') {
        let share: f64 = percent.trim().parse().ok()?;
        return (0.0..=100.0).contains(&share).then(|| (total as f64 * share / 100.0) as u64);
    }
    parse_number(text)
}

/// A number that a person typed, with what groups its digits: `1,234`, `1_234`.
pub fn parse_number(text: &str) -> Option<u64> {
    let digits: String = text.chars().filter(|c| !matches!(c, ',' | '_' | ' ')).collect();
    if digits.starts_with('+') { None } else { digits.parse().ok() }
}

/// An address that a person typed in hexadecimal.
pub fn parse_address(text: &str) -> Option<Addr> {
    let digits = text.trim().strip_prefix("0x").or_else(|| text.trim().strip_prefix("0X"))?;
    u64::from_str_radix(digits, 16).ok().map(Addr)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sim_core::Domain;

    #[test]
    fn moments_are_dates() {
        for (seconds, text) in [
            (0, "1970-01-01 00:00 UTC"),
            (951_782_399, "2000-02-28 23:59 UTC"),
            (951_782_400, "2000-02-29 00:00 UTC"),
            (4_107_542_400, "2100-03-01 00:00 UTC"),
            (1_772_355_900, "2026-03-01 09:05 UTC"),
        ] {
            assert_eq!(instant(seconds), text);
        }
        assert!(instant(u64::MAX).ends_with("UTC"));
    }

    #[test]
    fn numbers() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(count(1, "arena"), "1 arena");
        assert_eq!(bytes(512), "512 bytes");
        assert_eq!(bytes(1 << 20), "1 MiB");
        assert_eq!(bytes(1536), "1.5 KiB");
    }

    #[test]
    fn frames_name_the_function_first_and_shorten_paths() {
        let line = |function: &str, file: &str, line| SourceLine {
            function: function.to_owned(),
            file: file.to_owned(),
            line,
        };
        for (given, shown) in [
            (
                line("render", "/home/a/env/lib/python3.11/site-packages/django/template/base.py", 175),
                "render, django/template/base.py:175",
            ),
            (line("loads", "/usr/lib/python3.11/json/__init__.py", 0), "loads, json/__init__.py"),
            (line("f", "/home/somebody/work/project/src/app.py", 3), "f, \u{2026}/project/src/app.py:3"),
            (line("f", "C:\\a\\b\\c\\d\\e.py", 3), "f, \u{2026}/c/d/e.py:3"),
            (line("", "app.py", 10), "app.py:10"),
            (line("f", "/tmp/app.py", 1), "f, /tmp/app.py:1"),
            (line("<module>", "<string>", 1), "<module>, <string>:1"),
            (line("PyInit", "", 0), "PyInit"),
            (line("", "", 0), "unknown"),
        ] {
            assert_eq!(frame(&given), shown);
        }
        assert_eq!(
            whole_frame(&line("loads", "/usr/lib/python3.11/json/__init__.py", 9)),
            "loads, /usr/lib/python3.11/json/__init__.py:9"
        );
    }

    #[test]
    fn what_steers_a_terminal_is_written_as_its_number() {
        assert_eq!(printable("\u{e9}t\u{e9}.py:3"), "\u{e9}t\u{e9}.py:3");
        assert_eq!(printable("a\u{1b}[2Jb\nc\u{9b}\u{202e}"), "a\\u001b[2Jb\\u000ac\\u009b\\u202e");
    }

    #[test]
    fn typed_positions() {
        assert_eq!(parse_step(" 1,234 ", 9), Some(1234));
        assert_eq!(parse_step("50%", 10), Some(5));
        assert_eq!(parse_step("150%", 10), None);
        assert_eq!(parse_step("x", 10), None);
        assert_eq!(parse_address("0x10"), Some(Addr(16)));
        assert_eq!(parse_address("10"), None);
    }

    #[test]
    fn bytes_are_read_as_people_write_them() {
        for (text, bytes) in [
            ("1048576", 1 << 20),
            ("64K", 64 << 10),
            ("64k", 64 << 10),
            ("50 MiB", 50 << 20),
            ("2G", 2 << 30),
            ("1.5 GiB", 3 << 29),
            ("1,024", 1024),
            ("16 bytes", 16),
        ] {
            assert_eq!(parse_bytes(text), Some(bytes), "{text}");
        }
        for text in ["", "K", "1.5", "-1", "+1", "1X", "1KK", "99999999999999999999", "16777216T"] {
            assert_eq!(parse_bytes(text), None, "{text}");
        }
    }

    #[test]
    fn calls_have_c_names() {
        let op = Op { thread: 0, domain: Domain::Raw, call: Call::Calloc { id: 1, nelem: 2, elsize: 8 } };
        assert_eq!(call(&op), "PyMem_RawCalloc(2, 8)");
        let op = Op { thread: 0, domain: Domain::Obj, call: Call::Free { id: 7 } };
        assert_eq!(call(&op), "PyObject_Free(#7)");
    }
}
