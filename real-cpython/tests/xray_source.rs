//! Where pictures come from: processes that are watched, that refuse, that share their pages, and cores of them.

#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(clippy::unwrap_used, reason = "tests")]
#![allow(
    clippy::print_stdout,
    reason = "a test that runs in a process of its own speaks to the one that began it"
)]

mod waiting;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use real_cpython::outside::not_run;
use real_cpython::random::Random;
use waiting::{Waiting, compared, follow, live_objects, seen, state, until_it_waits};
use xray::image::picture::version_of;
use xray::image::{Kind, Memory, Picture};
use xray::source::hold::Hold;
use xray::source::{CoreError, Same, SourceError, Target, copy, copy_family, core};

/// Names the process for a test that runs in a process of its own.
const PID: &str = "ARENASCOPE_TEST_PID";
/// The user that owns nothing.
const NOBODY: u32 = 65534;

/// A program that does nothing but to wait.
const WAITS: &str = "import sys\nprint('ready', flush=True)\nsys.stdin.readline()";

/// Objects of many types, in several threads' hands.
const FULL: &str = "
import sys, threading, decimal, collections
class Planted:
    __slots__ = ('a', 'b')
planted = [Planted() for _ in range(5000)]
table = {i: [str(i), float(i)] for i in range(20000)}
gate = threading.Event()
threads = [threading.Thread(target=gate.wait) for _ in range(3)]
for t in threads: t.start()
print('ready', flush=True)
sys.stdin.readline()
gate.set()
";

/// Part of another test, in a process of its own, with the number of the process that it looks at.
fn part(name: &str, pid: i32) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", name, "--ignored", "--nocapture", "--test-threads", "1"]);
    command.env(PID, pid.to_string()).stdin(Stdio::null()).stdout(Stdio::piped());
    command
}

fn named_pid() -> i32 {
    std::env::var(PID).unwrap().parse().unwrap()
}

/// Reads what a part says until the line that begins so, which it gives back.
fn said(child: &mut Child, start: &str) -> String {
    let mut output = BufReader::new(child.stdout.as_mut().unwrap());
    let mut line = String::new();
    while output.read_line(&mut line).unwrap() > 0 {
        // Its harness writes before it, without an end of the line.
        if let Some(at) = line.find(start) {
            return line[at..].trim_end().to_owned();
        }
        line.clear();
    }
    panic!("it ended without a line that begins with {start}");
}

/// Where a block lies, its bytes, and of an object the type and whether it was given up.
type Told<'a> = (u64, u64, Option<(&'a str, bool)>);

/// All that is said of blocks.
fn blocks(picture: &Picture) -> Vec<Told<'_>> {
    let chunks = picture.used_chunks().map(|(chunk, object)| (chunk.addr, chunk.bytes, object));
    let all = picture.blocks().chain(chunks).map(|(addr, bytes, object)| {
        let object = object.map(|object| (picture.types[object.of as usize].name.as_str(), object.dead));
        (addr, bytes, object)
    });
    all.collect()
}

fn picture_of(memory: &Memory) -> Picture {
    Picture::of(memory, version_of(memory).unwrap()).unwrap()
}

