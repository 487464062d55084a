//! `arenascope xray` on a process with secrets, hostile names, and a cache that keeps arenas.

#![cfg(all(target_os = "linux", target_arch = "x86_64", feature = "live"))]
#![allow(clippy::unwrap_used, reason = "tests")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command, Stdio};

use real_cpython::interpreters;
use real_cpython::outside::not_run;
use serde_json::Value;

/// Objects between others that are dropped, with texts that nobody may see, and a class whose name steers a terminal.
const PLANTED: &str = r#"
import sys
KEY, VALUE = "kiwi-" + "4711-secret-key", "plum-" + "4711-secret-value"
Hostile = type("\x1b]0;x\x07<script>alert(1)</script>", (), {"__slots__": ("a",), "__module__": "evil\n\u202e"})
class Session:
    def __init__(self, number):
        self.ident = VALUE + str(number)
        self.rows = {KEY + str(number): VALUE}
CACHE = {KEY: VALUE, "sessions": []}
def fill():
    dropped = []
    for number in range(300):
        dropped.append([{"a": str(part), "b": part + 0.5} for part in range(400)])
        CACHE["sessions"].append(Session(number))
fill()
hostile = [Hostile() for _ in range(30000)]
print("ready", flush=True)
sys.stdin.readline()
"#;

/// A process with a child that does nothing and one that reads its objects, whose class steers a terminal.
const FAMILY: &str = concat!(
    include_str!("../../real-cpython/tests/fork.py"),
    r#"
Hostile = type("\x1b]0;x\x07<script>alert(1)</script>", (), {"__slots__": ("a",), "__module__": "evil\n\u202e"})
rows = [Hostile() for _ in range(60000)]
for number, row in enumerate(rows): row.a = number + 0.5
def idle(): pass
def read():
    for row in rows: row.a
children = [child(idle), child(read)]
print("ready", *(pid for pid, _ in children), flush=True)
sys.stdin.readline()
end(children)
"#
);

struct Planted(Child);

impl Planted {
    fn begin() -> Option<Self> {
        let (planted, line) = Self::of(PLANTED)?;
        assert_eq!(line, "ready\n");
        Some(planted)
    }

    /// Of a program, with what it says first.
    fn of(program: &str) -> Option<(Self, String)> {
        let Some(interpreter) = interpreters::compared().into_iter().flatten().last() else {
            not_run("arenascope xray on a process", "no CPython was found");
            return None;
        };
        let mut command = interpreter.command(None);
        let mut child = command
            .args(["-c", program, "4711-secret-argument"])
            .env("SECRET", "4711-secret-environment")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        Some((Self(child), line))
    }

    fn xray(&self, args: &[&str]) -> String {
        let pid = self.0.id().to_string();
        text(Command::new(env!("CARGO_BIN_EXE_arenascope")).arg("xray").arg(pid).args(args))
    }
}

impl Drop for Planted {
    fn drop(&mut self) {
        let _ = self.0.stdin.take().unwrap().write_all(b"\n");
        assert!(self.0.wait().unwrap().success(), "the process goes on to its end");
    }
}

