//! tracemalloc against real interpreters: the same requests to both, every answer must be equal.
//!
//! Each test makes a random script of requests, with the answers of the model, and runs it through
//! every `CPython` from 3.9 on that is found. The model is 3.14's; where older ones differ, `Difference`
//! says how and until when.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "tests")]

mod analysis;
mod interpreters;
mod recorded;
mod state;

use interpreters::Script;
use real_cpython::interpreters::{Interpreter, compared};

/// What an older interpreter may answer instead of the model.
fn difference(script: &Script, interpreter: &Interpreter, index: usize, got: &str) -> bool {
    let exchange = &script.exchanges[index];
    // While off, get_tracemalloc_memory() counted the empty tables before 3.14 (gh-128679); 3.12.9 and
    // 3.13.2 have a part of that change.
    if let Some(expected) = exchange.expected.strip_suffix("off:0") {
        let newer = matches!(interpreter.version, (3, 12, 9..) | (3, 13, 2..));
        let off_memory = if newer { &["624", "0"][..] } else { &["624"] };
        return interpreter.version < (3, 14, 0)
            && got
                .strip_prefix(expected)
                .and_then(|rest| rest.strip_prefix("off:"))
                .is_some_and(|memory| off_memory.contains(&memory));
    }
    // Before gh-89973 (June 2022) a range that runs backwards was an error of the regular expression.
    if let Some(pattern) = exchange.request.strip_prefix("match\t") {
        return interpreter.version <= (3, 10, 5)
            && got.starts_with("error: bad character range")
            && analysis::has_backward_range(pattern);
    }
    false
}

/// Runs the script everywhere and gives the report.
fn compare(what: &str, make: impl Fn() -> Script, program: &str) {
    let Some(interpreters) = compared() else { return };
    let script = make();
    let mut compared = 0;
    let mut differing = Vec::new();
    // 3.8 has no `reset_peak` and does not count frames; what it traces is compared with its own driver in `versions`.
    for interpreter in interpreters.iter().filter(|i| i.version >= (3, 9, 0)) {
        let answers = interpreters::run(interpreter, program, &script);
        assert_eq!(answers.len(), script.exchanges.len(), "{interpreter}: answers");
        let mut older = 0;
        for (index, (exchange, got)) in script.exchanges.iter().zip(&answers).enumerate() {
            if *got != exchange.expected {
                let known = difference(&script, interpreter, index, got);
                assert!(known, "{interpreter}, request {}", exchange.mismatch(got));
                older += 1;
            }
            compared += 1;
        }
        differing.push(format!("{interpreter} ({older})"));
    }
    eprintln!(
        "{what}: {compared} answers compared, {} each; those that are known to differ in older versions: {}",
        script.exchanges.len(),
        differing.join(", ")
    );
}

#[test]
fn traces_counters_and_table_sizes_equal_the_real_ones() {
    compare("traces", state::script, state::PROGRAM);
}

#[test]
fn snapshots_equal_the_real_ones() {
    compare("snapshots", analysis::script, include_str!("analysis.py"));
}

#[test]
fn what_a_trace_with_stacks_says_is_what_real_snapshots_of_its_blocks_say() {
    compare("traces with stacks", recorded::script, include_str!("recorded.py"));
}
