//! Texts of `sys._debugmallocstats()` as people have them: quoted, from a log, in UTF-16, in part, in a series.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs::File;
use std::path::Path;

use trace_io::stats_text::StatsText;
use trace_io::{Loaded, Loader};

fn picture(name: &str) -> StatsText {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/stats").join(name);
    match Loader::new(name, Box::new(File::open(path).unwrap()), None).finish().unwrap() {
        Loaded::Picture(stats) => *stats,
        other => panic!("{name} is a picture: {other:?}"),
    }
}

#[test]
fn what_stands_before_each_line_and_how_it_is_encoded_change_nothing() {
    for name in ["compose.txt", "quoted.txt", "utf16.txt"] {
        let stats = picture(name);
        assert_eq!(stats.doubts(), Vec::<String>::new(), "{name}");
        assert_eq!(stats.arenas(), Some((5, 1 << 20)), "{name}");
        assert_eq!((stats.bytes_held(), stats.bytes_in_use()), (5_242_880, 3_893_072), "{name}");
        assert!((stats.fragmentation() - 0.257).abs() < 0.001, "{name}");
        assert_eq!((stats.classes.len(), stats.number("Total")), (32, Some(5_242_880)), "{name}");
    }
}

#[test]
fn parts_are_known_and_say_what_is_missing() {
    let sums = picture("summary-only.txt");
    assert_eq!((sums.bytes_held(), sums.bytes_in_use()), (5_242_880, 3_893_072));
    assert_eq!(sums.doubts(), ["the table of size classes is not in it; the sums are the text's own"]);
    for name in ["malloc-3.13.txt", "under-memray-3.11.txt"] {
        let lists = picture(name);
        assert_eq!((lists.allocator(), lists.bytes_held(), lists.doubts().len()), (None, 0, 0), "{name}");
        assert!(lists.free_lists.len() > 20, "{name}");
    }
}

#[test]
fn of_a_series_the_peak_can_be_had() {
    let last = picture("series-3.11.txt");
    assert_eq!((last.pictures, last.earlier.len(), last.bytes_in_use()), (8, 7, 40_480));
    let most = last.series().max_by_key(|stats| stats.bytes_in_use()).unwrap();
    assert_eq!(most.pictures, 7);
    assert!(last.series().all(|stats| stats.arenas().is_some()));
}

#[test]
fn free_lists_count_the_blocks_that_they_keep() {
    // Emptying the list of a real 3.11.7 took 5,120 bytes, 80 blocks of 64, off what was in use.
    let stats = picture("freelists-3.11.txt");
    let kept: u64 = stats.free_lists.iter().map(trace_io::stats_text::FreeList::block_bytes).sum();
    assert_eq!(kept, 5_120);
}

#[test]
fn of_mimalloc_only_what_is_committed_can_be_free() {
    let stats = picture("mimalloc-3.13.txt");
    assert_eq!((stats.bytes_held(), stats.bytes_committed()), (4_817_016, Some(3_692_704)));
    assert_eq!(stats.bytes_free(), 3_692_704 - 2_698_712);
    assert!((stats.fragmentation() - 0.269).abs() < 0.001);
}
