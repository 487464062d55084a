//! A picture on one screen: what it comes to, where the memory is, who has it, and what to do next.

use std::io::Write as _;

use anyhow::Result;
use session::diagnosis::verdict;
use session::format::{bytes, printable};
use xray::image::Malloc;
use xray::image::summary::{LITTLE_PERCENT, Whose};
use xray::image::verdict::{Cause, Finding};

use super::super::output::{Reported, count, grouped};
use super::core::CoreRow;
use super::{Args, Found, Seen, pause_ms, tables};

/// What the process comes to, and what can be done.
pub(super) fn heading(out: &mut Reported, seen: &Seen, found: &Found) -> Result<()> {
    writeln!(
        out,
        "{} (Python 3.{}) has {} {}",
        printable(&seen.shown),
        seen.picture.version.minor,
        bytes(seen.copy.rss_bytes),
        if seen.is_core() { "of memory mapped" } else { "in memory" }
    )?;
    for finding in &found.findings {
        let share = 100 * finding.bytes / seen.copy.rss_bytes.max(1);
        writeln!(out, "\n{} ({share} %): {}", bytes(finding.bytes), says(finding, found))?;
        writeln!(out, "  next: {}", next(finding.cause, found))?;
    }
    Ok(())
}

/// A finding as a sentence.
fn says(finding: &Finding, found: &Found) -> String {
    let summary = &found.summary;
    let said = verdict::says(finding.cause);
    match finding.cause {
        Cause::CLibraryFree | Cause::Spread | Cause::MimallocFree | Cause::Native => said.to_owned(),
        Cause::LostInC => {
            let lost = summary.owners.iter().find(|row| row.whose == Whose::Nowhere);
            format!("{} {said}", grouped(lost.map_or(0, |row| row.blocks)))
        }
        Cause::Pinned => {
            let most = summary.holders.first();
            let most = most.map_or_else(String::new, |holder| {
                format!("; {} is in {} of them", printable(&holder.name), grouped(holder.arenas))
            });
            format!("{said}: {} less than {LITTLE_PERCENT} %{most}", count(summary.little_used, "arena"))
        }
        Cause::Buffers | Cause::Objects => {
            let most = summary.paths.first().map_or_else(String::new, |row| {
                let what = if finding.cause == Cause::Buffers {
                    format!(" ({})", short(&row.mostly))
                } else {
                    String::new()
                };
                format!("; most of one place are {} under {}{what}", bytes(row.bytes), printable(&row.name))
            });
            format!("{said}{most}")
        }
    }
}

/// A type's name without the module that all built-in ones have.
pub(super) fn short(name: &str) -> std::borrow::Cow<'_, str> {
    printable(name.strip_prefix("builtins.").unwrap_or(name))
}

/// What to do about it.
fn next(cause: Cause, found: &Found) -> String {
    let advice = verdict::advice(cause).unwrap_or_default();
    match cause {
        Cause::CLibraryFree | Cause::Spread | Cause::MimallocFree | Cause::Native => advice.to_owned(),
        Cause::LostInC => format!("{advice}; --by owner has their sizes"),
        Cause::Pinned => match found.summary.holders.first() {
            Some(holder) => {
                let rest = holder.arenas - holder.alone;
                let rest = if rest > 0 {
                    format!(", in {} others hold blocks too (--by arena)", count(rest, "arena"))
                } else {
                    String::new()
                };
                let own = if holder.alone > 0 {
                    format!(
                        "drop {}: {} it holds alone",
                        printable(&holder.name),
                        count(holder.alone, "arena")
                    )
                } else {
                    format!("drop {}: no arena it holds alone", printable(&holder.name))
                };
                format!("{own}{rest}; -o X.atrace and `forecast --want 50%` name what has to go")
            }
            None => "--by arena shows what is left in each".to_owned(),
        },
        Cause::Buffers => "--by path says who keeps what, --by owner whose the buffers are".to_owned(),
        Cause::Objects => "--by path says who keeps what; --retained what goes with one object".to_owned(),
    }
}

