//! The step `stand-alone`: a clone without `../shared` passes, and says what did not run.

use anyhow::{Result, ensure};

use crate::not_run::Log;
use crate::workspace::{SHARED, cargo, once_each, root, run as run_command};

/// Tests that look into `../shared`, by the file of each, and what does not run where that is missing.
const OUTSIDE: [(&str, &str, &str); 7] = [
    ("trace-io/tests/golden.rs", "all_goldens_are_met", "all golden traces of CPython, simulated"),
    (
        "mmap-arenas/tests/golden.rs",
        "all_goldens_are_met",
        "all golden traces of CPython, over arenas in memory",
    ),
    ("trace-io/tests/atrace.rs", "goldens_come_back", "all golden traces of CPython, as archives"),
    ("trace-io/tests/mimalloc.rs", "all_goldens_are_met", "all golden traces of mimalloc"),
    (
        "real-cpython/tests/memray.rs",
        "captures_are_read_as_memray_reads_them",
        "captures of real programs beside memray",
    ),
    (
        "session/tests/recorded.rs",
        "captures_have_as_many_arenas_as_a_second_reader_counts",
        "arenas of captures beside a second reader",
    ),
    (
        "session/tests/whatif.rs",
        "the_default_cell_has_the_arenas_of_the_real_interpreter",
        "peaks of whole programs in a what-if grid",
    ),
];

/// Runs the tests that look into `../shared` with the folder hidden from them: they pass, and each says that it did not
/// run.
pub(crate) fn check() -> Result<()> {
    let hidden = root().join("target/no-shared-folder");
    ensure!(!hidden.exists(), "{} must not exist: nothing is hidden by it", hidden.display());
    let log = Log::new("not-run-stand-alone")?;
    let targets = once_each(OUTSIDE.iter().filter_map(|(file, ..)| target(file)));
    let names = once_each(OUTSIDE.iter().map(|(_, name, _)| name));
    let mut test = cargo();
    test.args(["test", "--locked", "--workspace", "--no-fail-fast"]);
    test.args(targets.iter().flat_map(|target| ["--test", target])).args(["--", "--exact"]).args(names);
    run_command(log.hear(&mut test).env(SHARED, hidden))?;
    let lines = log.read()?;
    let silent: Vec<&str> = OUTSIDE
        .iter()
        .map(|(.., what)| *what)
        .filter(|what| !lines.iter().any(|line| line.what == *what))
        .collect();
    ensure!(
        silent.is_empty(),
        "without ../shared these neither ran nor said so: {}. They must ask outside::shared and tell outside::not_run",
        silent.join(", ")
    );
    Ok(())
}

/// The name by which cargo knows the test program of a file.
fn target(file: &str) -> Option<&str> {
    file.rsplit('/').next()?.strip_suffix(".rs")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    /// Files of Rust below a folder, by their path from the root.
    fn sources(folder: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && !name.starts_with('.') && !["target", "node_modules"].contains(&name.as_str())
            {
                sources(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path.strip_prefix(root()).unwrap().to_string_lossy().into_owned());
            }
        }
    }

    #[test]
    fn one_door_leads_outside_and_this_step_knows_who_goes_through() {
        const DOORS: [&str; 2] = ["trace-io/tests/support/outside.rs", "xtask/src/workspace.rs"];
        // Both golden.rs go through by this one.
        const SUPPORT: &str = "trace-io/tests/support/golden.rs";
        // Put together, so that this file has them not.
        let paths = ["\"", "/"].map(|before| format!("{before}../{}", "shared"));
        let call = format!("outside::{}", "shared(");
        let mut files = Vec::new();
        sources(&root(), &mut files);
        assert!(DOORS.iter().all(|door| files.iter().any(|file| file == door)), "{files:?}");
        for file in files.iter().map(String::as_str).filter(|file| !DOORS.contains(file)) {
            let text = fs::read_to_string(root().join(file)).unwrap();
            let around = text.lines().find(|line| paths.iter().any(|path| line.contains(path)));
            assert_eq!(around, None, "{file} goes around outside::shared");
            let known = file == SUPPORT || OUTSIDE.iter().any(|(of, ..)| *of == file);
            let looks = file.contains("/tests/") && text.contains(&call);
            assert!(known || !looks, "{file} looks into ../shared: add its test to OUTSIDE");
        }
        for (file, test, _) in OUTSIDE {
            let text = fs::read_to_string(root().join(file)).unwrap();
            assert!(text.contains(&format!("fn {test}()")), "{file} has no test {test}");
        }
    }
}
