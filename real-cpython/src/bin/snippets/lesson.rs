//! A recording as a lesson of the course's form.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::list::Piece;
use crate::tape::{DOMAINS, Kind, Op, Tape};

/// Operations that a beat tells one by one, at most.
const TOLD: usize = 6;
/// The largest request that pools serve.
const THRESHOLD: usize = 512;

/// The file.
pub(crate) fn written(piece: &Piece, version: &str, tape: &Tape) -> String {
    let names = tape.program_names();
    let minor = version.rsplit_once('.').map_or(version, |(minor, _)| minor);
    let mut out = String::new();
    let _ = writeln!(
        out,
        "// Written by `cargo run -p real-cpython --bin snippets`; a test records it again and compares."
    );
    let _ = writeln!(out, "Lesson(");
    let _ = writeln!(out, "    id: \"python-{}-{minor}\",", piece.id);
    let _ = writeln!(out, "    name: {:?},", piece.name);
    let _ = writeln!(out, "    goal: \"Say what each line asks of the allocator.\",");
    let _ = writeln!(out, "    minutes: 2,");
    let _ = writeln!(
        out,
        "    holds: (when: \"pointer == 8 and not free_threaded\", otherwise: \"It was recorded on a 64-bit build with the GIL; others ask for other sizes.\"),"
    );
    let _ = writeln!(out, "    source: (\n        text: {:?},", piece.text);
    let _ = writeln!(out, "        recorded: \"CPython {version}, Linux x86-64\",\n    ),");
    let _ = writeln!(out, "    steps: [");
    out.push_str(&neighbours(piece, &tape.ops));
    let mut from = 0;
    let mut state = State::default();
    for line in &tape.lines {
        let ops = &tape.ops[from..line.upto];
        // Whether a block moves is held against the machine where one realloc alone tells it.
        let alone = match ops {
            [op] if state.stays_in_pools(op) => Some(op),
            _ => None,
        };
        if let Some(op) = alone {
            let _ = writeln!(out, "        keep(\"before\", \"addr({})\"),", names[op.block]);
        }
        if !ops.is_empty() {
            let _ = writeln!(out, "        run({:?}),", program(ops, &names));
        }
        let mut beat = state.beat(piece, line.number, ops, &names);
        if let Some(op) = alone {
            let relation = if op.moved { "!=" } else { "==" };
            beat.claims.push(format!("addr({}) {relation} before", names[op.block]));
        }
        let _ = writeln!(out, "        say(\n            text: {:?},", beat.text);
        let _ = writeln!(out, "            show: {},\n            line: {},", beat.show, line.number);
        if let Some(select) = beat.select {
            let _ = writeln!(out, "            select: {select:?},\n            point: [{select:?}],");
        }
        if !beat.claims.is_empty() {
            let _ = writeln!(out, "            claims: {:?},", beat.claims);
        }
        let _ = writeln!(out, "        ),");
        from = line.upto;
    }
    let _ = writeln!(out, "    ],\n)");
    out
}

/// A block of each size that pools will be asked for: an interpreter has had pools of all classes in use since its start.
/// Without them a pool would be empty after its first block, and change hands.
fn neighbours(piece: &Piece, ops: &[Op]) -> String {
    let sizes: BTreeSet<usize> = ops
        .iter()
        .filter(|op| op.domain > 0)
        .filter_map(|op| match op.kind {
            Kind::Malloc(size) | Kind::Realloc { size, .. } => Some(size),
            Kind::Calloc(n, each) => Some(n * each),
            Kind::Free => None,
        })
        .filter(|size| (1..=THRESHOLD).contains(size))
        .map(class_size)
        .collect();
    let calls = sizes.iter().enumerate().map(|(at, size)| format!("before[{}] = malloc({size})", at + 1));
    let calls: Vec<String> = calls.collect();
    if calls.is_empty() {
        return String::new();
    }
    let text = "Before the first line: pools of all the sizes that it will need are in use. One block in each stands for the rest of the interpreter.";
    let mut out = String::new();
    let _ = writeln!(out, "        run({:?}),", calls.join("\n"));
    let _ = writeln!(
        out,
        "        say(\n            text: {text:?},\n            show: pools,\n            line: {},\n        ),",
        piece.first
    );
    out
}