/// Whose the heaps below pymalloc are.
pub(super) fn malloc(malloc: &Malloc) -> String {
    match malloc {
        Malloc::Glibc(Some(generation)) => format!("glibc {}", generation.versions()),
        Malloc::Glibc(None) => "glibc".to_owned(),
        Malloc::Named(name) => (*name).to_owned(),
        Malloc::Unknown(Some(at)) => format!("an allocator that is not known, at {at:#x}"),
        Malloc::Unknown(None) => "an allocator that is not known".to_owned(),
    }
}

/// Tables of everything.
pub(super) fn overview(out: &mut Reported, args: &Args, seen: &Seen, found: &Found) -> Result<()> {
    let rss = seen.copy.rss_bytes;
    let what = if seen.is_core() {
        "mapped memory (a core does not say what was resident)"
    } else {
        "resident memory"
    };
    writeln!(out, "\n{:>14} {:>8}  {what}", "bytes", "share")?;
    for part in &found.parts {
        let share = 100.0 * part.bytes as f64 / rss.max(1) as f64;
        writeln!(out, "{:>14} {share:>6.1} %  {}", grouped(part.bytes), part.what.name())?;
    }
    let sum = found.parts.iter().map(|part| part.bytes).sum();
    let share = 100.0 * sum as f64 / rss.max(1) as f64;
    let counted =
        if seen.is_core() { String::new() } else { format!("; the system counts {}", grouped(rss)) };
    writeln!(out, "{:>14} {share:>6.1} %  in all{counted}", grouped(sum))?;
    let heaps = &seen.picture.heaps;
    let trim = heaps.trim_bytes(&seen.copy.resident);
    match heaps.malloc {
        Malloc::Glibc(_) => writeln!(
            out,
            "\n{} are free in the C library (it looks like {}); malloc_trim(0) would return {}",
            bytes(heaps.fordblks),
            malloc(&heaps.malloc),
            bytes(trim)
        )?,
        _ => writeln!(out, "\nthe C library's heap is not read: it looks like {}", malloc(&heaps.malloc))?,
    }
    let summary = &found.summary;
    tables::types(out, &summary.types, args.top)?;
    tables::owners(out, &summary.owners, args.top)?;
    tables::paths(out, &summary.paths, args.top)?;
    let arenas = seen.picture.arenas();
    writeln!(
        out,
        "\n{} of {} each; {} of them hold less than {LITTLE_PERCENT} %",
        count(arenas, "arena"),
        bytes(seen.picture.geometry.arena),
        grouped(summary.little_used)
    )?;
    if seen.picture.tables.len() > 1 {
        writeln!(out, "they are of {} interpreters with arenas of their own", seen.picture.tables.len())?;
    }
    if summary.little_used > 0 {
        tables::holders(out, &summary.holders, args.top)?;
    }
    Ok(())
}

/// What it cost, and how far it can be believed.
pub(super) fn ending(out: &mut Reported, args: &Args, seen: &Seen, core: Option<&CoreRow>) -> Result<()> {
    if let Some(row) = core {
        super::core::ending(out, row, seen.copy.threads)?;
    } else if args.no_stop {
        writeln!(out, "\nthe process went on running, so the picture is approximate")?;
    } else {
        let times = if seen.stops > 1 { format!(", stopped {} times", seen.stops) } else { String::new() };
        let threads = count(seen.copy.threads as u64, "thread");
        writeln!(out, "\nthe process did not run for {:.0} ms ({threads}{times})", pause_ms(&seen.copy))?;
    }
    let in_flight = seen.picture.pools.in_flight();
    if in_flight > 0 {
        writeln!(out, "{} were being changed: the picture is approximate there", count(in_flight, "pool"))?;
    }
    if !args.contents {
        writeln!(out, "keys of dicts are not shown; --contents shows them")?;
    }
    Ok(())
}
