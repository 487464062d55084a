//! The engine's side of a port that is not in place: takes what was asked, works a slice, says what is new.
//!
//! A thread or a worker turns it over and over; where it runs and how its words travel is the port's affair.

use std::collections::VecDeque;
use std::io::Read;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use web_time::Instant;

use crate::engine::Engine;
use crate::open::Opened;
use crate::order::Order;
use crate::view::{Look, Update};

/// Work between two looks at what was asked: four milliseconds cost 5 % more than none at all, and an answer comes
/// within three in the median.
const SLICE: Duration = Duration::from_millis(4);
/// Progress alone is told this often at most; and so seldom that telling it takes a front a small part of its time, who may
/// paint without a graphics card on the very cores that the engine needs.
const PROGRESS: Duration = Duration::from_millis(50);
/// Times as long as a front needed for an update, of late.
const PATIENCE: u32 = 10;
/// But this often at least.
const PROGRESS_MAX: Duration = Duration::from_millis(750);
/// Answers that may be on their way at once: one that is there does not wait until the front has drawn the one before.
const ANSWERS: usize = 3;

/// What a front asks of an engine elsewhere. Files go another way, since they do not travel as bytes.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Request {
    /// An order.
    Order(Order),
    /// What is on the screen from now on.
    Look(Box<Look>),
    /// The front has taken the last update: the next one may be made.
    Taken,
}

/// When to turn again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    /// There is more to do.
    AtOnce,
    /// Only time has to pass, some milliseconds of it.
    Soon,
    /// When something is asked.
    WhenAsked,
}

/// An engine with its queue.
pub struct Server {
    engine: Engine,
    asked: VecDeque<Request>,
    /// Files, orders and looks taken in so far.
    taken: u64,
    /// When updates went out that are still on their way.
    told: VecDeque<Instant>,
    /// How long the front needs for one, slow ones forgotten slowly.
    needs: Duration,
    /// When the last turn began; `None` after a rest, whose time is not owed.
    then: Option<Instant>,
    progress: Instant,
}

impl Server {
    /// With nothing open. A trace that takes more than `bytes_max` is refused.
    pub fn new(bytes_max: Option<u64>) -> Self {
        Self::of(Engine::new(bytes_max))
    }

    /// The same over an engine.
    pub fn of(engine: Engine) -> Self {
        Self {
            engine,
            asked: VecDeque::new(),
            taken: 0,
            told: VecDeque::new(),
            needs: Duration::ZERO,
            then: None,
            progress: Instant::now(),
        }
    }

    /// Begins to open a file, after what was asked before.
    pub fn open(&mut self, opened: Opened) {
        self.listen();
        self.taken += 1;
        self.engine.open(opened);
    }

    /// The same from a reader that stays in this thread.
    pub fn read(&mut self, name: String, reader: Box<dyn Read>, total_bytes: Option<u64>, beside: bool) {
        self.listen();
        self.taken += 1;
        self.engine.read(name, reader, total_bytes, beside);
    }

    /// Takes in something asked; the next turn does it.
    pub fn ask(&mut self, request: Request) {
        self.asked.push_back(request);
    }

    /// Does what was asked and works for a slice. What is new comes back, but while the front has not taken the last update
    /// only answers; and when to turn again.
    pub fn turn(&mut self) -> (Option<Update>, Next) {
        self.listen();
        let now = Instant::now();
        let seconds = self.then.map_or(0.0, |then| (now - then).as_secs_f64());
        self.engine.work(seconds, SLICE);
        let busy = self.engine.busy();
        self.then = busy.then_some(now);
        let next = match (busy, self.engine.rests()) {
            (false, _) => Next::WhenAsked,
            (true, true) => Next::Soon,
            (true, false) => Next::AtOnce,
        };
        let answers = self.told.len() < ANSWERS && self.engine.answers();
        if !self.told.is_empty() && !answers {
            return (None, next);
        }
        let pace = (self.needs * PATIENCE).clamp(PROGRESS, PROGRESS_MAX);
        let whole = !busy || self.progress.elapsed() >= pace;
        let mut update = self.engine.update(whole);
        if let Some(update) = &mut update {
            update.answered = self.taken;
            self.told.push_back(Instant::now());
            if whole {
                self.progress = now;
            }
        }
        (update, next)
    }

