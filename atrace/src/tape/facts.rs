//! Facts and totals of a trace as those of the file.

use sim_core::domains::AllocatorName;
use sim_core::tape::{CallCount, Missing, Source, Totals};
use sim_core::{Profile, Trace};

use crate::index;
use crate::meta::Meta;

/// What ptrace calls operations that only a run with mimalloc can do.
const OF_MIMALLOC: [&str; 7] = ["g", "p", "x", "v", "q", "d", "P"];

/// What a META block says of a trace.
pub(super) fn meta_of(trace: &Trace) -> Meta {
    let source = &trace.origin.source;
    let doubt = &source.doubt;
    Meta {
        name: trace.head.name.clone(),
        description: trace.head.description.clone(),
        profile: trace.head.profile.clone(),
        malloc: trace.head.malloc.map(|malloc| malloc.name().to_owned()),
        malloc_stats: trace.head.malloc_stats.clone(),
        lesson: trace.is_lesson(),
        settings: trace.head.settings.clone(),
        facts: source.facts.clone(),
        records: source.records,
        peak_bytes: source.peak_bytes,
        calls: source.calls.iter().map(|c| (c.calls, c.function.clone())).collect(),
        thread_names: source.thread_names.clone(),
        missing: source.missing.iter().map(|m| (m.what.clone(), m.remedy.clone())).collect(),
        doubts: [
            doubt.unknown_frees,
            doubt.unknown_reallocs,
            doubt.lost_frees,
            doubt.inferred_domains,
            doubt.ambiguous_reallocs,
        ],
        truncated: doubt.truncated.clone(),
    }
}

/// Sets what a META block says. What is wrong, as the middle of a sentence.
pub(super) fn set_meta(meta: Meta, trace: &mut Trace) -> Result<(), String> {
    if let Some(name) = &meta.profile {
        Profile::named(name).map_err(|e| e.to_string())?;
    }
    for (key, value) in &meta.settings {
        Profile::default().set(key, value).map_err(|e| e.to_string())?;
    }
    let malloc = meta.malloc.map(|name| AllocatorName::parse(&name).map_err(|e| e.to_string()));
    trace.head.malloc = malloc.transpose()?;
    if !meta.name.is_empty() {
        trace.head.name = meta.name;
    }
    trace.head.description = meta.description;
    trace.head.profile = meta.profile;
    trace.head.malloc_stats = meta.malloc_stats;
    trace.head.lesson = meta.lesson;
    trace.head.settings = meta.settings;
    let mut source = Source {
        facts: meta.facts,
        records: meta.records,
        peak_bytes: meta.peak_bytes,
        calls: meta.calls.into_iter().map(|(calls, function)| CallCount { function, calls }).collect(),
        thread_names: meta.thread_names,
        missing: meta.missing.into_iter().map(|(what, remedy)| Missing { what, remedy }).collect(),
        ..Source::default()
    };
    let doubt = &mut source.doubt;
    [
        doubt.unknown_frees,
        doubt.unknown_reallocs,
        doubt.lost_frees,
        doubt.inferred_domains,
        doubt.ambiguous_reallocs,
    ] = meta.doubts;
    doubt.truncated = meta.truncated;
    trace.origin.source = source;
    Ok(())
}

/// What an index says of a trace that has so many notes.
pub(super) fn totals_of(tape: Totals, notes: u64) -> index::Totals {
    let letter = |name| OF_MIMALLOC.iter().position(|&n| n == name).unwrap_or(0) as u8;
    index::Totals {
        operations: tape.operations,
        counts: tape.counts,
        actions: tape.actions,
        slots: tape.slots,
        threads: tape.threads,
        stacks: tape.stacks,
        notes,
        has_stacks: tape.has_stacks,
        has_addresses: tape.has_addresses,
        timed: tape.timed,
        needs_layers: tape.needs_layers,
        of_mimalloc: tape.needs_mimalloc.map(|(first, name)| (first, letter(name))),
    }
}

/// The other way, without the notes.
pub(super) fn tape_totals(totals: &index::Totals) -> Totals {
    let name = |letter| OF_MIMALLOC.get(usize::from(letter)).copied();
    Totals {
        operations: totals.operations,
        counts: totals.counts,
        actions: totals.actions,
        slots: totals.slots,
        threads: totals.threads.clone(),
        stacks: totals.stacks,
        has_stacks: totals.has_stacks,
        has_addresses: totals.has_addresses,
        timed: totals.timed,
        needs_layers: totals.needs_layers,
        needs_mimalloc: totals.of_mimalloc.and_then(|(first, letter)| Some((first, name(letter)?))),
    }
}
