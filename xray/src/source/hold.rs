//! A process that does not run for a moment.
//!
//! By ptrace and never by a signal: nobody else sees it, and if this program dies the system lets the process go on.

use std::collections::BTreeSet;
use std::fs;

use nix::errno::Errno;
use nix::sys::ptrace;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// Rounds in which threads that were begun meanwhile are looked for.
const ROUNDS: usize = 100;

/// All threads of a process, held until this is dropped.
#[derive(Debug)]
pub struct Hold {
    /// Each thread, with a signal that came while it was stopped and that it is still to get.
    threads: Vec<(Pid, Option<Signal>)>,
}

impl Hold {
    /// Stops all threads of a process. It must be let go by the thread that stopped it.
    pub fn of(pid: i32) -> Result<Self, Errno> {
        let mut hold = Self { threads: Vec::new() };
        let mut known = BTreeSet::new();
        for _ in 0..ROUNDS {
            let before = known.len();
            for thread in threads(pid) {
                if !known.insert(thread) {
                    continue;
                }
                match hold.stop(Pid::from_raw(thread)) {
                    // A thread that has ended meanwhile.
                    Err(Errno::ESRCH) if thread != pid => {}
                    other => other?,
                }
            }
            if known.len() == before {
                return if hold.threads.is_empty() { Err(Errno::ESRCH) } else { Ok(hold) };
            }
        }
        Err(Errno::EAGAIN)
    }

    fn stop(&mut self, thread: Pid) -> Result<(), Errno> {
        ptrace::seize(thread, ptrace::Options::empty())?;
        // From here on it is let go whatever comes.
        self.threads.push((thread, None));
        ptrace::interrupt(thread)?;
        let pending = loop {
            match waitpid(thread, Some(WaitPidFlag::__WALL)) {
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno),
                Ok(WaitStatus::Stopped(_, signal)) => break Some(signal),
                Ok(WaitStatus::Exited(..) | WaitStatus::Signaled(..)) => {
                    self.threads.pop();
                    return Err(Errno::ESRCH);
                }
                Ok(_) => break None,
            }
        };
        if let Some(last) = self.threads.last_mut() {
            last.1 = pending;
        }
        Ok(())
    }

    /// Threads that are held.
    pub fn threads(&self) -> usize {
        self.threads.len()
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        for (thread, pending) in &self.threads {
            // Whoever is gone needs no letting go.
            let _ = ptrace::detach(*thread, *pending);
        }
    }
}

/// The numbers of a process's threads.
fn threads(pid: i32) -> Vec<i32> {
    let Ok(folder) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    folder.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}
