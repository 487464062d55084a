//! Inputs that a fuzz target once failed on, each named by its target, through the same harness.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

#[allow(unreachable_pub, reason = "the fuzz targets use all of it")]
#[path = "../../fuzz/src/harness.rs"]
mod harness;

type Target = fn(&[u8]);

#[test]
fn what_once_failed_does_so_no_more() {
    let targets: [(&str, Target); 9] = [
        ("ptrace", harness::ptrace),
        ("ron", harness::ron),
        ("memray", harness::memray),
        ("atrace", harness::atrace),
        ("heaptrack", harness::heaptrack),
        ("mtrace", harness::mtrace),
        ("mtrace_utils", harness::mtrace_utils),
        ("csv", harness::csv),
        ("stats_text", harness::stats_text),
    ];
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let (target, _) = name.split_once('-').expect("TARGET-WHAT");
        let run = targets.iter().find(|t| t.0 == target).expect("a target").1;
        run(&std::fs::read(&path).unwrap());
        seen += 1;
    }
    assert!(seen > 0, "the corpus is there");
}
