//! A run that is watched: one machine, any number of watchers, a call after each operation.
//!
//! A watcher says what it needs of a trace; what nobody needs is not made, and where nobody needs anything the machine
//! runs at full speed. [`crate::Session`]'s first pass over a tape calls the same watchers, and so can a second replay
//! beside the one shown.

use std::io;
use std::ops::ControlFlow;

use sim_core::breakpoint::{Condition, Watch};
use sim_core::event::Observer;
use sim_core::machine::Layers;
use sim_core::report::{ArenaEvents, Placement, PlacementWriter, Trust};
use sim_core::{Event, Machine, Trace};

pub use sim_core::replay::Moment;

use crate::analysis::overview::Overview;

/// Which events a watcher reads.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Events {
    /// None of them.
    #[default]
    None,
    /// Arenas obtained and released, which cost next to nothing.
    Arenas,
    /// All of them.
    All,
}

/// What a watcher needs of a trace.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Needs {
    /// Events of the operations.
    pub events: Events,
    /// The machine, or the pointer that was returned, after each operation.
    pub state: bool,
    /// Recorded addresses: where the trace has none, the watcher need not be called.
    pub addresses: bool,
}

impl Needs {
    /// Whether anything of a trace is to be watched.
    fn any(self, trace: &Trace) -> bool {
        (self.state || self.events > Events::None) && (!self.addresses || trace.has_addresses())
    }
}

/// Somebody who sees a run.
pub trait Watcher {
    /// What it needs of a trace, or of a piece of one.
    fn needs(&self, trace: &Trace) -> Needs;
    /// An operation has been done. With `Break` the run ends here, once all watchers have seen the operation.
    fn after(&mut self, moment: &Moment<'_>) -> ControlFlow<()>;
}

/// Does the first `steps` operations of a trace, or of a piece of one, and says how many were done before a watcher
/// ended the run.
pub fn run(machine: &mut Machine, trace: &Trace, steps: usize, watchers: &mut [&mut dyn Watcher]) -> usize {
    let mut events = Events::None;
    let mut called: Vec<&mut dyn Watcher> = Vec::new();
    for watcher in watchers {
        let needs = watcher.needs(trace);
        if needs.any(trace) {
            events = events.max(needs.events);
            called.push(&mut **watcher);
        }
    }
    if called.is_empty() {
        machine.run(trace, 0, steps);
        return steps;
    }
    match events {
        Events::None => drive::<()>(machine, trace, steps, &mut called),
        Events::Arenas => drive::<ArenaEvents>(machine, trace, steps, &mut called),
        Events::All => drive::<Vec<Event>>(machine, trace, steps, &mut called),
    }
}

fn drive<K: Kept>(
    machine: &mut Machine,
    trace: &Trace,
    steps: usize,
    watchers: &mut [&mut dyn Watcher],
) -> usize {
    let mut kept = K::default();
    for index in 0..steps {
        kept.clear();
        let pointer = machine.step(trace, index, &mut kept);
        let moment = Moment { trace, index, events: kept.events(), machine, pointer };
        let mut goes_on = true;
        for watcher in &mut *watchers {
            goes_on &= watcher.after(&moment).is_continue();
        }
        if !goes_on {
            return index + 1;
        }
    }
    steps
}

/// Events of one operation, as far as they are wanted.
trait Kept: Observer + Default {
    fn clear(&mut self);
    fn events(&self) -> &[Event];
}

impl Kept for () {
    fn clear(&mut self) {}
    fn events(&self) -> &[Event] {
        &[]
    }
}

impl Kept for Vec<Event> {
    fn clear(&mut self) {
        self.clear();
    }
    fn events(&self) -> &[Event] {
        self
    }
}

impl Kept for ArenaEvents {
    fn clear(&mut self) {
        self.clear();
    }
    fn events(&self) -> &[Event] {
        self.as_slice()
    }
}

impl Watcher for Overview {
    fn needs(&self, _trace: &Trace) -> Needs {
        Needs { events: Events::All, state: true, addresses: false }
    }

    fn after(&mut self, moment: &Moment<'_>) -> ControlFlow<()> {
        self.add(moment);
        ControlFlow::Continue(())
    }
}

impl Watcher for Trust {
    fn needs(&self, _trace: &Trace) -> Needs {
        Needs { state: true, addresses: true, ..Needs::default() }
    }

