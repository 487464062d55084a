//! What is known of a trace besides its operations, as fields with a tag and a length.

use sim_core::domains::AllocatorName;
use sim_core::tape::{CallCount, Missing, Source, Totals};
use sim_core::{Profile, Trace};

use super::varint::{Numbers, put, put_text};

const NAME: u64 = 1;
const DESCRIPTION: u64 = 2;
const PROFILE: u64 = 3;
const MALLOC: u64 = 4;
const SETTING: u64 = 5;
const FACT: u64 = 6;
const RECORDS: u64 = 7;
const PEAK: u64 = 8;
const CALLS: u64 = 9;
const THREAD: u64 = 10;
const MISSING: u64 = 11;
const DOUBT: u64 = 12;
const TRUNCATED: u64 = 13;
const MALLOC_STATS: u64 = 14;

/// What ptrace calls operations that only a run with mimalloc can do.
const OF_MIMALLOC: [&str; 7] = ["g", "p", "x", "v", "q", "d", "P"];

/// A field: tag, length, content.
fn field(out: &mut Vec<u8>, tag: u64, fill: impl FnOnce(&mut Vec<u8>)) {
    let mut content = Vec::new();
    fill(&mut content);
    put(out, tag);
    put(out, content.len() as u64);
    out.extend_from_slice(&content);
}

fn text_field(out: &mut Vec<u8>, tag: u64, text: &str) {
    field(out, tag, |c| c.extend_from_slice(text.as_bytes()));
}

fn pair_field(out: &mut Vec<u8>, tag: u64, first: &str, second: &str) {
    field(out, tag, |c| {
        put_text(c, first);
        c.extend_from_slice(second.as_bytes());
    });
}

/// The payload of a META block.
pub(crate) fn put_meta(trace: &Trace, out: &mut Vec<u8>) {
    let source = &trace.source;
    text_field(out, NAME, &trace.name);
    text_field(out, DESCRIPTION, &trace.description);
    if let Some(profile) = &trace.profile {
        text_field(out, PROFILE, profile);
    }
    if let Some(malloc) = trace.malloc {
        text_field(out, MALLOC, malloc.name());
    }
    if let Some(value) = &trace.malloc_stats {
        text_field(out, MALLOC_STATS, value);
    }
    trace.settings.iter().for_each(|(key, value)| pair_field(out, SETTING, key, value));
    source.facts.iter().for_each(|(key, value)| pair_field(out, FACT, key, value));
    for (tag, number) in [(RECORDS, source.records), (PEAK, source.peak_bytes)] {
        if let Some(number) = number {
            field(out, tag, |c| put(c, number));
        }
    }
    for call in &source.calls {
        field(out, CALLS, |c| {
            put(c, call.calls);
            c.extend_from_slice(call.function.as_bytes());
        });
    }
    source.thread_names.iter().for_each(|name| text_field(out, THREAD, name));
    source.missing.iter().for_each(|m| pair_field(out, MISSING, &m.what, &m.remedy));
    let doubt = &source.doubt;
    field(out, DOUBT, |c| {
        for count in [
            doubt.unknown_frees,
            doubt.unknown_reallocs,
            doubt.lost_frees,
            doubt.inferred_domains,
            doubt.ambiguous_reallocs,
        ] {
            put(c, count);
        }
    });
    if let Some(sentence) = &doubt.truncated {
        text_field(out, TRUNCATED, sentence);
    }
}

