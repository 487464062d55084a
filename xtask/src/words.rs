//! What files must not say: where colors are made, what knows a platform, what the core must not see. And how long files are.
//!
//! It reads text: clippy's lists (`clippy.toml`, `app-web/clippy-browser/clippy.toml`) name functions one by one, and those for the
//! browser need its target; here whole modules are kept out, everywhere. Each exception stands on a list, and goes when it is
//! needed no more.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use crate::modules::crates;
use crate::rust_text::{hash_order, said};
use crate::workspace::root;

const HERE: &str = "xtask/src/words.rs";

/// Paths that files of some folders must not name.
struct Rule {
    folders: &'static [&'static str],
    /// Segments that stand one after the other somewhere in a path; `*` is any one.
    paths: &'static [&'static str],
    /// Files, and what each may name nevertheless.
    except: &'static [(&'static str, &'static str)],
    /// Why, and what to do instead.
    because: &'static str,
}

const RULES: [Rule; 4] = [
    Rule {
        folders: &["app-ui/src"],
        paths: &["Color32::*", "Rgba", "Hsva", "HsvaGamma", "hex_color"],
        except: &[
            ("app-ui/src/theme.rs", "*"),
            // Lines without a fill, texts that take a color later, and a texture as it is.
            ("app-ui/src/panes/map_arrows.rs", "Color32::TRANSPARENT"),
            ("app-ui/src/panes/map_overlay.rs", "Color32::PLACEHOLDER"),
            ("app-ui/src/panes/map.rs", "Color32::WHITE"),
        ],
        because: "only the theme makes colors: add one to app-ui/src/theme.rs, light and dark",
    },
    Rule {
        folders: &["app-ui/src", "session/src"],
        paths: &[
            "cfg::target_arch",
            "cfg::target_env",
            "cfg::target_family",
            "cfg::target_os",
            "cfg::target_pointer_width",
            "cfg::unix",
            "cfg::windows",
            "std::env",
            "std::fs",
            "std::net",
            "std::os",
            "std::path",
            "std::process",
            "std::thread",
            "js_sys",
            "wasm_bindgen",
            "web_sys",
        ],
        // The one port with a thread, and where it is declared.
        except: &[
            ("session/src/port/thread.rs", "std::thread"),
            ("session/src/port/mod.rs", "cfg::target_arch"),
        ],
        because: "the window and what is under it are the same everywhere: ask the shell, by app_ui::Platform or a Port",
    },
    Rule {
        folders: &["sim-core/src"],
        paths: &[
            "Instant",
            "SystemTime",
            "std::env",
            "std::fs",
            "std::net",
            "std::os",
            "std::path",
            "std::process",
            "std::thread",
            "cfg::target_arch",
            "cfg::target_family",
            "cfg::target_os",
            "cfg::target_pointer_width",
            "cfg::unix",
            "cfg::windows",
        ],
        except: &[],
        because: "the core sees no clock, thread, file, environment or platform: whoever calls it gives it what it needs",
    },
    Rule {
        folders: &["sim-core/src"],
        paths: &["HashMap", "HashSet"],
        // Names of a trace, while it is made; recorded addresses, which come with the trace.
        except: &[("sim-core/src/tape/stacks.rs", "*"), ("sim-core/src/report/trust.rs", "*")],
        because: "the machine hashes nothing: number things densely and keep a table",
    },
];

/// The crate where the order of a table that hashes must not be seen.
const WITHOUT_HASH_ORDER: &str = "sim-core/src";

/// What a crate does not know, not even in a comment, in small letters; and the files that still say it.
const UNKNOWN: (&str, &[&str], &[&str]) = ("memray", &["sim-core/src", "sim-core/tests"], &[]);

/// The most lines of a file under a crate's `src`.
const LINES_MAX: usize = 600;

/// A file by its path from the repository's root, and its text.
type Source = (String, String);

/// Checks all of it.
pub(crate) fn check() -> Result<()> {
    let mut wrong = Vec::new();
    for rule in &RULES {
        wrong.extend(rule.broken(&sources(rule.folders)?));
    }
    for (file, source) in sources(&[WITHOUT_HASH_ORDER])? {
        wrong.extend(hash_orders(&file, &source));
    }
    wrong.extend(known(&sources(UNKNOWN.1)?, UNKNOWN.0, UNKNOWN.2));
    let of_crates: Vec<_> = crates()?.into_iter().map(|folder| folder.join("src")).collect();
    let of_crates: Vec<_> = of_crates.iter().filter_map(|folder| folder.strip_prefix(root()).ok()).collect();
    wrong.extend(too_long(&sources(&of_crates)?));
    for line in &wrong {
        println!("{line}");
    }
    match wrong.len() {
        0 => Ok(()),
        count => bail!("words and lengths against the design: {count} ({HERE})"),
    }
}

