//! A pipe in the engine: what has come is shown, the position stays or follows the end, and in the end it is the same
//! trace as from a file.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use session::feed::feed;
use session::view::findings::Surveying;
use session::view::{Look, Shown};
use session::{Engine, Opened, Order};

/// The reading end of a pipe that a test writes to.
struct Pipe {
    source: Receiver<io::Result<Vec<u8>>>,
    left: Vec<u8>,
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left.is_empty() {
            let Ok(bytes) = self.source.recv() else { return Ok(0) };
            self.left = bytes?;
        }
        let count = buffer.len().min(self.left.len());
        buffer[..count].copy_from_slice(&self.left[..count]);
        self.left.drain(..count);
        Ok(count)
    }
}

/// An engine that reads a pipe, what it has shown, and the writing end.
struct Piped {
    engine: Engine,
    shown: Shown,
    pipe: Option<Sender<io::Result<Vec<u8>>>>,
}

impl Piped {
    fn open(name: &str) -> Self {
        let (pipe, source) = channel();
        let (pump, reading, feed) = feed(name);
        let named = |name: &str| thread::Builder::new().name(name.to_owned());
        named("pipe").spawn(move || pump.run(Pipe { source, left: Vec::new() })).unwrap();
        named("pipe-reader").spawn(move || reading.run()).unwrap();
        let mut engine = Engine::new(None);
        engine.look(Look { digest: true, narration: true, ..Look::default() });
        engine.open(Opened::feed(name, feed));
        Self { engine, shown: Shown::default(), pipe: Some(pipe) }
    }

    fn write(&mut self, text: &str) {
        self.pipe.as_ref().unwrap().send(Ok(text.as_bytes().to_vec())).unwrap();
    }

    fn work(&mut self) {
        self.engine.work(0.0, Duration::from_millis(4));
        if let Some(update) = self.engine.update(true) {
            self.shown.take(update);
        }
    }

