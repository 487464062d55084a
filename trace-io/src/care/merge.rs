//! Several traces as one.

use std::collections::HashMap;

use sim_core::tape::{StackId, TimeMark};
use sim_core::{Call, Trace, TraceBuilder};

use super::{CareError, Clock, Marks, Notes, StackMap, copy_head, push, refuse_scenarios, same};

/// The setting that says where arenas are placed.
const PLACEMENT: &str = "arena_placement";

/// How traces are put together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order {
    /// By the times of their operations, each counted from its own beginning.
    Time,
    /// One after the other.
    Sequence,
}

/// What is kept of one input.
#[derive(Debug, Default)]
pub struct Input {
    name: String,
    /// The row of the current piece that is next.
    next: usize,
    clock: Clock,
    notes: Notes,
    marks: Marks,
    stacks: StackMap,
    threads: HashMap<u16, u16>,
    /// Nanoseconds that its times are put off.
    delay: u64,
    begun: bool,
}

/// Merges traces.
///
/// Blocks, threads and stacks are numbered anew. A block's number is made of its slot and the input's
/// number, which no other block has while it lives.
#[derive(Debug)]
pub struct Merge {
    order: Order,
    out: TraceBuilder,
    inputs: Vec<Input>,
    threads: u32,
    time_ns: Option<u64>,
    settled: bool,
}

impl Merge {
    /// A merge of so many inputs.
    pub fn new(order: Order, inputs: usize) -> Self {
        let inputs = (0..inputs).map(|_| Input::default()).collect();
        Self { order, out: TraceBuilder::new("merged"), inputs, threads: 0, time_ns: None, settled: false }
    }

    /// What is ready to be written and then forgotten.
    pub fn out(&mut self) -> &mut TraceBuilder {
        &mut self.out
    }

    /// When the next operation of an input's piece was done; `None` where the piece has no more.
    pub fn next_time(&mut self, input: usize, piece: &Trace) -> Option<u64> {
        let state = self.inputs.get_mut(input)?;
        if state.next as u64 >= piece.len() {
            state.clock.pass(piece, u64::MAX, |_| {});
            state.clock.next_piece();
            state.next = 0;
            return None;
        }
        state.clock.pass(piece, piece.first() + state.next as u64, |_| {});
        Some(state.clock.last.map_or(0, |m| m.time_ns))
    }

    /// Takes an input's operations up to a time, or to the end of its piece; whether the piece has more.
    pub fn take(&mut self, input: usize, piece: &Trace, until_ns: u64) -> Result<bool, CareError> {
        refuse_scenarios(piece, "merge")?;
        self.begin(input, piece)?;
        while let Some(time) = self.next_time(input, piece) {
            if self.order == Order::Time && time > until_ns {
                return Ok(true);
            }
            self.operation(input, piece)?;
        }
        Ok(false)
    }

    fn begin(&mut self, input: usize, piece: &Trace) -> Result<(), CareError> {
        let delay = if self.order == Order::Sequence { self.time_ns.unwrap_or(0) } else { 0 };
        let first = self.inputs[0].name.clone();
        let state = &mut self.inputs[input];
        if std::mem::replace(&mut state.begun, true) {
            return Ok(());
        }
        state.delay = delay;
        state.name.clone_from(&piece.head.name);
        let trace = self.out.trace_mut();
        if !std::mem::replace(&mut self.settled, true) {
            copy_head(piece, trace);
            "merged".clone_into(&mut trace.head.name);
            trace.head.description = String::new();
            trace.origin.source = sim_core::tape::Source::default();
            return Ok(());
        }
        // Readers add where a recorded process got its arenas; what says nothing of it does not contradict that.
        let placement = |trace: &Trace| trace.head.settings.iter().find(|s| s.0 == PLACEMENT).cloned();
        let rest = |trace: &Trace| -> Vec<_> {
            trace.head.settings.iter().filter(|s| s.0 != PLACEMENT).cloned().collect()
        };
        let (here, there) = (placement(trace), placement(piece));
        let placed_otherwise = here.is_some() && there.is_some() && here != there;
        let otherwise = placed_otherwise || rest(trace) != rest(piece);
        trace.head.settings.extend(there.filter(|_| here.is_none() && !otherwise));
        for (what, differs) in [
            ("profiles", trace.head.profile != piece.head.profile),
            ("settings", otherwise),
            ("PYTHONMALLOC", trace.head.malloc != piece.head.malloc),
        ] {
            if differs {
                return Err(CareError::Different { a: first, b: piece.head.name.clone(), what });
            }
        }
        Ok(())
    }

