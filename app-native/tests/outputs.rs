//! What is written where: devices, FIFOs, descriptors and links stay what they are, files are whole or not there.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "tests, which say what did not run")]

use std::fs::{self, File, Metadata};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// The smallest trace.
const ONE: &str = "m o 1 1\n";
/// A trace of which every output is longer than a line.
const TRACE: &str = "m o 1 48\nm r 2 600\nc m 3 2 40\nr o 1 4 64\nf r 2\nf o 4\nm o 5 8\n";

/// Every call that writes to a name. IN is a trace, OUT the name with the ending; PREFIX the name without it.
const WRITERS: [(&str, &[&str]); 10] = [
    (".txt", &["replay", "IN", "--placement", "OUT"]),
    (".atrace", &["convert", "IN", "OUT"]),
    (".ptrace", &["convert", "IN", "OUT"]),
    (".csv", &["trim", "IN", "OUT", "--from", "1", "--to", "6"]),
    (".ron", &["anonymize", "IN", "OUT", "--key", "k"]),
    (".csv", &["merge", "OUT", "IN", "IN"]),
    (".0.ptrace", &["split", "IN", "-o", "PREFIX", "--format", "ptrace"]),
    (".ptrace", &["generate", "--operations", "500", "-o", "OUT"]),
    (".svg", &["render", "IN", "-o", "OUT"]),
    (".png", &["render", "IN", "-o", "OUT"]),
];

fn binary() -> &'static str {
    env!("CARGO_BIN_EXE_arenascope")
}

fn arenascope(args: &[impl AsRef<str>]) -> Output {
    Command::new(binary()).args(args.iter().map(AsRef::as_ref)).stdin(Stdio::null()).output().unwrap()
}

#[track_caller]
fn succeeds(args: &[impl AsRef<str>]) -> Output {
    let out = arenascope(args);
    let words: Vec<&str> = args.iter().map(AsRef::as_ref).collect();
    assert!(out.status.success(), "{words:?}: {}", String::from_utf8_lossy(&out.stderr));
    out
}

/// The line that a call ends with that ends with code 1.
#[track_caller]
fn error(args: &[impl AsRef<str>]) -> String {
    one_line(&arenascope(args))
}

#[track_caller]
fn one_line(out: &Output) -> String {
    let error = String::from_utf8_lossy(&out.stderr).into_owned();
    assert_eq!((out.status.code(), error.lines().count()), (Some(1), 1), "{error}");
    error
}

/// What bash makes of a script in which `$0` is the program.
fn bash(script: &str, args: &[&str]) -> Output {
    Command::new("bash").args(["-c", script, binary()]).args(args).stdin(Stdio::null()).output().unwrap()
}

struct Folder(tempfile::TempDir);

impl Folder {
    /// A folder with a trace in it.
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        fs::write(folder.path("in.ptrace"), TRACE).unwrap();
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn at(&self, name: &str) -> String {
        self.path(name).to_string_lossy().into_owned()
    }

    /// One of [`WRITERS`], writing to a name without its ending.
    fn call(&self, writer: &[&str], name: &str, ending: &str) -> Vec<String> {
        let word = |word: &&str| match *word {
            "IN" => self.at("in.ptrace"),
            "OUT" => self.at(&format!("{name}{ending}")),
            "PREFIX" => self.at(name),
            other => other.to_owned(),
        };
        writer.iter().map(word).collect()
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.0.path())
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn meta(&self, name: &str) -> Metadata {
        fs::symlink_metadata(self.path(name)).unwrap()
    }

    /// What a call writes into a file of its own.
    fn expected(&self, writer: &[&str], ending: &str) -> Vec<u8> {
        succeeds(&self.call(writer, "plain", ending));
        let bytes = fs::read(self.path(&format!("plain{ending}"))).unwrap();
        fs::remove_file(self.path(&format!("plain{ending}"))).unwrap();
        assert!(!bytes.is_empty());
        bytes
    }

