//! The interpreters of this machine, and how they are asked.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// A request that is answered, and the model's answer. Both are one line.
pub(crate) struct Exchange {
    pub(crate) request: String,
    pub(crate) expected: String,
}

impl Exchange {
    /// The request and both answers from shortly before they part.
    pub(crate) fn mismatch(&self, got: &str) -> String {
        let same = self.expected.chars().zip(got.chars()).take_while(|(a, b)| a == b).count();
        let part = |text: &str| text.chars().skip(same.saturating_sub(60)).take(160).collect::<String>();
        let request: String = self.request.chars().take(200).collect();
        format!("{request:?}\n  here: {:?}\n  real: {:?}", part(&self.expected), part(got))
    }
}

/// Requests in their order. Those without an answer are in the input alone.
#[derive(Default)]
pub(crate) struct Script {
    /// What the program reads.
    pub(crate) input: String,
    /// What it is to answer.
    pub(crate) exchanges: Vec<Exchange>,
}

impl Script {
    /// A request that prints nothing.
    pub(crate) fn tell(&mut self, request: &str) {
        self.input.push_str(request);
        self.input.push('\n');
    }

    /// A request with its answer.
    pub(crate) fn ask(&mut self, request: String, expected: String) {
        self.tell(&request);
        self.exchanges.push(Exchange { request, expected });
    }
}

/// A `CPython`.
pub(crate) struct Interpreter {
    path: PathBuf,
    /// `sys.version_info[:3]`.
    pub(crate) version: (u32, u32, u32),
}

impl fmt::Display for Interpreter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (major, minor, micro) = self.version;
        write!(f, "{major}.{minor}.{micro}")
    }
}

impl Interpreter {
    /// The lines that the program answers to the script.
    pub(crate) fn run(&self, program: &str, script: &Script) -> Vec<String> {
        let mut child = python(&self.path)
            .args(["-c", program])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("{self} does not start: {e}"));
        let mut stdin = child.stdin.take().unwrap();
        let output = std::thread::scope(|scope| {
            // Written beside reading, as both pipes are shorter than what goes through. A program that
            // fails stops reading; its status says so below.
            scope.spawn(move || drop(stdin.write_all(script.input.as_bytes())));
            child.wait_with_output().unwrap()
        });
        assert!(output.status.success(), "{self} ends with {}", output.status);
        let text = String::from_utf8(output.stdout).unwrap();
        text.split_terminator('\n').map(str::to_owned).collect()
    }
}

/// Without the environment's settings and the site's start-up code, which might trace or allocate.
fn python(path: &Path) -> Command {
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
    let output = python(path).args(["-c", program]).stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok().filter(|_| output.status.success())?;
    let mut fields = text.trim_end().splitn(4, ' ');
    let mut number = || fields.next()?.parse().ok();
    let version = (number()?, number()?, number()?);
    Some((PathBuf::from(fields.next()?), version)).filter(|(_, version)| *version >= (3, 9, 0))
}

/// Every interpreter from 3.9 on: on the search path, in the system's folder, and pyenv's. Once each.
pub(crate) fn found() -> &'static [Interpreter] {
    static FOUND: OnceLock<Vec<Interpreter>> = OnceLock::new();
    FOUND.get_or_init(|| {
        let mut candidates = vec![PathBuf::from("python3"), PathBuf::from("/usr/bin/python3")];
        candidates.extend((9..=20).map(|minor| PathBuf::from(format!("python3.{minor}"))));
        let pyenv = std::env::var_os("PYENV_ROOT")
            .map(PathBuf::from)
            .or_else(|| Some(std::env::home_dir()?.join(".pyenv")));
        if let Some(versions) = pyenv.and_then(|root| std::fs::read_dir(root.join("versions")).ok()) {
            candidates.extend(versions.flatten().map(|entry| entry.path().join("bin/python3")));
        }
        let by_path: BTreeMap<PathBuf, _> = candidates.iter().filter_map(|path| probe(path)).collect();
        let mut interpreters: Vec<Interpreter> =
            by_path.into_iter().map(|(path, version)| Interpreter { path, version }).collect();
        interpreters.sort_by_key(|interpreter| interpreter.version);
        interpreters
    })
}
