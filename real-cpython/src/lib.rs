//! The real pymalloc in this process, to compare with and to race against.
//!
//! A libpython that is never initialised is loaded, its allocator called directly, its arenas placed
//! where the simulation places them. Tests and the benchmark use it, and of the product `lesson check --live` alone.
//!
//! This crate calls C; it is the only one outside the mmap backend that may. Each `unsafe` says why it holds.

#![expect(unsafe_code, reason = "it calls the real allocator through its C interface")]

mod arenas;
pub mod beside;
mod clock;
pub mod course;
pub mod driver;
mod hooks;
pub mod i386;
pub mod interpreters;
pub mod libpython;
pub mod measure;
pub mod memray;
#[path = "../../trace-io/tests/support/outside.rs"]
pub mod outside;
pub mod packages;
mod pristine;
mod python;
pub mod random;

pub use clock::WorkClock;
pub use python::{LoadError, RealPymalloc};

/// What a comparison needs, or `None` after saying that `what` does not run. See [`outside::not_run`].
pub fn or_not_run<T, E: std::fmt::Display>(what: &str, found: Result<T, E>) -> Option<T> {
    found.map_err(|why| outside::not_run(what, why)).ok()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn what_does_not_run_is_one_line_each() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tmp");
        let file = folder.join(format!("not-run-{}.txt", std::process::id()));
        std::fs::create_dir_all(folder).unwrap();
        std::thread::scope(|scope| {
            for what in ["one", "two", "three", "four"] {
                let file = &file;
                scope.spawn(move || {
                    for _ in 0..100 {
                        outside::tell(file, what, "it has\ta tab\nand  lines\n").unwrap();
                    }
                });
            }
        });
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::remove_file(file).unwrap();
        assert_eq!(text.lines().count(), 400);
        for what in ["one", "two", "three", "four"] {
            let line = format!("{what}\tit has a tab and lines");
            assert_eq!(text.lines().filter(|l| *l == line).count(), 100, "{what}");
        }
    }
}
