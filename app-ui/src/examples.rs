//! Traces that come with the program.

/// What a bundled trace is there for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// Explains something, step by step.
    Lesson,
    /// The same for what lies over and under pymalloc: tables, debug hooks, tracemalloc.
    Scenario,
    /// Something that is easily got wrong.
    Pitfall,
    /// A run of a real program.
    Recording,
    /// A few lines of Python, with what they asked for.
    Python,
    /// A program to write, with goals that the machine checks.
    Puzzle,
}

/// A bundled trace.
pub(crate) struct Example {
    /// File name.
    pub(crate) file: &'static str,
    /// What the menu says.
    pub(crate) label: &'static str,
    /// One sentence on what it shows.
    pub(crate) about: &'static str,
    /// What it is there for.
    pub(crate) kind: Kind,
    /// How long a lesson takes.
    pub(crate) minutes: Option<u32>,
    /// The lessons that it builds on, by their numbers.
    pub(crate) needs: &'static [u32],
    /// The file; nothing where the shell has to fetch it.
    pub(crate) bytes: &'static [u8],
}

impl Example {
    /// What the lesson calls itself, for a lesson of the course: what is between number and ending.
    pub(crate) fn lesson_id(&self) -> Option<&'static str> {
        let name = self.file.strip_prefix("course/")?.strip_suffix(".ron")?;
        name.split_once('-').map(|(_, id)| id)
    }

    /// What the puzzle calls itself, for a puzzle.
    pub(crate) fn puzzle_id(&self) -> Option<&'static str> {
        let name = self.file.strip_prefix("puzzles/")?.strip_suffix(".ron")?;
        name.split_once('-').map(|(_, id)| id)
    }

    /// Whether a link that names this id means it: a lesson of the course, or lines of Python.
    pub(crate) fn goes_by(&self, id: &str) -> bool {
        let python = self.file.strip_prefix("python/").and_then(|name| name.strip_suffix(".ron"));
        self.lesson_id() == Some(id) || python.is_some_and(|name| id.strip_prefix("python-") == Some(name))
    }
}

/// The scene that window and page begin with, which is a lesson.
pub(crate) const OPENING_SCENE: &[u8] = include_bytes!("../../traces/opening.ron");
/// What it calls itself.
pub(crate) const OPENING: &str = "opening";

/// A trace that a page fetches when it is asked for, and a desktop has with it.
#[cfg(feature = "bundled-texts")]
macro_rules! text {
    ($file:literal) => {
        include_bytes!(concat!("../../traces/", $file))
    };
}
#[cfg(not(feature = "bundled-texts"))]
macro_rules! text {
    ($file:literal) => {
        &[]
    };
}

macro_rules! pitfall {
    ($file:literal, $label:literal, $about:literal) => {
        Example {
            file: $file,
            label: $label,
            about: $about,
            kind: Kind::Pitfall,
            minutes: None,
            needs: &[],
            bytes: text!($file),
        }
    };
}

macro_rules! python {
    ($file:literal, $label:literal, $about:literal) => {
        Example {
            file: $file,
            label: $label,
            about: $about,
            kind: Kind::Python,
            minutes: Some(2),
            needs: &[],
            bytes: text!($file),
        }
    };
}

macro_rules! puzzle {
    ($file:literal, $label:literal, $about:literal) => {
        Example {
            file: $file,
            label: $label,
            about: $about,
            kind: Kind::Puzzle,
            minutes: None,
            needs: &[],
            bytes: text!($file),
        }
    };
}

macro_rules! example {
    ($file:literal, $kind:ident, $label:literal, $about:literal) => {
        Example {
            file: $file,
            label: $label,
            about: $about,
            kind: Kind::$kind,
            minutes: None,
            needs: &[],
            bytes: text!($file),
        }
    };
}

macro_rules! lesson {
    ($file:literal, $minutes:literal, $needs:tt, $label:literal, $about:literal) => {
        Example {
            file: $file,
            label: $label,
            about: $about,
            kind: Kind::Lesson,
            minutes: Some($minutes),
            needs: &$needs,
            bytes: text!($file),
        }
    };
}

