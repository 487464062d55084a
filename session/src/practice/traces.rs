//! The template of the lesson on tracemalloc, 15.

use std::collections::BTreeMap;

use trace_io::lesson::Show;

use super::asked::Said;
use super::draft::{Build, Draft, calls, letter};
use crate::dice::Dice;

/// What somebody keeps of calls, in the way in which tracemalloc does or in another one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keeps {
    /// What tracemalloc does.
    Requests,
    /// Bytes of blocks.
    Blocks,
    /// Blocks from before too.
    Before,
    /// Of a block from before that is resized, the difference.
    Growth,
    /// What was freed stays.
    Freed,
    /// A realloc has old and new at once.
    Both,
    /// A realloc changes nothing.
    NoRealloc,
    /// Each block has a header as of debug hooks.
    Headers,
    /// A line is the one that made the block first.
    FirstLine,
}

/// A call.
#[derive(Clone, Copy)]
enum Does {
    Malloc(usize, u64),
    Realloc(usize, u64),
    Free(usize),
    Clear,
}

/// The account that somebody keeps.
#[derive(Default)]
struct Ledger {
    /// Bytes and line of each block.
    traces: BTreeMap<usize, (u64, u64)>,
    before: BTreeMap<usize, u64>,
    stayed: u64,
    peak: u64,
}

impl Ledger {
    fn current(&self) -> u64 {
        self.stayed + self.traces.values().map(|(size, _)| size).sum::<u64>()
    }

    /// One call from a line.
    fn does(&mut self, what: Does, line: u64, keeps: Keeps, block: &dyn Fn(u64) -> u64, header: u64) {
        let bytes = |size: u64| match keeps {
            Keeps::Blocks => block(size),
            Keeps::Headers => size + header,
            _ => size,
        };
        let mut surplus = 0;
        match what {
            Does::Malloc(id, size) => {
                self.traces.insert(id, (bytes(size), line));
            }
            Does::Realloc(id, size) => {
                let old = self.traces.get(&id).copied();
                let known = self.before.remove(&id);
                if keeps == Keeps::NoRealloc {
                    return;
                }
                if keeps == Keeps::Both {
                    surplus = old.map_or(0, |(size, _)| size);
                }
                let new = match known {
                    Some(before) if keeps == Keeps::Growth => size.saturating_sub(before),
                    _ => bytes(size),
                };
                let at = old.filter(|_| keeps == Keeps::FirstLine).map_or(line, |(_, first)| first);
                self.traces.insert(id, (new, at));
            }
            Does::Free(id) => {
                self.before.remove(&id);
                if let Some((size, _)) = self.traces.remove(&id)
                    && keeps == Keeps::Freed
                {
                    self.stayed += size;
                }
            }
            Does::Clear => {
                self.traces.clear();
                (self.stayed, self.peak) = (0, 0);
            }
        }
        self.peak = self.peak.max(self.current() + surplus);
    }
}

