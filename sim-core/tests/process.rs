//! What is the process's and what is an interpreter's: the arena hook, the reports of `PYTHONMALLOCSTATS`,
//! several pymalloc states over one memory.

#![allow(clippy::unwrap_used, reason = "tests")]

use sim_core::arena::ArenaBackend as _;
use sim_core::domains::{ArenaAllocator, ArenaChoice, ForeignFree, UserAllocator};
use sim_core::machine::{Fatal, LibcAbort};
use sim_core::report::debugmallocstats;
use sim_core::tape::{Action, TableChoice};
use sim_core::{Addr, Call, Domain, Event, Machine, Op, Profile, Trace, TraceBuilder};

/// A tape with ids from 1 on.
#[derive(Default)]
struct Tape(TraceBuilder);

impl Tape {
    fn call(&mut self, call: Call) -> &mut Self {
        self.0.push(Op { thread: 0, domain: Domain::Obj, call }).unwrap();
        self
    }

    fn act(&mut self, action: Action) -> &mut Self {
        self.call(Call::Act(action))
    }

    fn hook(&mut self, choice: ArenaChoice) -> &mut Self {
        self.act(Action::SetArenaAllocator(choice))
    }

    fn malloc(&mut self, id: u64, size: u64) -> &mut Self {
        self.call(Call::Malloc { id, size })
    }

    /// Whole arenas full of blocks of 512 bytes, with ids from `id` on.
    fn arenas(&mut self, id: u64, arenas: u64) -> &mut Self {
        (0..arenas * 64 * 31).for_each(|i| {
            self.malloc(id + i, 512);
        });
        self
    }

    fn free(&mut self, from: u64, count: u64) -> &mut Self {
        (from..from + count).for_each(|id| {
            self.call(Call::Free { id });
        });
        self
    }

    fn finish(&mut self) -> Trace {
        std::mem::take(&mut self.0).finish()
    }
}

const ARENA: u64 = 64 * 31;

fn run(trace: &Trace) -> (Machine, Vec<Event>) {
    let mut machine = Machine::for_trace(&Profile::default(), trace, None).unwrap();
    let mut events = Vec::new();
    for index in 0..trace.len() as usize {
        machine.step(trace, index, &mut events);
    }
    machine.verify().unwrap();
    (machine, events)
}

fn foreign(events: &[Event]) -> Vec<(ArenaAllocator, ArenaAllocator, Option<ForeignFree>)> {
    events
        .iter()
        .filter_map(|e| match *e {
            Event::ArenaFreedByOther { made_by, freed_by, outcome, .. } => Some((made_by, freed_by, outcome)),
            _ => None,
        })
        .collect()
}

/// Two arenas through `first`, then the second one emptied while `second` is in force.
fn changed(first: ArenaChoice, second: ArenaChoice) -> (Machine, Vec<Event>) {
    let mut tape = Tape::default();
    tape.hook(first).arenas(1, 2).hook(second).free(1, 2 * ARENA).malloc(1, 16);
    run(&tape.finish())
}

#[test]
fn an_arena_goes_to_the_hook_in_force() {
    let user = ArenaAllocator::User;
    let at_end = |machine: &Machine| machine.pymalloc().counters().narenas_currently_allocated;
    let second_arena = Addr(0x7e00_0010_0000);
    let mapped = |machine: &Machine| machine.layers().unwrap().bytes().is_mapped(second_arena.offset(99));

    let (machine, events) = changed(ArenaChoice::Default, ArenaChoice::Default);
    assert_eq!((foreign(&events), at_end(&machine), mapped(&machine)), (vec![], 1, false));

    let (machine, events) = changed(ArenaChoice::Default, ArenaChoice::Count);
    let found = vec![(ArenaAllocator::Default, user(0), None)];
    assert_eq!((foreign(&events), at_end(&machine), mapped(&machine)), (found, 1, false));
    assert_eq!(machine.pymalloc().memory().hooks().unwrap().user()[0].calls, [0, 1], "one free too many");

    let bump = ArenaChoice::Bump { bytes: 8 << 20 };
    let (machine, events) = changed(ArenaChoice::Default, bump);
    let found = vec![(ArenaAllocator::Default, user(0), Some(ForeignFree::Leaked))];
    assert_eq!((foreign(&events), at_end(&machine), mapped(&machine)), (found, 1, true));

    let (machine, events) = changed(bump, ArenaChoice::Default);
    let found = vec![(user(0), ArenaAllocator::Default, Some(ForeignFree::Unmapped))];
    assert_eq!((foreign(&events), at_end(&machine), mapped(&machine)), (found, 1, false));

    let (machine, events) = changed(ArenaChoice::Malloc, ArenaChoice::Default);
    let found = (user(0), ArenaAllocator::Default, Some(ForeignFree::Refused));
    assert_eq!(foreign(&events), [found; 2], "63 pools each, so there is a third arena");
    assert_eq!(machine.stopped(), None);

    let (machine, events) = changed(ArenaChoice::Default, ArenaChoice::Malloc);
    assert_eq!(foreign(&events), [(ArenaAllocator::Default, user(0), Some(ForeignFree::Aborted))]);
    assert_eq!(machine.stopped(), Some(&Fatal::Libc(LibcAbort::FreeInvalidPointer)));
}

