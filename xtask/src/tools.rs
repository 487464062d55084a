//! What tasks need beside cargo: found, installed where that is allowed, or named.
//!
//! Everything that is already there is left alone, so that this is quick the second time. Programs for
//! this repository alone go into .tools/, never into the user's folders.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};

use crate::workspace::{cargo, command, once_each, output, root, run};

const TYPOS_VERSION: &str = "1.52.0";
const CARGO_DENY_VERSION: &str = "0.20.2";
const WASM_TARGET: &str = "wasm32-unknown-unknown";

/// What a task may need.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Need {
    /// The standard library for the browser.
    WasmTarget,
    Chromium,
    Node,
    Npm,
    /// playwright-core, in `e2e/node_modules`.
    BrowserDriver,
    /// CPython 3.11 as a shared library: the reference that the model is compared with.
    Libpython,
    /// Python's virtual environments: for typos, for memray, which captures are compared with, and for numpy, whose arrays pictures are held against.
    Venv,
    /// Counts the instructions of the replay.
    Valgrind,
    /// Builds jemalloc.
    Make,
    Typos,
    CargoDeny,
}

/// A need that is not met.
pub(crate) struct Lack {
    pub(crate) need: Need,
    /// What is wrong, and the remedy.
    pub(crate) why: String,
}

impl Need {
    /// Debian's packages of it; none for what does not come from there.
    fn packages(self) -> &'static [&'static str] {
        match self {
            // Of what chromium recommends only a font is needed: without one the page has no letters.
            Self::Chromium => &["chromium", "fonts-dejavu-core"],
            Self::Node => &["nodejs"],
            Self::Npm => &["npm"],
            Self::Libpython => &["libpython3.11"],
            Self::Venv => &["python3-venv"],
            Self::Valgrind => &["valgrind"],
            Self::Make => &["make"],
            Self::WasmTarget | Self::BrowserDriver | Self::Typos | Self::CargoDeny => &[],
        }
    }

    /// Whether what comes in a package is there.
    pub(crate) fn is_there(self) -> bool {
        match self {
            Self::Chromium => chromium().is_some(),
            Self::Node => on_path("node").is_some(),
            Self::Npm => on_path("npm").is_some(),
            Self::Libpython => has_libpython(),
            Self::Venv => has_venv(),
            Self::Valgrind => on_path("valgrind").is_some(),
            Self::Make => on_path("make").is_some(),
            Self::WasmTarget | Self::BrowserDriver | Self::Typos | Self::CargoDeny => true,
        }
    }

    /// Gets what comes from elsewhere, unless it is there.
    fn get(self) -> Result<()> {
        match self {
            Self::WasmTarget => wasm_target(),
            Self::BrowserDriver => browser_driver(),
            Self::Typos => typos(),
            Self::CargoDeny => cargo_deny(),
            _ => Ok(()),
        }
    }
}

/// Gets whatever is missing; what could not be had comes back.
pub(crate) fn provide(needs: &[Need]) -> Vec<Lack> {
    let needs: Vec<Need> = once_each(needs.iter().copied());
    let missing: Vec<Need> = needs.iter().copied().filter(|need| !need.is_there()).collect();
    let installed = debian_packages(&missing);
    let mut lacks = Vec::new();
    for need in missing.into_iter().filter(|need| !need.is_there()) {
        let why = match &installed {
            Ok(()) => format!("apt-get installed {}, and that is not found", need.packages().join(" ")),
            Err(error) => format!("{error:#}"),
        };
        lacks.push(Lack { need, why });
    }
    for need in needs {
        if let Err(error) = need.get() {
            lacks.push(Lack { need, why: format!("{error:#}") });
        }
    }
    lacks
}

/// Gets whatever is missing, for a task that cannot do without.
pub(crate) fn require(needs: &[Need]) -> Result<()> {
    let lacks = provide(needs);
    ensure!(lacks.is_empty(), "{}", reasons(lacks.iter()).join("; "));
    Ok(())
}

/// What is wrong, once each: packages have one remedy together.
pub(crate) fn reasons<'a>(lacks: impl Iterator<Item = &'a Lack>) -> Vec<&'a str> {
    once_each(lacks.map(|lack| lack.why.as_str()))
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

fn debian_packages(missing: &[Need]) -> Result<()> {
    if missing.is_empty() {
        return Ok(());
    }
    let packages = missing.iter().flat_map(|need| need.packages()).copied().collect::<Vec<_>>().join(" ");
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
    // Each alone: of a release that has not one of them the others are still wanted.
    let mut failed = Vec::new();
    for need in missing {
        let install =
            run(apt().args(["-qq", "install", "-y", "--no-install-recommends"]).args(need.packages()));
        failed.extend(install.err().map(|error| format!("{error:#}")));
    }
    ensure!(failed.is_empty(), "{}: install it in another way", failed.join("; "));
    Ok(())
}

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
        .context("the standard library for the browser comes by rustup")
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

/// Installs what package-lock.json says, unless that is what is there.
fn browser_driver() -> Result<()> {
    let lock =
        fs::read(root().join("e2e/package-lock.json")).context("e2e/package-lock.json cannot be read")?;
    let stamp = root().join("e2e/node_modules/.installed-lock.json");
    if fs::read(&stamp).is_ok_and(|installed| installed == lock) {
        return Ok(());
    }
    run(command("npm").args(["ci", "--prefix", "e2e", "--no-audit", "--no-fund"]))
        .context("the browser's driver, playwright-core, comes from the npm registry")?;
    fs::write(&stamp, lock).with_context(|| format!("{} cannot be written", stamp.display()))
}
