//! From lines to pictures: the text of `sys._debugmallocstats()` as terminals, logs, quotations and chats hand it on.

use crate::stats_text::{ClassRow, FreeList, StatsText};

/// The beginning of every picture with size classes.
pub(crate) const BEGINNING: &str = "Small block threshold = ";
/// The beginning where only the sums were copied.
const SUMS: &str = "# arenas allocated total";
/// More rows than any build prints.
const ROWS_MAX: usize = 4096;
/// Pictures that are kept; of more, every second one is let go, and again.
const PICTURES_MAX: usize = 4096;
/// A line as long as this holds several that were joined.
const JOINED_BYTES: usize = 256;

/// Takes lines and keeps what they show.
#[derive(Default)]
pub(crate) struct Pictures {
    earlier: Vec<StatsText>,
    now: StatsText,
    /// What stands before each line of the text.
    prefix: String,
    /// How often every second picture was let go: of those to come one in so many halves is kept.
    halved: u32,
}

impl Pictures {
    /// Takes a line.
    pub(crate) fn line(&mut self, line: &str) {
        if line.contains("\\n") {
            for part in line.split("\\n") {
                self.one(part);
            }
        } else if line.len() > JOINED_BYTES {
            for part in joined(line) {
                self.one(&part);
            }
        } else {
            self.one(line);
        }
    }

    /// The last picture, with the earlier ones.
    pub(crate) fn finish(&mut self) -> StatsText {
        StatsText { earlier: std::mem::take(&mut self.earlier), ..std::mem::take(&mut self.now) }
    }

    fn one(&mut self, line: &str) {
        if let Some(at) = line.find(BEGINNING) {
            self.begin(&line[..at]);
            let mut numbers = line[at..].split(|c: char| !c.is_ascii_digit()).filter(|w| !w.is_empty());
            self.now.threshold = numbers.next().and_then(|n| n.parse().ok()).unwrap_or(0);
            self.now.size_classes = numbers.next().and_then(|n| n.parse().ok()).unwrap_or(0);
            return;
        }
        if self.now.pictures == 0 {
            match begins_without_classes(line) {
                Some(at) => self.begin(&line[..at]),
                None => return,
            }
        }
        let line = after(&self.prefix, line).unwrap_or(line).trim();
        let now = &mut self.now;
        if now.classes.len() + now.numbers.len() + now.free_lists.len() >= ROWS_MAX {
        } else if let Some((name, value)) = named_number(line) {
            match free_list(name) {
                Some(list) => now.free_lists.push(list),
                None => now.numbers.push((name.to_owned(), value)),
            }
        } else if let Some(row) = class_row(line) {
            now.classes.push(row);
        }
    }

    fn begin(&mut self, prefix: &str) {
        prefix.trim_end().clone_into(&mut self.prefix);
        let pictures = self.now.pictures + 1;
        let before = std::mem::replace(&mut self.now, StatsText { pictures, ..StatsText::default() });
        let kept = |picture: &StatsText, halved: u32| (picture.pictures - 1).is_multiple_of(1 << halved);
        if before.pictures > 0 && kept(&before, self.halved) {
            self.earlier.push(before);
        }
        if self.earlier.len() >= PICTURES_MAX {
            self.halved += 1;
            self.earlier.retain(|picture| kept(picture, self.halved));
        }
    }
}

/// Whether the first bytes of a file have the beginning of a picture. What a program or a log writes may stand
/// before it in its line; a comment or a quotation of it is none.
pub(crate) fn is_in(head: &[u8]) -> bool {
    head.split(|&b| b == b'\n').any(|line| {
        let line = String::from_utf8_lossy(line);
        let at = line.find(BEGINNING).or_else(|| begins_without_classes(&line));
        at.is_some_and(|at| {
            // A text that was joined by `\n` may stand in quotation marks.
            let before = &line[..at];
            !before.contains('#') && (!before.contains('"') || line.contains("\\n"))
        })
    })
}

