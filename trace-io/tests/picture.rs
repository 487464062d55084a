//! Traces that begin with the picture of a process, in and out of `.atrace`.

#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "support/picture.rs"]
mod made;
mod support;

use std::io::Cursor;

use made::{begun, process};
use sim_core::picture::{Inventory, ProcessPicture};
use sim_core::report::digest;
use sim_core::{Machine, Profile, Trace};
use support::{Draw, check_same, open, pack, pack_in_blocks, seal};
use trace_io::atrace::{AtraceFile, BlockKind, FileProfile};
use trace_io::care::{Anonymize, Bound, Trim};
use trace_io::{Format, writer};

fn profile() -> Profile {
    Profile::named("cpython-3.14").unwrap()
}

fn same(back: &Trace, trace: &Trace) {
    check_same(back, trace, 0);
    assert_eq!(back.origin.picture, trace.origin.picture);
    let end = |trace: &Trace| {
        let mut machine = Machine::for_trace(&profile(), trace, None).unwrap();
        machine.run(trace, 0, trace.len() as usize);
        machine.verify().unwrap();
        digest(&machine)
    };
    assert_eq!(end(back), end(trace));
}

#[test]
fn all_of_it_comes_back() {
    let profile = profile();
    for calls in [0, 3_000] {
        let trace = begun(&profile, process(&profile, 4_000), calls);
        for bytes in [
            pack(&trace, FileProfile::Capture),
            pack(&trace, FileProfile::Archive),
            pack_in_blocks(&trace, 24, 0.0..17.0),
            pack_in_blocks(&trace, 24, 17.0..18.0),
        ] {
            assert_eq!(bytes[..10], *b"\x89ATR\r\n\x1a\n\x01\x02", "a reader must know pictures");
            same(&open(bytes.clone()).unwrap(), &trace);
            // From the middle.
            let mut file = AtraceFile::open("picture", Cursor::new(bytes)).unwrap();
            let (summary, _) = file.summary().unwrap().unwrap();
            assert_eq!(summary.origin.picture, trace.origin.picture);
            assert_eq!(summary.totals(), trace.totals());
            let state =
                file.blocks().iter().find(|entry| entry.kind == BlockKind::State).map(|entry| entry.first);
            let from = state.unwrap_or(0);
            file.seek(from).unwrap();
            if let Some(block) = file.next_block().unwrap() {
                assert_eq!(block.first(), from);
                assert_eq!(block.op(0), trace.op(from));
                assert_eq!(block.origin.picture, trace.origin.picture);
            }
        }
    }
}

#[test]
fn what_is_not_known_stays_so() {
    let profile = profile();
    let ProcessPicture { mut heaps, .. } = process(&profile, 4_000);
    heaps.truncate(1);
    let blocks = heaps[0].blocks() as usize;
    let trace = begun(&profile, ProcessPicture { heaps, ..ProcessPicture::default() }, 100);
    let back = open(pack(&trace, FileProfile::Archive)).unwrap();
    let picture = back.origin.picture.as_ref().unwrap();
    // There is a byte for each block all the same.
    assert_eq!(picture.inventory.blocks.flags, vec![0; blocks]);
    assert!(picture.inventory.types.is_empty() && picture.inventory.blocks.types.is_empty());
    check_same(&back, &trace, 0);
}

#[test]
fn a_cut_file_is_read_as_far_as_it_is_whole() {
    let profile = profile();
    let trace = begun(&profile, process(&profile, 600), 200);
    let whole = pack_in_blocks(&trace, 24, 17.0..18.0);
    let (mut refused, mut parts) = (0, 0);
    for end in (1..whole.len()).step_by(7) {
        match open(&whole[..end]) {
            Ok(back) => {
                parts += 1;
                assert!(back.origin.source.doubt.truncated.is_some());
                assert_eq!(back.origin.picture, trace.origin.picture);
            }
            Err(error) => {
                refused += 1;
                assert!(error.to_string().contains("byte "), "{error}");
            }
        }
    }
    assert!(refused > 100 && parts > 100, "{refused} refused, {parts} read");
}

#[test]
fn damage_never_panics_and_what_passes_can_be_begun_or_says_why() {
    let profile = profile();
    let trace = begun(&profile, process(&profile, 600), 50);
    let whole = pack_in_blocks(&trace, 24, 0.0..17.0);
    let plain = pack(&trace, FileProfile::Capture);
    let mut draw = Draw(5);
    let (mut begun, mut refused) = (0, 0);
    for round in 0..6_000 {
        let mut damaged = if round % 2 == 0 { whole.clone() } else { plain.clone() };
        for _ in 0..=draw.below(3) {
            let at = 16 + draw.below(damaged.len() as u64 - 16) as usize;
            damaged[at] = draw.below(256) as u8;
        }
        seal(&mut damaged);
        let Ok(back) = open(damaged) else {
            refused += 1;
            continue;
        };
        assert!(back.slot_count() < 1 << 22);
        if let Ok(mut machine) = Machine::for_trace(&profile, &back, None) {
            begun += usize::from(back.origin.picture.is_some());
            machine.run(&back, 0, back.len() as usize);
            machine.verify().unwrap();
        }
    }
    assert!(begun > 100 && refused > 1_000, "{begun} begun, {refused} refused");
}

#[test]
fn what_has_no_room_for_it_refuses_it() {
    let profile = profile();
    let trace = begun(&profile, process(&profile, 600), 50);
    for format in [Format::Ptrace, Format::Csv, Format::Ron] {
        let mut out = Vec::new();
        let mut writer = writer(format, &mut out).unwrap();
        let error = writer.write(&trace).unwrap_err().to_string();
        assert!(error.contains("the picture of a process"), "{error}");
    }
    let mut trim = Trim::new(Bound::Step(1), Bound::Step(2), false);
    assert!(trim.take(&trace).unwrap_err().to_string().contains("picture of a process; trim"));
}

#[test]
fn names_of_a_picture_can_be_taken_away() {
    let profile = profile();
    let trace = begun(&profile, process(&profile, 600), 50);
    let mut anonymize = Anonymize::new(b"key");
    anonymize.take(&trace).unwrap();
    anonymize.finish(&trace).unwrap();
    let hidden = anonymize.out().trace_mut().origin.picture.clone().unwrap();
    let picture = trace.origin.picture.as_ref().unwrap();
    assert_eq!((&hidden.heaps, &hidden.inventory.blocks), (&picture.heaps, &picture.inventory.blocks));
    let Inventory { types, owners, paths, mappings, .. } = &picture.inventory;
    let told = format!("{:?}", hidden.inventory);
    let names = types.iter().map(|of| &of.name).chain(owners).chain(paths);
    let own = names.chain(mappings.iter().map(|mapping| &mapping.name));
    let own: Vec<&String> = own
        .filter(|name| !name.is_empty() && !name.starts_with("builtins.") && !name.starts_with('['))
        .collect();
    assert!(own.len() > 3);
    for name in own {
        assert!(!told.contains(&format!("{name:?}")), "{name}");
    }
}