/// Sets what a META block says. What is wrong, as the middle of a sentence.
pub(crate) fn take_meta(raw: &[u8], trace: &mut Trace) -> Result<(), String> {
    let mut numbers = Numbers(raw);
    let cut = || "a field of the facts ends early".to_owned();
    trace.settings.clear();
    (trace.profile, trace.malloc, trace.malloc_stats) = (None, None, None);
    let mut source = Source::default();
    while !numbers.done() {
        let tag = numbers.next().ok_or_else(cut)?;
        let length = numbers.small().ok_or_else(cut)?;
        let content = numbers.bytes(length as usize).ok_or_else(cut)?;
        let mut inner = Numbers(content);
        let text = |bytes: &[u8]| {
            std::str::from_utf8(bytes).map(ToOwned::to_owned).map_err(|_| "a fact is no UTF-8".to_owned())
        };
        match tag {
            NAME => {
                let name = text(content)?;
                if !name.is_empty() {
                    trace.name = name;
                }
            }
            DESCRIPTION => trace.description = text(content)?,
            PROFILE => {
                let name = text(content)?;
                Profile::named(&name).map_err(|e| e.to_string())?;
                trace.profile = Some(name);
            }
            MALLOC => trace.malloc = Some(AllocatorName::parse(&text(content)?).map_err(|e| e.to_string())?),
            SETTING => {
                let key = inner.text().ok_or_else(cut)?;
                let value = text(inner.0)?;
                Profile::default().set(key, &value).map_err(|e| e.to_string())?;
                trace.settings.push((key.to_owned(), value));
            }
            MALLOC_STATS => trace.malloc_stats = Some(text(content)?),
            FACT => source.facts.push((inner.text().ok_or_else(cut)?.to_owned(), text(inner.0)?)),
            RECORDS => source.records = Some(inner.next().ok_or_else(cut)?),
            PEAK => source.peak_bytes = Some(inner.next().ok_or_else(cut)?),
            CALLS => {
                let calls = inner.next().ok_or_else(cut)?;
                source.calls.push(CallCount { calls, function: text(inner.0)? });
            }
            THREAD => source.thread_names.push(text(content)?),
            MISSING => {
                let what = inner.text().ok_or_else(cut)?.to_owned();
                source.missing.push(Missing { what, remedy: text(inner.0)? });
            }
            DOUBT => {
                let doubt = &mut source.doubt;
                for count in [
                    &mut doubt.unknown_frees,
                    &mut doubt.unknown_reallocs,
                    &mut doubt.lost_frees,
                    &mut doubt.inferred_domains,
                    &mut doubt.ambiguous_reallocs,
                ] {
                    *count = inner.next().ok_or_else(cut)?;
                }
            }
            TRUNCATED => source.doubt.truncated = Some(text(content)?),
            _ => {}
        }
    }
    trace.source = source;
    Ok(())
}

/// What is known of a trace without its operations, as it stands in the index.
pub(crate) fn put_totals(totals: &Totals, notes: u64, out: &mut Vec<u8>) {
    put(out, totals.operations);
    totals.counts.iter().flatten().for_each(|&n| put(out, n));
    put(out, totals.actions);
    put(out, u64::from(totals.slots));
    put(out, totals.stacks);
    put(out, notes);
    let flags = [totals.has_stacks, totals.has_addresses, totals.timed, totals.needs_layers];
    out.push(flags.iter().rev().fold(0, |all, &flag| all << 1 | u8::from(flag)));
    match totals.needs_mimalloc {
        None => put(out, 0),
        Some((first, name)) => {
            put(out, 1 + OF_MIMALLOC.iter().position(|&n| n == name).unwrap_or(0) as u64);
            put(out, first);
        }
    }
    put(out, totals.threads.len() as u64);
    totals.threads.chunks(8).for_each(|eight| {
        out.push(eight.iter().rev().fold(0, |all, &seen| all << 1 | u8::from(seen)));
    });
}

/// Totals and the number of notes.
pub(crate) fn take_totals(numbers: &mut Numbers<'_>) -> Option<(Totals, u64)> {
    let mut totals = Totals { operations: numbers.next()?, ..Totals::default() };
    for count in totals.counts.iter_mut().flatten() {
        *count = numbers.next()?;
    }
    totals.actions = numbers.next()?;
    totals.slots = numbers.small()?;
    totals.stacks = numbers.next()?;
    let notes = numbers.next()?;
    let flags = numbers.bytes(1)?[0];
    totals.has_stacks = flags & 1 != 0;
    totals.has_addresses = flags & 2 != 0;
    totals.timed = flags & 4 != 0;
    totals.needs_layers = flags & 8 != 0;
    totals.needs_mimalloc = match numbers.small()? {
        0 => None,
        name => Some((numbers.next()?, *OF_MIMALLOC.get(name as usize - 1)?)),
    };
    let threads = numbers.small().filter(|&n| n <= 1 << 16)? as usize;
    let bits = numbers.bytes(threads.div_ceil(8))?;
    totals.threads = (0..threads).map(|at| bits[at / 8] >> (at % 8) & 1 != 0).collect();
    Some((totals, notes))
}
