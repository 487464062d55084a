//! Which module may import which: no circle, in any crate; and in `sim-core` only what its list has further up.
//!
//! A module is a file or a folder. Modules side by side, in a crate's root or in one folder, may import each other one way only:
//! what takes a name from a sibling, itself or through what their folder re-exports, stands above it. A folder and what lies in
//! it are one room, so between them nothing is checked.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::rust_text::{Names, read};
use crate::workspace::root;

/// The crates with their circles that are still allowed, each as its modules in alphabetical order. One that is gone must go here
/// too.
const CIRCLES_ALLOWED: [(&str, &[&str]); 0] = [];

/// The crate whose modules stand in an order, and the page and heading with the table that says which.
const ORDERED: &str = "sim-core";
const PAGE: &str = "ARCHITECTURE.md";
const HEADING: &str = "### sim-core";

/// A module by its path from the crate's root; the root is the empty one.
pub(crate) type Module = Vec<String>;

/// The files of a crate that are modules, tests excepted.
#[derive(Default)]
pub(crate) struct Crate {
    pub(crate) files: BTreeMap<Module, Names>,
}

/// An import: who, whom, and the path that is named, from the crate's root.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Arrow {
    pub(crate) from: Module,
    pub(crate) to: Module,
    pub(crate) name: String,
}

/// Checks all crates of the workspace.
pub(crate) fn check() -> Result<()> {
    let mut wrong = Vec::new();
    for folder in crates()? {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let Some(main) =
            ["lib.rs", "main.rs"].map(|f| folder.join("src").join(f)).into_iter().find(|f| f.exists())
        else {
            continue;
        };
        let mut files = Crate::default();
        files.add(&main, Vec::new())?;
        let arrows = files.arrows();
        let allowed: Vec<_> = CIRCLES_ALLOWED.iter().filter(|c| c.0 == name).map(|c| c.1).collect();
        wrong.extend(circles(&arrows, &allowed).into_iter().map(|line| format!("{name}: {line}")));
        if name == ORDERED {
            let page =
                fs::read_to_string(root().join(PAGE)).with_context(|| format!("{PAGE} cannot be read"))?;
            let order = listed(&page, HEADING);
            wrong.extend(
                out_of_order(&files, &arrows, &order).into_iter().map(|line| format!("{name}: {line}")),
            );
        }
    }
    for line in &wrong {
        println!("{line}");
    }
    match wrong.len() {
        0 => Ok(()),
        count => bail!("{count} imports of modules run against the design (xtask/src/modules.rs)"),
    }
}

/// The folders of the workspace's crates.
pub(crate) fn crates() -> Result<Vec<PathBuf>> {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).context("Cargo.toml cannot be read")?;
    let members = manifest.split_once("members = [").and_then(|(_, rest)| rest.split_once(']'));
    let (members, _) = members.context("Cargo.toml lists no members")?;
    Ok(members.split('"').skip(1).step_by(2).map(|member| root().join(member)).collect())
}

impl Crate {
    /// Adds a file and the modules that it declares.
    pub(crate) fn add(&mut self, file: &Path, module: Module) -> Result<()> {
        let source =
            fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
        let names = read(&source);
        // `mod x;` lies beside a root or a `mod.rs`, else in the folder that is called like the file.
        let stem = file.file_stem().unwrap_or_default();
        let beside = ["lib", "main", "mod"].iter().any(|&s| stem == s);
        let parent = file.parent().unwrap_or(file);
        let folder = if beside { parent.to_owned() } else { parent.join(stem) };
        for name in &names.modules {
            let paths = [folder.join(format!("{name}.rs")), folder.join(name).join("mod.rs")];
            // A module that a build writes is nobody's to order.
            if let Some(path) = paths.iter().find(|path| path.exists()) {
                self.add(path, [&module[..], std::slice::from_ref(name)].concat())?;
            }
        }
        self.files.insert(module, names);
        Ok(())
    }

    /// All imports between modules side by side.
    pub(crate) fn arrows(&self) -> BTreeSet<Arrow> {
        let mut arrows = BTreeSet::new();
        for (from, names) in &self.files {
            for path in &names.paths {
                let Some(path) = self.absolute(from, path) else { continue };
                for to in self.owners(&path, 0) {
                    let same = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
                    if same < from.len() && same < to.len() {
                        let name = path.join("::");
                        arrows.insert(Arrow { from: from.clone(), to, name });
                    }
                }
            }
        }
        arrows
    }

