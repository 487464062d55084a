//! What a forecast says is given back is what each real version gives back when a program frees it.

use std::sync::Arc;

use real_cpython::outside::compared;
use session::Setup;
use session::diagnosis::{Choice, Inquiry, Placed, Rule};
use sim_core::domains::AllocatorName;
use sim_core::tape::StackId;
use sim_core::{Call, Domain, Op, Profile, Trace, TraceBuilder};

use super::libraries;

/// Sites whose blocks survive, each in arenas of its own part of the burst, with bytes and the blocks of the burst between two of them.
const SITES: [(&str, u64, u64); 3] =
    [("cache.py:7", 300, 500), ("log.py:40", 290, 1900), ("index.py:3", 301, 3100)];

/// A burst over many arenas that goes, and leaves survivors of three sites. With the places in the source, and without: traces for
/// the driver have none.
fn program(seed: u64, profile: &Profile) -> (TraceBuilder, TraceBuilder) {
    let blocks = 24 * profile.arena_size / 320;
    let (mut placed, mut plain) = (TraceBuilder::new("planted"), TraceBuilder::new("planted"));
    for tape in [&mut placed, &mut plain] {
        tape.trace_mut().head.malloc = Some(AllocatorName::Pymalloc);
    }
    let mut burst = Vec::new();
    let mut push = |call, site: &str| {
        let op = Op { thread: 0, domain: Domain::Obj, call };
        let stack = if site.is_empty() { StackId(0) } else { placed.stack(&[site.parse().unwrap()]) };
        placed.push_recorded(op, stack, None).unwrap();
        plain.push(op).unwrap();
    };
    for id in 1..=blocks {
        // Parts of two arenas or so, in turns.
        let (site, size, every) = SITES[(id * 12 / (blocks + 1)) as usize % SITES.len()];
        let survives = (id + seed * 131).is_multiple_of(every);
        push(
            Call::Malloc { id, size: if survives { size } else { 300 } },
            if survives { site } else { "burst.py:1" },
        );
        if !survives {
            burst.push(id);
        }
    }
    for id in burst {
        push(Call::Free { id }, "");
    }
    (placed, plain)
}

/// What a forecast says of a site, and the trace with the frees that it speaks of.
fn forecast(site: &str, placed: Trace, mut plain: TraceBuilder, profile: &Profile) -> (Vec<u64>, Trace) {
    let setup = Setup { profile: profile.clone(), malloc: AllocatorName::Pymalloc, start: None };
    let trace = Arc::new(placed);
    let mut machine = setup.machine(&trace).unwrap();
    machine.run(&trace, 0, trace.len() as usize);
    let mut inquiry = Inquiry::new(Arc::clone(&trace), setup);
    let census = inquiry.census(&machine, trace.len(), Placed::Model);
    let choice: Choice = format!("site={site}").parse().unwrap();
    let chosen = inquiry.chosen(&census, &[choice]).unwrap();
    let forecast = inquiry.forecast(&machine, &census, &chosen);
    assert!(forecast.exact);
    let holders = inquiry.holders(&census, session::diagnosis::Key::Site(1), Rule::Sole);
    let alone = holders.groups.iter().find(|group| group.label.key == site).map(|group| group.arenas_alone);
    assert_eq!(alone, Some((forecast.arenas.len() + forecast.kept_empty.len()) as u64));
    let mut births: Vec<u32> =
        (0..census.len()).filter(|at| chosen.blocks[*at]).map(|at| census.births[at]).collect();
    births.sort_unstable();
    for birth in births {
        let call = Call::Free { id: trace.id_of(birth as usize) };
        plain.push(Op { thread: 0, domain: Domain::Obj, call }).unwrap();
    }
    (forecast.arenas, plain.finish())
}

#[test]
fn what_a_forecast_names_is_what_each_version_gives_back() {
    let mut named = 0;
    for real in libraries() {
        let (mut runs, mut arenas) = (0, 0);
        for (seed, (site, ..)) in (1..).zip(&SITES) {
            let (placed, plain) = program(seed, &real.profile);
            let before = placed.len();
            let (expected, trace) = forecast(site, placed.finish(), plain, &real.profile);
            let name = format!("forecast-{}-{seed}", real.name.replace(' ', "-"));
            let (_, theirs) = real.both(&real.profile, &trace, &name).unwrap();
            let mut operations = 0;
            let mut given_back: Vec<u64> = Vec::new();
            for line in theirs.lines() {
                match line.strip_prefix("-arena ") {
                    Some(number) if operations >= before => given_back.push(number.parse().unwrap()),
                    Some(_) => {}
                    None => operations += u64::from(!line.starts_with("+arena ")),
                }
            }
            given_back.sort_unstable();
            assert_eq!(given_back, expected, "{}: {site}", real.name);
            runs += 1;
            arenas += expected.len();
        }
        compared(
            "forecasts",
            &format!("{}: {runs} programs, {arenas} arenas named and given back", real.name),
        );
        named += arenas;
    }
    assert!(named > 0 || libraries().is_empty(), "no forecast named an arena");
}