#[test]
fn a_core_shows_what_the_process_showed() {
    let all = compared();
    if all.is_empty() {
        return not_run("pictures of cores", "no CPython was found");
    }
    let gcore = Command::new("gcore").arg("--help").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if gcore.is_err() {
        not_run("pictures of gcore's cores", "gcore (of gdb) was not found");
    }
    let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap_or_default();
    let kernel = pattern.trim() == "core";
    if !kernel {
        not_run(
            "pictures of the kernel's cores",
            format!("kernel.core_pattern is {}, not core", pattern.trim()),
        );
    }
    for interpreter in all {
        let folder = tempfile::tempdir().unwrap();
        let python = interpreter.command(None);
        // The shell raises the limit, which the test's own process has low.
        let mut command = Command::new("sh");
        command
            .args(["-c", "ulimit -c unlimited 2>/dev/null; exec \"$0\" \"$@\""])
            .current_dir(folder.path());
        command.arg(python.get_program()).args(python.get_args()).args(["-c", FULL]);
        let waiting = Waiting::of(command);
        let pid = waiting.pid();
        until_it_waits(pid);
        let (live, picture) = seen(pid);
        assert_eq!(live.memory.threads().len(), 4);
        let mut cores = Vec::new();
        if gcore.is_ok() {
            let mut command = Command::new("gcore");
            command.arg("-o").arg(folder.path().join("g")).arg(pid.to_string());
            assert!(command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success());
            cores.push(folder.path().join(format!("g.{pid}")));
        }
        let ended = Command::new("kill").args(["-ABRT", &pid.to_string()]).status().unwrap();
        assert!(ended.success());
        waiting.ended();
        let mut names = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
        let named = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().starts_with("core");
        match names.find(named) {
            Some(core) => cores.push(core),
            None if kernel => {
                not_run("pictures of the kernel's cores", "it wrote none: the limit may be fixed");
            }
            None => {}
        }
        for path in &cores {
            let core = core::read(path, Path::new("/")).unwrap();
            let same = picture_of(&core.memory);
            assert_eq!(same.heaps.malloc, picture.heaps.malloc, "{interpreter}: {}", path.display());
            let (found, expected) = (blocks(&same), blocks(&picture));
            let other = found.iter().zip(&expected).find(|(found, expected)| found != expected);
            assert_eq!(other, None, "{interpreter}: {}", path.display());
            assert_eq!(found.len(), expected.len(), "{interpreter}: {}", path.display());
            assert_eq!(same.tables, picture.tables, "{interpreter}");
            assert_eq!(core.pid, Some(pid));
            assert_eq!(core.missing_bytes, 0);
            let libraries = core.libraries.iter().filter(|library| library.name.contains("python"));
            assert!(libraries.clone().count() > 0, "{interpreter}: {:?}", core.libraries);
            assert!(libraries.clone().all(|library| matches!(library.same, Same::Yes | Same::Unknown)));
            let pointers = |memory: &Memory| {
                let mut all: Vec<_> =
                    memory.threads().iter().map(|thread| (thread.id, thread.stack_pointer())).collect();
                all.sort_unstable();
                all
            };
            assert_eq!(pointers(&core.memory).len(), 4, "{interpreter}");
            let first = |memory: &Memory| memory.first_stack().map(|mapping| mapping.hi);
            assert!(
                first(&core.memory).is_some() && first(&core.memory) == first(&live.memory),
                "{interpreter}"
            );
            if path.file_name().unwrap().to_string_lossy().starts_with('g') {
                assert_eq!(pointers(&core.memory), pointers(&live.memory), "{interpreter}: they wait");
            }
            let kinds = |kind| core.memory.mappings().iter().filter(|mapping| mapping.kind == kind).count();
            // What a loader was started for has its heap behind that one, and stacks without guard pages of their own are one mapping.
            if !interpreter.is_unpacked() {
                assert_eq!(
                    (kinds(Kind::Heap), kinds(Kind::Stack)),
                    (1, 4),
                    "{interpreter}: {}",
                    path.display()
                );
            }
            if !path.file_name().unwrap().to_string_lossy().starts_with('g') {
                // Of the kernel's, memory comes last. What is missing is said, and the rest is read.
                let file = fs::File::options().write(true).open(path).unwrap();
                let len = file.metadata().unwrap().len();
                file.set_len(len - (64 << 10)).unwrap();
                let cut = core::read(path, Path::new("/")).unwrap();
                assert_eq!(cut.missing_bytes, 64 << 10, "{interpreter}");
            }
        }
    }
}