/// Where a text begins that has no size classes: with sums, or with free lists, which is all that there is while another
/// allocator stands in pymalloc's place.
fn begins_without_classes(line: &str) -> Option<usize> {
    if let Some(at) = line.find(SUMS) {
        return Some(at);
    }
    let at = line.find(" free Py")?;
    let count = line[..at].rfind(|c: char| !c.is_ascii_digit()).map_or(0, |before| before + 1);
    let (name, _) = named_number(&line[count..])?;
    free_list(name).map(|_| count)
}

/// What comes after the same prefix, in which numbers, such as times, may be others.
fn after<'a>(prefix: &str, line: &'a str) -> Option<&'a str> {
    let (mut prefix, mut rest) = (prefix, line);
    while let Some(first) = prefix.chars().next() {
        if first.is_ascii_digit() {
            let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
            let (expected, found) = (digits(prefix), digits(rest));
            if found == 0 {
                return None;
            }
            (prefix, rest) = (&prefix[expected..], &rest[found..]);
        } else {
            rest = rest.strip_prefix(first)?;
            prefix = &prefix[first.len_utf8()..];
        }
    }
    Some(rest)
}

/// The lines of a text that was joined by spaces.
fn joined(line: &str) -> Vec<String> {
    let (head, rest) = match line.find("classes.") {
        Some(at) => line.split_at(at + "classes.".len()),
        None => ("", line),
    };
    let mut lines = vec![head.to_owned()];
    let words: Vec<&str> = rest.split_whitespace().collect();
    let is_rule = |word: &&str| word.len() >= 3 && word.bytes().all(|b| b == b'-');
    let mut at = words.iter().rposition(is_rule).map_or(0, |last| last + 1);
    let is_number = |word: &&str| word.bytes().all(|b| b.is_ascii_digit());
    while words.len() >= at + 5 && words[at..at + 5].iter().all(is_number) {
        lines.push(words[at..at + 5].join(" "));
        at += 5;
    }
    let mut piece: Vec<&str> = Vec::new();
    for word in &words[at..] {
        piece.push(word);
        let after_sign = piece.len() > 1 && piece[piece.len() - 2].ends_with(['=', ':']);
        if after_sign && word.starts_with(|c: char| c.is_ascii_digit()) {
            lines.push(piece.join(" "));
            piece.clear();
        }
    }
    lines
}

/// `NAME = 1,234` or `NAME: 1234`.
fn named_number(line: &str) -> Option<(&str, u64)> {
    let (name, value) = line.rsplit_once('=').or_else(|| line.rsplit_once(':'))?;
    let (name, value) = (name.trim(), value.trim());
    let digits: String = value.chars().filter(|c| *c != ',').collect();
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    (plain && !name.is_empty()).then(|| Some((name, digits.parse().ok()?)))?
}

/// `6 free PyDictObjects * 48 bytes each`.
fn free_list(name: &str) -> Option<FreeList> {
    let (things, size) = name.strip_suffix(" bytes each")?.split_once(" * ")?;
    let (count, what) = things.split_once(' ')?;
    let what = what.strip_suffix('s').unwrap_or(what);
    Some(FreeList { name: what.to_owned(), count: count.parse().ok()?, size: size.parse().ok()? })
}

