//! The interpreters of this machine, for comparisons in processes of their own.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use sim_core::Profile;

use crate::outside::not_run;

/// Minor versions of `CPython` 3 that the README promises comparisons with.
const PROMISED: RangeInclusive<u32> = 8..=13;

/// Those after them whose memory is read from outside.
const PICTURED: RangeInclusive<u32> = 14..=15;

/// Folders into which packages of another system were unpacked, in the form of `PATH`: interpreters of them are run by their own loader.
const ROOTS: &str = "ARENASCOPE_PYTHON_ROOTS";

/// A `CPython`.
pub struct Interpreter {
    path: PathBuf,
    /// The folder that its system was unpacked into, with its loader.
    root: Option<(PathBuf, PathBuf)>,
    /// `sys.version_info[:3]`.
    pub version: (u32, u32, u32),
}

impl fmt::Display for Interpreter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (major, minor, micro) = self.version;
        write!(f, "{major}.{minor}.{micro}")
    }
}

impl Interpreter {
    /// The program.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it runs by the loader of a folder of its own, where no packages can be installed.
    pub fn is_unpacked(&self) -> bool {
        self.root.is_some()
    }

    /// A process of it that takes no settings from the environment but `PYTHONMALLOC`, and runs no start-up
    /// code of the site, which might trace or allocate.
    pub fn command(&self, python_malloc: Option<&str>) -> Command {
        let mut command = self
            .root
            .as_ref()
            .map_or_else(|| Command::new(&self.path), |(root, loader)| by_loader(root, loader, &self.path));
        command.args(["-S", "-s", "-W", "ignore"]);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PYTHON") {
                command.env_remove(name);
            }
        }
        if let Some((root, _)) = &self.root {
            command.env("PYTHONHOME", root.join("usr"));
        }
        if let Some(name) = python_malloc {
            command.env("PYTHONMALLOC", name);
        }
        command
    }
}

impl Interpreter {
    /// The rules of its version.
    pub fn profile(&self) -> Profile {
        Profile::for_python(&format!("3.{}", self.version.1)).profile
    }

    /// Its installation and the library that programs embed it with, where it was built with one: beside it as pyenv lays
    /// it, or in a folder of its architecture's as Debian does.
    pub fn shared_library(&self) -> Option<(PathBuf, PathBuf)> {
        let prefix = self.path.parent()?.parent()?.to_owned();
        let lib = prefix.join("lib");
        let below = std::fs::read_dir(&lib).ok()?.flatten().map(|entry| entry.path());
        let name = format!("libpython3.{}.so.1.0", self.version.1);
        let library = std::iter::once(lib.clone()).chain(below).map(|folder| folder.join(&name));
        // Another architecture's is named so too, in a folder of that one's.
        let ours = |path: &PathBuf| {
            let folder =
                path.parent().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
            let of = |name: String| !name.contains("linux-gnu") || name.starts_with(std::env::consts::ARCH);
            path.is_file() && folder.is_some_and(of)
        };
        let library = library.into_iter().find(ours)?;
        Some((prefix, library))
    }
}

/// A program of an unpacked system.
fn by_loader(root: &Path, loader: &Path, program: &Path) -> Command {
    let folder = format!("lib/{}-linux-gnu", std::env::consts::ARCH);
    let libraries = [root.join(&folder), root.join("usr").join(&folder)];
    let mut command = Command::new(loader);
    command.arg("--library-path");
    command.arg(std::env::join_paths(libraries).unwrap_or_default()).arg(program);
    command
}

/// The loader of an unpacked system.
fn loader(root: &Path) -> Option<PathBuf> {
    let places = ["lib64", "usr/lib64", "lib", "usr/lib"];
    let names = ["ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"];
    let all = places.iter().flat_map(|place| names.iter().map(move |name| root.join(place).join(name)));
    all.into_iter().find(|path| path.is_file())
}

