//! Counterfactuals: what is done to a trace is what the edited program would have done.
//!
//! Programs are random ones whose calls come from a few sites. Each is edited twice: as a trace, and by running the program itself in
//! another way. Both have to ask for the same, and to hold the same arenas at every step.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use session::diagnosis::Choice;
use session::whatif::{Deed, Edit, EditError, Edited, Fewest, Figures, edit, run, without};
use session::{Overrides, Setup};
use sim_core::tape::{Action, SourceLine, StackId};
use sim_core::{Call, Domain, Machine, ObjectHeap, Op, Profile, Trace, TraceBuilder};
use trace_io::workload::{Lifetimes, Phase, Sizes, Workload};

const SITES: [&str; 4] = ["/srv/app.py:12", "/srv/app.py:30", "/lib/json/decoder.py:7", "/lib/cache.py:99"];

/// Calls with the number of their site.
fn program(seed: u64) -> Vec<(Op, usize)> {
    let base = Workload::python(seed, 4000, 2500).phases[0];
    let phase = |operations, live_from, live_to, lifetimes| Phase {
        operations,
        live_from,
        live_to,
        lifetimes,
        realloc_percent: 15,
        sizes: if seed.is_multiple_of(2) { Sizes::Python } else { Sizes::Uniform { min: 1, max: 700 } },
        ..base
    };
    let phases = vec![
        phase(5000, 0, 2500, Lifetimes::DieYoung),
        phase(4000, 2500, 300, Lifetimes::Random),
        phase(3000, 300, 900, Lifetimes::OldestFirst),
    ];
    let workload = Workload { seed, phases };
    // A site is drawn from the number of the call, so that reallocs come from others than mallocs.
    workload.iter().enumerate().map(|(at, op)| (op, at * 7919 / 13 % SITES.len())).collect()
}

/// Profiles with small arenas, so that they come and go.
fn setup() -> Setup {
    let settings =
        vec![("arena_size".to_owned(), "64K".to_owned()), ("pool_size".to_owned(), "4K".to_owned())];
    let trace = TraceBuilder::new("t").finish();
    Setup::resolve(&trace, &Overrides { settings, ..Overrides::default() }).unwrap()
}

#[derive(Default)]
struct Tape {
    builder: TraceBuilder,
    stacks: Vec<StackId>,
}

impl Tape {
    fn push(&mut self, op: Op, site: usize) {
        if self.stacks.is_empty() {
            let lines = SITES.map(|site| SourceLine { function: "work".to_owned(), ..site.parse().unwrap() });
            self.stacks = lines.iter().map(|line| self.builder.stack(std::slice::from_ref(line))).collect();
        }
        self.builder.push_whole(op, ObjectHeap::Object, self.stacks[site], None).unwrap();
    }

    fn finish(self) -> Trace {
        self.builder.finish()
    }
}

fn recorded(program: &[(Op, usize)]) -> Trace {
    let mut tape = Tape::default();
    for (op, site) in program {
        tape.push(*op, *site);
    }
    tape.finish()
}

/// What a call gives a pointer to, and the block that goes.
fn pointers(call: Call) -> (Option<(u64, u64)>, Option<u64>) {
    match call {
        Call::Malloc { id, size } => (Some((id, size)), None),
        Call::Calloc { id, nelem, elsize } => (Some((id, nelem * elsize)), None),
        Call::Realloc { id, newid, size } => (Some((newid, size)), (id != 0).then_some(id)),
        Call::Free { id } => (None, (id != 0).then_some(id)),
        Call::FreeKeep { .. } | Call::Act(_) => panic!("no scenario"),
    }
}

/// Calls without what makes no difference: the names of blocks, and where they come from.
fn asked(trace: &Trace) -> Vec<String> {
    (0..trace.len())
        .map(|index| {
            let Op { thread, domain, call } = trace.op(index).unwrap();
            let packed = trace.packed(index as usize);
            let kind = match call {
                Call::Realloc { id: 0, .. } => "realloc of NULL".to_owned(),
                call => format!("{:?}", std::mem::discriminant(&call)),
            };
            format!("{thread} {domain:?} {kind} {} {}", packed.slot.0, packed.size)
        })
        .collect()
}

/// Arenas after each operation.
fn arenas(trace: &Trace, setup: &Setup) -> Vec<u64> {
    let mut machine = setup.machine(trace).unwrap();
    (0..trace.len() as usize)
        .map(|index| {
            machine.step(trace, index, &mut ());
            machine.arena_counters().narenas_currently_allocated
        })
        .collect()
}