fn text(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn opened(file: &std::path::Path) -> sim_core::Trace {
    trace_io::open("picture", Box::new(std::fs::File::open(file).unwrap())).unwrap()
}

const TABLES: [&[&str]; 8] = [
    &["--top", "100000"],
    &["--by", "type", "--top", "100000"],
    &["--by", "owner", "--top", "100000"],
    &["--by", "path", "--top", "100000"],
    &["--by", "arena", "--top", "100000"],
    &["--path", "Session", "--top", "100000"],
    &["--retained", "--top", "50"],
    &["--json", "--path", "dict", "--top", "100000"],
];

#[test]
fn no_secret_is_told_and_no_name_steers() {
    let Some(planted) = Planted::begin() else { return };
    for args in TABLES {
        let told = planted.xray(args);
        assert!(!told.contains("-secret-"), "{args:?}");
        assert!(
            !told.contains(|c: char| c.is_control() && c != '\n') && !told.contains('\u{202e}'),
            "{args:?}"
        );
        let mut shown = args.to_vec();
        shown.push("--contents");
        let told = planted.xray(&shown);
        assert!(!told.contains("4711-secret-value"), "{args:?}: values are never shown");
        assert!(
            !told.contains("4711-secret-argument") && !told.contains("4711-secret-environment"),
            "{args:?}"
        );
    }
    assert!(planted.xray(&["--by", "path", "--contents", "--top", "100000"]).contains("'sessions'"));
}

#[test]
fn the_json_object_has_what_other_tools_read() {
    let Some(planted) = Planted::begin() else { return };
    let told: Value = serde_json::from_str(&planted.xray(&["--json"])).unwrap();
    assert!(told["python"].as_str().unwrap().starts_with("3."));
    assert_eq!(told["pid"].as_u64(), Some(u64::from(planted.0.id())));
    let parts: u64 =
        told["parts"].as_array().unwrap().iter().map(|part| part["bytes"].as_u64().unwrap()).sum();
    let rss = told["rss_bytes"].as_u64().unwrap();
    assert!(parts.abs_diff(rss) * 200 < rss, "{parts} of {rss}");
    let of = |name: &str| {
        told["parts"].as_array().unwrap().iter().map(|part| part[name].as_u64().unwrap()).sum::<u64>()
    };
    assert!(
        of("private_bytes") > rss / 4 && of("private_bytes") < of("bytes"),
        "libraries are shared: {told}"
    );
    for name in ["arenas", "pools", "blocks", "free_blocks"] {
        assert!(told["pymalloc"][name].as_u64().unwrap() > 0, "{name}");
    }
    let types = told["types"].as_array().unwrap();
    let hostile = types.iter().find(|row| row["type"].as_str().unwrap().contains("<script>")).unwrap();
    assert!(hostile["blocks"].as_u64().unwrap() >= 30_000);
    assert!(told["pause_ms"].as_f64().unwrap() > 0.0);
    let holders = told["holders"].as_array().unwrap();
    assert!(
        holders.iter().take(3).any(|row| row["path"].as_str().unwrap().starts_with("__main__.CACHE")),
        "{holders:?}"
    );
}

#[test]
fn a_picture_in_a_file_is_asked_like_any_trace_and_tells_no_secret() {
    let Some(planted) = Planted::begin() else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("picture.atrace");
    planted.xray(&["-o", file.to_str().unwrap()]);
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    // Unpacked, whatever its sections are.
    let trace = opened(&file);
    let told = format!("{:?}", trace.origin.picture);
    assert!(told.contains("Session") && !told.contains("-secret-"));
    let ask = |args: &[&str]| {
        let (command, rest) = args.split_first().unwrap();
        text(Command::new(env!("CARGO_BIN_EXE_arenascope")).arg(command).arg(&file).args(rest))
    };
    let holders = ask(&["holders", "--by", "type", "--top", "1000"]);
    assert!(holders.contains("Session"));
    let path = "path=__main__.CACHE[str len 8][*].ident";
    let freed = ask(&["forecast", "--free", path]);
    assert!(freed.starts_with("step 0"), "{freed}");
    let page = folder.path().join("report.html");
    ask(&["report", "-o", page.to_str().unwrap()]);
    let page = std::fs::read_to_string(page).unwrap();
    assert!(!page.contains("<script") && !page.contains("-secret-") && page.contains("Session"));
    let hidden = folder.path().join("hidden.atrace");
    let output = Command::new(env!("CARGO_BIN_EXE_arenascope"))
        .arg("anonymize")
        .arg(&file)
        .arg(&hidden)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told = format!("{:?}", opened(&hidden).origin.picture);
    assert!(!told.contains("Session") && !told.contains("sessions"), "names of the program's are gone");
}

/// What it says when it does not do what it is asked for, and with which code it ends.
fn refused(args: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_arenascope")).arg("xray").args(args).output().unwrap();
    assert!(output.stdout.is_empty(), "{args:?}");
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn a_family_is_told_on_one_screen_and_as_one_object() {
    let Some((planted, line)) = Planted::of(FAMILY) else { return };
    let words: Vec<&str> = line.split_whitespace().collect();
    let ["ready", idle, reader] = words[..] else { panic!("{line}") };
    let parent = planted.0.id().to_string();
    let told: Value = serde_json::from_str(&planted.xray(&[idle, reader, reader, "--json"])).unwrap();
    let bytes = |of: &Value, name: &str| of[name].as_u64().unwrap_or_else(|| panic!("{name} of {of}"));
    let processes = told["processes"].as_array().unwrap();
    let pids: Vec<String> = processes.iter().map(|row| bytes(row, "pid").to_string()).collect();
    assert_eq!(pids, [parent.as_str(), idle, reader], "each once, as they were named");
    assert_eq!((told["family"].as_bool(), told["says"].as_str()), (Some(true), Some("copied")));
    assert_eq!(told["held_by"].as_str(), Some("pss"));
    let sum = |name| processes.iter().map(|row| bytes(row, name)).sum::<u64>();
    assert_eq!(bytes(&told, "held_bytes"), sum("pss_bytes"));
    assert_eq!(bytes(&told, "rss_bytes"), sum("rss_bytes"));
    assert_eq!(bytes(&told, "copied_bytes"), sum("copied_bytes"));
    for row in processes {
        assert!(bytes(row, "private_bytes") > bytes(row, "arena_private_bytes"), "{row}");
        assert!(bytes(row, "shared_bytes") > bytes(row, "arena_shared_bytes"), "{row}");
        assert!(bytes(&row["arenas"], "before_fork") > 0, "{row}");
        assert_eq!(
            row["parent"].as_u64() == Some(u64::from(planted.0.id())),
            bytes(row, "pid").to_string() != parent
        );
    }
    assert!(bytes(&processes[1], "copied_bytes") * 5 < bytes(&processes[2], "copied_bytes"));
    for of in [&told, &processes[2]] {
        let first = &of["copied_types"][0];
        assert!(first["type"].as_str().unwrap().contains("<script>"), "{first}");
        assert!(bytes(first, "blocks") > 58_000, "{first}");
        assert!(bytes(first, "unchanged_bytes") <= bytes(first, "bytes"), "{first}");
    }
    assert!(told["pause_ms"].as_f64().unwrap() > 0.0);
    let told = planted.xray(&[idle, reader, "--top", "1"]);
    assert!(told.starts_with("3 processes (Python 3."), "{told}");
    assert!(told.contains("  next: ") && told.contains("types more; --top"), "{told}");
    assert!(!told.contains(|c: char| c.is_control() && c != '\n') && !told.contains('\u{202e}'), "{told}");
    assert!(planted.xray(&[reader, "--no-stop"]).contains("went on running"));
    // One that is named twice is one.
    let told: Value = serde_json::from_str(&planted.xray(&[&parent, "--json"])).unwrap();
    assert_eq!(told["pid"].as_u64(), Some(u64::from(planted.0.id())));
}

#[test]
fn of_several_processes_is_refused_what_is_no_answer_and_none_stays_stopped() {
    let Some((planted, line)) = Planted::of(FAMILY) else { return };
    let (parent, child) = (planted.0.id().to_string(), line.split_whitespace().nth(1).unwrap());
    for option in [&["--by", "type"][..], &["--path", "dict"], &["--retained"], &["-o", "x.atrace"]] {
        let (code, why) = refused(&[&[parent.as_str(), child], option].concat());
        assert_eq!(code, Some(2), "{why}");
        assert!(why.contains(option[0]) && why.contains("name one of them alone"), "{why}");
    }
    let (code, why) = refused(&[&parent, "core.4711"]);
    assert!(code == Some(2) && why.contains("core.4711 is no number of a process"), "{why}");
    let mut other = Command::new("sleep").arg("60").spawn().unwrap();
    let no_python = other.id().to_string();
    for (pid, why) in
        [(no_python.as_str(), "is no CPython"), ("2147483647", "there is no process 2147483647")]
    {
        let (code, told) = refused(&[&parent, child, pid]);
        assert_eq!(code, Some(1), "{told}");
        assert!(told.contains(why) && told.contains(pid), "{told}");
    }
    other.kill().unwrap();
    other.wait().unwrap();
    for pid in [&parent, child] {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        assert!(status.contains("TracerPid:\t0\n") && !status.contains("State:\tt"), "{status}");
    }
}