    /// A path from the crate's root; `None` for one that leads out of the crate.
    fn absolute(&self, module: &Module, path: &[String]) -> Option<Vec<String>> {
        let (first, rest) = path.split_first()?;
        match first.as_str() {
            "crate" => Some(rest.to_vec()),
            "self" => Some([&module[..], rest].concat()),
            "super" => {
                let supers = path.iter().take_while(|p| *p == "super").count();
                let above = module.len().checked_sub(supers)?;
                Some([&module[..above], &path[supers..]].concat())
            }
            child => {
                let inside = [&module[..], &[child.to_owned()]].concat();
                self.files.contains_key(&inside).then(|| [&inside[..], rest].concat())
            }
        }
    }

    /// The modules that a path from the root is about: where its last module says that its next name comes from, else that module.
    fn owners(&self, path: &[String], depth: usize) -> Vec<Module> {
        let known = (0..=path.len()).rev().find(|&n| self.files.contains_key(&path[..n])).unwrap_or(0);
        let module = path[..known].to_vec();
        let (Some(name), Some(names)) = (path.get(known), self.files.get(&module)) else {
            return vec![module];
        };
        // A re-export may lead to another one, though not for ever.
        if depth > 8 {
            return vec![module];
        }
        let named =
            names.bound.iter().filter(|b| b.name == *name && b.path.len() > usize::from(b.path[0] == *name));
        let found: Vec<_> = named
            .filter_map(|b| self.absolute(&module, &b.path))
            .flat_map(|path| self.owners(&path, depth + 1))
            .collect();
        if found.is_empty() { vec![module] } else { found }
    }
}

/// Circles among modules side by side that are not allowed, and those allowed that are gone; a line each.
fn circles(arrows: &BTreeSet<Arrow>, allowed: &[&[&str]]) -> Vec<String> {
    // For each folder: who is above whom, and by what.
    let mut folders: BTreeMap<Module, BTreeMap<(String, String), &Arrow>> = BTreeMap::new();
    for arrow in arrows {
        let same = arrow.from.iter().zip(&arrow.to).take_while(|(a, b)| a == b).count();
        let sides = (arrow.from[same].clone(), arrow.to[same].clone());
        folders.entry(arrow.from[..same].to_vec()).or_default().entry(sides).or_insert(arrow);
    }
    let (mut wrong, mut seen) = (Vec::new(), Vec::new());
    for (folder, sides) in &folders {
        for circle in knots(sides.keys()) {
            let inside: Vec<_> = circle
                .iter()
                .map(|name| [&folder[..], std::slice::from_ref(name)].concat().join("::"))
                .collect();
            if allowed.iter().any(|a| *a == inside) {
                seen.push(inside);
                continue;
            }
            let ties = sides.iter().filter(|((a, b), _)| circle.contains(a) && circle.contains(b));
            let ties: Vec<_> = ties
                .map(|(_, arrow)| {
                    format!("{} takes `{}` from {}", arrow.from.join("::"), arrow.name, arrow.to.join("::"))
                })
                .collect();
            wrong.push(format!("{} import each other: {}", inside.join(", "), ties.join("; ")));
        }
    }
    let gone = allowed.iter().filter(|a| !seen.iter().any(|s| s == *a));
    wrong.extend(gone.map(|a| {
        format!("{} import each other no more: take them off the list in xtask/src/modules.rs", a.join(", "))
    }));
    wrong
}

/// The largest sets of names each of which leads to all others of its set; sets of one are none.
fn knots<'a>(arrows: impl Iterator<Item = &'a (String, String)>) -> Vec<BTreeSet<String>> {
    let mut to: BTreeMap<&'a str, BTreeSet<&'a str>> = BTreeMap::new();
    for (a, b) in arrows {
        to.entry(a).or_default().insert(b);
    }
    let all: BTreeMap<&str, BTreeSet<&str>> = to.keys().map(|&name| (name, reached(&to, name))).collect();
    let mut found = BTreeSet::new();
    for (name, seen) in &all {
        let knot: BTreeSet<String> = seen
            .iter()
            .filter(|other| all.get(**other).is_some_and(|back| back.contains(name)))
            .map(|other| (*other).to_owned())
            .collect();
        if knot.len() > 1 {
            found.insert(knot);
        }
    }
    found.into_iter().collect()
}

/// All names that arrows lead to from one.
fn reached<'a>(to: &BTreeMap<&'a str, BTreeSet<&'a str>>, from: &'a str) -> BTreeSet<&'a str> {
    let (mut seen, mut open) = (BTreeSet::new(), vec![from]);
    while let Some(at) = open.pop() {
        open.extend(to.get(at).into_iter().flatten().filter(|next| seen.insert(**next)).copied());
    }
    seen
}