/// 15: what is traced now, at most, and of a line.
pub(super) fn tracemalloc(dice: &mut Dice, level: u8, build: &Build<'_>) -> Option<Draft> {
    let sizes = |dice: &mut Dice| match dice.within(0, 3) {
        0 => dice.within(1, 60),
        1 => dice.within(520, 3000),
        _ => dice.within(17, 400),
    };
    // Blocks that were there before: their names, too, are letters.
    let before = dice.within(1, 2) as usize;
    let mut lines = vec!["stack(\"app.py:1\")".to_owned()];
    let mut old = Vec::new();
    for id in 0..before {
        old.push(sizes(dice));
        lines.push(format!("{} = malloc({})", letter(id), old[id]));
    }
    lines.push("tracemalloc_start(1)".to_owned());
    let count = match level {
        1 => 1,
        2 => dice.within(3, 6),
        _ => dice.within(8, 13),
    };
    let shown = dice.within(1, 3);
    let mut live: Vec<usize> = (0..before).collect();
    let mut made = before;
    let (mut does, mut written) = (Vec::new(), Vec::new());
    let mut line = 0;
    for index in 0..shown + count {
        let next = 5 + dice.within(0, 2) * 3;
        let mut stack = String::new();
        if next != line {
            line = next;
            stack = format!("stack(\"app.py:{line}\")\n");
        }
        let clears = level > 1 && index > shown && dice.within(0, 11) == 0;
        let what = match dice.within(0, 9) {
            _ if clears => Does::Clear,
            0..=4 => {
                made += 1;
                live.push(made - 1);
                Does::Malloc(made - 1, sizes(dice))
            }
            5..=7 => Does::Realloc(dice.pick(&live), sizes(dice)),
            _ if live.len() > 1 => Does::Free(live.remove(dice.within(0, live.len() as u64 - 1) as usize)),
            _ => return None,
        };
        let call = match what {
            Does::Malloc(id, size) => format!("{} = malloc({size})", letter(id)),
            Does::Realloc(id, size) => format!("{0} = realloc({0}, {size})", letter(id)),
            Does::Free(id) => format!("free({})", letter(id)),
            Does::Clear => "clear_traces()".to_owned(),
        };
        does.push((what, line));
        written.push(stack + &call);
    }
    let then = written.split_off(shown as usize);
    lines.extend(written);
    let header = 3 * u64::from(build.profile.pointer_bytes);
    let block = |size: u64| if size > build.most { size } else { build.block(size) };
    let account = |keeps: Keeps| {
        let mut ledger = Ledger::default();
        for (id, &size) in old.iter().enumerate() {
            if keeps == Keeps::Before {
                ledger.traces.insert(id, (size, 1));
            } else {
                ledger.before.insert(id, size);
            }
        }
        for &(what, line) in &does {
            ledger.does(what, line, keeps, &block, header);
        }
        ledger
    };
    let ours = account(Keeps::Requests);
    let asks = dice.within(0, 3);
    // A peak that is what is traced now would be read off that.
    if asks == 0 && ours.peak == ours.current() {
        return None;
    }
    let worth = |keeps: Keeps| {
        let ledger = account(keeps);
        let of_line = |(_, at): &&(u64, u64)| *at == line;
        let number = match asks {
            0 => ledger.peak,
            1 => ledger.traces.values().filter(of_line).map(|(size, _)| size).sum::<u64>(),
            _ => ledger.current(),
        };
        number.to_string()
    };
    let (formula, question) = match asks {
        0 => (
            "traced.peak".to_owned(),
            "What is the peak of the traced memory afterwards, `get_traced_memory()[1]`?".to_owned(),
        ),
        1 => (
            format!("line_size(\"app.py:{line}\")"),
            format!("How many bytes does a snapshot by line show for line {line} of `app.py` then?"),
        ),
        _ => (
            "traced.current".to_owned(),
            "How much is traced afterwards, `get_traced_memory()[0]`?".to_owned(),
        ),
    };
    let said: Vec<String> = then
        .iter()
        .map(|step| match step.split_once('\n') {
            Some((stack, call)) => format!(
                "line {} `{call}`",
                stack.trim_start_matches("stack(\"app.py:").trim_end_matches("\")")
            ),
            None => calls(std::slice::from_ref(step)),
        })
        .collect();
    let text = format!("Next: {}. {question}", super::asked::and(&said));
    Some(
        Draft::worth(lines, then, text, formula, Said::Bytes)
            .m(41, worth(Keeps::Blocks))
            .m(41, worth(Keeps::Before))
            .m(41, worth(Keeps::Both))
            .that("only the growth of a block from before is traced", worth(Keeps::Growth))
            .that("what was freed stays traced", worth(Keeps::Freed))
            .that("a realloc is not traced", worth(Keeps::NoRealloc))
            .that("each block has a header of tracemalloc's", worth(Keeps::Headers))
            .that("a block belongs to the line that made it first", worth(Keeps::FirstLine))
            .that("the greatest of several moments is what counts", if asks == 0 { ours.current() } else { ours.peak }.to_string())
            .at(Show::Tracemalloc, "")
            .why("A trace has the size that was asked for and the line that asked. A block from before has none until it is resized, a freed one has none any more.".to_owned()),
    )
}
