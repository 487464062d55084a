//! Interpreters that wait while they are looked at.

#![allow(dead_code, unreachable_pub, reason = "each test uses its part")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, ChildStdout, Command, Stdio};

use real_cpython::interpreters::{self, Interpreter};
use sim_core::picture::PictureSource;
use xray::image::edges::Edges;
use xray::image::family::{Family, Member};
use xray::image::inventory::{Pages, process_picture};
use xray::image::owners::Owners;
use xray::image::parts::parts;
use xray::image::picture::version_of;
use xray::image::reach::Reach;
use xray::image::retained::Retained;
use xray::image::steps::Contents;
use xray::image::summary::Summary;
use xray::image::verdict::{Evidence, findings};
use xray::image::{Memory, Picture, Resident, ways};
use xray::source::{Copy, copy};

/// A process that has said that it is ready, and waits for a line.
pub struct Waiting {
    child: Child,
    output: BufReader<ChildStdout>,
    /// What it said beside that.
    pub words: Vec<String>,
}

impl Waiting {
    /// Starts it; its first line is `ready`, and whatever else the test is to know.
    pub fn of(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        let mut words = line.split_whitespace().map(str::to_owned);
        assert_eq!(words.next().as_deref(), Some("ready"));
        let words = words.collect();
        Self { child, output, words }
    }

    pub fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// Lets it end, and says whether it ended well.
    pub fn end(self) -> bool {
        self.end_with_output().0
    }

    /// Lets it end, and says whether it ended well and what it said on the way.
    pub fn end_with_output(mut self) -> (bool, String) {
        let _ = self.child.stdin.take().unwrap().write_all(b"\n");
        let mut text = String::new();
        self.output.read_to_string(&mut text).unwrap();
        (self.child.wait().unwrap().success(), text)
    }

    /// Waits until a signal has ended it.
    pub fn ended(mut self) {
        assert!(!self.child.wait().unwrap().success());
    }
}

pub fn seen(pid: i32) -> (Copy, Picture) {
    let copy = copy(pid, true).unwrap();
    let version = version_of(&copy.memory).unwrap();
    let picture = Picture::of(&copy.memory, version).unwrap();
    (copy, picture)
}

/// Objects of a type that are nobody's but its own, and not kept for the next ones.
pub fn live_objects(picture: &Picture, name: &str) -> usize {
    let chunks = picture.used_chunks().map(|(_, object)| object);
    let objects = picture.blocks().map(|(_, _, object)| object).chain(chunks).flatten();
    objects.filter(|object| !object.dead && picture.types[object.of as usize].name == name).count()
}

/// Follows all references of a picture, whatever they are, and sums up what is found.
pub fn follow(memory: &Memory, picture: &Picture, resident: &Resident) {
    let edges = Edges::of(memory, picture);
    let owners = Owners::find(&edges);
    let reach = Reach::find(&edges, &owners.outside, Contents::Shown);
    let summary = Summary::of(&edges, &owners, &reach);
    let parts = parts(memory, resident, picture);
    let _ = findings(&Evidence::of(resident.bytes(), resident, picture, &parts, &summary));
    let retained = Retained::find(&edges, &owners.outside);
    let most = edges.nodes().used().max_by_key(|node| retained.bytes(*node));
    for node in most.into_iter().chain(edges.nodes().used().step_by(997)) {
        let _ = ways::exact(&edges, &reach, Contents::Shown, node);
    }
    let _ = (ways::of_type(&edges, &reach, "dict"), ways::of_arenas(&edges, &reach, 3));
    let pages = Pages { parts: &parts, ..Pages::default() };
    let _ = process_picture(&edges, &owners, &reach, &pages, PictureSource::default());
    // With itself as the child that has copied all.
    let none = Resident::default();
    let member = |pid, parent, private| Member {
        pid,
        parent,
        rss_bytes: resident.bytes(),
        pss_bytes: None,
        memory,
        picture,
        resident,
        private,
    };
    let _ = Family::of(&[member(2, Some(1), &none), member(3, Some(2), resident)]).says();
}

/// Interpreters at hand whose layout is known; of those that are missing it is said.
pub fn compared() -> Vec<&'static Interpreter> {
    interpreters::pictured()
}

/// The state of a process as the system calls it.
pub fn state(pid: i32) -> char {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("State:")).unwrap();
    line.trim().chars().next().unwrap()
}

/// Between its word and its wait for a line an interpreter makes an object or two.
pub fn until_it_waits(pid: i32) {
    let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
    let mut asleep = 0;
    while asleep < 5 {
        assert!(std::time::Instant::now() < until, "it does not come to wait: {}", state(pid));
        std::thread::sleep(std::time::Duration::from_millis(10));
        asleep = if state(pid) == 'S' { asleep + 1 } else { 0 };
    }
}
