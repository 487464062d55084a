//! The engine in a thread of its own: a frame never waits for it.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::Port;
use crate::engine::Engine;
use crate::open::Opened;
use crate::order::Order;
use crate::view::{Look, Update};

/// Work between two looks at what was asked.
const SLICE: Duration = Duration::from_millis(4);
/// Progress alone is told this often.
const PROGRESS: Duration = Duration::from_millis(50);
/// While nothing but time has to pass.
const REST: Duration = Duration::from_millis(4);

enum Request {
    Open(Opened),
    Order(Order),
    Look(Box<Look>),
    /// The front has taken the last update.
    Taken,
}

/// A way to an engine in another thread.
pub struct Threaded {
    requests: Sender<Request>,
    updates: Receiver<Update>,
    look: Look,
    /// Whether it was said that the engine is gone.
    mourned: bool,
}

impl Threaded {
    /// Starts an engine with nothing open. A trace that takes more than `bytes_max` is refused. `wake` is called when
    /// there is an update.
    pub fn new(bytes_max: Option<u64>, wake: impl Fn() + Send + 'static) -> std::io::Result<Self> {
        let (requests, asked) = channel();
        let (tell, updates) = channel();
        thread::Builder::new().name("engine".to_owned()).spawn(move || {
            Loop { engine: Engine::new(bytes_max), asked, tell, told: false }.run(&wake);
        })?;
        Ok(Self { requests, updates, look: Look::default(), mourned: false })
    }

    fn ask(&self, request: Request) {
        // Without an engine there is no answer, which `update` says.
        let _ = self.requests.send(request);
    }
}

impl Port for Threaded {
    fn open(&mut self, opened: Opened) {
        self.ask(Request::Open(opened));
    }

    fn order(&mut self, order: Order) {
        self.ask(Request::Order(order));
    }

    fn look(&mut self, look: Look) -> bool {
        let new = self.look != look;
        if new {
            self.look = look.clone();
            self.ask(Request::Look(Box::new(look)));
        }
        new
    }

    fn work(&mut self, _seconds: f64, _slice: Duration) -> bool {
        false
    }

    fn update(&mut self) -> Option<Update> {
        match self.updates.try_recv() {
            Ok(update) => {
                self.ask(Request::Taken);
                Some(update)
            }
            Err(TryRecvError::Disconnected) if !self.mourned => {
                self.mourned = true;
                Some(Update::failed("the engine stopped; open the file again in a new window"))
            }
            Err(_) => None,
        }
    }
}

/// The engine's side.
struct Loop {
    engine: Engine,
    asked: Receiver<Request>,
    tell: Sender<Update>,
    /// Whether an update is on its way: the next one is made when the front has taken it.
    told: bool,
}

impl Loop {
    /// Until the front is gone.
    fn run(mut self, wake: &dyn Fn()) {
        let mut then = Instant::now();
        let mut progress = then;
        loop {
            match self.listen() {
                None => return,
                // Time that nobody worked in is not owed.
                Some(slept) if slept => then = Instant::now(),
                Some(_) => {}
            }
            let now = Instant::now();
            self.engine.work((now - then).as_secs_f64(), SLICE);
            then = now;
            if self.told {
                continue;
            }
            let whole = !self.engine.busy() || progress.elapsed() >= PROGRESS;
            if let Some(update) = self.engine.update(whole) {
                if whole {
                    progress = Instant::now();
                }
                self.told = true;
                if self.tell.send(update).is_err() {
                    return;
                }
                wake();
            }
        }
    }

    /// Takes in what was asked. Says whether it slept; `None` when the front is gone.
    fn listen(&mut self) -> Option<bool> {
        let busy = self.engine.busy();
        let (first, slept) = if !busy {
            (Some(self.asked.recv().ok()?), true)
        } else if self.engine.rests() {
            match self.asked.recv_timeout(REST) {
                Ok(request) => (Some(request), false),
                Err(RecvTimeoutError::Timeout) => (None, false),
                Err(RecvTimeoutError::Disconnected) => return None,
            }
        } else {
            (None, false)
        };
        // Where to go and what to look at are states: what a later one replaces is not done.
        let (mut step, mut look) = (None, None);
        let mut next = first;
        loop {
            let request = match next.take() {
                Some(request) => request,
                None => match self.asked.try_recv() {
                    Ok(request) => request,
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => return None,
                },
            };
            match request {
                Request::Order(Order::Seek(to)) => step = Some(to),
                Request::Order(order) => {
                    if let Some(to) = step.take() {
                        self.engine.order(Order::Seek(to));
                    }
                    self.engine.order(order);
                }
                Request::Open(opened) => self.engine.open(opened),
                Request::Look(to) => look = Some(to),
                Request::Taken => self.told = false,
            }
        }
        if let Some(to) = step {
            self.engine.order(Order::Seek(to));
        }
        if let Some(look) = look {
            self.engine.look(*look);
        }
        Some(slept)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::view::Shown;

    /// Takes updates until nothing goes on.
    fn settle(port: &mut Threaded, shown: &mut Shown) {
        loop {
            let update = port.updates.recv_timeout(Duration::from_secs(60)).unwrap();
            port.ask(Request::Taken);
            shown.take(update);
            if !shown.status.busy && port.updates.try_recv().is_err() {
                break;
            }
        }
    }

    #[test]
    fn a_trace_opens_and_steps_in_a_thread() {
        let (woken, wakes) = channel();
        let mut port = Threaded::new(None, move || woken.send(()).unwrap_or_default()).unwrap();
        let mut shown = Shown::default();
        let text = b"m o 1 48\nm o 2 48\nf o 1\n";
        port.look(Look { narration: true, digest: true, ..Look::default() });
        port.open(Opened::new("t.ptrace", Box::new(Cursor::new(text)), None));
        while shown.open().is_none() {
            settle(&mut port, &mut shown);
        }
        assert!(wakes.try_recv().is_ok());
        // Of many places to go to only the last one counts.
        for step in [1, 3, 2] {
            port.order(Order::Seek(step));
        }
        while shown.open().is_none_or(|(_, picture)| picture.step != 2) {
            settle(&mut port, &mut shown);
        }
        let (head, picture) = shown.open().unwrap();
        assert_eq!((head.len, picture.narration.as_ref().map(|n| n.sentences.is_empty())), (3, Some(false)));
        assert!(picture.digest.is_some());
    }

    #[test]
    fn an_engine_that_is_gone_is_said_once() {
        let mut port = Threaded::new(None, || {}).unwrap();
        let (_, updates) = channel();
        port.updates = updates;
        let said = port.update().and_then(|update| update.status.error);
        assert!(said.is_some_and(|error| error.contains("the engine stopped")));
        assert_eq!(port.update(), None);
    }
}
