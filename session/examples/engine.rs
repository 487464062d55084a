//! How long an engine takes to open a file and to read it ahead, in this thread: what the page's worker is measured
//! beside. Prints one line of JSON: milliseconds of opening and of the first pass, and the digest at the end.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a measurement")]

use std::fs::File;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use session::view::Look;
use session::{Engine, Opened, Order};

fn main() {
    let path = PathBuf::from(std::env::args_os().nth(1).unwrap());
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    let file = File::open(&path).unwrap();
    let total = file.metadata().unwrap().len();
    let mut engine = Engine::new(None);
    let slice = Duration::from_millis(4);
    let start = Instant::now();
    engine.open(Opened::new(name, Box::new(file), Some(total)));
    // Until there is a picture, somewhere in the middle: what a person waits for.
    loop {
        engine.work(0.0, slice);
        if let Some(update) = engine.update(true) {
            assert!(update.status.error.is_none(), "{:?}", update.status.error);
            if update.picture.is_some() {
                break;
            }
        }
    }
    let opened = start.elapsed().as_secs_f64() * 1e3;
    while engine.busy() {
        engine.work(0.0, slice);
    }
    let passed = start.elapsed().as_secs_f64() * 1e3;
    engine.look(Look { digest: true, ..Look::default() });
    engine.order(Order::End);
    while engine.busy() {
        engine.work(0.0, slice);
    }
    let digest = engine.update(true).and_then(|update| update.picture).and_then(|picture| picture.digest);
    println!(
        "{{\"opened_ms\":{:.1},\"pass_ms\":{:.1},\"digest\":\"{:016x}\"}}",
        opened,
        passed - opened,
        digest.unwrap()
    );
}