impl Rule {
    /// What files say against it, and exceptions that nobody needs; a line each.
    fn broken(&self, sources: &[Source]) -> Vec<String> {
        let (mut wrong, mut used) = (Vec::new(), BTreeSet::new());
        // What is all of tests is not built.
        for (file, source) in sources.iter().filter(|(file, _)| !file.ends_with("/tests.rs")) {
            for said in said(source) {
                if !self.paths.iter().any(|wanted| names(&said.path, wanted)) {
                    continue;
                }
                let except = self.except.iter().find(|(of, what)| of == file && names(&said.path, what));
                if let Some(except) = except {
                    used.insert(except);
                } else {
                    wrong.push(format!("{file}:{}: `{}`: {}", said.line, said.path, self.because));
                }
            }
        }
        let unused = self.except.iter().filter(|except| !used.contains(except));
        wrong.extend(unused.map(|(file, what)| {
            format!("{file} does not name `{what}` any more: take the exception off the list in {HERE}")
        }));
        wrong
    }
}

/// Whether segments stand one after the other in a path.
fn names(path: &str, wanted: &str) -> bool {
    let wanted: Vec<_> = wanted.split("::").collect();
    let path: Vec<_> = path.split("::").collect();
    path.windows(wanted.len()).any(|part| part.iter().zip(&wanted).all(|(a, b)| *b == "*" || a == b))
}

/// Where a file goes through tables that hash; a line each.
fn hash_orders(file: &str, source: &str) -> Vec<String> {
    let found = hash_order(source);
    found
        .into_iter()
        .map(|(line, name)| {
            format!(
                "{file}:{line}: `{name}` hashes, so what goes through it has another order each time: sort, or take a BTreeMap"
            )
        })
        .collect()
}

/// Where files know a word that they should not, and files on the list that do not know it; a line each.
fn known(sources: &[Source], word: &str, still: &[&str]) -> Vec<String> {
    let (mut wrong, mut seen) = (Vec::new(), BTreeSet::new());
    for (file, source) in sources {
        for (at, line) in source.lines().enumerate().filter(|(_, line)| line.to_lowercase().contains(word)) {
            seen.insert(file.as_str());
            if !still.contains(&file.as_str()) {
                let line = line.trim();
                wrong.push(format!(
                    "{file}:{}: this crate does not know {word}: say what the core does, without whom it does it for: {line}",
                    at + 1
                ));
            }
        }
    }
    let gone = still.iter().filter(|file| !seen.contains(**file));
    wrong.extend(
        gone.map(|file| format!("{file} does not know {word} any more: take it off the list in {HERE}")),
    );
    wrong
}

/// Files that are too long; a line each.
fn too_long(sources: &[Source]) -> Vec<String> {
    let lines = sources.iter().map(|(file, source)| (file, source.lines().count()));
    let long = lines.filter(|(_, lines)| *lines > LINES_MAX);
    long.map(|(file, lines)| {
        format!(
            "{file}:{lines}: more than {LINES_MAX} lines: a part of it that has a name is a file of its own"
        )
    })
    .collect()
}