/// Five numbers and nothing else.
fn class_row(line: &str) -> Option<ClassRow> {
    let mut words = line.split_whitespace().map(|w| w.parse::<u64>().ok());
    let mut next = || words.next().flatten();
    let row = ClassRow { class: next()?, size: next()?, pools: next()?, in_use: next()?, available: next()? };
    words.next().is_none().then_some(row)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "Small block threshold = 512, in 32 size classes.\n\nclass   size   num pools   blocks in use  avail blocks\n\
        -----   ----   ---------   -------------  ------------\n    0     16           2             700          1334\n    \
        5     96           1              10           159\n\n# arenas allocated total           =                    1\n\
        1 arenas * 1048576 bytes/arena     =            1,048,576\n\n# bytes in allocated blocks        =               12,160\n\
        # bytes in available blocks        =               36,608\n60 unused pools * 16384 bytes      =              983,040\n\
        Total                              =            1,048,576\n\n           80 free PyListObjects * 40 bytes each =                3,200\n";

    fn read(text: &str) -> StatsText {
        let mut pictures = Pictures::default();
        text.lines().for_each(|line| pictures.line(line));
        pictures.finish()
    }

    #[test]
    fn a_text_is_known_however_it_was_handed_on() {
        let plain = read(TEXT);
        assert_eq!((plain.classes.len(), plain.bytes_in_use(), plain.bytes_held()), (2, 12_160, 1 << 20));
        let each = |before: &dyn Fn(usize) -> String| {
            TEXT.lines().enumerate().map(|(n, line)| before(n) + line + "\n").collect::<Vec<_>>().concat()
        };
        for (how, text) in [
            ("quoted", each(&|_| "> ".to_owned())),
            ("by compose", each(&|_| "web_1  | ".to_owned())),
            ("with times", each(&|n| format!("2026-11-27T09:59:{n:02}.{} stderr F ", n * 37))),
            ("a program's words", format!("12:00:01 INFO {TEXT}")),
            ("on one line", TEXT.split_whitespace().collect::<Vec<_>>().join(" ")),
            ("in JSON", format!("{{\"log\":\"{}\"}}", TEXT.replace('\n', "\\n"))),
        ] {
            assert!(is_in(text.as_bytes()), "{how}");
            assert_eq!(read(&text), plain, "{how}");
        }
    }

    #[test]
    fn a_part_of_it_is_known_too() {
        let at = TEXT.find("# arenas").unwrap_or_default();
        let sums = read(&TEXT[at..]);
        assert!(is_in(&TEXT.as_bytes()[at..]));
        assert_eq!((sums.classes.len(), sums.bytes_in_use(), sums.bytes_held()), (0, 12_160, 1 << 20));
        assert_eq!(sums.allocator(), Some("pymalloc"));
        assert_eq!(sums.doubts().len(), 1, "{:?}", sums.doubts());
        let at = TEXT.find("           80 free").unwrap_or_default();
        let lists = read(&TEXT[at..]);
        assert!(is_in(&TEXT.as_bytes()[at..]));
        assert_eq!((lists.allocator(), lists.free_lists.len()), (None, 1));
        for not in
            ["# Small block threshold = 512\n", "say \"Small block threshold = 1\"", "5 free seats = 3\n"]
        {
            assert!(!is_in(not.as_bytes()), "{not}");
        }
    }

    #[test]
    fn of_a_series_every_picture_can_be_had() {
        let series = read(&TEXT.repeat(5));
        assert_eq!(series.pictures, 5);
        assert_eq!(series.earlier.iter().map(|p| p.pictures).collect::<Vec<_>>(), [1, 2, 3, 4]);
        assert_eq!(series.earlier[2].classes, series.classes);
        let long = read(&TEXT.repeat(10_000));
        assert!(long.earlier.len() < PICTURES_MAX && long.earlier.len() > 2_000);
        assert_eq!((long.pictures, long.earlier[0].pictures, long.earlier[1].pictures), (10_000, 1, 5));
    }

    #[test]
    fn a_free_list_takes_whole_blocks_with_the_collectors_header() {
        let bytes = |name: &str, count, size| FreeList { name: name.to_owned(), count, size }.block_bytes();
        // Shown by a real 3.11.7: emptying it takes 5,120 bytes off the blocks in use.
        assert_eq!(bytes("free PyListObject", 80, 40), 5_120);
        assert_eq!(bytes("free PyFloatObject", 4, 24), 128);
        assert_eq!(bytes("free 1-sized PyTupleObject", 3, 32), 144);
    }
}