fn edited(trace: &Trace, deed: Deed, want: &str, profile: &Profile) -> Edited {
    edit(trace, &[Edit { deed, want: want.parse().unwrap() }], profile).unwrap()
}

fn ran(edited: &Edited, setup: &Setup) -> Figures {
    run(&edited.tape, setup, &mut |_| ControlFlow::Continue(())).unwrap()
}

/// Both edits of one program hold the same.
fn same(edited: &Edited, other: &Trace, setup: &Setup, what: &str) {
    let [lane] = edited.tape.lanes.as_slice() else { panic!("one machine") };
    assert_eq!(asked(lane), asked(other), "{what}");
    let curve = arenas(other, setup);
    assert_eq!(arenas(lane, setup), curve, "{what}");
    let figures = ran(edited, setup);
    assert_eq!(figures.final_arenas, *curve.last().unwrap(), "{what}");
    let mut machine: Machine = setup.machine(other).unwrap();
    machine.run(other, 0, other.len() as usize);
    assert_eq!(figures.peak_arenas, machine.arena_counters().narenas_highwater, "{what}");
}

#[test]
fn leaving_a_site_out_is_the_program_without_it() {
    let setup = setup();
    for seed in 0..6 {
        let (program, out) = (program(seed), seed as usize % SITES.len());
        let mut gone = BTreeSet::new();
        let mut tape = Tape::default();
        let mut left_out = 0;
        for &(op, site) in &program {
            let (new, old) = pointers(op.call);
            let was_gone = old.is_some_and(|id| gone.remove(&id));
            match (new, old) {
                (Some((id, _)), _) if site == out => {
                    left_out += 1;
                    gone.insert(id);
                    if let Some(id) = old.filter(|_| !was_gone) {
                        tape.push(Op { call: Call::Free { id }, ..op }, site);
                    }
                }
                (Some((id, size)), Some(_)) if was_gone => {
                    tape.push(Op { call: Call::Malloc { id, size }, ..op }, site);
                }
                (None, Some(_)) if was_gone => {}
                _ => tape.push(op, site),
            }
        }
        let trace = recorded(&program);
        let got = edited(&trace, Deed::Without, &format!("site={}", SITES[out]), &setup.profile);
        assert_eq!(got.matched[0].blocks, left_out);
        same(&got, &tape.finish(), &setup, &format!("seed {seed}"));
    }
}

#[test]
fn freeing_a_site_at_a_step_is_the_program_that_frees_there() {
    let setup = setup();
    for seed in 0..6 {
        let (program, out) = (program(seed), seed as usize % SITES.len());
        let at = 2000 + 1700 * seed as usize;
        // Who was born where and in which order.
        let mut live: BTreeMap<u64, (usize, usize, Op)> = BTreeMap::new();
        let mut gone = BTreeSet::new();
        let mut tape = Tape::default();
        for (index, &(op, site)) in program.iter().chain([&program[0]]).enumerate() {
            if index == at.min(program.len()) {
                let mut blocks: Vec<_> =
                    live.iter().filter(|(_, born)| born.1 == out).map(|(id, b)| (*id, *b)).collect();
                blocks.sort_by_key(|(_, born)| born.0);
                for (id, (_, site, born)) in blocks {
                    tape.push(Op { call: Call::Free { id }, ..born }, site);
                    gone.insert(id);
                }
            }
            if index == program.len() {
                break;
            }
            let (new, old) = pointers(op.call);
            let was_gone = old.is_some_and(|id| gone.remove(&id));
            if let Some(id) = old {
                live.remove(&id);
            }
            if let Some((id, size)) = new {
                live.insert(id, (index, site, op));
                let call = if was_gone { Call::Malloc { id, size } } else { op.call };
                tape.push(Op { call, ..op }, site);
            } else if !was_gone {
                tape.push(op, site);
            }
        }
        let trace = recorded(&program);
        let step = at.min(program.len()) as u64;
        let got = edited(&trace, Deed::FreeAt(step), &format!("site={}", SITES[out]), &setup.profile);
        same(&got, &tape.finish(), &setup, &format!("seed {seed} at {step}"));
    }
}

