//! Random snapshots and everything that can be asked of them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use sim_core::tracemalloc::{
    BaseFilter, DomainFilter, Filter, KeyType, NamedFrame, NamedTraceback, Pattern, Snapshot, Statistic,
    StatisticDiff, format_size,
};

use crate::interpreters::Script;
use real_cpython::random::Random;

const CASES: u64 = 200;

/// Names whose order differs between code points, UTF-16 and letters.
const FILES: [&str; 14] = [
    "a",
    "a.py",
    "a.pyc",
    "a.pyo",
    "A.py",
    "ab.py",
    "lib/a.py",
    "lib/\u{e9}.py",
    "\u{ff5e}.py",
    "\u{1f40d}.py",
    "[x].py",
    "<unknown>",
    "a b.py",
    "\u{7f}",
];

const LINES: [u32; 8] = [0, 1, 1, 2, 2, 3, 10, u32::MAX];

const SOURCES: [&str; 8] =
    ["x = 1", "  x = 1  ", "", " ", "\u{1c}y\u{1f}", "\u{a0}z\u{3000}", "\u{2028}", "\u{200b}"];

const PATTERNS: [&str; 14] = [
    "*", "a", "a.py", "*.py", "*.pyc", "*.pyo", "?.py", "[aA].py", "[!a]*", "lib/*", "[[]x].py", "*a*", "[x",
    "",
];

/// Patterns of which chance makes too few.
const ODD_PATTERNS: [&str; 12] = [
    "[z-a!-b]", "[z-a!x]", "[z-a!]", "[!z-a]", "[!z-ab]", "[]-a]", "[]-!]", "[!]-a]", "[a-c-e]", "[--0]",
    "[!]", "[]",
];

/// Whether a class of the pattern has something like `z-a`.
pub(crate) fn has_backward_range(pattern: &str) -> bool {
    let chars: Vec<char> = pattern.chars().collect();
    chars.contains(&'[') && chars.windows(3).any(|w| w[1] == '-' && w[0] > w[2])
}

fn key(traceback: &NamedTraceback) -> String {
    traceback.frames().iter().map(ToString::to_string).collect::<Vec<_>>().join(";")
}

fn statistics(snapshot: &Snapshot, key_type: KeyType, cumulative: bool) -> String {
    match snapshot.statistics(key_type, cumulative) {
        Ok(found) => {
            let rows = found.iter().map(|s| format!("{}|{}|{}|{s}", key(&s.traceback), s.size, s.count));
            rows.collect::<Vec<_>>().join(" / ")
        }
        Err(error) => format!("ValueError: {error}"),
    }
}

fn compare(new: &Snapshot, old: &Snapshot, key_type: KeyType, cumulative: bool) -> String {
    match new.compare_to(old, key_type, cumulative) {
        Ok(found) => {
            let rows = found.iter().map(|s| {
                let StatisticDiff { traceback, size, size_diff, count, count_diff } = s;
                format!("{}|{size}|{size_diff}|{count}|{count_diff}|{s}", key(traceback))
            });
            rows.collect::<Vec<_>>().join(" / ")
        }
        Err(error) => format!("ValueError: {error}"),
    }
}

fn filtered(snapshot: &Snapshot, filters: &[BaseFilter]) -> String {
    let passed = snapshot.filter_traces(filters);
    let rows = passed.traces().map(|t| {
        format!("{}|{}|{}|{t}", t.domain, key(t.traceback), t.traceback.total_nframe().unwrap_or_default())
    });
    let rows = rows.collect::<Vec<_>>().join(" / ");
    format!("{rows} // {}", statistics(&passed, KeyType::Lineno, false))
}

/// A size near a place where its text changes.
fn size(random: &mut Random) -> u64 {
    let unit = 1_u64 << (10 * random.below(6));
    match random.below(4) {
        0 => random.below(4) * 50,
        1 => (unit * random.pick(&[1, 10, 100, 1024]) + random.below(3)).saturating_sub(1),
        2 => unit + unit / 20 * random.below(400),
        _ => random.below(unit * 20),
    }
}

