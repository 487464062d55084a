//! Numbers and calls as text: digits in groups of three, KiB and MiB of 1024, calls by `CPython`'s names.

pub use sim_core::report::grouped;
use sim_core::tape::Action;
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
    let digits: String = text.chars().filter(|c| !matches!(c, ',' | '_' | ' ')).collect();
    digits.parse().ok()
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
    fn numbers() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(count(1, "arena"), "1 arena");
        assert_eq!(bytes(512), "512 bytes");
        assert_eq!(bytes(1 << 20), "1 MiB");
        assert_eq!(bytes(1536), "1.5 KiB");
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
    fn calls_have_c_names() {
        let op = Op { thread: 0, domain: Domain::Raw, call: Call::Calloc { id: 1, nelem: 2, elsize: 8 } };
        assert_eq!(call(&op), "PyMem_RawCalloc(2, 8)");
        let op = Op { thread: 0, domain: Domain::Obj, call: Call::Free { id: 7 } };
        assert_eq!(call(&op), "PyObject_Free(#7)");
    }
}
