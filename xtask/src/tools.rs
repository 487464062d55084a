//! What the checks need beside cargo: found, installed where that is allowed, or named.
//!
//! Everything that is already there is left alone, so that this is quick the second time. Programs for
//! this repository alone go into .tools/, never into the user's folders.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};

use crate::workspace::{cargo, command, output, root, run};

const TYPOS_VERSION: &str = "1.52.0";
const CARGO_DENY_VERSION: &str = "0.20.2";
const WASM_TARGET: &str = "wasm32-unknown-unknown";
/// A folder of goldens and captures beside the repository, too large to be in it.
pub(crate) const SHARED_ORACLE: &str = "../shared/oracle";

/// Installs or names whatever is missing.
pub(crate) fn set_up() -> Result<()> {
    debian_packages()?;
    wasm_target()?;
    typos()?;
    cargo_deny()?;
    if !root().join(SHARED_ORACLE).is_dir() {
        println!("{SHARED_ORACLE} is missing: the large goldens are not checked");
    }
    Ok(())
}

/// Chromium's program.
pub(crate) fn chromium() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("CHROMIUM") {
        return Some(path.into());
    }
    ["chromium", "chromium-browser", "google-chrome"].into_iter().find_map(on_path)
}

/// The typos program of this repository.
pub(crate) fn typos_program() -> PathBuf {
    root().join(".tools/venv/bin/typos")
}

/// The cargo-deny program of this repository.
pub(crate) fn cargo_deny_program() -> PathBuf {
    root().join(".tools/bin/cargo-deny")
}

/// A program on PATH.
pub(crate) fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|file| file.is_file())
}

fn debian_packages() -> Result<()> {
    let mut missing = Vec::new();
    if chromium().is_none() {
        // Of what chromium recommends only a font is needed: without one the page has no letters.
        missing.extend(["chromium", "fonts-dejavu-core"]);
    }
    if on_path("node").is_none() {
        missing.push("nodejs");
    }
    if on_path("npm").is_none() {
        missing.push("npm");
    }
    if !has_libpython() {
        missing.push("libpython3.11");
    }
    // For typos and for memray, which captures are compared with.
    if !has_venv() {
        missing.push("python3-venv");
    }
    // Counts the instructions of the replay.
    if on_path("valgrind").is_none() {
        missing.push("valgrind");
    }
    if missing.is_empty() {
        return Ok(());
    }
    let packages = missing.join(" ");
    if on_path("apt-get").is_none() {
        bail!("install these with your package manager (names as in Debian): {packages}");
    }
    if !is_root() {
        bail!("packages are missing; run: sudo apt-get update && sudo apt-get install -y {packages}");
    }
    let apt = || {
        let mut apt = command("apt-get");
        apt.env("DEBIAN_FRONTEND", "noninteractive");
        apt
    };
    run(apt().args(["-qq", "update"]))?;
    run(apt().args(["-qq", "install", "-y", "--no-install-recommends"]).args(&missing))
}

/// CPython 3.11 as a shared library: the reference that the model is compared with.
fn has_libpython() -> bool {
    let holds = |dir: &Path| {
        let entries = fs::read_dir(dir).into_iter().flatten().flatten();
        entries.into_iter().any(|e| e.file_name().to_string_lossy().starts_with("libpython3.11.so"))
    };
    let libraries = ["/usr/lib", "/usr/lib64", "/usr/local/lib"].map(PathBuf::from);
    let multiarch = fs::read_dir("/usr/lib").into_iter().flatten().flatten().map(|entry| entry.path());
    libraries.into_iter().chain(multiarch).any(|dir| holds(&dir))
}

fn has_venv() -> bool {
    output(command("python3").args(["-c", "import venv, ensurepip"])).is_ok()
}

fn is_root() -> bool {
    output(command("id").arg("-u")).is_ok_and(|id| id.trim() == "0")
}

fn wasm_target() -> Result<()> {
    // Not installed by rustup: the toolchain's own folder still says whether it can build for the browser.
    let libraries = output(command("rustc").args(["--print", "target-libdir", "--target", WASM_TARGET]))?;
    if Path::new(libraries.trim()).is_dir() {
        return Ok(());
    }
    ensure!(
        on_path("rustup").is_some(),
        "this Rust cannot build for {WASM_TARGET}, and there is no rustup to add it: install that target's \
         standard library the way Rust itself was installed"
    );
    run(command("rustup").args(["target", "add", WASM_TARGET]))
}

fn typos() -> Result<()> {
    let program = typos_program();
    if output(command(&program).arg("--version")).is_ok_and(|v| v.trim().ends_with(TYPOS_VERSION)) {
        return Ok(());
    }
    let venv = root().join(".tools/venv");
    run(command("python3").args(["-m", "venv", "--clear"]).arg(&venv))?;
    let wanted = format!("typos=={TYPOS_VERSION}");
    run(command(venv.join("bin/pip")).args(["install", "--quiet", "--disable-pip-version-check", &wanted]))
        .context("typos comes from PyPI")
}

fn cargo_deny() -> Result<()> {
    let program = cargo_deny_program();
    if output(command(&program).arg("--version")).is_ok_and(|v| v.trim().ends_with(CARGO_DENY_VERSION)) {
        return Ok(());
    }
    // Unoptimised: two minutes less to build, a tenth of a second more to run.
    let mut install = cargo();
    install.args([
        "install",
        "--quiet",
        "--locked",
        "--debug",
        "cargo-deny",
        "--version",
        CARGO_DENY_VERSION,
    ]);
    run(install.arg("--root").arg(root().join(".tools"))).context("cargo-deny comes from crates.io")
}