/// The answers and the state they come from.
struct Model {
    script: Script,
    random: Random,
    old: Snapshot,
    new: Snapshot,
    sources: BTreeMap<&'static str, Vec<&'static str>>,
}

impl Model {
    fn sources(&mut self) {
        for file in FILES {
            let lines: Vec<_> = (0..self.random.below(4)).map(|_| self.random.pick(&SOURCES)).collect();
            self.script.tell(&[&["source", file], &lines[..]].concat().join("\t"));
            self.sources.insert(file, lines);
        }
    }

    fn snapshot(&mut self) {
        let mut traces = Vec::new();
        // Few sizes and places, so that groups have several blocks and ties occur.
        let places: Vec<(&str, u32)> = (0..=self.random.below(8))
            .map(|_| (self.random.pick(&FILES), self.random.pick(&LINES)))
            .collect();
        let sizes: Vec<u64> = (0..=self.random.below(5)).map(|_| size(&mut self.random)).collect();
        for _ in 0..self.random.below(40) {
            let (domain, size) = (self.random.pick(&[0, 0, 1, 389_047]), self.random.pick(&sizes));
            let frames: Vec<(&str, u32)> =
                (0..=self.random.below(4)).map(|_| self.random.pick(&places)).collect();
            let total = frames.len() as u16 + self.random.pick(&[0, 0, 7]);
            let mut request = format!("trace\t{domain}\t{size}\t{total}");
            for (file, lineno) in &frames {
                let _ = write!(request, "\t{file}\t{lineno}");
            }
            self.script.tell(&request);
            let frames =
                frames.iter().map(|&(file, lineno)| NamedFrame { filename: Arc::from(file), lineno });
            traces.push((domain, size, NamedTraceback::new(frames, Some(total))));
        }
        self.script.tell("snapshot");
        self.old = std::mem::replace(&mut self.new, Snapshot::new(traces, 5));
    }

    fn groups(&mut self) {
        for key_type in KeyType::ALL {
            for (digit, cumulative) in [(0, false), (1, true)] {
                let answer = statistics(&self.new, key_type, cumulative);
                self.script.ask(format!("statistics\t{key_type}\t{digit}"), answer);
                let answer = compare(&self.new, &self.old, key_type, cumulative);
                self.script.ask(format!("compare\t{key_type}\t{digit}"), answer);
            }
        }
    }

    fn filters(&mut self) {
        let mut filters: Vec<BaseFilter> = Vec::new();
        for _ in 0..self.random.below(4) {
            let inclusive = self.random.percent(50);
            let domain = self.random.pick(&[0, 1, 389_047]);
            if self.random.percent(20) {
                self.script.tell(&format!("domain_filter\t{}\t{domain}", u8::from(inclusive)));
                filters.push(DomainFilter { inclusive, domain }.into());
                continue;
            }
            let pattern = self.random.pick(&PATTERNS);
            let lineno = self.random.percent(40).then(|| self.random.pick(&LINES));
            let all_frames = self.random.percent(40);
            let domain = self.random.percent(40).then_some(domain);
            let number = |n: Option<u32>| n.map_or("-".to_owned(), |n| n.to_string());
            self.script.tell(&format!(
                "filter\t{}\t{pattern}\t{}\t{}\t{}",
                u8::from(inclusive),
                number(lineno),
                u8::from(all_frames),
                number(domain)
            ));
            filters.push(
                Filter::new(inclusive, pattern).lineno(lineno).all_frames(all_frames).domain(domain).into(),
            );
        }
        self.script.ask("filtered".to_owned(), filtered(&self.new, &filters));
    }