    /// Makes a node for a device of the memory driver in this folder: 3 is null, 7 full. Only root may, and not everywhere.
    fn device(&self, name: &str, minor: &str) -> bool {
        let path = self.at(name);
        let made =
            Command::new("mknod").args(["-m", "666", &path, "c", "1", minor]).stderr(Stdio::null()).status();
        let works =
            made.is_ok_and(|status| status.success()) && File::options().write(true).open(&path).is_ok();
        if !works {
            eprintln!(
                "NOT RUN: no device can be made here; run this test as root, in a folder that allows devices"
            );
        }
        works
    }

    fn fifo(&self, name: &str) {
        assert!(Command::new("mkfifo").arg(self.path(name)).status().unwrap().success());
    }
}

#[test]
fn a_device_stays_the_device_it_is() {
    let folder = Folder::new();
    // As it was found: the node was gone, and a file stood in its place.
    fs::write(folder.path("one.ptrace"), ONE).unwrap();
    if !folder.device("null", "3") {
        return;
    }
    let before = folder.meta("null");
    let report = succeeds(&["replay", &folder.at("one.ptrace"), "--placement", &folder.at("null")]);
    assert!(!report.stdout.is_empty(), "the report is printed all the same");
    let after = folder.meta("null");
    assert!(after.file_type().is_char_device());
    assert_eq!((after.ino(), after.rdev(), after.mode()), (before.ino(), before.rdev(), before.mode()));
    assert_eq!(folder.names(), ["in.ptrace", "null", "one.ptrace"]);
    // A link to it stays as well.
    symlink("null", folder.path("link")).unwrap();
    succeeds(&["replay", &folder.at("one.ptrace"), "--placement", &folder.at("link")]);
    assert!(folder.meta("link").is_symlink() && folder.meta("null").file_type().is_char_device());

    for (ending, writer) in WRITERS {
        let folder = Folder::new();
        let name = format!("out{ending}");
        assert!(folder.device(&name, "3"));
        let before = folder.meta(&name).ino();
        succeeds(&folder.call(writer, "out", ending));
        let after = folder.meta(&name);
        assert!(after.file_type().is_char_device() && after.ino() == before, "{writer:?}");
        assert_eq!(folder.names(), ["in.ptrace", &name], "{writer:?}");
        // One that takes nothing says so, by its name, and stays.
        fs::remove_file(folder.path(&name)).unwrap();
        assert!(folder.device(&name, "7"));
        let error = error(&folder.call(writer, "out", ending));
        assert!(error.contains(&folder.at(&name)) && error.contains("No space left"), "{error}");
        assert!(folder.meta(&name).file_type().is_char_device(), "{writer:?}");
        assert_eq!(folder.names(), ["in.ptrace", &name], "{writer:?}");
    }
}

#[test]
fn a_fifo_is_written_into() {
    for (ending, writer) in WRITERS {
        let folder = Folder::new();
        let expected = folder.expected(writer, ending);
        let name = format!("out{ending}");
        folder.fifo(&name);
        let reader = Command::new("timeout")
            .args(["60", "cat", &folder.at(&name)])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        succeeds(&folder.call(writer, "out", ending));
        let read = reader.wait_with_output().unwrap();
        assert!(read.status.success(), "{writer:?}: the reader waited in vain");
        assert!(read.stdout == expected, "{writer:?}");
        assert!(folder.meta(&name).file_type().is_fifo(), "{writer:?}");
        assert_eq!(folder.names(), ["in.ptrace", &name], "{writer:?}");
    }
}