/// The modules in the first column of the table under a heading, in order.
fn listed(page: &str, heading: &str) -> Vec<String> {
    let section = page.split_once(&format!("{heading}\n")).map_or("", |(_, rest)| rest);
    let rows =
        section.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    rows.flat_map(|row| {
        let first = row.split('|').nth(1).unwrap_or_default();
        first
            .split('`')
            .skip(1)
            .step_by(2)
            .map(|name| name.trim_end_matches('/').to_owned())
            .collect::<Vec<_>>()
    })
    .collect()
}

/// Modules of the root that are not on the list, and imports of what the list has further down; a line each.
fn out_of_order(files: &Crate, arrows: &BTreeSet<Arrow>, order: &[String]) -> Vec<String> {
    let of_root = files.files.keys().filter(|module| module.len() == 1).map(|module| &module[0]);
    let missing = of_root.filter(|name| !order.contains(name));
    let mut wrong: Vec<String> =
        missing.map(|name| format!("{name} is not in the table under `{HEADING}` in {PAGE}")).collect();
    let place = |module: &Module| order.iter().position(|name| *name == module[0]);
    for arrow in arrows {
        if arrow.from[0] != arrow.to[0]
            && let (Some(from), Some(to)) = (place(&arrow.from), place(&arrow.to))
            && from < to
        {
            wrong.push(format!(
                "{} takes `{}` from {}, which stands further down in {PAGE}",
                arrow.from.join("::"),
                arrow.name,
                arrow.to.join("::")
            ));
        }
    }
    wrong
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn made_up(files: &[(&str, &str)]) -> Crate {
        let module = |path: &str| path.split("::").filter(|p| !p.is_empty()).map(str::to_owned).collect();
        Crate { files: files.iter().map(|(path, source)| (module(path), read(source))).collect() }
    }

    #[test]
    fn a_circle_is_found_at_every_level_and_through_re_exports() {
        let files = made_up(&[
            ("", "mod a; mod b; mod c; pub use a::A;"),
            ("a", "use crate::b::B;"),
            ("b", "mod x; mod y; pub use x::X; pub use y::Y;"),
            // Through what the folder re-exports, and with the root's help.
            ("b::x", "use super::Y;"),
            ("b::y", "use super::X; fn f() { crate::A::new() }"),
            ("c", "use crate::a; use crate::b::Y;"),
        ]);
        let arrows = files.arrows();
        let lines = circles(&arrows, &[]);
        assert_eq!(
            lines,
            [
                "a, b import each other: a takes `b::B` from b; b::y takes `A::new` from a",
                "b::x, b::y import each other: b::x takes `b::Y` from b::y; b::y takes `b::X` from b::x",
            ]
        );
        let allowed: [&[&str]; 2] = [&["a", "b"], &["b::x", "b::y"]];
        assert_eq!(circles(&arrows, &allowed), [""; 0]);
        let lines = circles(&arrows, &[allowed[0], allowed[1], &["a", "c"]]);
        assert_eq!(lines, ["a, c import each other no more: take them off the list in xtask/src/modules.rs"]);
    }

    #[test]
    fn one_way_is_no_circle_and_a_folder_is_one_room() {
        let files = made_up(&[
            ("", "mod a; mod b; mod deep;"),
            ("a", "use super::b; fn f() { b::g() }"),
            ("b", "#[cfg(test)] mod tests { use crate::a; }"),
            ("deep", "mod child; use child::C; pub struct D;"),
            ("deep::child", "use super::D; use crate::deep; use crate::b;"),
        ]);
        assert_eq!(circles(&files.arrows(), &[]), [""; 0]);
    }

    #[test]
    fn what_stands_further_down_must_not_be_imported() {
        let page = "# X\n### sim-core\n\n| module | what |\n|---|---|\n| `a`, `b/` | `no` |\n| `c` | |\n\ntext `d`\n";
        let order = listed(page, HEADING);
        assert_eq!(order, ["a", "b", "c"]);
        let files = made_up(&[
            ("", "mod a; mod b; mod c; mod d;"),
            ("a", "use crate::c::C;"),
            ("b", "use crate::a;"),
            ("c", "use crate::{a, b};"),
            ("d", ""),
        ]);
        assert_eq!(
            out_of_order(&files, &files.arrows(), &order),
            [
                "d is not in the table under `### sim-core` in ARCHITECTURE.md",
                "a takes `c::C` from c, which stands further down in ARCHITECTURE.md",
            ]
        );
    }
}