    fn formats(&mut self) {
        let limit = self.random.percent(80).then(|| self.random.below(9).cast_signed() - 4);
        let most_recent_first = self.random.percent(50);
        let source_line =
            |file: &str, lineno: u32| self.sources.get(file)?.get((lineno as usize).checked_sub(1)?).copied();
        let texts: Vec<String> = self
            .new
            .traces()
            .map(|t| t.traceback.format(limit, most_recent_first, source_line).join("\u{1e}"))
            .collect();
        let limit = limit.map_or("-".to_owned(), |limit| limit.to_string());
        self.script.ask(format!("format\t{limit}\t{}", u8::from(most_recent_first)), texts.join(" / "));
    }

    fn sizes(&mut self) {
        let traceback = || NamedTraceback::new([NamedFrame { filename: Arc::from("f"), lineno: 1 }], None);
        for sign in [false, true] {
            let bytes = size(&mut self.random).cast_signed() * self.random.pick(&[1, -1]);
            self.script.ask(format!("size\t{bytes}\t{}", u8::from(sign)), format_size(bytes as f64, sign));
        }
        // Big enough that a division has to be rounded once.
        let bytes = u128::from(size(&mut self.random)) << self.random.pick(&[0, 0, 1, 30])
            | u128::from(self.random.below(2));
        let count = self.random.bits(&[1, 4, 20, 62]);
        let statistic = Statistic { traceback: traceback(), size: bytes, count };
        self.script.ask(format!("statistic\t{bytes}\t{count}"), statistic.to_string());
        let size_diff = i128::from(size(&mut self.random)) * self.random.pick(&[1, -1]);
        let count_diff = self.random.below(2000).cast_signed() - 1000;
        let difference = StatisticDiff { traceback: traceback(), size: bytes, size_diff, count, count_diff };
        self.script
            .ask(format!("difference\t{bytes}\t{size_diff}\t{count}\t{count_diff}"), difference.to_string());
    }

    /// A pattern full of brackets against a name that has a chance.
    fn patterns(&mut self) {
        let signs: Vec<char> = "[[[]]]!!---^*?ab\\.&~|z#".chars().collect();
        let mut pattern: String = (0..self.random.below(12)).map(|_| self.random.pick(&signs)).collect();
        if self.random.percent(50) {
            // One class, mostly of ranges.
            let members: Vec<char> = "---abcdz!^]".chars().collect();
            let class: String = (0..=self.random.below(9)).map(|_| self.random.pick(&members)).collect();
            pattern = format!("[{class}]");
        }
        let names: Vec<char> = "[]!-^*?abcd\\.&~|z".chars().collect();
        for _ in 0..8 {
            let length = if self.random.percent(50) { 1 } else { self.random.below(6) };
            let name: String = (0..length).map(|_| self.random.pick(&names)).collect();
            self.matches(&pattern, &name);
        }
    }

    fn matches(&mut self, pattern: &str, name: &str) {
        let matches = Pattern::new(pattern).matches(name);
        self.script.ask(format!("match\t{pattern}\t{name}"), u8::from(matches).to_string());
    }
}

/// All requests and answers.
pub(crate) fn script() -> Script {
    let mut model = Model {
        script: Script::default(),
        random: Random(66),
        old: Snapshot::new([], 1),
        new: Snapshot::new([], 1),
        sources: BTreeMap::new(),
    };
    model.sources();
    for name in ["line", "it's", "\"", "\\", ""] {
        let error = name.parse::<KeyType>().unwrap_err();
        model.script.ask(format!("statistics\t{name}\t0"), format!("ValueError: {error}"));
    }
    for pattern in ODD_PATTERNS {
        for name in ["!", "-", ".", "]", "[!]", "[]", "^", "a", "b", "c", "d", "e", "x", "z", ""] {
            model.matches(pattern, name);
        }
    }
    for _ in 0..CASES {
        model.snapshot();
        model.groups();
        for _ in 0..4 {
            model.filters();
            model.formats();
            model.sizes();
            for _ in 0..5 {
                model.patterns();
            }
        }
    }
    model.script
}
