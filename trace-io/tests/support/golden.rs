//! The golden files and the comparison with them, over any memory.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use ruzstd::decoding::StreamingDecoder;
use sim_core::report::{ArenaEvents, Fnv64};
use sim_core::{Profile, Trace};

#[path = "outside.rs"]
mod outside;

/// How a golden's file ends.
const GOLDEN: &str = ".golden.zst";
/// What stands before that, and how arenas are placed then; where nothing does, they are aligned.
const VARIANTS: [(&str, &str); 2] = [(".page", "page"), (".mixed", "mixed")];

/// What is compared: a machine over some memory.
pub(crate) trait Subject {
    /// Which memory, in a report.
    const NAME: &'static str;
    /// Pristine, for a trace.
    fn new(profile: &Profile, trace: &Trace) -> Self;
    /// Does an operation, says what arenas came and went, and appends its lines.
    fn place(&mut self, trace: &Trace, index: usize, events: &mut ArenaEvents, out: &mut String);
    /// The statistics text.
    fn stats(&self) -> String;
    /// What else must hold at the end.
    fn check_end(&self, profile: &Profile, trace: &Trace);
}

fn text(path: &Path) -> String {
    let mut out = String::new();
    let file = File::open(path).expect("a golden opens");
    StreamingDecoder::new(file)
        .expect("a golden is zstd")
        .read_to_string(&mut out)
        .expect("a golden is text");
    out
}

struct Golden {
    body: String,
    digest: u64,
    lines: u64,
    stats: String,
}

fn golden(path: &Path) -> Golden {
    let all = text(path);
    let (head, stats) = all.split_once("#stats\n").expect("a golden has statistics");
    let digest_line = head.lines().rev().find(|l| l.starts_with("#digest")).expect("a golden has a digest");
    let (hash, lines) = digest_line
        .strip_prefix("#digest fnv1a64=")
        .and_then(|l| l.split_once(" lines="))
        .expect("the digest line has its form");
    let mut body = String::with_capacity(head.len());
    for line in head.lines().filter(|l| !l.starts_with('#')) {
        body.push_str(line);
        body.push('\n');
    }
    Golden {
        body,
        digest: u64::from_str_radix(hash, 16).expect("the hash is hexadecimal"),
        lines: lines.parse().expect("the line count is a number"),
        stats: stats.to_owned(),
    }
}

/// Replays `trace` and compares with the golden; returns the operations compared.
fn check<S: Subject>(trace_path: &Path, golden_path: &Path, placement: &str) -> u64 {
    let name = trace_path.file_name().unwrap().to_string_lossy().into_owned();
    let file = File::open(trace_path);
    let file = file.unwrap_or_else(|e| panic!("{}: its trace {name}: {e}", golden_path.display()));
    let trace = trace_io::open(&name, Box::new(file)).expect("a trace of the oracle opens");
    let golden = golden(golden_path);
    let mut profile = Profile::default();
    profile.set("arena_placement", placement).unwrap();
    for (key, value) in &trace.head.settings {
        profile.set(key, value).unwrap();
    }
    let mut subject = S::new(&profile, &trace);
    let mut events = ArenaEvents::default();
    let mut out = String::new();
    let mut expected = golden.body.lines();
    let mut hash = Fnv64::default();
    let mut lines = 0;
    for index in 0..trace.len() {
        out.clear();
        events.clear();
        subject.place(&trace, index as usize, &mut events, &mut out);
        hash.bytes(out.as_bytes());
        for line in out.lines() {
            lines += 1;
            assert_eq!(
                Some(line),
                expected.next(),
                "{}: operation {} {:?}",
                golden_path.display(),
                index + 1,
                trace.op(index)
            );
        }
    }
    assert_eq!(expected.next(), None, "{}: the golden goes on", golden_path.display());
    assert_eq!((hash.0, lines), (golden.digest, golden.lines), "{}: digest", golden_path.display());
    assert_eq!(subject.stats(), golden.stats, "{}: statistics", golden_path.display());
    subject.check_end(&profile, &trace);
    trace.len()
}

/// All goldens of a folder, each with its trace: how many, and the operations compared.
fn check_folder<S: Subject>(folder: &Path) -> (usize, u64) {
    let goldens = outside::files(folder, GOLDEN).unwrap();
    let mut operations = 0;
    for golden in &goldens {
        let name = golden.file_name().unwrap().to_string_lossy().into_owned();
        let stem = name.strip_suffix(GOLDEN).unwrap();
        let variant =
            VARIANTS.iter().find_map(|(ending, placement)| Some((stem.strip_suffix(ending)?, placement)));
        let (stem, placement) = variant.unwrap_or((stem, &"aligned"));
        operations += check::<S>(&folder.join(format!("{stem}.ptrace.zst")), golden, placement);
    }
    (goldens.len(), operations)
}

/// The small goldens that are in the repository.
pub(crate) fn check_small<S: Subject>() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../trace-io/tests/data");
    assert_eq!(check_folder::<S>(&folder), (21, 397_827), "goldens in the repository and their operations");
}

/// All goldens, beside the repository.
pub(crate) fn check_all<S: Subject>() {
    let folder = match outside::shared("oracle") {
        Ok(folder) => folder,
        Err(why) => return outside::not_run(&format!("all golden traces of CPython, {}", S::NAME), why),
    };
    let (goldens, operations) = check_folder::<S>(&folder);
    let what = format!("golden traces of CPython, {}", S::NAME);
    outside::compared(&what, &format!("{goldens} goldens met, {} operations", outside::grouped(operations)));
    let found = format!("{goldens} goldens with {operations} operations in {}", folder.display());
    assert!(goldens >= 58 && operations >= 29_159_746, "{found}; there were 58 with 29,159,746");
}