    /// Where to go and what to look at are states: what a later one replaces is not done.
    fn listen(&mut self) {
        let (mut step, mut look) = (None, None);
        while let Some(request) = self.asked.pop_front() {
            self.taken += u64::from(request != Request::Taken);
            match request {
                Request::Order(Order::Seek(to)) => step = Some(to),
                Request::Order(order) => {
                    if let Some(to) = step.take() {
                        self.engine.order(Order::Seek(to));
                    }
                    self.engine.order(order);
                }
                Request::Look(to) => look = Some(to),
                Request::Taken => {
                    if let Some(told) = self.told.pop_front() {
                        self.needs = told.elapsed().max(self.needs * 3 / 4);
                    }
                }
            }
        }
        if let Some(to) = step {
            self.engine.order(Order::Seek(to));
        }
        if let Some(look) = look {
            // Away and back is an answer owed, too, though nothing is new.
            self.engine.owe_answer();
            self.engine.look(*look);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::view::Shown;

    fn opened(text: &'static [u8]) -> Opened {
        Opened::new("t.ptrace", Box::new(Cursor::new(text)), None)
    }

    /// Turns until nothing goes on; every update is taken at once.
    fn settle(server: &mut Server, shown: &mut Shown) {
        loop {
            let (update, next) = server.turn();
            if let Some(update) = update {
                shown.take(update);
                server.ask(Request::Taken);
            } else if next == Next::WhenAsked {
                break;
            }
        }
    }

    #[test]
    fn answers_do_not_wait_for_the_front_but_for_a_few() {
        let mut server = Server::new(None);
        let mut shown = Shown::default();
        server.open(opened(b"m o 1 48\nm o 2 48\nf o 1\n"));
        settle(&mut server, &mut shown);
        let mut step = |to| {
            server.ask(Request::Order(Order::Seek(to)));
            server.turn().0.and_then(|update| update.picture).map(|picture| picture.step)
        };
        assert_eq!([step(1), step(2), step(3)], [Some(1), Some(2), Some(3)]);
        assert_eq!(step(1), None, "three have not been taken");
        server.ask(Request::Taken);
        let (next, _) = server.turn();
        assert_eq!(next.and_then(|update| update.picture).map(|picture| picture.step), Some(1));
    }

    #[test]
    fn progress_waits_until_the_front_has_taken_the_last_update() {
        let mut server = Server::new(None);
        server.open(Opened::new("t.ptrace", Box::new(Cursor::new(b"f o 0\n".repeat(1 << 18))), None));
        assert!(server.turn().0.is_some(), "an answer to what was asked");
        while server.engine.session().is_none() {
            server.turn();
        }
        let begun = Instant::now();
        let mut after = Vec::new();
        while begun.elapsed() < 2 * PROGRESS {
            after.extend(server.turn().0);
        }
        assert!(after.len() <= ANSWERS, "{}", after.len());
        assert!(after.iter().all(|update| update.head.is_some() || update.picture.is_some()));
    }

    #[test]
    fn of_many_places_to_go_to_the_last_one_counts_and_orders_keep_their_place() {
        let mut server = Server::new(None);
        let mut shown = Shown::default();
        server.open(opened(b"m o 1 48\nm o 2 48\nf o 1\n"));
        settle(&mut server, &mut shown);
        for request in [Order::Seek(3), Order::Seek(1), Order::Step(1), Order::Seek(0), Order::Seek(2)] {
            server.ask(Request::Order(request));
        }
        settle(&mut server, &mut shown);
        assert_eq!(shown.open().map(|(_, picture)| picture.step), Some(2));
        for request in [Order::Seek(3), Order::Step(-1)] {
            server.ask(Request::Order(request));
        }
        settle(&mut server, &mut shown);
        assert_eq!(shown.open().map(|(_, picture)| picture.step), Some(2), "to 3 and one back");
    }

    #[test]
    fn an_update_says_which_requests_it_answers() {
        let mut server = Server::new(None);
        let mut shown = Shown::default();
        server.open(opened(b"m o 1 48\n"));
        settle(&mut server, &mut shown);
        let look = |stats| Request::Look(Box::new(Look { stats, ..Look::default() }));
        let mut turn = |requests: &[Request]| {
            for request in requests {
                server.ask(request.clone());
            }
            server.turn().0.map(|update| (update.answered, update.picture.is_some()))
        };
        assert_eq!(turn(&[look(true)]), Some((2, true)), "the file was the first");
        assert_eq!(turn(&[Request::Taken, look(false), look(true)]), Some((4, false)), "away and back");
        assert_eq!(turn(&[Request::Taken]), None);
        assert_eq!(turn(&[Request::Order(Order::Seek(1))]), Some((5, true)));
    }

    #[test]
    fn requests_and_updates_survive_a_journey() {
        let mut server = Server::new(None);
        let look = Look {
            map: Some(crate::view::map::MapLook::default()),
            classes: true,
            arenas: Some(0..64),
            segments: Some(0..64),
            stats: true,
            domains: true,
            debug: true,
            tracemalloc: Some(crate::view::tracemalloc::TracemallocLook::default()),
            operations: Some(crate::view::tape::OperationsLook { filter: String::new(), rows: 0..9 }),
            narration: true,
            inspector: true,
            callers: true,
            holders: Some(crate::view::holders::HoldersLook::default()),
            waterfall: true,
            whatif: true,
            findings: true,
            compare: None,
            digest: true,
            placed: Some(crate::diagnosis::Placed::Recorded),
        };
        let there = postcard::to_allocvec(&Request::Look(Box::new(look.clone()))).unwrap();
        assert_eq!(postcard::from_bytes::<Request>(&there), Ok(Request::Look(Box::new(look.clone()))));
        server.ask(Request::Look(Box::new(look)));
        server.open(opened(b"#! malloc=pymalloc_debug\nm o 1 48\nm r 2 480\nf o 1\n"));
        let (mut pictures, mut held) = (0, 0);
        loop {
            let (update, next) = server.turn();
            if let Some(update) = update {
                let bytes = postcard::to_allocvec(&update).unwrap();
                assert_eq!(postcard::from_bytes::<Update>(&bytes), Ok(update.clone()));
                held += usize::from(update.held.is_some_and(|held| held.holders.is_some()));
                pictures += usize::from(update.picture.is_some_and(|picture| picture.debug.is_some()));
                server.ask(Request::Taken);
                server.ask(Request::Order(Order::Step(1)));
                if pictures > 2 && held > 0 {
                    break;
                }
            }
            assert!(next != Next::WhenAsked || pictures < 9, "it goes on");
        }
    }
}
