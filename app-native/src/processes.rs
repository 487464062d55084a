//! Processes for the window: which there are, and the picture of one as a trace in memory. Nothing of it touches a disk.

use std::cell::RefCell;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::rc::Rc;

use anyhow::Result;
use app_ui::{Opened, ProcessAsk, ProcessNews, ProcessRow};
use trace_io::atrace::FileProfile;
use trace_io::atrace_writer;
use xray::image::edges::Edges;
use xray::image::owners::Owners;
use xray::image::reach::Reach;
use xray::image::steps::Contents;
use xray::source::processes;

use crate::xray::{Seen, look};

/// Processes that run a CPython, those with most in memory first.
pub(crate) fn list() -> Vec<ProcessRow> {
    let row = |process: xray::source::Process| ProcessRow {
        pid: process.pid,
        name: process.name,
        resident_bytes: process.rss_bytes,
        python: process.version.map(|version| format!("3.{}", version.minor)),
        refused: process.refused.map(|why| in_a_window(&why.to_string())),
    };
    processes().into_iter().map(row).collect()
}

/// Takes a picture and tells how far it is.
pub(crate) fn take(ask: ProcessAsk, tell: &dyn Fn(ProcessNews)) {
    let picture =
        picture(ask, tell).map_err(|error| in_a_window(&session::format::printable(&format!("{error:#}"))));
    tell(ProcessNews::Taken { pid: ask.pid, picture });
}

fn picture(ask: ProcessAsk, tell: &dyn Fn(ProcessNews)) -> Result<Opened> {
    let seen = look(ask.pid, !ask.runs_on, &mut |_| ControlFlow::Continue(()))?;
    let pause_us = u64::try_from(seen.copy.pause.as_micros()).unwrap_or(u64::MAX);
    tell(ProcessNews::Copied { pid: ask.pid, pause_us });
    let bytes = trace(&seen, ask.contents)?;
    Ok(Opened::bytes(format!("{}.atrace", seen.shown), bytes))
}

/// The picture as the bytes of a file.
fn trace(seen: &Seen, contents: bool) -> Result<Vec<u8>> {
    let edges = Edges::of(&seen.copy.memory, &seen.picture);
    let owners = Owners::find(&edges);
    let shown = if contents { Contents::Shown } else { Contents::Hidden };
    let reach = Reach::find(&edges, &owners.outside, shown);
    let found = seen.found(&edges, &owners, &reach);
    let trace = seen.trace(&edges, &owners, &reach, &found, contents)?;
    let out = Shared::default();
    let mut writer = atrace_writer(out.clone(), FileProfile::Capture);
    writer.write(&trace)?;
    writer.finish(&trace)?;
    Ok(out.0.take())
}

/// Bytes that a writer and its owner both hold.
#[derive(Clone, Default)]
struct Shared(Rc<RefCell<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What the command line says, in the words of the dialog.
fn in_a_window(text: &str) -> String {
    text.replace(" with --no-stop", ": Let it run meanwhile")
}