#[test]
fn sending_a_site_to_raw_is_the_program_that_asks_raw() {
    let setup = setup();
    for seed in 0..4 {
        let (program, out) = (program(seed), seed as usize % SITES.len());
        let mut raw = BTreeSet::new();
        let mut tape = Tape::default();
        for &(op, site) in &program {
            let (new, old) = pointers(op.call);
            let was_raw = op.domain == Domain::Raw || old.is_some_and(|id| raw.remove(&id));
            let domain_of = |raw| if raw { Domain::Raw } else { op.domain };
            let Some((id, size)) = new else {
                tape.push(Op { domain: domain_of(was_raw), ..op }, site);
                continue;
            };
            let is_raw = op.domain == Domain::Raw || site == out;
            if is_raw {
                raw.insert(id);
            }
            match old {
                Some(old) if was_raw != is_raw => {
                    // Into the other, and the old one goes; under the same name for both at once.
                    let other = id + 1_000_000_000;
                    tape.push(
                        Op { domain: domain_of(is_raw), call: Call::Malloc { id: other, size }, ..op },
                        site,
                    );
                    tape.push(Op { domain: domain_of(was_raw), call: Call::Free { id: old }, ..op }, site);
                    let call = Call::Realloc { id: other, newid: id, size };
                    // Only its name changes: a realloc to the same size stays where it is.
                    tape.push(Op { domain: domain_of(is_raw), call, ..op }, site);
                }
                _ => tape.push(Op { domain: domain_of(is_raw), ..op }, site),
            }
        }
        let trace = recorded(&program);
        let got = edited(&trace, Deed::Raw, &format!("site={}", SITES[out]), &setup.profile);
        let other = tape.finish();
        // The program above says a name more for each move, which changes nothing that is held.
        let (of, figures) = (arenas(&other, &setup), ran(&got, &setup));
        assert_eq!(figures.final_arenas, *of.last().unwrap(), "seed {seed}");
        assert_eq!(figures.peak_arenas, *of.iter().max().unwrap(), "seed {seed}");
        let mut machine = setup.machine(&other).unwrap();
        machine.run(&other, 0, other.len() as usize);
        assert_eq!(figures.raw_final_bytes, machine.raw().live_bytes(), "seed {seed}");
    }
}

#[test]
fn a_site_before_a_burst_is_the_program_that_begins_with_it() {
    let setup = setup();
    for seed in 0..4 {
        let (program, out, at) = (program(seed), seed as usize % SITES.len(), 3000);
        let mut tape = Tape::default();
        for (op, site) in &program[..at] {
            tape.push(*op, *site);
        }
        for (name, &(op, site)) in (1_000_000..).zip(&program[at..]).filter(|(_, (_, site))| *site == out) {
            // Under names of their own: a realloc may keep its block's, which the old one still has.
            let call = match op.call {
                Call::Calloc { nelem, elsize, .. } => Call::Calloc { id: name, nelem, elsize },
                Call::Realloc { id: 0, size, .. } => Call::Realloc { id: 0, newid: name, size },
                Call::Malloc { size, .. } | Call::Realloc { size, .. } => Call::Malloc { id: name, size },
                _ => continue,
            };
            tape.push(Op { call, ..op }, site);
        }
        let trace = recorded(&program);
        let got = edited(&trace, Deed::Before(at as u64), &format!("site={}", SITES[out]), &setup.profile);
        // Up to where all of them are born the two are the same program.
        let begun = tape.finish();
        let lane = &got.tape.lanes[0];
        assert_eq!(asked(lane)[..begun.len() as usize], asked(&begun), "seed {seed}");
        // And what lives at the end is what lived without the change.
        let end = |trace: &Trace| {
            let mut machine = setup.machine(trace).unwrap();
            machine.run(trace, 0, trace.len() as usize);
            machine.verify().unwrap();
            (machine.live().count(), machine.raw().live_bytes())
        };
        assert_eq!(end(lane), end(&trace), "seed {seed}");
        assert_eq!(got.matched[0].blocks, begun.len() - at as u64, "seed {seed}");
    }
}

