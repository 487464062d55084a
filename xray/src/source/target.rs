//! A process that is looked at: what it is, and that it is still the same one.

use std::fs;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{PidfdFlags, pidfd_open};

use super::error::{SourceError, failure, number};
use super::mapped::opened;
use super::maps;
use crate::image::Version;
use crate::image::picture::version_of_names;

/// The byte of a program's file that says how wide its addresses are, and what it is for 32 bits.
const CLASS: usize = 4;
const NARROW: u8 = 1;

/// A process, held on to by more than its number, which the system may give to another one.
#[derive(Debug)]
pub struct Target {
    pid: i32,
    /// Nothing on systems before Linux 5.3.
    pidfd: Option<OwnedFd>,
}

impl Target {
    /// A process that has memory which can be read.
    ///
    /// # Errors
    ///
    /// Where there is none, or what stands behind the number is a thread, has ended, is the kernel's, is this program, or is one of 32 bits.
    pub fn open(pid: i32) -> Result<Self, SourceError> {
        if pid <= 0 {
            return Err(SourceError::NoProcess(pid));
        }
        let number_of = rustix::process::Pid::from_raw(pid).ok_or(SourceError::NoProcess(pid))?;
        let status =
            fs::read_to_string(format!("/proc/{pid}/status")).map_err(|error| failure(pid, error))?;
        match number(&status, "Tgid:") {
            Some(group) if i64::from(group) != i64::from(pid) => {
                return Err(SourceError::Thread(pid, group.cast_signed()));
            }
            _ => {}
        }
        if pid.cast_unsigned() == std::process::id() {
            return Err(SourceError::Own(pid));
        }
        let state = status.lines().find_map(|line| line.strip_prefix("State:")).unwrap_or_default().trim();
        if state.starts_with(['Z', 'X']) {
            return Err(SourceError::Zombie(pid));
        }
        if number(&status, "VmSize:").is_none() {
            return Err(SourceError::Kernel(pid));
        }
        let target = Self { pid, pidfd: pidfd_open(number_of, PidfdFlags::empty()).ok() };
        if target.is_narrow() { Err(SourceError::Narrow(pid)) } else { Ok(target) }
    }

    /// Its number.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Whether it has ended, so that its number may be another's.
    pub fn ended(&self) -> bool {
        let Some(pidfd) = &self.pidfd else { return false };
        let none = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut [PollFd::new(pidfd, PollFlags::IN)], Some(&none)).is_ok_and(|ready| ready > 0)
    }

    /// The `CPython` whose files it has mapped, without a look into its memory; `None` where none of them is named so.
    pub fn python(&self) -> Result<Option<Version>, SourceError> {
        let text = fs::read(format!("/proc/{}/maps", self.pid)).map_err(|error| failure(self.pid, error))?;
        let rows = maps::parse(&String::from_utf8_lossy(&text));
        Ok(version_of_names(rows.iter().map(|row| row.mapping.name.as_str())))
    }

    fn is_narrow(&self) -> bool {
        let mut head = [0; CLASS + 1];
        let program = opened(Path::new(&format!("/proc/{}/exe", self.pid)));
        let read = program.is_some_and(|mut program| program.read_exact(&mut head).is_ok());
        read && head.starts_with(b"\x7fELF") && head[CLASS] == NARROW
    }
}
