//! A pane of the window never calls a pane: what two of them draw alike is shared, and what one of them needs is a part of it.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context as _, Result, bail};

use crate::modules::{Arrow, Crate};
use crate::rust_text::{Said, said};
use crate::workspace::root;

const CRATE: &str = "app-ui/src/lib.rs";
const FOLDER: &str = "panes";
const HERE: &str = "xtask/src/panes.rs";

/// Drawing that any pane may use.
const SHARED: [&str; 3] = ["boxes", "flags", "text"];

/// Modules that are parts of one pane, by that pane.
const PARTS: [(&str, &[&str]); 6] = [
    ("domains", &["arena_hook"]),
    ("help", &["processes", "still"]),
    ("inspector", &["inspector_held", "inspector_recorded", "sheet"]),
    ("map", &["map_arrows", "map_held", "map_legend", "map_overlay", "map_scene"]),
    ("mimalloc", &["mimalloc_page"]),
    ("process", &["treemap"]),
];

/// Checks the window's panes.
pub(crate) fn check() -> Result<()> {
    let mut files = Crate::default();
    files.add(&root().join(CRATE), Vec::new())?;
    let arrows = files.arrows();
    let panes: BTreeSet<&str> = files
        .files
        .keys()
        .filter(|module| module.len() == 2 && module[0] == FOLDER)
        .map(|module| module[1].as_str())
        .collect();
    let helpers = format!("app-ui/src/{FOLDER}/mod.rs");
    let source =
        fs::read_to_string(root().join(&helpers)).with_context(|| format!("{helpers} cannot be read"))?;
    let mut wrong = calls(&arrows, |pane| {
        fs::read_to_string(root().join(format!("app-ui/src/{FOLDER}/{pane}.rs"))).unwrap_or_default()
    });
    wrong.extend(helped(&helpers, &said(&source), &panes));
    wrong.extend(gone(&panes));
    for line in &wrong {
        println!("{line}");
    }
    match wrong.len() {
        0 => Ok(()),
        count => bail!("calls between panes: {count} ({HERE})"),
    }
}

/// The pane that a module belongs to.
fn pane(module: &str) -> &str {
    PARTS.iter().find(|(_, parts)| parts.contains(&module)).map_or(module, |(pane, _)| pane)
}

/// What panes take from other panes; a line each.
fn calls(arrows: &BTreeSet<Arrow>, source: impl Fn(&str) -> String) -> Vec<String> {
    let mut wrong = Vec::new();
    for arrow in arrows {
        let [(Some(folder), Some(from)), (Some(other), Some(to))] =
            [&arrow.from, &arrow.to].map(|module| (module.first(), module.get(1)))
        else {
            continue;
        };
        if folder == FOLDER && other == FOLDER && pane(from) != pane(to) && !SHARED.contains(&to.as_str()) {
            let name = arrow.name.rsplit("::").next();
            let named = said(&source(from)).into_iter().find(|said| {
                let mut segments = said.path.split("::");
                matches!(segments.next(), Some("super" | "crate")) && segments.last() == name
            });
            let line = named.map_or(1, |said| said.line);
            wrong.push(format!(
                "app-ui/src/{FOLDER}/{from}.rs:{line}: `{}` is of the pane {to}: a pane never calls a pane. Push a command, move \
                 what both draw into mod.rs or a shared module, or say in {HERE} that {to} is a part of {from}",
                arrow.name
            ));
        }
    }
    wrong
}

/// What the panes' common helpers take from a pane; a line each.
fn helped(file: &str, said: &[Said], panes: &BTreeSet<&str>) -> Vec<String> {
    let mut wrong = Vec::new();
    for Said { line, path } in said {
        let first = path.split("::").find(|segment| !["self", "super", "crate", FOLDER].contains(segment));
        // A word alone may be anything.
        let Some(pane) = first.filter(|first| panes.contains(first) && path.contains("::")) else { continue };
        if !SHARED.contains(&pane) {
            wrong.push(format!("{file}:{line}: the panes' helpers take `{path}` from a pane: move it here"));
        }
    }
    wrong
}

/// Names in the lists above that are no modules any more; a line each.
fn gone(panes: &BTreeSet<&str>) -> Vec<String> {
    let listed = PARTS.iter().flat_map(|(pane, parts)| std::iter::once(pane).chain(*parts)).chain(&SHARED);
    listed
        .filter(|name| !panes.contains(*name))
        .map(|name| format!("app-ui/src/{FOLDER} has no {name} any more: take it off the lists in {HERE}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modules::tests::made_up;

    #[test]
    fn a_pane_that_calls_a_pane_is_found() {
        let texts = [
            ("", "mod panes;"),
            ("panes", "mod boxes; mod domains; mod arena_hook; mod map; mod map_scene; pub use map::Zoom;"),
            ("panes::boxes", ""),
            ("panes::domains", "use super::{arena_hook, boxes};\nuse super::map;"),
            ("panes::arena_hook", "use super::map_scene::Scene;"),
            ("panes::map", "use super::map_scene;\nfn f() { super::helper();\ncrate::panes::domains::ui() }"),
            ("panes::map_scene", "use super::Zoom;"),
        ];
        let source = |pane: &str| {
            let found = texts.iter().find(|(module, _)| module.strip_prefix("panes::") == Some(pane));
            found.map_or(String::new(), |(_, text)| (*text).to_owned())
        };
        let lines = calls(&made_up(&texts).arrows(), source);
        let begins: Vec<_> = lines.iter().filter_map(|line| line.split(": a pane never").next()).collect();
        assert_eq!(
            begins,
            [
                "app-ui/src/panes/arena_hook.rs:1: `panes::map_scene::Scene` is of the pane map_scene",
                "app-ui/src/panes/domains.rs:2: `panes::map` is of the pane map",
                "app-ui/src/panes/map.rs:3: `panes::domains::ui` is of the pane domains",
            ]
        );
    }

    #[test]
    fn a_helper_that_calls_a_pane_is_found() {
        let panes = BTreeSet::from(["boxes", "map"]);
        let source = "mod map;\nuse boxes::B;\nfn f(map: u8) { g(map);\nself::map::ui() }";
        assert_eq!(
            helped("mod.rs", &said(source), &panes),
            ["mod.rs:4: the panes' helpers take `self::map::ui` from a pane: move it here"]
        );
        assert!(gone(&panes).iter().any(|line| line.contains("has no map_scene any more")));
    }
}