/// All files of Rust in folders, in order.
fn sources(folders: &[impl AsRef<Path>]) -> Result<Vec<Source>> {
    let mut files = Vec::new();
    let mut open: Vec<_> = folders.iter().map(|folder| root().join(folder)).collect();
    while let Some(folder) = open.pop() {
        let shown = folder.display();
        for entry in fs::read_dir(&folder).with_context(|| format!("{shown} cannot be read"))? {
            let path = entry.with_context(|| format!("{shown} cannot be read"))?.path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let source = fs::read_to_string(&path)
                    .with_context(|| format!("{} cannot be read", path.display()))?;
                let name = path.strip_prefix(root()).unwrap_or(&path);
                files.push((name.to_string_lossy().replace('\\', "/"), source));
            }
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a rule says of made-up files, its unused exceptions aside.
    fn broken(rule: &Rule, files: &[(&str, &str)]) -> Vec<String> {
        let sources: Vec<_> =
            files.iter().map(|&(file, source)| (file.to_owned(), source.to_owned())).collect();
        rule.broken(&sources).into_iter().filter(|line| !line.contains("exception")).collect()
    }

    /// The place at the beginning of each line.
    fn places(lines: &[String]) -> Vec<&str> {
        lines.iter().map(|line| line.split(": ").next().unwrap_or_default()).collect()
    }

    #[test]
    fn a_color_outside_the_theme_is_found() {
        let pane = "use egui::{Color32, Rgba};
            fn f(c: Color32) { g(Color32::from_rgb(1, 2, 3)); g(egui::Color32::RED); g(Color32::TRANSPARENT) }
            // Color32::BLUE
            #[cfg(test)]
            mod tests { fn f() { Color32::GREEN } }";
        let files = [("app-ui/src/panes/map_arrows.rs", pane), ("app-ui/src/theme.rs", pane)];
        let lines = broken(&RULES[0], &files);
        let [first, second] = ["app-ui/src/panes/map_arrows.rs:1", "app-ui/src/panes/map_arrows.rs:2"];
        assert_eq!(places(&lines), [first, second, second], "{lines:?}");
        assert!(
            lines[1].contains("`Color32::from_rgb`") && lines[1].contains("add one to app-ui/src/theme.rs")
        );
    }

    #[test]
    fn a_platform_in_the_window_or_under_it_is_found() {
        let source = "use std::{fs, path::PathBuf};
            #[cfg(not(target_arch = \"wasm32\"))]
            mod a;
            #[cfg(test)]
            mod tests { use std::fs; }
            fn f() { cfg!(windows) || x.windows(2) || std::thread::sleep(d) || web_sys::window() }";
        let lines = broken(&RULES[1], &[("session/src/a.rs", source)]);
        let lines = places(&lines);
        let expected = [1, 1, 2, 6, 6, 6].map(|line| format!("session/src/a.rs:{line}"));
        assert_eq!(lines, expected);
        let allowed = [
            ("session/src/port/thread.rs", "use std::thread;"),
            ("session/src/port/mod.rs", "#[cfg(not(target_arch = \"wasm32\"))] mod thread;"),
        ];
        assert_eq!(broken(&RULES[1], &allowed), [""; 0]);
    }

    #[test]
    fn a_clock_or_a_thread_in_the_core_is_found() {
        let source = "use std::time::{Duration, Instant};\nfn f() { std::env::var(\"X\"); spawn(std::thread::current) }";
        let lines = broken(&RULES[2], &[("sim-core/src/a.rs", source)]);
        assert_eq!(places(&lines), ["sim-core/src/a.rs:1", "sim-core/src/a.rs:2", "sim-core/src/a.rs:2"]);
        let lines = broken(&RULES[3], &[("sim-core/src/a.rs", "use std::collections::{BTreeMap, HashMap};")]);
        assert_eq!(places(&lines), ["sim-core/src/a.rs:1"]);
        let lines = hash_orders("sim-core/src/a.rs", "fn f(t: &HashSet<u8>) {\n t.iter() }");
        assert_eq!(places(&lines), ["sim-core/src/a.rs:2"]);
    }

    #[test]
    fn exceptions_go_when_they_are_not_needed() {
        let lines = RULES[1].broken(&[]);
        assert_eq!(lines.len(), RULES[1].except.len());
        assert!(lines[0].starts_with("session/src/port/thread.rs does not name `std::thread` any more"));
    }

    #[test]
    fn a_word_that_a_crate_does_not_know_is_found() {
        let sources =
            [("a.rs".to_owned(), "x\n// For Memray.\n".to_owned()), ("b.rs".to_owned(), String::new())];
        assert_eq!(places(&known(&sources, "memray", &[])), ["a.rs:2"]);
        let lines = known(&sources, "memray", &["a.rs", "b.rs"]);
        assert_eq!(places(&lines), ["b.rs does not know memray any more"]);
    }

    #[test]
    fn a_file_that_is_too_long_is_found() {
        let file = |name: &str, lines: usize| (name.to_owned(), "x\n".repeat(lines));
        let sources = [file("a.rs", LINES_MAX), file("b.rs", LINES_MAX + 1), file("c.rs", LINES_MAX + 9)];
        assert_eq!(places(&too_long(&sources)), ["b.rs:601", "c.rs:609"]);
    }
}
