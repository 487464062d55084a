//! What is in a trace, as `arenascope stats` counts it, a slice at a time: threads, and the places in the source that
//! allocate most.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sim_core::Trace;
use trace_io::care::{CallSite, Share, Stats};
use web_time::Instant;

use crate::format;

/// Operations between two looks at the clock.
const CHUNK: u64 = 10_000;
/// Places that are listed.
const LISTED: usize = 200;

/// A thread, or a place in the source, with what was born there.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Caller {
    /// The thread's number and name; a place as the function and a short path.
    pub name: String,
    /// A place with its whole path.
    pub whole: String,
    /// A thread's operations.
    pub operations: u64,
    /// Blocks born.
    pub births: u64,
    /// Bytes asked for in them.
    pub bytes: u64,
}

/// Who allocates.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Callers {
    /// Threads by number.
    pub threads: Vec<Caller>,
    /// Places in the source by bytes; empty for a trace without stacks.
    pub by_bytes: Vec<Caller>,
    /// The same by blocks.
    pub by_count: Vec<Caller>,
    /// The most that can be listed.
    pub listed: u32,
}

/// Counts a trace.
#[derive(Default)]
pub struct Contents {
    trace: Option<Arc<Trace>>,
    stats: Option<Stats>,
    counted: u64,
    callers: Option<Arc<Callers>>,
}

impl Contents {
    /// Starts over when the trace is another one; of one that grew it goes on.
    pub fn set(&mut self, trace: &Arc<Trace>) {
        if self.trace.as_ref().is_none_or(|known| !Arc::ptr_eq(known, trace)) {
            *self = Self { trace: Some(Arc::clone(trace)), stats: Some(Stats::default()), ..Self::default() };
        }
    }

    /// The share that has been counted, in hundredths.
    pub fn percent(&self) -> u64 {
        let total = self.trace.as_ref().map_or(0, |trace| trace.len());
        (self.counted * 100).checked_div(total).unwrap_or(100)
    }

    /// Who allocates, once all is counted.
    pub fn callers(&self) -> Option<&Arc<Callers>> {
        self.callers.as_ref()
    }

    /// Counts on for about `slice`.
    pub fn advance(&mut self, slice: Duration) {
        let (Some(trace), Some(stats)) = (self.trace.clone(), &mut self.stats) else { return };
        let begun = Instant::now();
        while self.counted < trace.len() {
            let until = trace.len().min(self.counted + CHUNK);
            stats.take_part(&trace, self.counted as usize..until as usize);
            self.counted = until;
            if begun.elapsed() >= slice {
                return;
            }
        }
        if let Some(stats) = self.stats.take() {
            self.callers = Some(Arc::new(callers(stats, &trace)));
        }
    }
}

fn callers(stats: Stats, trace: &Trace) -> Callers {
    let report = stats.report(trace, LISTED);
    let names = &trace.origin.source.thread_names;
    let thread = |share: &Share| {
        let name = names.get(usize::from(share.number)).filter(|name| !name.is_empty());
        let name = name.map_or_else(
            || share.number.to_string(),
            |name| format!("{} {}", share.number, format::printable(name)),
        );
        let whole = String::new();
        Caller { name, whole, operations: share.operations, births: share.births, bytes: share.bytes }
    };
    let place = |site: &CallSite| Caller {
        name: format::frame(&site.line),
        whole: format::whole_frame(&site.line),
        operations: 0,
        births: site.births,
        bytes: site.bytes,
    };
    Callers {
        threads: report.threads.iter().map(thread).collect(),
        by_bytes: report.by_bytes.iter().map(place).collect(),
        by_count: report.by_count.iter().map(place).collect(),
        listed: LISTED as u32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sim_core::tape::SourceLine;
    use sim_core::{Call, Domain, Op, TraceBuilder};

    #[test]
    fn what_is_counted_in_slices_is_what_stats_counts() {
        let mut tape = TraceBuilder::new("t");
        let line = "/usr/lib/python3.12/json/decoder.py:10".parse::<SourceLine>().unwrap();
        let stack = tape.stack(std::slice::from_ref(&line));
        let act = Call::Act(sim_core::tape::Action::Stack(stack));
        tape.push(Op { thread: 0, domain: Domain::Obj, call: act }).unwrap();
        for id in 1..=25_000 {
            let thread = u16::from(id % 5 == 0);
            tape.push(Op { thread, domain: Domain::Obj, call: Call::Malloc { id, size: 100 } }).unwrap();
        }
        let trace = Arc::new(tape.finish());
        let mut contents = Contents::default();
        contents.set(&trace);
        contents.advance(Duration::ZERO);
        assert!(contents.callers().is_none() && contents.percent() < 100);
        contents.set(&trace);
        while contents.callers().is_none() {
            contents.advance(Duration::ZERO);
        }
        let callers = contents.callers().unwrap();
        let threads: Vec<_> = callers.threads.iter().map(|t| (t.name.as_str(), t.births, t.bytes)).collect();
        assert_eq!(threads, [("0", 20_000, 2_000_000), ("1", 5000, 500_000)]);
        let [site] = callers.by_bytes.as_slice() else { panic!("{callers:?}") };
        assert_eq!((site.name.as_str(), site.births), ("json/decoder.py:10", 25_000));
        assert_eq!(site.whole, "/usr/lib/python3.12/json/decoder.py:10");
    }
}