    /// Works until so many operations are known and nothing but the pipe is waited for.
    fn until(&mut self, len: u64) {
        loop {
            self.work();
            assert!(self.shown.status.error.is_none(), "{:?}", self.shown.status.error);
            let known = self.shown.head.as_ref().is_some_and(|head| head.len == len);
            if known && self.shown.curves.known == len && self.engine.rests() {
                return;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn order(&mut self, order: Order, len: u64) {
        self.engine.order(order);
        self.until(len);
    }

    /// Closes the pipe and works until nothing goes on.
    fn close(&mut self) {
        self.pipe = None;
        while self.engine.busy() {
            self.work();
        }
        self.work();
    }

    fn step(&self) -> u64 {
        self.shown.picture.as_ref().unwrap().step
    }

    fn digest(&self) -> Option<u64> {
        self.shown.picture.as_ref().unwrap().digest
    }

    fn len(&self) -> u64 {
        self.shown.head.as_ref().unwrap().len
    }
}

/// Digests of a whole text after each of some steps.
fn digests(text: &str, steps: &[u64]) -> Vec<Option<u64>> {
    let mut engine = Engine::new(None);
    engine.look(Look { digest: true, ..Look::default() });
    engine.open(Opened::bytes("whole.ptrace", text.to_owned().into_bytes()));
    let mut at = |step| {
        while engine.busy() {
            engine.work(0.0, Duration::from_millis(4));
        }
        engine.order(Order::Seek(step));
        while engine.busy() {
            engine.work(0.0, Duration::from_millis(4));
        }
        engine.update(true).unwrap().picture.unwrap().digest
    };
    steps.iter().map(|&step| at(step)).collect()
}

/// So many births, the first one with the id after `before`; more than what a format is told by.
fn births(before: u64, count: u64) -> String {
    let lines = (before + 1..=before + count).map(|id| format!("m o {id} {}\n", 1 + id % 700));
    lines.collect::<Vec<_>>().concat()
}

#[test]
fn what_has_come_is_shown_and_the_end_is_followed_until_one_goes_elsewhere() {
    let (one, two, three) = (births(0, 3_000), births(3_000, 2_000), births(5_000, 4_000));
    let mut piped = Piped::open("t.ptrace");
    piped.write(&one);
    piped.until(3_000);
    assert_eq!(piped.step(), 3_000, "at the end of what has come");
    assert!(piped.shown.status.opening.is_some() && piped.shown.status.busy);
    piped.write(&two);
    piped.until(5_000);
    assert_eq!(piped.step(), 5_000, "it follows");
    piped.order(Order::Seek(4_321), 5_000);
    piped.write(&three);
    piped.until(9_000);
    assert_eq!(piped.step(), 4_321, "it stays");
    let here = piped.digest();
    piped.order(Order::End, 9_000);
    let there = piped.digest();
    assert_eq!(vec![here, there], digests(&[one, two, three].concat(), &[4_321, 9_000]));
    piped.close();
    assert!(piped.shown.status.opening.is_none() && !piped.shown.status.busy);
    assert_eq!((piped.len(), piped.step(), piped.digest()), (9_000, 9_000, there));
    assert_eq!(piped.engine.session().unwrap().index().covered(), 9_000);
}

#[test]
fn an_operation_that_needs_another_machine_begins_the_run_anew_at_the_same_step() {
    let mut piped = Piped::open("t.ptrace");
    let plain = births(0, 3_000);
    piped.write(&plain);
    piped.until(3_000);
    piped.order(Order::Seek(2_500), 3_000);
    assert!(!piped.shown.head.as_ref().unwrap().layers);
    let scenario = "x setup_debug_hooks\nm o 3001 48\n";
    piped.write(scenario);
    piped.until(3_002);
    assert!(piped.shown.head.as_ref().unwrap().layers && piped.step() == 2_500);
    assert_eq!(vec![piped.digest()], digests(&(plain + scenario), &[2_500]));
}

#[test]
fn what_goes_wrong_is_said_and_what_has_come_stays() {
    let mut piped = Piped::open("t.ptrace");
    piped.write(&births(0, 3_000));
    piped.until(3_000);
    piped.write("nonsense\n");
    piped.close();
    let error = piped.shown.status.error.as_ref().unwrap().text.clone();
    assert!(error.starts_with("t.ptrace: line 3001"), "{error}");
    assert_eq!((piped.step(), piped.len()), (3_000, 3_000));

    let mut broken = Piped::open("b.ptrace");
    broken.pipe.as_ref().unwrap().send(Err(io::ErrorKind::ConnectionReset.into())).unwrap();
    broken.close();
    assert!(broken.shown.status.error.is_some() && broken.shown.head.is_none());
}

#[test]
fn a_pipe_that_is_given_up_leaves_what_has_come() {
    let mut piped = Piped::open("t.ptrace");
    piped.write(&births(0, 3_000));
    piped.until(3_000);
    piped.engine.order(Order::Cancel);
    assert!(!piped.engine.busy());
    // Nobody reads any more, which the writer finds out.
    while piped.pipe.as_ref().unwrap().send(Ok(births(0, 2_000).into_bytes())).is_ok() {
        thread::sleep(Duration::from_millis(1));
    }
    piped.engine.order(Order::Seek(1_000));
    piped.close();
    assert_eq!(piped.step(), 1_000);
}

#[test]
fn a_tape_that_grows_is_judged_on_demand_and_what_was_found_stays() {
    let mut piped = Piped::open("judged.ptrace");
    piped.engine.look(Look { findings: true, ..Look::default() });
    let line = |id: u64| format!("m o {id} 400\n");
    piped.write(&(1..=20_000).map(line).collect::<String>());
    piped.until(20_000);
    assert_eq!(piped.shown.findings, None);
    assert_eq!(piped.shown.status.surveying, Surveying::OnDemand);
    piped.order(Order::Judge, 20_000);
    let found = piped.shown.findings.clone().unwrap();
    assert_eq!(found.operations, 20_000);
    piped.write(&(20_001..=30_000).map(line).collect::<String>());
    piped.until(30_000);
    assert_eq!(piped.shown.findings.as_ref(), Some(&found), "it stays");
    assert_eq!(piped.shown.status.surveying, Surveying::OnDemand);
    piped.order(Order::Judge, 30_000);
    assert_eq!(piped.shown.findings.as_ref().unwrap().operations, 30_000);
    assert_eq!(piped.shown.status.surveying, Surveying::Nothing);
}