/// All bundled traces; the first opens when nothing else is asked for.
#[rustfmt::skip]
pub(crate) const EXAMPLES: &[Example] = &[
    example!("tiny-script-3.11.ptrace.zst", Recording, "A small script under Python 3.11", "Start-up, a few imports and some work of a real interpreter: 126,631 operations, three arenas"),
    example!("tiny-script-3.14.ptrace.zst", Recording, "A small script under Python 3.14", "Start-up, a few imports and some work of a newer interpreter, which asks its allocator for less"),
    lesson!("course/01-first-block.ron", 6, [], "1 A first block", "Say which three things one request creates, and why each lies where it does."),
    lesson!("course/02-classes.ron", 7, [1], "2 Size classes", "Say for any small request which class it has, how large its block is and how much of it is wasted."),
    lesson!("course/03-lifo.ron", 9, [2], "3 Last in, first out", "Say which place the next request gets, and why Python shows the same id() twice."),
    lesson!("course/04-carving.ron", 8, [3], "4 How a pool is carved", "Read a pool's header, and work out how many blocks a pool holds and what is left over at its end."),
    lesson!("course/05-filling.ron", 8, [4], "5 A pool fills, leaves and returns", "Say which of several pools of a class serves the next request."),
    lesson!("course/06-emptied.ron", 7, [5], "6 An empty pool changes class", "Say what becomes of a pool whose last block is freed, and what it keeps."),
    lesson!("course/07-which-arena.ron", 9, [6], "7 Which arena serves next", "Say from which arena the next pool comes, and why."),
    lesson!("course/08-released.ron", 9, [7], "8 Given back or kept", "Say of an arena in which nothing is used any more whether it goes back to the system."),
    lesson!("course/09-survivor.ron", 8, [8], "9 One survivor holds an arena", "Work out how much memory a few blocks hold, and how far apart they have to be to hold less."),
    lesson!("course/10-big.ron", 7, [2], "10 Over 512 bytes, and zero", "Say which requests leave the pools, where they go, and how they are counted."),
    lesson!("course/11-realloc.ron", 8, [10], "11 Realloc: stay or move", "Say for any realloc whether the block stays or moves, and where it goes."),
    lesson!("course/12-whose.ron", 9, [7, 10], "12 Whose pointer is this?", "Explain how free() tells pymalloc's blocks from all others."),
    lesson!("course/13-domains.ron", 9, [10], "13 Three domains, three tables", "Follow a call from its domain through every table to the memory."),
    lesson!("course/14-hooks.ron", 12, [13], "14 The debug hooks catch a bug", "Read what debug hooks write around a block, and the report that they print."),
    lesson!("course/15-tracemalloc.ron", 12, [13], "15 tracemalloc", "Say what tracemalloc counts, from when on, and under which line."),
    lesson!("course/16-stats.ron", 10, [9, 10], "16 Reading _debugmallocstats", "Recompute each line of the statistics, and read waste off them."),
    lesson!("course/17-what-ifs.ron", 8, [9, 12], "17 Arena size and other what-ifs", "Weigh arena size against what goes back to the system."),
    lesson!("course/18-objects.ron", 9, [3], "18 What an object asks for", "Say how many bytes a Python object asks for, and which blocks it takes."),
    lesson!("course/19-growth.ron", 10, [11, 18], "19 Lists and dicts grow", "Predict when an append moves a list's items, and when a dict gets a new table."),
    lesson!("course/20-type-lists.ron", 7, [18], "20 Free lists above the allocator", "Tell the free list of a type from the free list of a pool."),
    lesson!("course/21-versions.ron", 8, [8, 16], "21 The same program on 3.8, 3.9 and 3.14", "Read an old article safely: know which of its numbers still hold."),
    lesson!("course/22-mi-lists.ron", 9, [3, 9], "22 mimalloc's three lists", "Predict which place comes next in the allocator of the free-threaded build."),
    lesson!("course/23-threads.ron", 12, [22], "23 Threads, heaps, and waiting", "Say where a block goes that another thread frees, and when an emptied page comes back."),
    lesson!("course/24-interpreters.ron", 6, [13], "24 Interpreters", "Say what interpreters of one process share, and what each has for itself."),
    lesson!("course/25-diagnosis.ron", 15, [9, 15, 16, 17], "25 Your service does not give memory back", "Make a diagnosis from the complaint to the cure, and prove the cure."),
    puzzle!("puzzles/01-three-pools.ron", "1 Three requests, three pools", "Three requests, each with a pool of its own, for the fewest bytes."),
    puzzle!("puzzles/02-greatest-waste.ron", "2 The greatest waste", "Five requests of five classes, and as many wasted bytes as can be."),
    puzzle!("puzzles/03-five-in-one-place.ron", "3 Five in one place", "Five blocks of five sizes, one after the other at one address."),
    puzzle!("puzzles/04-full-pool.ron", "4 Fill a pool exactly", "A pool without a free block, with the fewest requests."),
    puzzle!("puzzles/05-two-nought-one.ron", "5 Two, nought, one", "Three pools serve in an order that is not theirs."),
    puzzle!("puzzles/06-four-classes.ron", "6 One pool, four classes", "One pool serves four size classes, and no other is cut."),
    puzzle!("puzzles/07-two-before-nought.ron", "7 Two before nought", "Of two arenas with equally many free pools the right one serves."),
    puzzle!("puzzles/08-one-free.ron", "8 Released by one free", "An arena goes back by one free, where it alone would leave it."),
    puzzle!("puzzles/09-fewest-survivors.ron", "9 The fewest survivors", "Three arenas stay, with as few blocks as can be."),
    puzzle!("puzzles/10-three-raw.ron", "10 Three in the C library", "raw_allocated_blocks is 3 without a large request."),
    puzzle!("puzzles/11-there-and-back.ron", "11 Three classes, and home again", "A block is moved through three classes and comes home."),
    puzzle!("puzzles/12-two-marks.ron", "12 One mark and two marks", "One arena with one mark of the radix tree, and one with two."),
    puzzle!("puzzles/13-two-of-five.ron", "13 Two of five", "A table that sees exactly two of five calls."),
    puzzle!("puzzles/14-leading-pad.ron", "14 Bad leading pad byte", "A bug that the debug hooks call by its name."),
    puzzle!("puzzles/15-unseen.ron", "15 A leak that tracemalloc cannot see", "A thousand bytes that tracemalloc does not know of."),
    puzzle!("puzzles/16-headers-and-ends.ron", "16 Headers and ends", "Pool headers and pool ends lose equally much."),
    puzzle!("puzzles/17-half-goes-back.ron", "17 Exactly half goes back", "An arena size of which exactly half goes back."),
    puzzle!("puzzles/19-longest-list.ron", "19 The longest list in the pools", "A list that grows as long as it can without leaving the pools."),
    puzzle!("puzzles/21-same-everywhere.ron", "21 The same on every version", "Forty blocks that lie alike on 3.8, 3.9 and 3.14."),
    puzzle!("puzzles/22-block-four.ron", "22 Block 4 comes back", "The fewest requests until mimalloc hands out a freed place."),
    puzzle!("puzzles/23-page-waits.ron", "23 A page that waits", "An empty page of mimalloc that may not be used again yet."),
    puzzle!("puzzles/24-one-arena-leaks.ron", "24 One arena leaks", "An interpreter ends, and exactly one arena stays for good."),
    puzzle!("puzzles/25-one-arena-stays.ron", "25 One arena stays", "The same calls in another order, and a single arena is left."),
    python!("python/bytes-3.13.ron", "Bytes at the border of 512, 3.13", "Recorded on CPython 3.13.0"),
    python!("python/comprehension-3.11.ron", "A list comprehension, 3.11", "Recorded on CPython 3.11.2"),
    python!("python/comprehension-3.13.ron", "A list comprehension, 3.13", "Recorded on CPython 3.13.0"),
    python!("python/concatenation-3.13.ron", "Strings put together, 3.13", "Recorded on CPython 3.13.0"),
    python!("python/dict-clear-3.13.ron", "Keys deleted, and clear(), 3.13", "Recorded on CPython 3.13.0"),
    python!("python/dict-keys-3.13.ron", "A dict with 1, 6 and 11 keys, 3.13", "Recorded on CPython 3.13.0"),
    python!("python/exception-3.13.ron", "An exception, 3.13", "Recorded on CPython 3.13.0"),
    python!("python/f-string-3.13.ron", "An f-string, 3.13", "Recorded on CPython 3.13.0"),
    python!("python/generator-3.13.ron", "A generator, 3.13", "Recorded on CPython 3.13.0"),
    python!("python/generator-3.8.ron", "A generator, 3.8", "Recorded on CPython 3.8.18"),
    python!("python/growth-3.13.ron", "Lists and dicts grow, 3.13", "Recorded on CPython 3.13.0"),
    python!("python/growth-3.8.ron", "Lists and dicts grow, 3.8", "Recorded on CPython 3.8.18"),
    python!("python/instance-3.11.ron", "An instance with three attributes, 3.11", "Recorded on CPython 3.11.2"),
    python!("python/instance-3.13.ron", "An instance with three attributes, 3.13", "Recorded on CPython 3.13.0"),
    python!("python/instance-3.8.ron", "An instance with three attributes, 3.8", "Recorded on CPython 3.8.18"),
    python!("python/list-append-3.13.ron", "A list grows out of the pools, 3.13", "Recorded on CPython 3.13.0"),
    python!("python/list-append-3.8.ron", "A list grows out of the pools, 3.8", "Recorded on CPython 3.8.18"),
    python!("python/list-pop-3.13.ron", "A list shrinks, 3.13", "Recorded on CPython 3.13.0"),
    python!("python/numbers-3.13.ron", "Small numbers and larger ones, 3.13", "Recorded on CPython 3.13.0"),
    python!("python/object-3.13.ron", "One object, 3.13", "Recorded on CPython 3.13.0"),
    python!("python/objects-3.11.ron", "What an object asks for, 3.11", "Recorded on CPython 3.11.2"),
    python!("python/objects-3.13.ron", "What an object asks for, 3.13", "Recorded on CPython 3.13.0"),
    python!("python/objects-3.8.ron", "What an object asks for, 3.8", "Recorded on CPython 3.8.18"),
    python!("python/same-id-3.13.ron", "The same id again, 3.13", "Recorded on CPython 3.13.0"),
    python!("python/set-3.13.ron", "A set, 3.13", "Recorded on CPython 3.13.0"),
    python!("python/slots-3.13.ron", "An instance with slots, 3.13", "Recorded on CPython 3.13.0"),
    python!("python/tuple-3.13.ron", "Tuples, 3.13", "Recorded on CPython 3.13.0"),
    python!("python/type-lists-3.13.ron", "Free lists above the allocator, 3.13", "Recorded on CPython 3.13.0"),
    example!("scenarios/1-layers.ron", Scenario, "1 A request passes the layers", "How 600 bytes become 648 on their way through debug hooks, pymalloc and RAW"),
    example!("scenarios/2-overrun.ron", Scenario, "2 An overrun is caught", "A byte too many, found when the block is freed, with CPython's own report"),
    example!("scenarios/3-use-after-free.ron", Scenario, "3 Use after free, free twice", "What freed memory looks like under debug hooks, and how a second free ends"),
    example!("scenarios/4-wrong-domain.ron", Scenario, "4 Freed through the wrong domain", "Why a block must go back through the family it came from"),
    example!("scenarios/5-own-tables.ron", Scenario, "5 Tables of one's own", "A counting table and a failing one, put over MEM by PyMem_SetAllocator"),
    example!("scenarios/6-tracemalloc.ron", Scenario, "6 tracemalloc and a false leak", "Who allocated what is live, and how a forgotten Untrack looks like a leak"),
    pitfall!("pitfalls/01-sizes.ron", "1: textbook sizes", "Since 3.10 a 64-bit build has arenas of 1 MiB and pools of 16 KiB; the first block of a pool lies 48 bytes in"),
    pitfall!("pitfalls/02-threshold.ron", "2: 512 is small, 0 is not", "Requests of 1 to 512 bytes are small, inclusive. 0 and 513 go to the C library"),
    pitfall!("pitfalls/03-carved-ahead.ron", "3: one block ahead", "A pool links its next block before it is needed, and is full in the very call that hands out its last one"),
    pitfall!("pitfalls/04-emptied-pool.ron", "4: what an emptied pool keeps", "For the same class an emptied pool keeps its free list and nextoffset; for another it starts over at 48"),
    pitfall!("pitfalls/05-front.ron", "5: who comes to the front", "A pool that was full goes to the front of its list with its first free; a pool that was not full never moves"),
    pitfall!("pitfalls/06-unused-pools.ron", "6: unused pools", "The statistics count emptied pools and those never carved as one; a pool with no used block is in no line of the class table"),
    pitfall!("pitfalls/07-arena-ties.ron", "7: ties among arenas", "usable_arenas is sorted by free pools; among equals the order follows nfp2lasta, not address or age. Arenas of 64 KiB keep the picture small"),
    pitfall!("pitfalls/08-release.ron", "8: which arena is released", "A wholly free arena is released only if it is not last in usable_arenas, and only at the moment its last pool empties"),
    pitfall!("pitfalls/09-records.ron", "9: arena records are reused", "A released arena's record is the next to be used: the number in pool_header.arenaindex does not tell an arena's age"),
    pitfall!("pitfalls/10-realloc-threshold.ron", "10: when realloc stays", "A block stays if 4 n > 3 block size, strictly, and the size of the block counts, not the last request. The new block is taken before the old one is freed"),
    pitfall!("pitfalls/11-realloc-raw.ron", "11: realloc and the C library", "realloc never brings a block of the C library back to a pool, and realloc to 0 moves a pool's block to the C library"),
    pitfall!("pitfalls/12-raw-blocks.ron", "12: raw_allocated_blocks", "It counts pymalloc's own fallbacks only, those of small requests too when no arena can be had"),
    pitfall!("pitfalls/13-two-headers.ron", "13: two headers", "pymalloc falls back through the public RAW function, so under debug hooks a large block of MEM is decorated twice"),
    pitfall!("pitfalls/14-488.ron", "14: 24 bytes more", "Under debug hooks the largest request that a pool serves is 488 bytes; the size in front of a block is big-endian"),
    pitfall!("pitfalls/15-layout.ron", "15: no serial number", "By default the layout has no serial number and one guard word behind the data: three words more than was asked for"),
    pitfall!("pitfalls/16-double-free.ron", "16: double free", "There is no detector of double frees. The second free finds DD where the id should be, and the report usually crashes on the garbage it reads"),
    pitfall!("pitfalls/17-hooks-twice.ron", "17: hooks on top of a wrapper", "PyMem_SetupDebugHooks looks at the top table only. Over tracemalloc a second call makes a circle"),
    pitfall!("pitfalls/18-no-name.ron", "18: no name", "_PyMem_GetCurrentAllocatorName is NULL as soon as anything is unusual, for instance while tracemalloc runs"),
    pitfall!("pitfalls/19-trace-domains.ron", "19: tracemalloc's domains", "All allocator traces are in tracemalloc's domain 0, whichever of RAW, MEM and OBJ was called, and what one call does below itself is not traced again"),
    pitfall!("pitfalls/20-peak.ron", "20: the peak", "The peak moves only when a trace is added, after the old size was taken off; clear_traces sets it to 0 as well"),
    pitfall!("pitfalls/21-frames.ron", "21: which frame comes first", "In C the most recent frame comes first, in Python's Traceback the oldest; grouping by line uses the most recent one"),
    pitfall!("pitfalls/22-cumulative.ron", "22: recursion counts twice", "Cumulative statistics credit every frame of a traceback, and one that stands there twice is credited twice"),
    pitfall!("pitfalls/23-stop.ron", "23: stop restores blindly", "stop() puts back the tables it saw at the start; hooks installed since are gone. A second start(n) changes nothing"),
    pitfall!("pitfalls/24-no-statistics.ron", "24: statistics disappear", "sys._debugmallocstats() looks at one function of OBJ. A wrapper there hides pymalloc, unless debug hooks are enabled below"),
    pitfall!("pitfalls/25-hook-sizes.ron", "25: not every hook call is an arena", "The arena hook also serves the 16 KiB chunks of interpreters' data stacks. Who counts its calls as arenas counts wrongly; the size tells them apart. And an arena goes back to the hook in force, not to its maker"),
    pitfall!("pitfalls/26-malloc-stats.ron", "26: PYTHONMALLOCSTATS=0 is on", "Any value but the empty one turns the reports on, 0 too. A report is printed before the arena that caused it exists, so the first one is all zeros"),
    pitfall!("pitfalls/27-interpreters.ron", "27: a block belongs to an interpreter", "Since 3.12 pymalloc's state is an interpreter's own, while tables, hooks and tracemalloc are the process's. A block freed in the wrong interpreter goes to the C library"),
    pitfall!("pitfalls/28-free-threaded.ron", "28: the free-threaded build", "Without a GIL MEM and OBJ are both mimalloc's, RAW from 3.15 on only, and PYTHONMALLOC=pymalloc ends the process at start-up"),
    pitfall!("pitfalls/29-radix.ron", "29: the radix tree", "tail_hi of -1 marks an arena that begins exactly at its window; a misaligned arena marks two windows. Nodes are never taken away"),
    pitfall!("pitfalls/30-failed-realloc.ron", "30: a realloc that fails", "When the layer below gives no memory, the old block must be as it was: data, size and trace"),
];