/// Interpreters in the folders that [`ROOTS`] names.
///
/// # Panics
///
/// Where one of these folders has none that runs: it was named to be used.
fn unpacked() -> &'static [Interpreter] {
    static FOUND: OnceLock<Vec<Interpreter>> = OnceLock::new();
    FOUND.get_or_init(|| {
        let mut all = Vec::new();
        for root in std::env::var_os(ROOTS).iter().flat_map(std::env::split_paths) {
            let before = all.len();
            let loader = loader(&root);
            for minor in *PROMISED.start()..=*PICTURED.end() {
                let path = root.join(format!("usr/bin/python3.{minor}"));
                let (true, Some(loader)) = (path.is_file(), &loader) else { continue };
                let mut command = by_loader(&root, loader, &path);
                command.env("PYTHONHOME", root.join("usr"));
                command.args(["-S", "-s", "-c", "import sys; print(*sys.version_info[:3])"]);
                let output = command.stderr(Stdio::null()).output().ok();
                let text =
                    output.and_then(|output| String::from_utf8(output.stdout).ok()).unwrap_or_default();
                let numbers: Vec<u32> =
                    text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
                if let [major, minor, micro] = numbers[..] {
                    let root = Some((root.clone(), loader.clone()));
                    all.push(Interpreter { path, root, version: (major, minor, micro) });
                }
            }
            assert!(all.len() > before, "{ROOTS}: {} has no python3.X that runs", root.display());
        }
        all.sort_by_key(|interpreter| interpreter.version);
        all
    })
}

/// Without the environment's settings and the site's start-up code, which might trace or allocate.
fn isolated(path: &Path) -> Command {
    let mut command = Command::new(path);
    command.args(["-I", "-S", "-W", "ignore"]);
    command
}

/// Version and true path of an interpreter that can be used here.
fn probe(path: &Path) -> Option<(PathBuf, (u32, u32, u32))> {
    let program = "import ctypes, os, sys, tracemalloc\n\
                   assert sys.implementation.name == 'cpython'\n\
                   ctypes.pythonapi.PyTraceMalloc_Track\n\
                   print(*sys.version_info[:3], os.path.realpath(sys.executable))";
    let output = isolated(path).args(["-c", program]).stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok().filter(|_| output.status.success())?;
    let mut fields = text.trim_end().splitn(4, ' ');
    let mut number = || fields.next()?.parse().ok();
    let version = (number()?, number()?, number()?);
    Some((PathBuf::from(fields.next()?), version)).filter(|(_, version)| *version >= (3, 8, 0))
}

/// Every interpreter from 3.8 on: on the search path, in the system's folder, and pyenv's. Once each.
fn found() -> &'static [Interpreter] {
    static FOUND: OnceLock<Vec<Interpreter>> = OnceLock::new();
    FOUND.get_or_init(|| {
        let mut candidates = vec![PathBuf::from("python3"), PathBuf::from("/usr/bin/python3")];
        candidates.extend((8..=20).map(|minor| PathBuf::from(format!("python3.{minor}"))));
        let pyenv = std::env::var_os("PYENV_ROOT")
            .map(PathBuf::from)
            .or_else(|| Some(std::env::home_dir()?.join(".pyenv")));
        if let Some(versions) = pyenv.and_then(|root| std::fs::read_dir(root.join("versions")).ok()) {
            candidates.extend(versions.flatten().map(|entry| entry.path().join("bin/python3")));
        }
        let by_path: BTreeMap<PathBuf, _> = candidates.iter().filter_map(|path| probe(path)).collect();
        let mut interpreters: Vec<Interpreter> =
            by_path.into_iter().map(|(path, version)| Interpreter { path, root: None, version }).collect();
        interpreters.sort_by_key(|interpreter| interpreter.version);
        interpreters
    })
}

/// All of them, for a comparison, after saying which of those that are promised are not among them; `None` where there is
/// none at all.
pub fn compared() -> Option<&'static [Interpreter]> {
    let interpreters = found();
    for minor in
        PROMISED.filter(|minor| !interpreters.iter().any(|i| (i.version.0, i.version.1) == (3, *minor)))
    {
        let why = format!("none was found; `pyenv install 3.{minor}` builds one");
        not_run(&format!("comparisons with CPython 3.{minor}"), why);
    }
    (!interpreters.is_empty()).then_some(interpreters)
}

/// Those whose memory is read from outside, by version, unpacked ones too, after saying which are missing.
pub fn pictured() -> Vec<&'static Interpreter> {
    let found = compared().into_iter().flatten().filter(|found| found.version.1 <= *PICTURED.end());
    let mut all: Vec<&Interpreter> = found.chain(unpacked()).collect();
    all.sort_by_key(|interpreter| interpreter.version);
    for minor in PICTURED.filter(|minor| !all.iter().any(|found| found.version.1 == *minor)) {
        let why = format!(
            "none was found; `pyenv install 3.{minor}` builds one, and {ROOTS} names folders with unpacked ones"
        );
        not_run(&format!("pictures of CPython 3.{minor}"), why);
    }
    all
}

/// All of them, for what needs one.
pub fn required() -> Result<&'static [Interpreter], &'static str> {
    let interpreters = found();
    if interpreters.is_empty() {
        return Err("no CPython from 3.8 on was found; on Debian `apt-get install python3` provides one");
    }
    Ok(interpreters)
}
