//! Which crate may depend on which: one way, no circle.
//!
//! A circle does not compile anyway; what this keeps is the direction. The core stays a library that any
//! program can embed, and only the two shells know a window system.

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::workspace::{cargo, output};

/// For each crate of ours, which others of ours it may use.
const ARROWS: [(&str, &[&str]); 13] = [
    ("app-native", &["app-ui", "session", "mmap-arenas", "real-cpython", "trace-io", "sim-core", "xray"]),
    ("app-web", &["app-ui", "session"]),
    ("app-web-engine", &["session"]),
    // Makes the page's fonts while app-web is built.
    ("app-web-fonts", &[]),
    ("app-ui", &["session", "trace-io", "sim-core"]),
    ("session", &["trace-io", "sim-core"]),
    ("mmap-arenas", &["sim-core"]),
    ("real-cpython", &["mmap-arenas", "session", "trace-io", "sim-core"]),
    ("trace-io", &["atrace", "sim-core"]),
    // Its feature `tape` only: the step `no-window` builds it without.
    ("atrace", &["sim-core"]),
    ("sim-core", &[]),
    ("xray", &["sim-core"]),
    ("xtask", &[]),
];

/// What only some crates may use, and which ones.
const RESERVED: [(&str, &[&str]); 20] = [
    ("eframe", &["app-native", "app-web"]),
    ("rfd", &["app-native"]),
    ("web-sys", &["app-web", "app-web-engine"]),
    ("js-sys", &["app-web", "app-web-engine"]),
    ("wasm-bindgen", &["app-web", "app-web-engine"]),
    ("wasm-bindgen-futures", &["app-web"]),
    // Pages and workers speak it; files do not.
    ("postcard", &["app-web", "app-web-engine"]),
    ("egui", &["app-ui"]),
    ("egui_tiles", &["app-ui"]),
    ("clap", &["app-native", "real-cpython", "xtask"]),
    // Contexts without a type are for programs; libraries say what can go wrong.
    ("anyhow", &["app-native", "real-cpython", "xtask"]),
    ("libloading", &["real-cpython"]),
    ("libc", &["mmap-arenas", "real-cpython"]),
    ("nix", &["xray"]),
    ("object", &["xray"]),
    ("libmimalloc-sys", &["real-cpython"]),
    ("tikv-jemalloc-sys", &["real-cpython"]),
    ("serde", &["app-native", "app-ui", "session", "sim-core", "trace-io"]),
    ("serde_json", &["app-native", "app-ui", "trace-io", "xtask"]),
    // Randomness comes from a seed, in workloads; the machine has none.
    ("rand", &["real-cpython", "trace-io"]),
];

/// Checks every dependency that is more than for tests.
pub(crate) fn check() -> Result<()> {
    let metadata = output(cargo().args(["metadata", "--locked", "--no-deps", "--format-version", "1"]))?;
    let metadata: Value = serde_json::from_str(&metadata).context("cargo metadata printed no JSON")?;
    let packages = metadata["packages"].as_array().context("cargo metadata lists no packages")?;
    let mut wrong = Vec::new();
    for package in packages {
        let name = package["name"].as_str().unwrap_or_default();
        let Some((_, allowed)) = ARROWS.iter().find(|(of, _)| *of == name) else {
            wrong.push(format!("{name} is new: say in xtask/src/arrows.rs what it may depend on"));
            continue;
        };
        let dependencies = package["dependencies"].as_array().map_or(&[][..], Vec::as_slice);
        for dependency in dependencies.iter().filter(|dependency| dependency["kind"].is_null()) {
            let on = dependency["name"].as_str().unwrap_or_default();
            wrong.extend(objection(name, allowed, on));
        }
    }
    for line in &wrong {
        println!("{line}");
    }
    match wrong.len() {
        0 => Ok(()),
        count => bail!("{count} dependencies run against the design (xtask/src/arrows.rs)"),
    }
}

/// What is wrong with `name` depending on `on`.
fn objection(name: &str, allowed: &[&str], on: &str) -> Option<String> {
    if ARROWS.iter().any(|(of, _)| *of == on) && !allowed.contains(&on) {
        return Some(format!(
            "{name} must not depend on {on}: arrows run shells -> app-ui -> session -> trace-io -> atrace -> sim-core"
        ));
    }
    let (_, holders) = RESERVED.iter().find(|(of, _)| *of == on)?;
    (!holders.contains(&name))
        .then(|| format!("{name} must not depend on {on}: only {} may", holders.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrows_against_the_design_are_found() {
        assert!(objection("sim-core", &[], "trace-io").is_some());
        assert!(objection("sim-core", &[], "egui").is_some());
        assert!(objection("app-ui", &["trace-io", "sim-core"], "eframe").is_some());
        assert!(objection("app-ui", &["trace-io", "sim-core"], "trace-io").is_none());
        assert!(objection("atrace", &["sim-core"], "trace-io").is_some());
        assert!(objection("sim-core", &[], "thiserror").is_none());
    }
}
