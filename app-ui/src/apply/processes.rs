//! Processes to choose one from, and the picture that is being taken of one.

use super::{Overlay, Request, State};
use crate::layout::Pane;
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

    /// Who opens a recording sees first what became of the memory, and of a process where its memory is.
    pub(super) fn begin_with_findings(&mut self, before: Option<(String, u64)>) {
        let Some((head, picture)) = self.shown.open() else { return };
        let goes_on = before.is_some_and(|(name, len)| name == head.name && len <= head.len);
        if head.process.is_some() && !goes_on {
            self.layout.show(Pane::Process);
        } else if head.recording && !goes_on && picture.lesson.is_none() {
            self.layout.diagnose();
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

#[cfg(test)]
mod tests {
    use session::Opened;
    use session::port::InPlace;

    use super::*;
    use crate::command::{Action, Command};

    const ASK: ProcessAsk = ProcessAsk { pid: 7, runs_on: false, contents: false };

    fn state() -> State {
        let mut state = State::new(Box::new(InPlace::new(None)));
        state.processes = Some(Processes::default());
        state
    }

    fn taken(pid: i32, picture: Result<&'static str, &str>) -> ProcessNews {
        let picture = picture.map(|text| Opened::bytes("t.ptrace", text.as_bytes())).map_err(str::to_owned);
        ProcessNews::Taken { pid, picture }
    }

    #[test]
    fn a_picture_opens_and_closes_the_dialog() {
        let mut state = state();
        assert_eq!(state.apply(Command::Do(Action::OpenProcess)), Some(Request::ListProcesses));
        state.hear_of_processes(ProcessNews::Listed(Vec::new()));
        assert_eq!(state.apply(Command::TakePicture(ASK)), Some(Request::TakePicture(ASK)));
        assert_eq!(state.apply(Command::TakePicture(ASK)), None, "one at a time");
        state.hear_of_processes(ProcessNews::Copied { pid: 7, pause_us: 1500 });
        let taking = state.processes.as_ref().and_then(|processes| processes.taking);
        assert_eq!(taking, Some(Taking { pid: 7, pause_us: Some(1500) }));
        state.hear_of_processes(taken(7, Ok("m o 1 48\n")));
        assert_eq!(state.overlay, None);
        while state.busy() {
            state.work(0.0, std::time::Duration::from_millis(5));
        }
        assert_eq!(state.shown.head.as_ref().map(|head| head.len), Some(1));
    }

    #[test]
    fn who_closed_the_dialog_gets_no_picture_and_no_error() {
        let mut state = state();
        for close in [Command::CloseOverlay, Command::Do(Action::Clear)] {
            state.apply(Command::Do(Action::OpenProcess));
            state.apply(Command::TakePicture(ASK));
            state.apply(close);
            state.hear_of_processes(taken(7, Err("it is not permitted")));
            assert_eq!((state.error(), state.overlay), (None, None));
        }
        state.apply(Command::TakePicture(ASK));
        state.hear_of_processes(taken(7, Err("it is not permitted")));
        assert_eq!(state.error(), Some("it is not permitted"));
    }

    #[test]
    fn without_processes_there_is_no_dialog() {
        let mut state = State::new(Box::new(InPlace::new(None)));
        assert_eq!(state.apply(Command::Do(Action::OpenProcess)), None);
        assert_eq!((state.overlay, state.apply(Command::TakePicture(ASK))), (None, None));
    }
}
