//! The verdict of pictures of one moment each.

use trace_io::stats_text::StatsText;

use super::{
    FALLEN, FEW_ARENAS, GROWTH, PINNED_SHARE, STAYS, Try, Verdict, View, WINDOWS, Word, percent, share,
};
use crate::format::{bytes, count};

/// Of the text of `sys._debugmallocstats()`: one picture, or several of one run.
pub fn of_pictures(stats: &StatsText) -> Verdict {
    let all: Vec<&StatsText> = stats.series().collect();
    let (held, in_use) = (stats.bytes_held(), stats.bytes_in_use());
    let used = share(in_use, held);
    let arenas = stats.arenas().map_or(0, |(count, _)| count);
    let most = all.iter().filter_map(|picture| picture.arenas()).map(|(count, _)| count).max().unwrap_or(0);
    let peak = all.iter().map(|picture| picture.bytes_in_use()).max().unwrap_or(0);
    let grows = all.len() >= WINDOWS
        && all.windows(2).all(|pair| pair[1].bytes_in_use() >= pair[0].bytes_in_use())
        && in_use.saturating_sub(all[all.len() / 4].bytes_in_use()) as f64 >= GROWTH * peak as f64;
    let mut verdict = if grows {
        Verdict::new(
            Word::Growth,
            0.6,
            format!(
                "Blocks in use grow from picture to picture, to {} in the last of {}.",
                bytes(in_use),
                all.len()
            )
            .into(),
        )
    } else if arenas >= FEW_ARENAS && used < PINNED_SHARE {
        Verdict::new(
            Word::Pinned,
            0.6,
            format!(
                "Few blocks keep many arenas: {} are held ({}), blocks in use take {}.",
                count(arenas, "arena"),
                bytes(held),
                bytes(in_use)
            )
            .into(),
        )
    } else if all.len() > 1
        && arenas >= FEW_ARENAS
        && share(arenas, most) >= STAYS
        && share(in_use, peak) <= FALLEN
    {
        Verdict::new(
            Word::HighWater,
            0.6,
            format!(
                "The arenas of the peak are still held: {arenas} of {most}, though blocks in use fell to {}.",
                bytes(in_use)
            )
            .into(),
        )
    } else {
        Verdict::new(
            Word::Healthy,
            0.5,
            format!(
                "pymalloc holds {}, of which blocks in use take {}: too little to mend, or well used.",
                bytes(held),
                percent(used)
            )
            .into(),
        )
    };
    if all.len() > 1 {
        let line: Vec<String> = all.iter().map(|picture| bytes(picture.bytes_in_use())).collect();
        verdict.show(format!("in use, picture by picture: {}", line.join(", ")).into(), View::Stats);
        let line: Vec<String> =
            all.iter().map(|p| p.arenas().map_or(0, |(count, _)| count).to_string()).collect();
        verdict.show(format!("arenas: {}", line.join(", ")).into(), View::Stats);
    } else {
        verdict
            .doubts
            .push("one picture shows a moment: whether it grows, only a second one tells".to_owned());
        verdict.tries.push(Try::Do(
            "print sys._debugmallocstats() again later, and give both pictures in one file".to_owned(),
        ));
    }
    if let Some(largest) = stats.classes.iter().max_by_key(|class| class.available * class.size) {
        verdict.show(
            format!(
                "the most free room is in class {} ({} bytes): {} of {} blocks are free",
                largest.class,
                largest.size,
                largest.available,
                largest.available + largest.in_use
            )
            .into(),
            View::Stats,
        );
    }
    verdict
        .tries
        .push(Try::Do("record a trace to see who holds: memray run --trace-python-allocators".to_owned()));
    verdict
}
