//! Traces that come with the program.

/// A bundled trace.
pub(crate) struct Example {
    /// File name.
    pub(crate) file: &'static str,
    /// What the menu says.
    pub(crate) label: &'static str,
    /// One sentence on what it shows.
    pub(crate) about: &'static str,
    /// Whether it was written to explain something, step by step.
    pub(crate) lesson: bool,
    /// The file.
    pub(crate) bytes: &'static [u8],
}

macro_rules! example {
    ($file:literal, lesson: $lesson:literal, $label:literal, $about:literal) => {
        Example {
            file: $file,
            label: $label,
            about: $about,
            lesson: $lesson,
            bytes: include_bytes!(concat!("../../traces/", $file)),
        }
    };
}

/// All bundled traces; the first opens when nothing else is asked for.
#[rustfmt::skip]
pub(crate) const EXAMPLES: &[Example] = &[
    #[cfg(feature = "large-examples")]
    example!("tiny-script-3.11.ptrace.zst", lesson: false, "A small script under Python 3.11", "Start-up, a few imports and some work of a real interpreter: 126,631 operations, three arenas"),
    example!("tiny-script-3.14.ptrace.zst", lesson: false, "A small script under Python 3.14", "Start-up, a few imports and some work of a newer interpreter, which asks its allocator for less"),
    example!("lessons/1-first-blocks.ron", lesson: true, "1 The first blocks", "How an arena, a pool and a block come to be, and which requests pymalloc does not serve"),
    example!("lessons/2-free-list.ron", lesson: true, "2 The free list", "Why the block freed last is handed out first"),
    example!("lessons/3-full-pools.ron", lesson: true, "3 A pool fills up", "What happens when a pool has no free block, and when it gets one back"),
    example!("lessons/4-emptied-pools.ron", lesson: true, "4 Emptied pools", "How a pool without a used block changes hands"),
    example!("lessons/5-realloc.ron", lesson: true, "5 Realloc: stay or move", "When a block stays and when it moves"),
    example!("lessons/6-arenas.ron", lesson: true, "6 Which arena is given back", "Why freeing memory does not always give it back to the system"),
];

/// The bundled traces of one kind, with their place in [`EXAMPLES`].
pub(crate) fn of_kind(lesson: bool) -> impl Iterator<Item = (usize, &'static Example)> {
    EXAMPLES.iter().enumerate().filter(move |(_, e)| e.lesson == lesson)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_example_opens() {
        for example in EXAMPLES {
            let file = example.file.rsplit('/').next().unwrap();
            let trace = trace_io::open(file, Box::new(std::io::Cursor::new(example.bytes))).unwrap();
            assert_eq!(trace.len() < crate::session::LESSON_OPERATIONS, example.lesson, "{file}");
            assert!(!trace.is_empty());
        }
    }

    #[test]
    fn menus_name_lessons_as_they_name_themselves() {
        for (_, example) in of_kind(true) {
            let trace = trace_io::open(example.file, Box::new(std::io::Cursor::new(example.bytes))).unwrap();
            assert_eq!(trace.name, example.label);
        }
    }
}