#[test]
fn arenas_of_their_own_are_those_of_two_programs() {
    let setup = setup();
    for seed in 0..4 {
        let (program, out) = (program(seed), seed as usize % SITES.len());
        // Two programs side by side, and which of them does a call.
        let (mut rest, mut own) = (Tape::default(), Tape::default());
        let mut apart = BTreeSet::new();
        let mut turns = Vec::new();
        let mut push = |to_own: bool, op: Op, site: usize| {
            turns.push(to_own);
            if to_own { own.push(op, site) } else { rest.push(op, site) }
        };
        for &(op, site) in &program {
            let (new, old) = pointers(op.call);
            let was = old.is_some_and(|id| apart.remove(&id));
            match (new, old) {
                (Some((id, _)), _) if site == out && (old.is_none() || was) => {
                    apart.insert(id);
                    push(true, op, site);
                }
                (Some((id, size)), Some(old)) if was != (site == out) => {
                    if site == out {
                        apart.insert(id);
                    }
                    push(!was, Op { call: Call::Malloc { id, size }, ..op }, site);
                    push(was, Op { call: Call::Free { id: old }, ..op }, site);
                }
                _ => push(was, op, site),
            }
        }
        let (rest, own) = (rest.finish(), own.finish());
        let curves = [arenas(&rest, &setup), arenas(&own, &setup)];
        let (mut at, mut most) = ([0_usize, 0], 0);
        for to_own in turns {
            at[usize::from(to_own)] += 1;
            let now = |lane: usize| at[lane].checked_sub(1).map_or(0, |last| curves[lane][last]);
            most = most.max(now(0) + now(1));
        }
        let trace = recorded(&program);
        let got = edited(&trace, Deed::Apart, &format!("site={}", SITES[out]), &setup.profile);
        let [of_rest, of_own] = got.tape.lanes.as_slice() else { panic!("two machines") };
        assert_eq!((asked(of_rest), asked(of_own)), (asked(&rest), asked(&own)), "seed {seed}");
        let figures = ran(&got, &setup);
        assert_eq!(figures.peak_arenas, most, "seed {seed}");
        let last = |lane: usize| curves[lane].last().copied().unwrap();
        assert_eq!(figures.final_arenas, last(0) + last(1), "seed {seed}");
        assert_eq!(
            figures.peak_asked_bytes + figures.losses.at_peak.sum(),
            figures.peak_bytes,
            "seed {seed}"
        );
        assert_eq!(
            figures.final_asked_bytes + figures.losses.at_end.sum(),
            figures.final_bytes,
            "seed {seed}"
        );
    }
}

#[test]
fn blocks_are_told_by_anything_their_birth_has() {
    let (trace, setup) = (recorded(&program(1)), setup());
    let births = |of: &dyn Fn(&sim_core::tape::Packed) -> bool| {
        let packed = (0..trace.len() as usize).map(|index| trace.packed(index));
        packed.filter(|op| !matches!(op.kind, sim_core::Kind::Free) && of(op)).count() as u64
    };
    let matched = |want: &str| edited(&trace, Deed::Without, want, &setup.profile).matched[0].blocks;
    assert_eq!(matched("domain=obj"), births(&|op| op.domain == Domain::Obj));
    assert_eq!(matched("kind=realloc"), births(&|op| op.kind == sim_core::Kind::Realloc));
    assert_eq!(matched("class=64"), births(&|op| op.domain != Domain::Raw && (49..=64).contains(&op.size)));
    assert_eq!(matched("class=#3"), matched("class=64"));
    assert_eq!(
        matched("class=large"),
        births(&|op| op.domain != Domain::Raw && !(1..=512).contains(&op.size))
    );
    assert_eq!(matched("module=json.decoder"), matched("site=work (/lib/json/decoder.py:7)"));
    assert_eq!(matched("module=app.py"), matched("site=app.py:12") + matched("site=app.py:30"));
    assert_eq!(matched("function=work"), births(&|_| true));
    assert_eq!(matched("age=0"), births(&|_| true));
    // Ages by the names of blocks.
    let (calls, mut born, mut ages) = (program(1), BTreeMap::new(), Vec::new());
    for (index, (op, _)) in calls.iter().enumerate() {
        let (new, old) = pointers(op.call);
        ages.extend(old.and_then(|id| born.remove(&id)).map(|from| index - from));
        born.extend(new.map(|(id, _)| (id, index)));
    }
    ages.extend(born.into_values().map(|from| calls.len() - from));
    for age in [1, 100, 1000, 5000] {
        assert_eq!(matched(&format!("age={age}")) as usize, ages.iter().filter(|of| **of >= age).count());
    }
    let error = |deed, want: &str| {
        edit(&trace, &[Edit { deed, want: want.parse::<Choice>().unwrap() }], &setup.profile).unwrap_err()
    };
    assert_eq!(
        error(Deed::Without, "site=app.py:13").to_string(),
        "no block matches site=app.py:13; most alike: work (/srv/app.py:12), work (/srv/app.py:30), work (/lib/cache.py:99)"
    );
    assert!(matches!(error(Deed::FreeAt(0), "site=app.py:12"), EditError::NoneThen { when: "lives at", .. }));
    assert!(matches!(
        error(Deed::Before(trace.len()), "domain=obj"),
        EditError::NoneThen { when: "is born after", .. }
    ));
    assert!(matches!(error(Deed::FreeAt(1 << 40), "domain=obj"), EditError::PastEnd { .. }));
}