/// A call as a program writes it.
fn call(op: &Op, names: &[String]) -> String {
    let name = &names[op.block];
    let domain = match op.domain {
        2 => String::new(),
        other => format!(", {}", DOMAINS[other]),
    };
    match op.kind {
        Kind::Malloc(size) => format!("{name} = malloc({size}{domain})"),
        Kind::Calloc(n, size) => format!("{name} = calloc({n}, {size}{domain})"),
        Kind::Realloc { fresh: true, size } => format!("{name} = realloc(NULL, {size}{domain})"),
        Kind::Realloc { fresh: false, size } => format!("realloc({name}, {size}{domain})"),
        Kind::Free => format!("free({name}{domain})"),
    }
}

/// Calls as a program, elements of a list that follow each other as loops.
fn program(ops: &[Op], names: &[String]) -> String {
    let calls: Vec<String> = ops.iter().map(|op| call(op, names)).collect();
    let mut lines: Vec<String> = Vec::new();
    let mut at = 0;
    while at < ops.len() {
        let Some((first, frame)) = element(&calls[at]) else {
            lines.push(calls[at].clone());
            at += 1;
            continue;
        };
        let run = |next: fn(usize, usize) -> Option<usize>| {
            let follows = |k: &usize| {
                let other = calls.get(at + k).and_then(|call| element(call));
                other.is_some_and(|(n, f)| next(first, *k) == Some(n) && f == frame)
            };
            (1..calls.len()).take_while(follows).count()
        };
        let (up, down) = (run(usize::checked_add), run(usize::checked_sub));
        let more = up.max(down);
        if more < 2 {
            lines.push(calls[at].clone());
            at += 1;
            continue;
        }
        let range = match (up >= down, first.checked_sub(more + 1)) {
            (true, _) => format!("{first}, {}", first + more + 1),
            (false, Some(end)) => format!("{first}, {end}, -1"),
            (false, None) => format!("{first}, -1, -1"),
        };
        lines.push(format!("for i in range({range}): {}", frame.replacen('\0', "i", 1)));
        at += more + 1;
    }
    lines.join("\n")
}

/// The index of the element that a call is about, and the call without it.
fn element(call: &str) -> Option<(usize, String)> {
    let (open, close) = (call.find('[')?, call.find(']')?);
    let index = call.get(open + 1..close)?.parse().ok()?;
    Some((index, format!("{}\0{}", &call[..=open], &call[close..])))
}

struct Beat {
    text: String,
    show: &'static str,
    select: Option<String>,
    claims: Vec<String>,
}

/// What is known of the blocks before a line.
#[derive(Default)]
struct State {
    /// Size, and whether it lies in a pool, by block.
    sizes: BTreeMap<usize, (usize, bool)>,
    /// The block that was freed last, by the size that blocks of its class have.
    freed: BTreeMap<usize, usize>,
}