/// A core of the newest interpreter, or nothing after saying why.
fn core_of_something(folder: &Path, what: &str) -> Option<PathBuf> {
    let Some(interpreter) = compared().pop() else {
        not_run(what, "no CPython was found");
        return None;
    };
    let mut command = interpreter.command(None);
    command.args(["-c", WAITS]);
    let waiting = Waiting::of(command);
    let pid = waiting.pid();
    let mut gcore = Command::new("gcore");
    gcore.arg("-o").arg(folder.join("g")).arg(pid.to_string()).stdout(Stdio::null()).stderr(Stdio::null());
    let done = gcore.status();
    assert!(waiting.end());
    if !done.is_ok_and(|status| status.success()) {
        not_run(what, "gcore (of gdb) was not found");
        return None;
    }
    Some(folder.join(format!("g.{pid}")))
}

#[test]
fn whatever_is_in_a_core_it_is_read_or_refused() {
    const ROUNDS: u64 = 150;
    let folder = tempfile::tempdir().unwrap();
    let Some(path) = core_of_something(folder.path(), "damaged cores") else { return };
    let file = fs::File::options().read(true).write(true).open(&path).unwrap();
    let len = file.metadata().unwrap().len();
    let (mut read, mut pictures) = (0, 0);
    for seed in 0..ROUNDS {
        let mut random = Random(seed);
        let mut before = Vec::new();
        for _ in 0..=random.below(12) {
            // Most of them where the lists of segments and notes are.
            let below = if random.below(4) == 0 { len } else { 1 << (6 + random.below(9)) };
            let at = random.below(below.min(len - 8));
            let mut word = [0; 8];
            file.read_exact_at(&mut word, at).unwrap();
            before.push((at, word));
            let value = match random.below(4) {
                0 => random.below(u64::MAX),
                1 => u64::MAX - random.below(1 << 13),
                2 => u64::from_le_bytes(word) ^ (1 << random.below(64)),
                _ => random.below(len),
            };
            let bytes = 1 + random.below(8) as usize;
            file.write_all_at(&value.to_le_bytes()[..bytes], at).unwrap();
        }
        if let Ok(core) = core::read(&path, Path::new("/")) {
            read += 1;
            if let Ok(version) = version_of(&core.memory)
                && let Ok(picture) = Picture::of(&core.memory, version)
            {
                pictures += 1;
                follow(&core.memory, &picture, &core.mapped);
            }
        }
        for (at, word) in before.into_iter().rev() {
            file.write_all_at(&word, at).unwrap();
        }
    }
    assert!(core::read(&path, Path::new("/")).is_ok(), "it is as it was");
    assert!(
        read > 20 && pictures > 10,
        "{read} were read and {pictures} made a picture: the damage is too much to show anything"
    );
    // Cut anywhere it is read as far as it goes, and says how much is missing.
    for part in (0..16).rev() {
        file.set_len(len * part / 16).unwrap();
        match core::read(&path, Path::new("/")) {
            Ok(core) => {
                assert!(core.missing_bytes > 0 && core.missing_bytes <= len - len * part / 16, "{part}");
            }
            Err(error) => {
                assert!(matches!(error, CoreError::Damaged(_) | CoreError::NotCore), "{part}: {error}");
            }
        }
    }
    file.set_len(len).unwrap();
}

#[test]
fn what_is_no_core_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let of = |bytes: &[u8]| {
        let path = folder.path().join("file");
        fs::write(&path, bytes).unwrap();
        core::read(&path, Path::new("/"))
    };
    assert!(matches!(of(b"").unwrap_err(), CoreError::NotCore));
    assert!(matches!(of(&[7; 5000]).unwrap_err(), CoreError::NotCore));
    assert!(matches!(of(b"\x28\xb5\x2f\xfd and more").unwrap_err(), CoreError::Packed("zstd -d")));
    assert!(matches!(of(b"\x7fELF\x01\x01\x01\x00\x00\x00").unwrap_err(), CoreError::Machine));
    assert!(matches!(core::read(folder.path(), Path::new("/")).unwrap_err(), CoreError::NotRegular));
    assert!(matches!(core::read(Path::new("/dev/zero"), Path::new("/")).unwrap_err(), CoreError::NotRegular));
    assert!(matches!(
        core::read(&folder.path().join("none"), Path::new("/")).unwrap_err(),
        CoreError::Open(_)
    ));
    let own = std::env::current_exe().unwrap();
    assert!(matches!(core::read(&own, Path::new("/")).unwrap_err(), CoreError::NotCore));
}