#[test]
fn a_hook_that_gives_nothing_sends_small_requests_to_raw() {
    let mut tape = Tape::default();
    tape.hook(ArenaChoice::FailFrom(2)).arenas(1, 1).malloc(5000, 512).malloc(5001, 16);
    let (machine, events) = run(&tape.finish());
    assert_eq!(machine.pymalloc().raw_allocated_blocks, 2);
    assert_eq!(events.iter().filter(|e| **e == Event::ArenaRefused).count(), 2);

    let mut tape = Tape::default();
    tape.hook(ArenaChoice::Bump { bytes: (1 << 20) + 5 }).arenas(1, 1).malloc(5000, 16);
    assert_eq!(run(&tape.finish()).0.pymalloc().raw_allocated_blocks, 1, "its room is gone");
}

#[test]
fn data_stack_chunks_come_through_the_same_hook() {
    let mut tape = Tape::default();
    tape.hook(ArenaChoice::Count).malloc(1, 16);
    tape.act(Action::VirtualAlloc { id: 7, size: 16384 }).act(Action::VirtualAlloc { id: 8, size: 32768 });
    tape.act(Action::VirtualFree { id: 7 });
    let (machine, _) = run(&tape.finish());
    let hook = &machine.pymalloc().memory().hooks().unwrap().user()[0];
    assert_eq!((hook.calls, hook.arena_calls), ([3, 1], [1, 0]));
    assert_eq!(machine.pymalloc().counters().ntimes_arena_allocated, 1);
}

#[test]
fn the_report_comes_before_the_arena_it_announces() {
    let reports = |value: &str| {
        let mut tape = Tape::default();
        tape.0.trace_mut().head.malloc_stats = Some(value.to_owned());
        tape.malloc(9000, 600).arenas(1, 1).malloc(9001, 16).malloc(9002, 513);
        let trace = tape.finish();
        let mut machine = Machine::for_trace(&Profile::default(), &trace, None).unwrap();
        let mut all = Vec::new();
        for index in 0..trace.len() as usize {
            let before = debugmallocstats(machine.pymalloc());
            machine.step(&trace, index, &mut ());
            if let Some(stats) = machine.layers().and_then(|l| l.malloc_stats())
                && !stats.text.is_empty()
            {
                assert_eq!(stats.text, before);
                all.push(index);
            }
        }
        all
    };
    assert_eq!(reports("1"), [1, 1985]);
    assert_eq!(reports("0"), [1, 1985], "0 is on");
    assert_eq!(reports(""), [0; 0], "empty is off");

    let mut tape = Tape::default();
    tape.0.trace_mut().head.malloc_stats = Some("1".to_owned());
    tape.act(Action::TracemallocStart(1)).malloc(1, 16);
    let (machine, _) = run(&tape.finish());
    assert_eq!(machine.layers().unwrap().malloc_stats().unwrap().printed, 0, "tracemalloc hides pymalloc");
}

