//! Each invariant in ARCHITECTURE.md names what holds it, and what it names is there.
//!
//! An invariant is an item of the list under its heading: a sentence, then `Held by` and names in backticks. A name is a file and,
//! after `::`, a test in it; in a file of `xtask` a function that checks, in one that is not of Rust the words themselves.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use crate::workspace::root;

const PAGE: &str = "ARCHITECTURE.md";
const HEADING: &str = "## Invariants";
const HELD: &str = "Held by ";

/// Lines above a test's name in which it is marked as one.
const MARK_LINES: usize = 4;

/// Checks the page.
pub(crate) fn check() -> Result<()> {
    let page = fs::read_to_string(root().join(PAGE)).with_context(|| format!("{PAGE} cannot be read"))?;
    let wrong = missing(&page, |file| fs::read_to_string(root().join(file)).ok());
    for line in &wrong {
        println!("{line}");
    }
    match wrong.len() {
        0 => Ok(()),
        count => bail!("invariants that nothing holds: {count} ({PAGE})"),
    }
}

/// What the page names and is not there; a line each.
fn missing(page: &str, read: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let mut wrong = Vec::new();
    let items = items(page);
    if items.is_empty() {
        wrong.push(format!("{PAGE}:1: there is no list under `{HEADING}`"));
    }
    for (line, item) in items {
        let place = format!("{PAGE}:{line}");
        let names: Vec<_> =
            item.split_once(HELD).map_or("", |(_, held)| held).split('`').skip(1).step_by(2).collect();
        if names.is_empty() {
            wrong.push(format!("{place}: say what holds this invariant (`{HELD}` and a test), or strike it"));
        }
        for name in names {
            let Some((file, test)) = name.split_once("::") else {
                wrong.push(format!("{place}: `{name}` is not of the form file::test"));
                continue;
            };
            match read(file) {
                None => {
                    wrong.push(format!("{place}: there is no file {file}: name the one that holds this now"));
                }
                Some(source) if !has(file, &source, test) => {
                    wrong.push(format!(
                        "{place}: {file} has no test `{test}`: name the one that holds this now"
                    ));
                }
                Some(_) => {}
            }
        }
    }
    wrong
}

/// The items of the list under the heading, each with its line.
fn items(page: &str) -> Vec<(usize, String)> {
    let lines = page.lines().enumerate().skip_while(|(_, line)| *line != HEADING).skip(1);
    let mut items: Vec<(usize, String)> = Vec::new();
    for (at, line) in lines.take_while(|(_, line)| !line.starts_with('#')) {
        if let Some(text) = line.strip_prefix("- ") {
            items.push((at + 1, text.to_owned()));
        } else if let (Some(text), Some((_, item))) = (line.strip_prefix("  "), items.last_mut()) {
            item.push(' ');
            item.push_str(text);
        }
    }
    items
}

/// Whether a file has a test, or in `xtask` a function.
fn has(file: &str, source: &str, test: &str) -> bool {
    if Path::new(file).extension().is_none_or(|end| end != "rs") {
        return source.contains(test);
    }
    let lines: Vec<_> = source.lines().map(str::trim_start).collect();
    lines.iter().enumerate().any(|(at, line)| {
        let named = line.split_once("fn ").is_some_and(|(_, rest)| {
            rest.strip_prefix(test).is_some_and(|rest| rest.starts_with(['(', '<']))
        });
        let above = &lines[at.saturating_sub(MARK_LINES)..at];
        let ran = above.contains(&"#[test]") && !above.iter().any(|line| line.starts_with("#[ignore"));
        named && (ran || file.starts_with("xtask/"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invariant_that_nothing_holds_is_found() {
        let page = "# A\n## Invariants\n\n- One. Held by `a.rs::holds`, `b.toml::a lint`\n  and `a.rs::gone`.\n- Two `x`.\n\
            - Three. Held by `c.rs::holds`, `a.rs::helper`, `a.rs::ignored`, `a.rs`.\n\n## Others\n- Four.\n";
        let files = [
            (
                "a.rs",
                "#[test]\nfn holds() {\n}\n\n\n\n\nfn helper() {}\n#[test]\n#[ignore = \"slow\"]\nfn ignored() {}",
            ),
            ("b.toml", "a lint = true"),
        ];
        let read =
            |file: &str| files.iter().find(|(name, _)| *name == file).map(|(_, text)| (*text).to_owned());
        assert_eq!(
            missing(page, read),
            [
                "ARCHITECTURE.md:4: a.rs has no test `gone`: name the one that holds this now",
                "ARCHITECTURE.md:6: say what holds this invariant (`Held by ` and a test), or strike it",
                "ARCHITECTURE.md:7: there is no file c.rs: name the one that holds this now",
                "ARCHITECTURE.md:7: a.rs has no test `helper`: name the one that holds this now",
                "ARCHITECTURE.md:7: a.rs has no test `ignored`: name the one that holds this now",
                "ARCHITECTURE.md:7: `a.rs` is not of the form file::test",
            ]
        );
        assert_eq!(missing("# A\n", read), ["ARCHITECTURE.md:1: there is no list under `## Invariants`"]);
        assert!(has("xtask/src/a.rs", "pub(crate) fn check() {", "check"));
    }
}