impl State {
    fn beat(&mut self, piece: &Piece, number: u32, ops: &[Op], names: &[String]) -> Beat {
        let source = piece.text.lines().nth(number as usize - 1).unwrap_or_default().trim();
        let mut text = format!("Line {number}, `{source}`: ");
        let mut claims = Vec::new();
        if ops.is_empty() {
            text.push_str("nothing is asked of the allocator.");
            return Beat { text, show: "pools", select: None, claims };
        }
        let mut told = Vec::new();
        let mut select = None;
        for (at, op) in ops.iter().enumerate() {
            let name = &names[op.block];
            // What is claimed holds at the end of the line.
            let last = !ops[at + 1..].iter().any(|later| names[later.block] == *name);
            let before = self.sizes.get(&op.block).copied();
            let Some((size, mut sentence)) = sentence(op, name, before.map(|(size, _)| size), ops, at) else {
                if let Some((size, true)) = self.sizes.remove(&op.block) {
                    self.freed.insert(class_size(size), op.block);
                }
                if last {
                    claims.push(format!("not live({name})"));
                }
                told.push(format!("`{name}` is freed."));
                continue;
            };
            // A block of the C library stays one, however small it becomes.
            let pooled =
                (1..=THRESHOLD).contains(&size) && op.domain > 0 && before.is_none_or(|(_, pooled)| pooled);
            self.sizes.insert(op.block, (size, pooled));
            match (before, pooled) {
                (None, true) => {
                    let _ = write!(sentence, ", in a block of {{block({size})}}");
                }
                (Some(_), true) => sentence.push_str(if op.moved { ", and moves" } else { ", and stays" }),
                // Where the C library puts its blocks is its own affair.
                (None, false) => sentence.push_str(", which is the C library's"),
                (Some((_, true)), false) => sentence.push_str(", and goes to the C library"),
                (Some((_, false)), false) => sentence.push_str(", still in the C library"),
            }
            if last {
                claims.push(format!("live({name}) and size({name}) == {size}"));
                claims.push(format!("{}({name})", if pooled { "pooled" } else { "raw" }));
                if pooled {
                    select = Some(name.clone());
                }
            }
            let fresh = self.freed.remove(&class_size(size));
            // What else was free before the first line depends on the machine, and is nothing to record.
            if let Some(gone) = op.again.filter(|_| pooled && fresh == op.again && ops.len() <= TOLD) {
                let of = &names[gone];
                let _ = write!(sentence, ", where `{of}` lay before");
                if last && !ops[at..].iter().any(|later| names[later.block] == *of) {
                    claims.push(format!("place({name}) == place({of})"));
                }
            }
            sentence.push('.');
            told.push(sentence);
        }
        if ops.len() > TOLD {
            let count = |which: fn(&Kind) -> bool| ops.iter().filter(|op| which(&op.kind)).count();
            let resized = count(|kind| matches!(kind, Kind::Realloc { fresh: false, .. }));
            let freed = count(|kind| *kind == Kind::Free);
            let _ = write!(
                text,
                "{} calls. Blocks made: {}; resized: {resized} times; freed: {freed}.",
                ops.len(),
                ops.len() - resized - freed,
            );
        } else {
            text.push_str(&told.join(" "));
        }
        let keep = claims.len().saturating_sub(2 * TOLD);
        let show = if select.is_some() { "blocks" } else { "pools" };
        Beat { text, show, select, claims: claims.split_off(keep) }
    }

    /// Whether it is a realloc from a block of a pool to one that may lie in a pool.
    fn stays_in_pools(&self, op: &Op) -> bool {
        match op.kind {
            Kind::Realloc { fresh: false, size } => {
                (1..=THRESHOLD).contains(&size)
                    && self.sizes.get(&op.block).is_some_and(|(_, pooled)| *pooled)
            }
            _ => false,
        }
    }
}

/// The size that a call asks for, and a sentence that has no end yet; none for a free.
fn sentence(op: &Op, name: &str, before: Option<usize>, ops: &[Op], at: usize) -> Option<(usize, String)> {
    let family = DOMAINS[op.domain].to_uppercase();
    Some(match op.kind {
        Kind::Free => return None,
        Kind::Malloc(size) => (size, format!("{family} is asked for {size} bytes: `{name}`")),
        Kind::Calloc(n, each) => {
            (n * each, format!("{family} is asked for {} bytes of zeros: `{name}`", n * each))
        }
        Kind::Realloc { fresh: true, size } => {
            (size, format!("{family} is asked for {size} bytes, by a realloc of NULL: `{name}`"))
        }
        Kind::Realloc { fresh: false, size } if at > 0 && ops[at - 1].block == op.block => {
            (size, format!("Then {size}"))
        }
        Kind::Realloc { fresh: false, size } => {
            let before = before.unwrap_or_default();
            (size, format!("`{name}` is to have {size} bytes instead of {before}"))
        }
    })
}

/// Bytes of a block for a request, where ALIGNMENT is 16.
fn class_size(size: usize) -> usize {
    size.next_multiple_of(16)
}
