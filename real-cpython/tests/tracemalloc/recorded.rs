//! Traces with stacks in which tracemalloc did not run: what is said that it would say, against real snapshots of the blocks that are
//! live by the trace's calls alone.

use std::fmt::Write as _;
use std::sync::Arc;

use session::diagnosis::Inquiry;
use session::{Overrides, Setup};
use sim_core::tape::{SourceLine, StackId};
use sim_core::tracemalloc::{KeyType, Snapshot};
use sim_core::{Call, Op, Trace, TraceBuilder};
use trace_io::workload::Workload;
use trace_io::{Format, Loaded, Loader};

use crate::interpreters::Script;
use real_cpython::random::Random;

/// A capture of memray's, with stacks and threads.
const CAPTURE: &[u8] = include_bytes!("../../../trace-io/tests/data/memray13.bin");

/// A workload whose calls come from a few places, some from none.
fn random_trace(seed: u64) -> Trace {
    let mut random = Random(seed);
    let mut tape = TraceBuilder::new("random");
    for op in &Workload::python(seed, 1500, 200) {
        let lines: Vec<SourceLine> = (0..random.below(7))
            .map(|_| SourceLine {
                function: random.pick(&["f", ""]).to_owned(),
                file: random.pick(&["a.py", "A.py", "lib/\u{e9}.py", "\u{ff5e}.py", ""]).to_owned(),
                line: random.pick(&[0, 1, 2, 3, 70_000]),
            })
            .collect();
        let stack = tape.stack(&lines);
        tape.push_recorded(op, stack, None).unwrap();
    }
    tape.finish()
}

fn capture() -> Trace {
    match Loader::new("capture", Box::new(CAPTURE), None).finish().unwrap() {
        Loaded::Trace(trace, Format::Memray) => *trace,
        other => panic!("it is no capture: {other:?}"),
    }
}

/// An operation as the program on the other side is told of it.
fn told(trace: &Trace, op: &Op, stack: StackId) -> Option<String> {
    let mut request = match op.call {
        Call::Malloc { id, size } => format!("born\t{id}\t{size}"),
        Call::Calloc { id, nelem, elsize } => format!("born\t{id}\t{}", nelem * elsize),
        Call::Realloc { id, newid, size } => format!("moved\t{id}\t{newid}\t{size}"),
        Call::Free { id } | Call::FreeKeep { id } => return Some(format!("gone\t{id}")),
        Call::Act(_) => return None,
    };
    for line in trace.origin.stacks.lines(stack) {
        let _ = write!(request, "\t{}\t{}", line.file, line.line);
    }
    Some(request)
}

fn ask(script: &mut Script, new: &Snapshot, old: &Snapshot) {
    for key in KeyType::ALL {
        for cumulative in [false, true] {
            let (Ok(statistics), Ok(diffs)) =
                (new.statistics(key, cumulative), new.compare_to(old, key, cumulative))
            else {
                continue;
            };
            let joined = |lines: Vec<String>| lines.join(" / ");
            let lines = joined(statistics.iter().map(ToString::to_string).collect());
            script.ask(format!("statistics\t{key}\t{}", u8::from(cumulative)), lines);
            let lines = joined(diffs.iter().map(ToString::to_string).collect());
            script.ask(format!("compare\t{key}\t{}", u8::from(cumulative)), lines);
        }
    }
}

/// All requests and answers.
pub(crate) fn script() -> Script {
    let mut script = Script::default();
    let mut old = Snapshot::new([], 1);
    let mut traces: Vec<Trace> = (1..=6).map(random_trace).collect();
    traces.push(capture());
    assert!(traces.iter().all(|trace| trace.stack_count() > 1));
    for trace in traces {
        let trace = Arc::new(trace);
        let setup = Setup::resolve(&trace, &Overrides::default()).unwrap();
        let mut inquiry = Inquiry::new(Arc::clone(&trace), setup);
        script.tell("clear");
        let between = (trace.len() / 6).max(1);
        for index in 0..trace.len() {
            let op = trace.op(index).unwrap();
            if let Some(request) = told(&trace, &op, trace.stack_of(index as usize)) {
                script.tell(&request);
            }
            let step = index + 1;
            if step % between == 0 || step == trace.len() {
                let limit = [1, 2, 5, 65_535][(step / between) as usize % 4];
                let new = inquiry.snapshot(step, limit).unwrap();
                let (now, peak) = inquiry.traced_memory(step);
                script.ask(format!("take\t{limit}"), format!("{now} {peak} {}", new.traces().len()));
                ask(&mut script, &new, &old);
                old = new;
            }
        }
    }
    script
}