/// The bundled traces of one kind, with their place in [`EXAMPLES`].
pub(crate) fn of_kind(kind: Kind) -> impl Iterator<Item = (usize, &'static Example)> {
    EXAMPLES.iter().enumerate().filter(move |(_, e)| e.kind == kind)
}

/// The puzzle with an id, with its place in [`EXAMPLES`].
pub(crate) fn puzzle(id: &str) -> Option<(usize, &'static Example)> {
    of_kind(Kind::Puzzle).find(|(_, example)| example.puzzle_id() == Some(id))
}

/// The lesson of the course with an id, with its place in [`EXAMPLES`].
pub(crate) fn lesson(id: &str) -> Option<(usize, &'static Example)> {
    of_kind(Kind::Lesson).find(|(_, example)| example.lesson_id() == Some(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_example_opens() {
        for example in EXAMPLES {
            let file = example.file.rsplit('/').next().unwrap();
            let trace = trace_io::open(file, Box::new(std::io::Cursor::new(example.bytes)));
            let trace = trace.unwrap_or_else(|error| panic!("{file}: {error}"));
            assert_eq!(trace.is_lesson(), example.kind != Kind::Recording, "{file}");
            assert!(!trace.is_empty());
        }
    }

    #[test]
    fn menus_name_lessons_as_they_name_themselves() {
        for (_, example) in of_kind(Kind::Lesson).chain(of_kind(Kind::Scenario)) {
            let trace = trace_io::open(example.file, Box::new(std::io::Cursor::new(example.bytes))).unwrap();
            assert_eq!(trace.head.name, example.label);
        }
        let course: Vec<_> = of_kind(Kind::Lesson)
            .map(|(_, example)| {
                let text = std::str::from_utf8(example.bytes).unwrap();
                (example, trace_io::lesson::Lesson::parse(text).unwrap())
            })
            .collect();
        for (example, lesson) in &course {
            assert_eq!(example.minutes, Some(lesson.minutes), "{}", lesson.id);
            let number = |id: &String| course.iter().find(|(_, other)| other.id == *id).unwrap().1.number;
            let mut needs: Vec<u32> = lesson.needs.iter().map(number).collect();
            needs.sort_unstable();
            assert_eq!(example.needs, needs, "{}", lesson.id);
            assert!(needs.iter().all(|need| *need < lesson.number), "{} builds on a later one", lesson.id);
        }
        for (_, example) in of_kind(Kind::Python) {
            let text = std::str::from_utf8(example.bytes).unwrap();
            let lesson = trace_io::lesson::Lesson::parse(text).unwrap();
            assert!(example.goes_by(&lesson.id), "{}", lesson.id);
            assert!(example.label.starts_with(&lesson.name), "{}", lesson.name);
        }
        for (_, example) in of_kind(Kind::Puzzle) {
            let text = std::str::from_utf8(example.bytes).unwrap();
            let puzzle = trace_io::lesson::Puzzle::parse(text).unwrap();
            assert_eq!(example.puzzle_id(), Some(puzzle.id.as_str()));
            assert_eq!(example.label, puzzle.title());
        }
        let puzzles = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../traces/puzzles")).unwrap();
        assert_eq!(of_kind(Kind::Puzzle).count(), puzzles.count(), "each of them is in the index");
        assert_eq!(of_kind(Kind::Pitfall).count(), 30, "the window says how many there are");
        for (_, example) in of_kind(Kind::Pitfall) {
            let trace = trace_io::open(example.file, Box::new(std::io::Cursor::new(example.bytes))).unwrap();
            assert_eq!(trace.head.name, format!("Pitfall {}", example.label));
            assert_eq!(trace.head.description.trim_end_matches('.'), example.about);
        }
    }
}