    fn operation(&mut self, input: usize, piece: &Trace) -> Result<(), CareError> {
        let count = self.inputs.len() as u64;
        let state = &mut self.inputs[input];
        let index = state.next;
        state.next += 1;
        let Some(mut op) = piece.op(index as u64) else { return Ok(()) };
        let own = u64::from(piece.packed(index).slot.0) * count + input as u64 + 1;
        match &mut op.call {
            Call::Malloc { id, .. } | Call::Calloc { id, .. } => *id = own,
            Call::Realloc { id, newid, .. } => {
                *newid = own;
                if *id != 0 {
                    *id = own;
                }
            }
            Call::Free { id } | Call::FreeKeep { id } if *id != 0 => *id = own,
            _ => {}
        }
        op.thread = if let Some(&thread) = state.threads.get(&op.thread) {
            thread
        } else {
            let thread = u16::try_from(self.threads).map_err(|_| CareError::TooManyThreads(1 << 16))?;
            self.threads += 1;
            state.threads.insert(op.thread, thread);
            thread
        };
        if let Some(mark) = state.clock.last {
            // Clocks of several processes may disagree; time goes forward all the same.
            let time_ns = mark.time_ns.saturating_add(state.delay).max(self.time_ns.unwrap_or(0));
            if self.time_ns != Some(time_ns) {
                self.time_ns = Some(time_ns);
                let at = self.out.len();
                self.out.trace_mut().origin.moments.push(TimeMark { at, time_ns, rss_bytes: None });
            }
        }
        state.marks.copy(piece, piece.first() + index as u64, &mut self.out)?;
        state.notes.copy(piece, piece.first() + index as u64, &mut self.out);
        let to = &mut self.out.trace_mut().origin.stacks;
        let stack: StackId = state.stacks.get(&piece.origin.stacks, to, piece.stack_of(index), &mut same);
        push(&mut self.out, op, stack, piece, index)
    }

    /// Takes what is known of an input at its end.
    pub fn finish(&mut self, input: usize, whole: &Trace) -> Result<(), CareError> {
        let state = &mut self.inputs[input];
        state.marks.copy(whole, u64::MAX, &mut self.out)?;
        let to = &mut self.out.trace_mut().origin.source;
        let from = &whole.origin.source;
        to.set(&format!("input {}", input + 1), whole.head.name.as_str());
        for (name, value) in &from.facts {
            to.set(&format!("{name} {}", input + 1), value.as_str());
        }
        for missing in &from.missing {
            to.lacks(&missing.what, &missing.remedy);
        }
        if whole.timed() {
            to.lacks("resident sets", "those of several recordings do not make one; look at each by itself");
        }
        for (theirs, name) in from.thread_names.iter().enumerate().filter(|n| !n.1.is_empty()) {
            let ours = u16::try_from(theirs).ok().and_then(|t| state.threads.get(&t));
            if let Some(&ours) = ours {
                let ours = usize::from(ours);
                if to.thread_names.len() <= ours {
                    to.thread_names.resize(ours + 1, String::new());
                }
                to.thread_names[ours].clone_from(name);
            }
        }
        let (sum, doubt) = (&mut to.doubt, &from.doubt);
        sum.unknown_frees += doubt.unknown_frees;
        sum.unknown_reallocs += doubt.unknown_reallocs;
        sum.lost_frees += doubt.lost_frees;
        sum.inferred_domains += doubt.inferred_domains;
        sum.ambiguous_reallocs += doubt.ambiguous_reallocs;
        sum.possible_reallocs += doubt.possible_reallocs;
        if let Some(truncated) = &doubt.truncated {
            sum.truncated.get_or_insert_with(|| format!("{}: {truncated}", whole.head.name));
        }
        Ok(())
    }
}