#[test]
fn a_link_stays_and_its_target_is_written() {
    for (ending, writer) in WRITERS {
        let folder = Folder::new();
        let expected = folder.expected(writer, ending);
        let name = format!("out{ending}");
        fs::create_dir(folder.path("other")).unwrap();
        fs::write(folder.path("other/target"), "old").unwrap();
        fs::set_permissions(folder.path("other/target"), fs::Permissions::from_mode(0o640)).unwrap();
        // Over a second link, both told from where they lie.
        symlink("other/link", folder.path(&name)).unwrap();
        symlink("target", folder.path("other/link")).unwrap();
        succeeds(&folder.call(writer, "out", ending));
        assert_eq!(fs::read_link(folder.path(&name)).unwrap(), Path::new("other/link"), "{writer:?}");
        assert_eq!(fs::read_link(folder.path("other/link")).unwrap(), Path::new("target"), "{writer:?}");
        assert!(fs::read(folder.path("other/target")).unwrap() == expected, "{writer:?}");
        assert_eq!(folder.meta("other/target").mode() & 0o7777, 0o640, "{writer:?}");
        // Without a target, one comes to be where the link says.
        fs::remove_file(folder.path("other/target")).unwrap();
        succeeds(&folder.call(writer, "out", ending));
        assert!(fs::read(folder.path("other/target")).unwrap() == expected, "{writer:?}");
        assert!(folder.meta(&name).is_symlink() && folder.meta("other/link").is_symlink(), "{writer:?}");
        assert_eq!(fs::read_dir(folder.path("other")).unwrap().count(), 2, "{writer:?}");
        assert_eq!(folder.names(), ["in.ptrace", "other", &name], "{writer:?}");
    }
}

