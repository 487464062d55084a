//! Processes to choose one from, and the picture that is being taken of one.

use super::{Overlay, Request, State};
use crate::platform::{ProcessAsk, ProcessNews, ProcessRow};

/// What is known of processes.
#[derive(Default)]
pub(crate) struct Processes {
    /// Those that there are; none while the shell has not said it yet.
    pub(crate) rows: Option<Vec<ProcessRow>>,
    /// The picture that is being taken.
    pub(crate) taking: Option<Taking>,
}

/// A picture on its way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Taking {
    /// The process.
    pub(crate) pid: i32,
    /// How long it did not run, in microseconds, once its memory is copied.
    pub(crate) pause_us: Option<u64>,
}

impl State {
    /// Shows processes to choose one from.
    pub(super) fn open_processes(&mut self) -> Option<Request> {
        self.processes.as_ref()?;
        self.overlay = Some(Overlay::Processes);
        self.list_processes()
    }

    /// Asks anew which there are.
    pub(super) fn list_processes(&mut self) -> Option<Request> {
        self.processes.as_mut()?.rows = None;
        Some(Request::ListProcesses)
    }

    /// Has a picture taken, one at a time.
    pub(super) fn take_picture(&mut self, ask: ProcessAsk) -> Option<Request> {
        let processes = self.processes.as_mut()?;
        if processes.taking.is_some() {
            return None;
        }
        processes.taking = Some(Taking { pid: ask.pid, pause_us: None });
        self.error = None;
        Some(Request::TakePicture(ask))
    }

    /// Nobody waits any more for the picture that is being taken.
    pub(super) fn forget_picture(&mut self) {
        if let Some(processes) = &mut self.processes {
            processes.taking = None;
        }
    }

    /// The shell tells of processes.
    pub(crate) fn hear_of_processes(&mut self, news: ProcessNews) {
        let Some(processes) = &mut self.processes else { return };
        match news {
            ProcessNews::Listed(rows) => processes.rows = Some(rows),
            ProcessNews::Copied { pid, pause_us } => {
                if let Some(taking) = processes.taking.as_mut().filter(|taking| taking.pid == pid) {
                    taking.pause_us = Some(pause_us);
                }
            }
            ProcessNews::Taken { pid, picture } => {
                // Whoever closed the dialog meanwhile does not want it.
                if processes.taking.take_if(|taking| taking.pid == pid).is_none() {
                    return;
                }
                if self.overlay == Some(Overlay::Processes) {
                    self.overlay = None;
                }
                match picture {
                    Ok(opened) => self.open(opened),
                    Err(why) => self.error = Some(why),
                }
            }
        }
    }
}