    fn after(&mut self, moment: &Moment<'_>) -> ControlFlow<()> {
        self.after(moment.machine, moment.trace, moment.index, moment.pointer);
        ControlFlow::Continue(())
    }
}

/// Where each block landed, in the lines of the golden files, written in portions.
pub struct PlacementLines<W> {
    writer: PlacementWriter,
    out: W,
    lines: String,
    /// The process would have ended: no further operation has a line.
    ended: bool,
    error: Option<io::Error>,
}

impl<W: io::Write> PlacementLines<W> {
    /// Bytes that are written at once.
    const PORTION_BYTES: usize = 1 << 16;

    /// Writes to `out`, which should be no slower for large portions.
    pub fn new(writer: PlacementWriter, out: W) -> Self {
        Self { writer, out, lines: String::new(), ended: false, error: None }
    }

    /// Writes for operations that `place` does on a machine which cannot be lent to watchers, such as one over real
    /// arenas.
    pub fn place_each(
        &mut self,
        trace: &Trace,
        steps: usize,
        mut place: impl FnMut(usize, &mut ArenaEvents) -> Placement,
    ) -> usize {
        let mut events = ArenaEvents::default();
        for index in 0..steps {
            events.clear();
            let placement = place(index, &mut events);
            PlacementWriter::landed(trace, index, placement, events.as_slice(), &mut self.lines);
            if !self.write_portion() {
                return index + 1;
            }
        }
        steps
    }

    /// Writes what is left; says why writing ended a run, if it did.
    pub fn finish(mut self) -> io::Result<W> {
        match self.error.take() {
            Some(error) => Err(error),
            None => self.out.write_all(self.lines.as_bytes()).map(|()| self.out),
        }
    }

    /// Whether writing ended the run.
    pub fn failed(&self) -> bool {
        self.error.is_some()
    }

    /// Writes once there is enough; whether it could be written.
    fn write_portion(&mut self) -> bool {
        if self.lines.len() > Self::PORTION_BYTES {
            self.error = self.out.write_all(self.lines.as_bytes()).err();
            self.lines.clear();
        }
        self.error.is_none()
    }
}

impl<W: io::Write> Watcher for PlacementLines<W> {
    fn needs(&self, _trace: &Trace) -> Needs {
        Needs { events: Events::Arenas, state: true, addresses: false }
    }

    fn after(&mut self, moment: &Moment<'_>) -> ControlFlow<()> {
        if self.ended {
            return ControlFlow::Continue(());
        }
        let Moment { trace, index, events, machine, pointer } = *moment;
        self.writer.after(machine, trace, index, pointer, events, &mut self.lines);
        self.ended = machine.stopped().is_some();
        if self.write_portion() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }
}

/// What `PYTHONMALLOCSTATS` prints, where `CPython` prints it.
pub struct PrintedStats<F>(pub F);

impl<F: FnMut(&str)> Watcher for PrintedStats<F> {
    fn needs(&self, trace: &Trace) -> Needs {
        Needs { state: trace.prints_malloc_stats(), ..Needs::default() }
    }

    fn after(&mut self, moment: &Moment<'_>) -> ControlFlow<()> {
        if let Some(stats) = moment.machine.layers().and_then(Layers::malloc_stats)
            && !stats.text.is_empty()
        {
            (self.0)(&stats.text);
        }
        ControlFlow::Continue(())
    }
}

/// Ends a run where a condition holds.
pub struct Until {
    condition: String,
    watch: Watch,
    stopped_at: Option<u64>,
}

impl Until {
    /// For a run that goes on from the state of `machine`.
    pub fn new(condition: Condition, machine: &Machine) -> Self {
        let text = condition.to_string();
        let mut watch = Watch::new(vec![condition], machine);
        watch.before(machine);
        Self { condition: text, watch, stopped_at: None }
    }

    /// The condition as it was given.
    pub fn condition(&self) -> &str {
        &self.condition
    }

    /// The step after which it held first.
    pub fn stopped_at(&self) -> Option<u64> {
        self.stopped_at
    }
}

impl Watcher for Until {
    fn needs(&self, _trace: &Trace) -> Needs {
        Needs { events: Events::All, state: true, addresses: false }
    }

