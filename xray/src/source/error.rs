//! Why memory cannot be had, and what to do about it.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;

use nix::errno::Errno;

/// Why a process cannot be copied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// There is no such process.
    #[error("there is no process {0}")]
    NoProcess(i32),
    /// There was one, and it has ended.
    #[error("process {0} has ended meanwhile")]
    Ended(i32),
    /// It has no memory any more.
    #[error("process {0} has ended and only waits for its parent to take notice: it has no memory any more")]
    Zombie(i32),
    /// A number of a thread.
    #[error("{0} is a thread of process {1}: look at {1}")]
    Thread(i32, i32),
    /// The kernel's own.
    #[error("process {0} is a thread of the kernel and has no memory of its own")]
    Kernel(i32),
    /// Who looks.
    #[error("process {0} is the one that looks: it cannot stop itself")]
    Own(i32),
    /// Not a 64-bit program.
    #[error("process {0} is a 32-bit program, and only 64-bit ones are read")]
    Narrow(i32),
    /// It is somebody else's.
    #[error(
        "process {0} is not yours to read: run this as its user or as root (CAP_SYS_PTRACE); in a container start that with \
         --cap-add SYS_PTRACE, or look from the host"
    )]
    NotPermitted(i32),
    /// It is one's own, but has said that nobody may look, or has changed its user.
    #[error(
        "process {0} lets nobody read it (it began with another user's rights, or called prctl(PR_SET_DUMPABLE, 0)): run this as root \
         (CAP_SYS_PTRACE)"
    )]
    NotDumpable(i32),
    /// Yama lets only parents look.
    #[error(
        "kernel.yama.ptrace_scope=1 lets only parents look into process {0}: sudo sysctl kernel.yama.ptrace_scope=0, run this as root, \
         or let that process call prctl(PR_SET_PTRACER)"
    )]
    YamaParents(i32),
    /// Yama lets only root look.
    #[error(
        "kernel.yama.ptrace_scope=2 lets only root look into process {0}: run this as root (CAP_SYS_PTRACE)"
    )]
    YamaRoot(i32),
    /// Yama lets nobody look.
    #[error(
        "kernel.yama.ptrace_scope=3 lets nobody look into process {0} until the machine starts anew: a core that the kernel wrote can \
         be read instead"
    )]
    YamaNobody(i32),
    /// It is being traced already.
    #[error(
        "process {0} cannot be stopped, since a debugger or a tracer holds it: end that one first, or leave it running with --no-stop"
    )]
    Traced(i32),
    /// A thread of it did not stop in time.
    #[error(
        "a thread of process {0} does not stop: it waits for a device or a file system of the network; try again, or leave the process \
         running with --no-stop"
    )]
    NotStopping(i32),
    /// It starts threads faster than they can be stopped.
    #[error("process {0} begins threads faster than they can be stopped: leave it running with --no-stop")]
    TooManyThreads(i32),
    /// Whoever asked for the copy does not want it any more.
    #[error("the copy of process {0} was given up")]
    GivenUp(i32),
    /// Something else.
    #[error("process {0} cannot be read: {1}")]
    Read(i32, io::Error),
    /// Too large.
    #[error("process {0} has {1} bytes in memory, which is more than can be copied")]
    TooLarge(i32, u64),
    /// There is no room here.
    #[error(
        "process {pid} has {needed} bytes to copy, and only {free} bytes of memory are free here: write a core (gcore {pid}) and look at \
         that on another machine"
    )]
    NoRoom {
        /// Its number.
        pid: i32,
        /// Bytes of the copy.
        needed: u64,
        /// Bytes that the system has to give.
        free: u64,
    },
    /// There is no room here for the copies of several.
    #[error(
        "the {processes} processes have {needed} bytes to copy, and there is room for {free} here: name fewer of them, their parent and \
         one or two of its children"
    )]
    NoRoomTogether {
        /// How many they are.
        processes: usize,
        /// Bytes of the copies.
        needed: u64,
        /// Bytes that there is room for.
        free: u64,
    },
}

/// What an error of the system means for a process.
pub(super) fn failure(pid: i32, error: io::Error) -> SourceError {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(errno) => refused(pid, errno),
        None => SourceError::Read(pid, error),
    }
}

/// What a number of an error means for a process.
pub(super) fn refused(pid: i32, errno: Errno) -> SourceError {
    match errno {
        Errno::ESRCH | Errno::ENOENT => SourceError::NoProcess(pid),
        Errno::EAGAIN => SourceError::TooManyThreads(pid),
        Errno::ETIMEDOUT => SourceError::NotStopping(pid),
        Errno::EPERM | Errno::EACCES => not_permitted(pid),
        errno => SourceError::Read(pid, errno.into()),
    }
}

/// Which of the reasons it is. The most particular one comes first.
fn not_permitted(pid: i32) -> SourceError {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    if number(&status, "TracerPid:").is_some_and(|tracer| tracer != 0) {
        return SourceError::Traced(pid);
    }
    let own = rustix::process::geteuid();
    let user = number(&status, "Uid:").map(i64::from);
    // The files of what is not dumpable belong to root, whoever's it is; the folder does not.
    let shown = fs::metadata(format!("/proc/{pid}/maps")).ok().map(|about| i64::from(about.uid()));
    if !own.is_root() && user == Some(i64::from(own.as_raw())) {
        if shown != user {
            return SourceError::NotDumpable(pid);
        }
        let scope = fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").unwrap_or_default();
        match scope.trim() {
            "1" => return SourceError::YamaParents(pid),
            "2" => return SourceError::YamaRoot(pid),
            "3" => return SourceError::YamaNobody(pid),
            _ => {}
        }
    }
    SourceError::NotPermitted(pid)
}

/// The first number behind a name in the text of `/proc/PID/status`.
pub(super) fn number(status: &str, name: &str) -> Option<u32> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}