/// Who writes a trace by hand says once where the next calls come from; anything else that is no call hangs together with all before.
#[test]
fn sites_may_be_named_by_actions() {
    let (calls, setup) = (program(2), setup());
    let mut tape = TraceBuilder::new("by hand");
    let act = |action| Op { thread: 0, domain: Domain::Obj, call: Call::Act(action) };
    for (op, site) in &calls {
        let line = SourceLine { function: "work".to_owned(), ..SITES[*site].parse().unwrap() };
        let stack = tape.stack(&[line]);
        tape.push(act(Action::Stack(stack))).unwrap();
        tape.push(*op).unwrap();
    }
    let by_hand = edited(tape.trace(), Deed::Without, "site=cache.py:99", &setup.profile);
    let other = edited(&recorded(&calls), Deed::Without, "site=cache.py:99", &setup.profile);
    assert_eq!(by_hand.matched, other.matched);
    assert_eq!(asked(&by_hand.tape.lanes[0]), asked(&other.tape.lanes[0]));
    tape.push(act(Action::SetupDebugHooks)).unwrap();
    let edits = [Edit { deed: Deed::Without, want: "domain=obj".parse().unwrap() }];
    assert_eq!(edit(tape.trace(), &edits, &setup.profile).unwrap_err(), EditError::Scenario);
}

/// Six arenas pinned by one site, three by another, two by a pair together; a fourth site keeps one and is born in all.
#[test]
fn the_fewest_sites_are_those_that_were_planted() {
    let setup = setup();
    let mut tape = Tape::default();
    let op = |call| Op { thread: 0, domain: Domain::Obj, call };
    let (mut id, mut temporary) = (0, Vec::new());
    // An arena of 64 KiB has 16 pools of 7 blocks of 512 bytes.
    let mut arena = |pins: &[usize], tape: &mut Tape| {
        for at in 0..112 {
            id += 1;
            let site = pins.get(at).copied().unwrap_or(3);
            tape.push(op(Call::Malloc { id, size: 512 }), site);
            if at >= pins.len() {
                temporary.push(id);
            }
        }
    };
    (0..6).for_each(|_| arena(&[0], &mut tape));
    (0..3).for_each(|_| arena(&[1], &mut tape));
    (0..2).for_each(|_| arena(&[1, 2], &mut tape));
    for id in temporary {
        tape.push(op(Call::Free { id }), 3);
    }
    let trace = tape.finish();
    let saved = |wanted: u64| {
        let mut search = Fewest::new(&trace, &setup, wanted * 65_536).unwrap();
        assert_eq!(search.base_bytes(), 11 * 65_536);
        loop {
            let tries = search.tries();
            if tries.is_empty() {
                break;
            }
            let left: Vec<u64> = tries.iter().map(|sites| without(&trace, &setup, sites).unwrap()).collect();
            search.take(&left);
        }
        let sites: Vec<String> = search.chosen().into_iter().map(|chosen| chosen.site).collect();
        if !sites.is_empty() {
            assert_eq!(search.base_bytes() - without(&trace, &setup, &sites).unwrap(), search.saved_bytes());
        }
        (sites, search.saved_bytes() / 65_536, search.reached())
    };
    let site = |at: usize| format!("work ({})", SITES[at]);
    // One arena that is wholly free is kept, which no guess by shares knows.
    assert_eq!(saved(5), (vec![site(0)], 5, true));
    assert_eq!(saved(8), (vec![site(0), site(1)], 8, true));
    assert_eq!(saved(10), (vec![site(0), site(1), site(2)], 10, true));
    assert!(!saved(11).2);
    assert_eq!(saved(0), (vec![], 0, true));
}