#[test]
fn descriptors_are_written_into() {
    let folder = Folder::new();
    let (ending, writer) = WRITERS[0];
    let expected = String::from_utf8(folder.expected(writer, ending)).unwrap();
    let (trace, log) = (folder.at("in.ptrace"), folder.at("log"));
    let stdout = |script: &str| {
        let out = bash(script, &[&trace, &log]);
        assert!(out.status.success(), "{script}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    };
    // Pipes, named by the shell and by number.
    let script = "{ \"$0\" replay \"$1\" --placement >(cat >&3) >/dev/null; } 3>&1 | cat";
    assert_eq!(stdout(script), expected);
    assert_eq!(stdout("{ \"$0\" replay \"$1\" --placement /dev/fd/3 3>&1 >/dev/null; } | cat"), expected);
    // Files: what was there stays, as the shell opened them.
    stdout("\"$0\" replay \"$1\" --placement /dev/fd/3 3>\"$2\" >/dev/null");
    assert_eq!(fs::read_to_string(&log).unwrap(), expected);
    stdout("echo before >\"$2\"; \"$0\" replay \"$1\" --placement /dev/fd/3 3>>\"$2\" >/dev/null");
    assert_eq!(fs::read_to_string(&log).unwrap(), format!("before\n{expected}"));
    stdout(
        "{ echo before >&3; \"$0\" replay \"$1\" --placement /dev/fd/3 >/dev/null; echo after >&3; } 3>>\"$2\"",
    );
    assert!(fs::read_to_string(&log).unwrap().ends_with(&format!("before\n{expected}after\n")));
    // The standard streams, in order with what is printed there too. By links such as /dev/stdout is, but in this folder:
    // a program that puts a file in the place of a link shall not take those of the machine.
    let report = stdout("\"$0\" replay \"$1\"");
    symlink("/dev/fd/1", folder.path("stdout")).unwrap();
    symlink("stdout", folder.path("link")).unwrap();
    for name in ["/dev/fd/1", &folder.at("stdout"), &folder.at("link")] {
        let script = |redirected: &str| format!("\"$0\" replay \"$1\" --placement {name} {redirected}");
        assert_eq!(stdout(&script("| cat")), expected.clone() + &report, "{name}");
        stdout(&format!("echo before >\"$2\"; {}", script(">>\"$2\"")));
        assert_eq!(fs::read_to_string(&log).unwrap(), format!("before\n{expected}{report}"), "{name}");
        stdout(&format!("{{ echo before; {}; echo after; }} >\"$2\"", script("")));
        assert_eq!(fs::read_to_string(&log).unwrap(), format!("before\n{expected}{report}after\n"), "{name}");
    }
    symlink("/dev/fd/2", folder.path("stderr")).unwrap();
    let script = format!("\"$0\" replay \"$1\" --placement {}", folder.at("stderr"));
    stdout(&format!("{{ echo before >&2; {script}; echo after >&2; }} 2>\"$2\" >/dev/null"));
    assert_eq!(fs::read_to_string(&log).unwrap(), format!("before\n{expected}after\n"));
    assert!(["stdout", "link", "stderr"].iter().all(|name| folder.meta(name).is_symlink()));
    // One that is not open.
    let error = one_line(&bash("\"$0\" replay \"$1\" --placement /dev/fd/97", &[&trace]));
    assert!(error.contains("/dev/fd/97 is not open"), "{error}");
    assert_eq!(folder.names(), ["in.ptrace", "link", "log", "stderr", "stdout"]);
}

#[test]
fn what_is_read_is_not_written_into() {
    let folder = Folder::new();
    let trace = folder.at("in.ptrace");
    symlink("in.ptrace", folder.path("link")).unwrap();
    for script in [
        "\"$0\" replay \"$1\" --placement /dev/fd/3 3>>\"$1\"",
        "\"$0\" replay \"$1\" --placement /dev/fd/3 3<>\"$2\"",
        "\"$0\" replay \"$1\" --placement - >>\"$2\"",
        "\"$0\" replay - --placement /dev/fd/1 <\"$2\" >>\"$1\"",
    ] {
        let error = one_line(&bash(script, &[&trace, &folder.at("link")]));
        assert!(error.contains("is the file that is being read"), "{script}: {error}");
        assert_eq!(fs::read_to_string(&trace).unwrap(), TRACE, "{script}");
    }
}

#[test]
fn a_file_may_take_its_own_place() {
    for (name, way) in [("a.ptrace", "itself"), ("link.ptrace", "a link"), ("hard.ptrace", "a hard link")] {
        for writer in [
            &["convert", "A", "B"][..],
            &["trim", "A", "B", "--from", "2"],
            &["anonymize", "A", "B", "--key", "k"],
            &["merge", "B", "A", "A"],
            &["replay", "A", "--placement", "B"],
        ] {
            let folder = Folder::new();
            let call = |out: &str| -> Vec<String> {
                let word = |word: &&str| match *word {
                    "A" => folder.at("a.ptrace"),
                    "B" => folder.at(out),
                    other => other.to_owned(),
                };
                writer.iter().map(word).collect()
            };
            fs::rename(folder.path("in.ptrace"), folder.path("a.ptrace")).unwrap();
            succeeds(&call("apart.ptrace"));
            let expected = fs::read(folder.path("apart.ptrace")).unwrap();
            fs::remove_file(folder.path("apart.ptrace")).unwrap();
            symlink("a.ptrace", folder.path("link.ptrace")).unwrap();
            fs::hard_link(folder.path("a.ptrace"), folder.path("hard.ptrace")).unwrap();
            succeeds(&call(name));
            assert!(fs::read(folder.path(name)).unwrap() == expected, "{way}: {writer:?}");
            assert!(folder.meta("link.ptrace").is_symlink(), "{way}: {writer:?}");
            assert_eq!(folder.names(), ["a.ptrace", "hard.ptrace", "link.ptrace"], "{way}: {writer:?}");
        }
    }
}

#[test]
fn what_takes_no_file_is_refused() {
    for (ending, writer) in WRITERS {
        let folder = Folder::new();
        let name = format!("out{ending}");
        fs::create_dir(folder.path(&name)).unwrap();
        let said = error(&folder.call(writer, "out", ending));
        assert!(said.contains("is a folder; name a file in it"), "{said}");
        assert_eq!(folder.names(), ["in.ptrace", &name], "{writer:?}");
        fs::remove_dir(folder.path(&name)).unwrap();

        let _listener = std::os::unix::net::UnixListener::bind(folder.path(&name)).unwrap();
        let said = error(&folder.call(writer, "out", ending));
        assert!(said.contains("is a socket"), "{said}");
        assert!(folder.meta(&name).file_type().is_socket(), "{writer:?}");
        fs::remove_file(folder.path(&name)).unwrap();

        symlink(&name, folder.path(&name)).unwrap();
        let said = error(&folder.call(writer, "out", ending));
        assert!(said.contains("cannot be written"), "{said}");
        assert_eq!(folder.names(), ["in.ptrace", &name], "{writer:?}");
        fs::remove_file(folder.path(&name)).unwrap();

        symlink("no/such/folder", folder.path(&name)).unwrap();
        let said = error(&folder.call(writer, "out", ending));
        assert!(said.contains("cannot be written; check the folder"), "{said}");
        assert_eq!(folder.names(), ["in.ptrace", &name], "{writer:?}");
    }
    let folder = Folder::new();
    for name in [&folder.at("new/"), &folder.at("in.ptrace/"), "/", "."] {
        let said = error(&["replay", &folder.at("in.ptrace"), "--placement", name]);
        assert!(said.contains("folder") || said.contains("Not a directory"), "`{name}`: {said}");
    }
    assert_eq!(folder.names(), ["in.ptrace"]);
    assert_eq!(fs::read_to_string(folder.path("in.ptrace")).unwrap(), TRACE);
}

#[test]
fn permissions_and_owner_are_kept() {
    let folder = Folder::new();
    let root = folder.meta("in.ptrace").uid() == 0;
    for (ending, writer) in WRITERS {
        let expected = folder.expected(writer, ending);
        let name = format!("out{ending}");
        for mode in [0o600, 0o644, 0o755, 0o777] {
            fs::write(folder.path(&name), "old").unwrap();
            fs::set_permissions(folder.path(&name), fs::Permissions::from_mode(mode)).unwrap();
            if root {
                std::os::unix::fs::chown(folder.path(&name), Some(65_534), Some(65_534)).unwrap();
            }
            let owner = (folder.meta(&name).uid(), folder.meta(&name).gid());
            succeeds(&folder.call(writer, "out", ending));
            let meta = folder.meta(&name);
            assert_eq!(meta.mode() & 0o7777, mode, "{writer:?}");
            assert_eq!((meta.uid(), meta.gid()), owner, "{writer:?}");
            assert!(fs::read(folder.path(&name)).unwrap() == expected, "{writer:?}");
            fs::remove_file(folder.path(&name)).unwrap();
        }
    }
    // Only root writes to what is protected.
    fs::write(folder.path("kept.csv"), "old").unwrap();
    fs::set_permissions(folder.path("kept.csv"), fs::Permissions::from_mode(0o444)).unwrap();
    let args = ["convert", &folder.at("in.ptrace"), &folder.at("kept.csv")];
    if root {
        succeeds(&args);
        assert_eq!(folder.meta("kept.csv").mode() & 0o7777, 0o444);
    } else {
        let said = error(&args);
        assert!(said.contains("kept.csv cannot be written; check its rights"), "{said}");
        assert_eq!(fs::read_to_string(folder.path("kept.csv")).unwrap(), "old");
    }
}

#[test]
fn the_name_of_a_half_file_is_nobodys() {
    for (ending, writer) in WRITERS {
        let folder = Folder::new();
        let expected = folder.expected(writer, ending);
        let names =
            [format!("out{ending}.part"), format!("out{ending}.1.part"), format!("out{ending}.2.part")];
        fs::write(folder.path(&names[0]), "mine").unwrap();
        symlink("in.ptrace", folder.path(&names[1])).unwrap();
        symlink("nowhere", folder.path(&names[2])).unwrap();
        succeeds(&folder.call(writer, "out", ending));
        assert!(fs::read(folder.path(&format!("out{ending}"))).unwrap() == expected, "{writer:?}");
        assert_eq!(fs::read_to_string(folder.path(&names[0])).unwrap(), "mine", "{writer:?}");
        assert_eq!(fs::read_to_string(folder.path("in.ptrace")).unwrap(), TRACE, "{writer:?}");
        assert!(folder.meta(&names[1]).is_symlink() && folder.meta(&names[2]).is_symlink(), "{writer:?}");
        assert_eq!(folder.names().len(), 5, "{writer:?}: {:?}", folder.names());
    }
    // A name as long as names get.
    let folder = Folder::new();
    let name = "x".repeat(255 - ".csv".len()) + ".csv";
    succeeds(&["convert", &folder.at("in.ptrace"), &folder.at(&name)]);
    assert_eq!(folder.names(), ["in.ptrace", &name]);
}

#[test]
fn what_fails_leaves_what_was_there() {
    let folder = Folder::new();
    fs::write(folder.path("bad.ptrace"), "m o 1 1\nm o 1 1\n").unwrap();
    for args in [
        &["convert", &folder.at("bad.ptrace"), &folder.at("out.csv")][..],
        &["trim", &folder.at("bad.ptrace"), &folder.at("out.csv")],
        &["anonymize", &folder.at("bad.ptrace"), &folder.at("out.csv")],
        &["replay", &folder.at("bad.ptrace"), "--placement", &folder.at("out.csv")],
    ] {
        fs::write(folder.path("out.csv"), "old").unwrap();
        assert!(error(args).contains("line 2"), "{args:?}");
        assert_eq!(fs::read_to_string(folder.path("out.csv")).unwrap(), "old", "{args:?}");
        assert_eq!(folder.names(), ["bad.ptrace", "in.ptrace", "out.csv"], "{args:?}");
    }
}

#[test]
fn ctrl_c_removes_only_what_it_made() {
    let folder = Folder::new();
    let long = folder.at("long.ptrace");
    succeeds(&["generate", "--operations", "3000000", "--seed", "7", "-o", &long]);
    fs::write(folder.path("out.csv"), "old").unwrap();
    fs::write(folder.path("out.csv.part"), "mine").unwrap();
    symlink("out.csv", folder.path("link.csv")).unwrap();
    let mut child = Command::new(binary())
        .args(["convert", &long, &folder.at("link.csv")])
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let part = folder.path("out.csv.1.part");
    let begun = Instant::now();
    while !part.metadata().is_ok_and(|m| m.len() > 0) {
        assert!(begun.elapsed() < Duration::from_mins(1) && child.try_wait().unwrap().is_none());
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(folder.names(), ["in.ptrace", "link.csv", "long.ptrace", "out.csv", "out.csv.part"]);
    assert_eq!(fs::read_to_string(folder.path("out.csv")).unwrap(), "old");
    assert_eq!(fs::read_to_string(folder.path("out.csv.part")).unwrap(), "mine");
    assert!(folder.meta("link.csv").is_symlink());
}

#[test]
fn standard_output_that_takes_nothing_is_an_error() {
    if !Path::new("/dev/full").exists() {
        eprintln!("NOT RUN: there is no /dev/full here");
        return;
    }
    let folder = Folder::new();
    let (trace, out) = (folder.at("in.ptrace"), folder.at("out.csv"));
    for args in [
        &["completions", "bash"][..],
        &["replay", &trace],
        &["replay", &trace, "--bench", "1"],
        &["replay", &trace, "--placement", "-"],
        &["info", &trace],
        &["stats", &trace],
        &["profiles"],
        &["trim", &trace, &out],
        &["anonymize", &trace, &out],
        &["merge", &out, &trace],
        &["split", &trace, "-o", &folder.at("out")],
        &["generate", "--operations", "9"],
    ] {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let output = Command::new(binary()).args(args).stdin(Stdio::null()).stdout(full).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{args:?}: {said}");
        assert!(said.lines().last().is_some_and(|l| l.contains("No space left")), "{args:?}: {said}");
    }
}