#[test]
fn isolated_interpreters_have_states_of_their_own() {
    let mut tape = Tape::default();
    tape.act(Action::InterpreterNew { number: 1, own_obmalloc: true });
    tape.act(Action::InterpreterNew { number: 2, own_obmalloc: false });
    tape.malloc(1, 16).act(Action::InterpreterSwitch(2)).malloc(2, 16);
    tape.act(Action::InterpreterSwitch(1)).malloc(3, 16).malloc(4, 700);
    let trace = tape.finish();
    let (mut machine, _) = run(&trace);
    let place = |machine: &Machine, index| machine.address(trace.packed(index).slot).unwrap();
    assert_eq!(place(&machine, 2), Addr(0x7e00_0000_0030));
    assert_eq!(place(&machine, 4), Addr(0x7e00_0000_0040), "the main state, shared");
    assert_eq!(place(&machine, 6), Addr(0x7e00_0010_0030), "an arena of its own");
    let all = machine.interpreters().unwrap();
    assert_eq!((all.running(), all.state_of()), (1, 1));
    assert_eq!(machine.allocated_blocks(), 4);
    assert_eq!((machine.pymalloc().allocated_blocks(), machine.pymalloc().arenas().len()), (2, 16));
}

#[test]
fn an_interpreter_that_leaks_keeps_its_arenas() {
    let played = |leak: bool| {
        let mut tape = Tape::default();
        tape.hook(ArenaChoice::Count).act(Action::InterpreterNew { number: 1, own_obmalloc: true });
        tape.act(Action::InterpreterSwitch(1)).malloc(3, 16);
        if !leak {
            tape.free(3, 1);
        }
        tape.act(Action::InterpreterEnd(1)).malloc(4, 16);
        run(&tape.finish())
    };
    let (mut machine, events) = played(true);
    assert_eq!((machine.interpreters().unwrap().leaks(), machine.allocated_blocks()), (1, 2));
    assert!(!events.iter().any(|e| matches!(e, Event::ArenaReleased { .. })));

    let (mut machine, events) = played(false);
    assert_eq!((machine.interpreters().unwrap().leaks(), machine.allocated_blocks()), (0, 1));
    let hook = &machine.pymalloc().memory().hooks().unwrap().user()[0];
    assert_eq!(hook.calls, [2, 16], "every record is given to the hook, NULL included");
    assert!(events.iter().any(|e| matches!(e, Event::ArenaReleased { base: Addr(0x7e00_0000_0000), .. })));
}

#[test]
fn a_block_of_another_interpreter_goes_to_the_c_library() {
    let mut tape = Tape::default();
    tape.malloc(1, 16).act(Action::InterpreterNew { number: 1, own_obmalloc: true });
    tape.act(Action::InterpreterSwitch(1)).free(1, 1);
    let (machine, events) = run(&tape.finish());
    assert_eq!(machine.stopped(), Some(&Fatal::Libc(LibcAbort::FreeInvalidPointer)));
    assert!(events.contains(&Event::AddressInRange { addr: Addr(0x7e00_0000_0030), owned: false }));
}

#[test]
fn old_versions_refuse_interpreters() {
    let trace = Tape::default().act(Action::InterpreterNew { number: 1, own_obmalloc: false }).finish();
    for (name, refused) in [("cpython-3.8", true), ("cpython-3.11", true), ("cpython-3.12", false)] {
        let result = Machine::for_trace(&Profile::named(name).unwrap(), &trace, None);
        assert_eq!(result.is_err(), refused, "{name}");
        if let Err(error) = result {
            assert!(error.to_string().contains("since 3.12"), "{error}");
        }
    }
}

#[test]
fn a_logging_table_notes_calls_and_results() {
    let mut tape = Tape::default();
    tape.act(Action::SetAllocator(TableChoice::User(UserAllocator::Log)));
    tape.malloc(1, 16).call(Call::Calloc { id: 2, nelem: 3, elsize: 5 });
    tape.call(Call::Realloc { id: 1, newid: 1, size: 600 }).free(2, 1);
    let (machine, _) = run(&tape.finish());
    let log: Vec<String> = machine.layers().unwrap().log().iter().map(ToString::to_string).collect();
    let raw = machine.address(sim_core::Slot(0)).unwrap();
    assert_eq!(
        log,
        [
            "malloc(16) = 0x7e0000000030".to_owned(),
            "calloc(1, 15) = 0x7e0000000040".to_owned(),
            format!("realloc(0x7e0000000030, 600) = {raw}"),
            "free(0x7e0000000040)".to_owned()
        ]
    );

    let mut tape = Tape::default();
    tape.act(Action::SetAllocator(TableChoice::User(UserAllocator::Log))).arenas(1, 1);
    let (machine, _) = run(&tape.finish());
    let log = machine.layers().unwrap().log();
    assert_eq!((log.len(), log.back().unwrap().number), (1000, ARENA - 1));
}
