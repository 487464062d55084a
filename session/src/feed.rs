//! A pipe: what has come of a trace is shown, and shown on as more comes.
//!
//! Reading a pipe may wait for ever, which an engine must not. So a shell runs two threads: one takes bytes ([`Pump`]), one
//! makes a trace of them ([`Reading`]) and hands out what there is whenever nothing more is waiting. The engine looks into
//! the [`Feed`] between its slices.

use std::cell::RefCell;
use std::io::{self, Read};
use std::rc::Rc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, TryRecvError, channel, sync_channel};
use std::time::Duration;

use sim_core::Trace;
use trace_io::{Loaded, Loader, Progress, TraceError};
use web_time::Instant;

/// Bytes taken from the pipe at once.
const PARCEL_BYTES: usize = 1 << 16;
/// Parcels that may wait to be read; then the pipe is left alone.
const PARCELS: usize = 64;
/// A pipe that has nothing more is shown as far as it came, but not more often than this.
const QUIET: Duration = Duration::from_millis(50);
/// One that always has more is shown this often.
const STEADY: Duration = Duration::from_millis(500);

/// The thread that takes bytes.
pub struct Pump(SyncSender<io::Result<Vec<u8>>>);

/// The thread that makes a trace of them.
pub struct Reading {
    name: String,
    parcels: Receiver<io::Result<Vec<u8>>>,
    news: Sender<News>,
}

/// What the engine has of it.
pub struct Feed {
    news: Receiver<News>,
    progress: Progress,
}

/// What has become known.
struct News {
    progress: Progress,
    what: What,
}

/// How far it is.
pub(crate) enum What {
    /// So much has come.
    More(Box<Trace>),
    /// That was all of it.
    Whole(Result<Loaded, TraceError>),
    /// The thread is gone without a word.
    Gone,
}

/// Two threads to run and the end that an engine takes, for a trace that is called `name` until it says otherwise.
pub fn feed(name: &str) -> (Pump, Reading, Feed) {
    let (send, parcels) = sync_channel(PARCELS);
    let (news, received) = channel();
    let progress = Progress { bytes: 0, total_bytes: None, operations: 0 };
    (Pump(send), Reading { name: name.to_owned(), parcels, news }, Feed { news: received, progress })
}

impl Pump {
    /// Takes bytes until there are no more, or until nobody wants them.
    pub fn run(self, mut pipe: impl Read) {
        loop {
            let mut parcel = vec![0; PARCEL_BYTES];
            let taken = match pipe.read(&mut parcel) {
                Ok(0) => return,
                Ok(taken) => Ok(taken),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => Err(error),
            };
            let failed = taken.is_err();
            let parcel = taken.map(|taken| {
                parcel.truncate(taken);
                parcel
            });
            if self.0.send(parcel).is_err() || failed {
                return;
            }
        }
    }
}

impl Reading {
    /// Reads until there is no more, or until nobody wants it.
    pub fn run(self) {
        let Self { name, parcels, news } = self;
        let parcels =
            Rc::new(RefCell::new(Parcels { from: parcels, here: Vec::new(), at: 0, failure: None }));
        let mut loader = Loader::new(&name, Box::new(Unpacked(Rc::clone(&parcels))), None);
        let mut shown = Instant::now();
        let end = loop {
            match loader.advance() {
                Ok(false) => {}
                Ok(true) => break (loader.progress(), loader.finish()),
                Err(error) => break (loader.progress(), Err(error)),
            }
            let wait = QUIET.saturating_sub(shown.elapsed());
            if parcels.borrow_mut().quiet(wait) || shown.elapsed() >= STEADY {
                shown = Instant::now();
                let progress = loader.progress();
                if let Some(trace) = loader.share().filter(|trace| !trace.is_empty())
                    && news.send(News { progress, what: What::More(Box::new(trace)) }).is_err()
                {
                    return;
                }
            }
        };
        // The front may be gone, which is an end too.
        let _ = news.send(News { progress: end.0, what: What::Whole(end.1) });
    }
}

/// What waits to be read.
struct Parcels {
    from: Receiver<io::Result<Vec<u8>>>,
    here: Vec<u8>,
    at: usize,
    failure: Option<io::Error>,
}

impl Parcels {
    /// Whether nothing waits, and nothing comes for so long.
    fn quiet(&mut self, wait: Duration) -> bool {
        if self.at < self.here.len() || self.failure.is_some() {
            return false;
        }
        match self.from.recv_timeout(wait) {
            Ok(parcel) => self.take(parcel),
            Err(RecvTimeoutError::Timeout) => return true,
            Err(RecvTimeoutError::Disconnected) => {}
        }
        false
    }

    fn take(&mut self, parcel: io::Result<Vec<u8>>) {
        match parcel {
            Ok(bytes) => (self.here, self.at) = (bytes, 0),
            Err(error) => self.failure = Some(error),
        }
    }
}

/// The parcels as a stream of bytes.
struct Unpacked(Rc<RefCell<Parcels>>);

impl Read for Unpacked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut parcels = self.0.borrow_mut();
        if parcels.at == parcels.here.len() && parcels.failure.is_none() {
            match parcels.from.recv() {
                Ok(parcel) => parcels.take(parcel),
                Err(_) => return Ok(0),
            }
        }
        if let Some(error) = parcels.failure.take() {
            return Err(error);
        }
        let from = parcels.at;
        let count = buffer.len().min(parcels.here.len() - from);
        buffer[..count].copy_from_slice(&parcels.here[from..from + count]);
        parcels.at += count;
        Ok(count)
    }
}

impl Feed {
    /// The latest that is known, if anything is new.
    pub(crate) fn look(&mut self) -> Option<What> {
        let mut latest = None;
        loop {
            match self.news.try_recv() {
                Ok(News { progress, what }) => {
                    self.progress = progress;
                    let end = matches!(what, What::Whole(_));
                    latest = Some(what);
                    if end {
                        return latest;
                    }
                }
                Err(TryRecvError::Empty) => return latest,
                Err(TryRecvError::Disconnected) => return latest.or(Some(What::Gone)),
            }
        }
    }

    /// How far it was when it said so last.
    pub(crate) fn progress(&self) -> Progress {
        self.progress
    }
}