    fn after(&mut self, moment: &Moment<'_>) -> ControlFlow<()> {
        let Moment { trace, index, events, machine, .. } = *moment;
        if self.watch.holds(trace, index, events, machine) {
            self.stopped_at = Some(trace.first() + index as u64 + 1);
            return ControlFlow::Break(());
        }
        // The state that the next operation finds.
        self.watch.before(machine);
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setup::{Overrides, Setup};
    use sim_core::report::digest;
    use sim_core::{Call, Domain, Op, Profile, TraceBuilder};

    fn trace() -> Trace {
        let mut tape = TraceBuilder::new("t");
        let mut push = |call| tape.push(Op { thread: 0, domain: Domain::Obj, call }).unwrap();
        for id in 1..=9000 {
            push(Call::Malloc { id, size: 1 + id % 600 });
        }
        for id in 1..=9000 {
            push(Call::Free { id });
        }
        tape.finish()
    }

    fn pristine(trace: &Trace) -> Machine {
        Setup::resolve(trace, &Overrides::default()).unwrap().machine(trace).unwrap()
    }

    #[test]
    fn watchers_see_what_each_of_them_saw_alone() {
        let trace = trace();
        let mut alone = pristine(&trace);
        let (mut events, mut lines) = (ArenaEvents::default(), String::new());
        for index in 0..trace.len() as usize {
            events.clear();
            let pointer = alone.step(&trace, index, &mut events);
            let placement = Placement::of(&alone, pointer);
            PlacementWriter::landed(&trace, index, placement, events.as_slice(), &mut lines);
        }
        let mut machine = pristine(&trace);
        let mut placement = PlacementLines::new(PlacementWriter::default(), Vec::new());
        let mut overview = Overview::new(&trace, &Profile::default());
        let mut trust = Trust::new(&Profile::default());
        let done = run(
            &mut machine,
            &trace,
            trace.len() as usize,
            &mut [
                &mut placement,
                &mut trust,
                &mut overview,
                &mut PrintedStats(|_: &str| panic!("nothing is printed")),
            ],
        );
        let written = String::from_utf8(placement.finish().unwrap()).unwrap();
        assert_eq!(done as u64, trace.len());
        assert_eq!(written, lines, "events beyond arenas change no line");
        assert!(overview.complete() && overview.marks.iter().any(|m| !m.obtained));
        assert_eq!(trust.total().compared, 0, "a trace without addresses");
        assert_eq!(digest(&machine), digest(&alone));
    }

    #[test]
    fn without_a_need_the_machine_runs_by_itself() {
        let trace = trace();
        let mut machine = pristine(&trace);
        let mut trust = Trust::new(&Profile::default());
        assert_eq!(run(&mut machine, &trace, 9000, &mut [&mut trust]), 9000);
        let mut plain = pristine(&trace);
        plain.run(&trace, 0, 9000);
        assert_eq!(digest(&machine), digest(&plain));
    }

    #[test]
    fn a_condition_ends_the_run_after_all_have_seen_it() {
        let trace = trace();
        let condition = "arena_obtained && arenas == 2";
        let mut machine = pristine(&trace);
        let mut until = Until::new(Condition::parse(condition).unwrap(), &machine);
        let mut overview = Overview::new(&trace, &Profile::default());
        let done = run(&mut machine, &trace, trace.len() as usize, &mut [&mut until, &mut overview]);
        assert_eq!(until.stopped_at(), Some(done as u64));
        assert_eq!(overview.known(), done as u64);
        assert_eq!(overview.marks.last().map(|m| (m.step, m.ordinal)), Some((done as u64, 1)));
        assert_eq!(until.condition(), condition);
        // The state before an operation is the one after the operation before.
        let mut machine = pristine(&trace);
        let mut until = Until::new(Condition::parse("raw_fallback").unwrap(), &machine);
        let done = run(&mut machine, &trace, trace.len() as usize, &mut [&mut until]);
        assert_eq!((done, until.stopped_at()), (512, Some(512)), "the first of over 512 bytes");
    }

    struct Full;

    impl io::Write for Full {
        fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_full_disk_ends_the_run() {
        let trace = trace();
        let mut placement = PlacementLines::new(PlacementWriter::default(), Full);
        let done = run(&mut pristine(&trace), &trace, trace.len() as usize, &mut [&mut placement]);
        assert!(placement.failed() && placement.finish().is_err());
        assert!(done > 0 && (done as u64) < trace.len());
    }
}
