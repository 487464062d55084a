//! The engine in a thread of its own: a frame never waits for it.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::thread;
use std::time::Duration;

use super::Port;
use super::server::{Next, Request, Server};
use crate::engine::Engine;
use crate::open::Opened;
use crate::order::Order;
use crate::view::{Look, Update};

/// A rest while nothing but time has to pass.
const REST: Duration = Duration::from_millis(4);

/// What goes to the thread.
enum Letter {
    Open(Opened),
    Ask(Request),
}

/// A way to an engine in another thread.
pub struct Threaded {
    letters: Sender<Letter>,
    updates: Receiver<Update>,
    look: Look,
    /// Files, orders and looks that were sent, and those that were answered.
    asked: u64,
    answered: u64,
    /// Whether it was said that the engine is gone.
    mourned: bool,
}

impl Threaded {
    /// Starts an engine with nothing open, which is made there. `wake` is called when there is an update.
    pub fn new(
        engine: impl FnOnce() -> Engine + Send + 'static,
        wake: impl Fn() + Send + 'static,
    ) -> std::io::Result<Self> {
        let (letters, inbox) = channel();
        let (tell, updates) = channel();
        thread::Builder::new().name("engine".to_owned()).spawn(move || {
            serve(Server::of(engine()), &inbox, &tell, &wake);
        })?;
        Ok(Self { letters, updates, look: Look::default(), asked: 0, answered: 0, mourned: false })
    }

    fn post(&mut self, letter: Letter) {
        self.asked += u64::from(!matches!(letter, Letter::Ask(Request::Taken)));
        // Without an engine there is no answer, which `update` says.
        let _ = self.letters.send(letter);
    }
}

impl Port for Threaded {
    fn open(&mut self, opened: Opened) {
        self.post(Letter::Open(opened));
    }

    fn order(&mut self, order: Order) {
        self.post(Letter::Ask(Request::Order(order)));
    }

    fn look(&mut self, look: Look) -> bool {
        let new = self.look != look;
        if new {
            self.look = look.clone();
            self.post(Letter::Ask(Request::Look(Box::new(look))));
        }
        new
    }

    fn work(&mut self, _seconds: f64, _slice: Duration) -> bool {
        false
    }

    fn owes(&self) -> bool {
        self.answered < self.asked && !self.mourned
    }

    fn update(&mut self) -> Option<Update> {
        match self.updates.try_recv() {
            Ok(update) => {
                self.answered = update.answered;
                self.post(Letter::Ask(Request::Taken));
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

/// Turns the server until the front is gone.
fn serve(mut server: Server, letters: &Receiver<Letter>, tell: &Sender<Update>, wake: &dyn Fn()) {
    let mut next = Next::WhenAsked;
    loop {
        let first = match next {
            Next::WhenAsked => letters.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Next::Soon => letters.recv_timeout(REST),
            Next::AtOnce => letters.recv_timeout(Duration::ZERO),
        };
        if matches!(first, Err(RecvTimeoutError::Disconnected)) {
            return;
        }
        for letter in first.into_iter().chain(letters.try_iter()) {
            match letter {
                Letter::Open(opened) => server.open(opened),
                Letter::Ask(request) => server.ask(request),
            }
        }
        let (update, when) = server.turn();
        next = when;
        if let Some(update) = update {
            if tell.send(update).is_err() {
                return;
            }
            wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::view::Shown;

    #[test]
    fn a_trace_opens_and_steps_in_a_thread() {
        let (woken, wakes) = channel();
        let mut port =
            Threaded::new(|| Engine::new(None), move || woken.send(()).unwrap_or_default()).unwrap();
        let mut shown = Shown::default();
        port.look(Look { narration: true, digest: true, ..Look::default() });
        port.open(Opened::new("t.ptrace", Box::new(Cursor::new(b"m o 1 48\nm o 2 48\nf o 1\n")), None));
        let mut sent = false;
        while shown.open().is_none_or(|(_, picture)| picture.step != 2) {
            // Whoever draws sleeps until it is woken.
            wakes.recv_timeout(Duration::from_mins(1)).unwrap();
            while let Some(update) = port.update() {
                shown.take(update);
            }
            if shown.open().is_some() && !sent {
                sent = true;
                port.order(Order::Seek(2));
            }
        }
        let (head, picture) = shown.open().unwrap();
        assert_eq!((head.len, picture.narration.as_ref().map(|n| n.sentences.is_empty())), (3, Some(false)));
        assert!(picture.digest.is_some());
        drop(port);
        // The thread ends with its front.
        while wakes.try_recv() != Err(TryRecvError::Disconnected) {
            thread::yield_now();
        }
    }

    #[test]
    fn an_engine_that_is_gone_is_said_once() {
        let mut port = Threaded::new(|| Engine::new(None), || {}).unwrap();
        let (_, updates) = channel();
        port.updates = updates;
        let said = port.update().and_then(|update| update.status.error);
        assert!(said.is_some_and(|error| error.text.contains("the engine stopped")));
        assert_eq!(port.update(), None);
    }
}
