//! Traces that come with the program.

/// What a bundled trace is there for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// Explains something, step by step.
    Lesson,
    /// The same for what lies over and under pymalloc: tables, debug hooks, tracemalloc.
    Scenario,
    /// A run of a real program.
    Recording,
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
    /// The file.
    pub(crate) bytes: &'static [u8],
}

macro_rules! example {
    ($file:literal, $kind:ident, $label:literal, $about:literal) => {
        Example {
            file: $file,
            label: $label,
            about: $about,
            kind: Kind::$kind,
            bytes: include_bytes!(concat!("../../traces/", $file)),
        }
    };
}

/// All bundled traces; the first opens when nothing else is asked for.
#[rustfmt::skip]
pub(crate) const EXAMPLES: &[Example] = &[
    #[cfg(feature = "large-examples")]
    example!("tiny-script-3.11.ptrace.zst", Recording, "A small script under Python 3.11", "Start-up, a few imports and some work of a real interpreter: 126,631 operations, three arenas"),
    example!("tiny-script-3.14.ptrace.zst", Recording, "A small script under Python 3.14", "Start-up, a few imports and some work of a newer interpreter, which asks its allocator for less"),
    example!("lessons/1-first-blocks.ron", Lesson, "1 The first blocks", "How an arena, a pool and a block come to be, and which requests pymalloc does not serve"),
    example!("lessons/2-free-list.ron", Lesson, "2 The free list", "Why the block freed last is handed out first"),
    example!("lessons/3-full-pools.ron", Lesson, "3 A pool fills up", "What happens when a pool has no free block, and when it gets one back"),
    example!("lessons/4-emptied-pools.ron", Lesson, "4 Emptied pools", "How a pool without a used block changes hands"),
    example!("lessons/5-realloc.ron", Lesson, "5 Realloc: stay or move", "When a block stays and when it moves"),
    example!("lessons/6-arenas.ron", Lesson, "6 Which arena is given back", "Why freeing memory does not always give it back to the system"),
    example!("scenarios/1-layers.ron", Scenario, "1 A request passes the layers", "How 600 bytes become 648 on their way through debug hooks, pymalloc and RAW"),
    example!("scenarios/2-overrun.ron", Scenario, "2 An overrun is caught", "A byte too many, found when the block is freed, with CPython's own report"),
    example!("scenarios/3-use-after-free.ron", Scenario, "3 Use after free, free twice", "What freed memory looks like under debug hooks, and how a second free ends"),
    example!("scenarios/4-wrong-domain.ron", Scenario, "4 Freed through the wrong domain", "Why a block must go back through the family it came from"),
    example!("scenarios/5-own-tables.ron", Scenario, "5 Tables of one's own", "A counting table and a failing one, put over MEM by PyMem_SetAllocator"),
    example!("scenarios/6-tracemalloc.ron", Scenario, "6 tracemalloc and a leak that is none", "Who allocated what is live, and how a forgotten Untrack looks like a leak"),
];

/// The bundled traces of one kind, with their place in [`EXAMPLES`].
pub(crate) fn of_kind(kind: Kind) -> impl Iterator<Item = (usize, &'static Example)> {
    EXAMPLES.iter().enumerate().filter(move |(_, e)| e.kind == kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_example_opens() {
        for example in EXAMPLES {
            let file = example.file.rsplit('/').next().unwrap();
            let trace = trace_io::open(file, Box::new(std::io::Cursor::new(example.bytes))).unwrap();
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
    }
}