#[test]
fn a_copy_is_watched_and_can_be_given_up() {
    let Some(interpreter) = compared().pop() else {
        return not_run("copies that are given up", "no CPython was found");
    };
    let mut command = interpreter.command(None);
    command.args(["-c", &format!("keep = bytearray(150 << 20)\nkeep[::4096] = b'x' * (150 << 8)\n{WAITS}")]);
    let waiting = Waiting::of(command);
    let target = Target::open(waiting.pid()).unwrap();
    assert_eq!(target.python().unwrap().unwrap().minor, interpreter.version.1 as u8);
    let (mut last, mut calls) = (0, 0);
    let copy = target.copy(true, &mut |progress| {
        assert!(progress.done >= last && progress.done <= progress.of);
        (last, calls) = (progress.done, calls + 1);
        ControlFlow::Continue(())
    });
    let copied = copy.unwrap().memory.copied_bytes();
    assert!(last >= 150 << 20 && last <= copied, "{last} of {copied}");
    assert!(calls > 5);
    // While room is made for it, and in the middle of the copying.
    for at in [0, 64 << 20] {
        let given_up = target.copy(true, &mut |progress| {
            if progress.done >= at { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert!(matches!(given_up.unwrap_err(), SourceError::GivenUp(_)));
        until_it_waits(waiting.pid());
    }
    let pid = waiting.pid();
    assert!(waiting.end());
    assert!(target.ended());
    assert!(matches!(
        target.copy(true, &mut |_| ControlFlow::Continue(())).unwrap_err(),
        SourceError::NoProcess(_)
    ));
    assert!(matches!(copy_of(pid), SourceError::NoProcess(_)));
}

fn copy_of(pid: i32) -> SourceError {
    copy(pid, true).unwrap_err()
}

#[test]
fn what_cannot_be_looked_at_says_why() {
    assert!(matches!(copy_of(std::process::id().cast_signed()), SourceError::Own(_)));
    assert!(matches!(copy_of(0), SourceError::NoProcess(_)));
    assert!(matches!(copy_of(-1), SourceError::NoProcess(_)));
    assert!(matches!(copy_of(i32::MAX), SourceError::NoProcess(_)));
    if fs::read_to_string("/proc/2/comm").is_ok_and(|name| name.trim_end() == "kthreadd") {
        assert!(matches!(copy_of(2), SourceError::Kernel(2)));
    } else {
        not_run("the refusal of a kernel's thread", "in this container none is seen");
    }
    let mut zombie = Command::new("true").spawn().unwrap();
    let pid = zombie.id().cast_signed();
    while state(pid) != 'Z' {
        std::thread::yield_now();
    }
    assert!(matches!(copy_of(pid), SourceError::Zombie(_)));
    zombie.wait().unwrap();
    let other = std::thread::Builder::new().name("other".to_owned()).spawn(std::thread::park).unwrap();
    let folder = fs::read_dir("/proc/self/task").unwrap();
    let own = std::process::id().cast_signed();
    let threads = folder.filter_map(|entry| entry.unwrap().file_name().to_str()?.parse::<i32>().ok());
    let thread = { threads }.find(|thread| *thread != own).unwrap();
    assert!(matches!(copy_of(thread), SourceError::Thread(_, of) if of == own));
    other.thread().unpark();
    other.join().unwrap();
}

#[test]
#[ignore = "a part of another test, which runs it in a process of its own"]
fn part_holds_until_it_is_killed() {
    let hold = Hold::of(named_pid()).unwrap();
    println!("holds {}", hold.threads());
    std::thread::sleep(std::time::Duration::from_mins(1));
    drop(hold);
}

#[test]
#[ignore = "a part of another test, which runs it in a process of its own"]
fn part_says_why_it_may_not_look() {
    println!("refused {}", copy_of(named_pid()));
}

#[test]
fn a_process_goes_on_when_who_holds_it_is_killed() {
    let Some(interpreter) = compared().pop() else {
        return not_run("a process whose reader is killed", "no CPython was found");
    };
    let mut command = interpreter.command(None);
    command.args(["-c", FULL]);
    let waiting = Waiting::of(command);
    let pid = waiting.pid();
    let mut holder = part("part_holds_until_it_is_killed", pid).spawn().unwrap();
    assert_eq!(said(&mut holder, "holds "), "holds 4");
    assert_eq!(state(pid), 't');
    assert!(matches!(copy_of(pid), SourceError::Traced(_)));
    let meanwhile = copy(pid, false).unwrap();
    assert!(meanwhile.memory.threads().is_empty() && meanwhile.pause.is_zero());
    assert_eq!(state(pid), 't', "who only reads lets nothing run");
    holder.kill().unwrap();
    holder.wait().unwrap();
    let (_, picture) = seen(pid);
    assert_eq!(live_objects(&picture, "__main__.Planted"), 5000);
    assert!(waiting.end(), "it goes on as if nothing had been");
}

#[test]
fn another_user_is_refused_with_the_remedy() {
    let own = fs::read_to_string("/proc/self/status").unwrap();
    let root = own.lines().any(|line| line.starts_with("Uid:\t0\t"));
    if !root {
        return not_run("the refusal of another user", "only root can become one");
    }
    let Some(interpreter) = compared().pop() else {
        return not_run("the refusal of another user", "no CPython was found");
    };
    let mut command = interpreter.command(None);
    command.args(["-c", WAITS]);
    let waiting = Waiting::of(command);
    let refused = |pid| -> Option<String> {
        let child =
            part("part_says_why_it_may_not_look", pid).uid(NOBODY).gid(NOBODY).current_dir("/").spawn();
        let mut child = child.ok()?;
        let line = said(&mut child, "refused ");
        assert!(child.wait().unwrap().success());
        Some(line)
    };
    let Some(line) = refused(waiting.pid()) else {
        return not_run(
            "the refusal of another user",
            "another user may not run this program from its folder",
        );
    };
    assert!(line.contains("is not yours to read") && line.contains("CAP_SYS_PTRACE"), "{line}");
    assert!(waiting.end());
    // One's own process that has said that nobody may look.
    let Some(system) = compared().into_iter().find(|interpreter| interpreter.path().starts_with("/usr"))
    else {
        return not_run(
            "the refusal of a process that is not dumpable",
            "no CPython of the system's was found",
        );
    };
    let mut command = system.command(None);
    command.uid(NOBODY).gid(NOBODY).current_dir("/");
    command.args(["-c", &format!("import ctypes\nctypes.CDLL(None).prctl(4, 0, 0, 0, 0)\n{WAITS}")]);
    let waiting = Waiting::of(command);
    let line = refused(waiting.pid()).unwrap();
    assert!(line.contains("PR_SET_DUMPABLE"), "{line}");
    assert!(waiting.end());
}

#[test]
fn a_family_shows_which_pages_it_shares() {
    const FAMILY: &str = concat!(
        include_str!("fork.py"),
        "
rows = [{'row': i} for i in range(60000)]
def idle(): pass
def read():
    for row in rows: row.get('row')
children = [child(idle), child(read)]
print('ready', *(pid for pid, _ in children), flush=True)
sys.stdin.readline()
end(children)
"
    );
    let Some(interpreter) = compared().pop() else {
        return not_run("a family of processes", "no CPython was found");
    };
    let mut command = interpreter.command(None);
    command.args(["-c", FAMILY]);
    let waiting = Waiting::of(command);
    let mut pids = vec![waiting.pid()];
    pids.extend(waiting.words.iter().map(|word| word.parse::<i32>().unwrap()));
    let targets: Vec<Target> = pids.iter().map(|pid| Target::open(*pid).unwrap()).collect();
    let look = || copy_family(&targets, true, &mut |_| ControlFlow::Continue(())).unwrap();
    // The second look finds what the first one found: to be looked at copies no page.
    look();
    let copies = look();
    // Of the pools in which the rows lie: private bytes by resident ones.
    let shares: Vec<f64> = copies
        .iter()
        .map(|copy| {
            let picture = picture_of(&copy.memory);
            let is_row = |at: usize| {
                picture.objects[at]
                    .is_some_and(|object| picture.types[object.of as usize].name == "builtins.dict")
            };
            let pools = picture.pools.pools.iter().filter(|pool| {
                let blocks = pool.first as usize..(pool.first + pool.carved) as usize;
                2 * blocks.clone().filter(|at| is_row(*at)).count() > blocks.len()
            });
            let sum = |of: &xray::image::Resident| -> u64 {
                pools.clone().map(|pool| of.within(pool.addr, pool.addr + picture.geometry.pool)).sum()
            };
            assert!(sum(&copy.resident) > 2 << 20);
            assert!(copy.private.bytes() <= copy.resident.bytes());
            sum(&copy.private) as f64 / sum(&copy.resident) as f64
        })
        .collect();
    assert!(shares[0] < 0.1 && shares[1] < 0.1, "who does nothing shares nearly all: {shares:?}");
    assert!(
        shares[2] > 0.9,
        "who looks at objects has counted references, and so copied their pages: {shares:?}"
    );
    assert!(waiting.end());
}

#[test]
fn each_interpreter_has_its_own_objects() {
    const OBJECTS: u64 = 20_000;
    const INTERPRETERS: usize = 3;
    const BEGIN: &str = "
import sys
try:
    import _interpreters as interpreters
    create = lambda: interpreters.create('isolated')
except ImportError:
    import _xxsubinterpreters as interpreters
    create = lambda: interpreters.create(isolated=True)
all = [create() for _ in range(3)]
for n, one in enumerate(all):
    interpreters.run_string(one, 'class Planted%d:\\n    __slots__ = (\"a\",)\\nkept = [Planted%d() for _ in range(20000)]' % (n, n))
print('ready', flush=True)
sys.stdin.readline()
for one in all: interpreters.destroy(one)
";
    let own = compared().into_iter().filter(|interpreter| interpreter.version.1 >= 12);
    let mut done = false;
    for interpreter in own {
        done = true;
        let mut command = interpreter.command(None);
        command.args(["-c", BEGIN]);
        let waiting = Waiting::of(command);
        let (_, picture) = seen(waiting.pid());
        assert!(waiting.end(), "{interpreter}");
        assert_eq!(picture.tables.len(), 1 + INTERPRETERS, "{interpreter}");
        let mut tables = std::collections::BTreeSet::new();
        for n in 0..INTERPRETERS {
            let name = format!("__main__.Planted{n}");
            let mut count = 0;
            let mut of = None;
            for (pool, block) in picture.pools.in_use() {
                let object = picture.objects[(pool.first + block) as usize];
                let Some(object) = object.filter(|object| picture.types[object.of as usize].name == name)
                else {
                    continue;
                };
                assert!(!object.dead);
                assert_eq!(
                    *of.get_or_insert(pool.table),
                    pool.table,
                    "{interpreter}: they are of one interpreter"
                );
                count += 1;
            }
            assert_eq!(count, OBJECTS, "{interpreter}");
            assert!(tables.insert(of), "{interpreter}: another one has its arenas elsewhere");
            assert_ne!(of, Some(0), "{interpreter}: the first table is the main interpreter's");
        }
    }
    if !done {
        not_run("arenas of each interpreter", "no CPython from 3.12 on was found");
    }
}
