//! A process that does not run for a moment.
//!
//! By ptrace and never by a signal: nobody else sees it, and if this program dies the system lets the process go on.

use std::collections::BTreeSet;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::ptrace;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::image::Thread;

/// Rounds in which threads that were begun meanwhile are looked for.
const ROUNDS: usize = 100;
/// How long a thread may take to stop: one that waits for a device does not until that has answered.
const PATIENCE: Duration = Duration::from_secs(2);
/// The same for threads that are let go again because another one did not stop.
const LITTLE_PATIENCE: Duration = Duration::from_millis(50);
/// Questions whether a thread has stopped that are asked at once, before it is waited between them.
const EAGER: u32 = 200;
/// How long is waited then.
const BETWEEN: Duration = Duration::from_micros(50);

/// A thread that was told to stop.
#[derive(Clone, Copy, Debug)]
struct Held {
    thread: Pid,
    /// Whether it has.
    stopped: bool,
    /// A signal that came just then and that it is still to get.
    pending: Option<Signal>,
}

/// All threads of a process, held until this is dropped.
#[derive(Debug)]
pub struct Hold {
    threads: Vec<Held>,
}

impl Hold {
    /// Stops all threads of a process. It must be let go by the thread that stopped it.
    ///
    /// # Errors
    ///
    /// `ESRCH` where there is no such process, `EPERM` where it may not be stopped, `ETIMEDOUT` where a thread does not stop, and `EAGAIN`
    /// where there are always more of them.
    pub fn of(pid: i32) -> Result<Self, Errno> {
        let mut hold = Self { threads: Vec::new() };
        let mut known = BTreeSet::new();
        let begun = Instant::now();
        for _ in 0..ROUNDS {
            let before = known.len();
            let first = hold.threads.len();
            // All are told before any is waited for, so that they stop together.
            for thread in threads(pid) {
                if !known.insert(thread) {
                    continue;
                }
                match hold.tell(Pid::from_raw(thread)) {
                    // A thread that has ended meanwhile.
                    Err(Errno::ESRCH) if thread != pid => {}
                    other => other?,
                }
            }
            for held in &mut hold.threads[first..] {
                wait(held, PATIENCE.saturating_sub(begun.elapsed()))?;
            }
            hold.threads.retain(|held| held.stopped);
            if known.len() == before {
                return if hold.threads.is_empty() { Err(Errno::ESRCH) } else { Ok(hold) };
            }
        }
        Err(Errno::EAGAIN)
    }

    fn tell(&mut self, thread: Pid) -> Result<(), Errno> {
        ptrace::seize(thread, ptrace::Options::empty())?;
        // From here on it is let go whatever comes.
        self.threads.push(Held { thread, stopped: false, pending: None });
        ptrace::interrupt(thread)
    }

    /// Threads that are held.
    pub fn threads(&self) -> usize {
        self.threads.len()
    }

    /// What they have in their registers.
    pub fn registers(&self) -> Vec<Thread> {
        let threads = self.threads.iter().filter(|held| held.stopped);
        threads.filter_map(|held| Some(Thread::new(held.thread.as_raw(), registers(held.thread)?))).collect()
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        for held in &mut self.threads {
            if !held.stopped {
                // Only what has stopped can be let go.
                let _ = wait(held, LITTLE_PATIENCE);
            }
            // Whoever is gone needs no letting go.
            let _ = ptrace::detach(held.thread, held.pending);
        }
    }
}

/// Waits until a thread has stopped, or has ended: then `stopped` stays `false`.
fn wait(held: &mut Held, patience: Duration) -> Result<(), Errno> {
    let until = Instant::now() + patience;
    let mut asked = 0_u32;
    loop {
        match waitpid(held.thread, Some(WaitPidFlag::__WALL | WaitPidFlag::WNOHANG)) {
            Err(Errno::EINTR) => {}
            Err(Errno::ECHILD) | Ok(WaitStatus::Exited(..) | WaitStatus::Signaled(..)) => return Ok(()),
            Err(errno) => return Err(errno),
            Ok(WaitStatus::StillAlive) => {
                if Instant::now() >= until {
                    return Err(Errno::ETIMEDOUT);
                }
                asked += 1;
                if asked < EAGER {
                    thread::yield_now();
                } else {
                    thread::sleep(BETWEEN);
                }
            }
            Ok(status) => {
                held.stopped = true;
                if let WaitStatus::Stopped(_, signal) = status {
                    held.pending = Some(signal);
                }
                return Ok(());
            }
        }
    }
}

/// The numbers of a process's threads.
fn threads(pid: i32) -> Vec<i32> {
    let Ok(folder) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    folder.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// The general registers of a thread that is held, in the order of the system's `user_regs_struct`.
#[cfg(target_arch = "x86_64")]
fn registers(thread: Pid) -> Option<Vec<u64>> {
    let set = ptrace::getregs(thread).ok()?;
    Some(vec![
        set.r15,
        set.r14,
        set.r13,
        set.r12,
        set.rbp,
        set.rbx,
        set.r11,
        set.r10,
        set.r9,
        set.r8,
        set.rax,
        set.rcx,
        set.rdx,
        set.rsi,
        set.rdi,
        set.orig_rax,
        set.rip,
        set.cs,
        set.eflags,
        set.rsp,
        set.ss,
        set.fs_base,
        set.gs_base,
        set.ds,
        set.es,
        set.fs,
        set.gs,
    ])
}

/// The general registers of a thread that is held, in the order of the system's `user_regs_struct`.
#[cfg(target_arch = "aarch64")]
fn registers(thread: Pid) -> Option<Vec<u64>> {
    let set = ptrace::getregs(thread).ok()?;
    Some(set.regs.into_iter().chain([set.sp, set.pc, set.pstate]).collect())
}
