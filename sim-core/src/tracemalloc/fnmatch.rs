//! `fnmatch.fnmatchcase()`: the shell patterns of filters.
//!
//! Source: `Lib/fnmatch.py`, 3.10 and later. `CPython` turns a pattern into a regular expression; what a
//! class in brackets means is what that expression's class means, which is stranger than the
//! documentation says: ranges that run backwards vanish, and may leave a `!` in front that negates.

/// One step of a pattern.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Part {
    /// `*`: any text.
    Star,
    /// `?`: any character.
    Any,
    /// A class. An empty one accepts nothing, or everything if negated.
    Class { negated: bool, ranges: Vec<(char, char)> },
    /// A character that means itself.
    Literal(char),
}

impl Part {
    fn accepts(&self, c: char) -> bool {
        match self {
            Self::Star => false,
            Self::Any => true,
            Self::Class { negated, ranges } => {
                ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) != *negated
            }
            Self::Literal(own) => *own == c,
        }
    }
}

/// A pattern, ready to be matched. `*` is any text, `?` any character, `[seq]` and `[!seq]` a character
/// in a class or not; everything else, a bracket that is not closed included, means itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pattern {
    parts: Vec<Part>,
}

impl Pattern {
    /// Compiles a pattern; every text is one.
    #[must_use]
    pub fn new(pattern: &str) -> Self {
        let pattern: Vec<char> = pattern.chars().collect();
        let mut parts = Vec::new();
        let mut i = 0;
        while let Some(&c) = pattern.get(i) {
            i += 1;
            parts.push(match c {
                '*' if parts.last() == Some(&Part::Star) => continue,
                '*' => Part::Star,
                '?' => Part::Any,
                '[' => match class_end(&pattern, i) {
                    Some(end) => {
                        let stuff = &pattern[i..end];
                        i = end + 1;
                        class(stuff)
                    }
                    None => Part::Literal('['),
                },
                c => Part::Literal(c),
            });
        }
        Self { parts }
    }

    /// Whether the whole name matches. A period or slash is nothing special.
    pub fn matches(&self, name: &str) -> bool {
        let mut rest = name.chars();
        let mut part = 0;
        // Where to go on when a later part fails: the last star takes one character more. Earlier stars
        // need not be tried again, as the last one can take whatever they would.
        let mut retry: Option<(usize, std::str::Chars<'_>)> = None;
        loop {
            if self.parts.get(part) == Some(&Part::Star) {
                part += 1;
                retry = Some((part, rest.clone()));
                continue;
            }
            match (self.parts.get(part), rest.clone().next()) {
                (None, None) => return true,
                (Some(expected), Some(c)) if expected.accepts(c) => {
                    rest.next();
                    part += 1;
                }
                _ => {
                    let Some((after_star, from)) = &mut retry else { return false };
                    if from.next().is_none() {
                        return false;
                    }
                    (part, rest) = (*after_star, from.clone());
                }
            }
        }
    }
}

/// The index of the bracket that closes a class whose contents begin at `start`. A bracket in first
/// place, or after `!` in first place, is a member.
fn class_end(pattern: &[char], start: usize) -> Option<usize> {
    let mut from = start;
    for member in ['!', ']'] {
        if pattern.get(from) == Some(&member) {
            from += 1;
        }
    }
    (from..pattern.len()).find(|&i| pattern[i] == ']')
}

/// The class of what stands between the brackets, at least one character.
fn class(stuff: &[char]) -> Part {
    let mut chunks = chunks(stuff);
    // A range that runs backwards is empty: its ends go, and the chunks around it become one.
    for k in (1..chunks.len()).rev() {
        if let (Some(low), Some(high)) = (chunks[k - 1].last(), chunks[k].first())
            && low > high
        {
            let tail = chunks.remove(k);
            chunks[k - 1].pop();
            chunks[k - 1].extend(&tail[1..]);
        }
    }
    let negated = chunks[0].first() == Some(&'!');
    if negated {
        chunks[0].remove(0);
    }
    let mut ranges = Vec::new();
    for (k, chunk) in chunks.iter().enumerate() {
        // A range joins the last character of a chunk with the first of the next. Where taking `!` away
        // left nothing to begin it, the hyphen is a character like others.
        let begins_range = |k: usize| k + 1 < chunks.len() && !chunks[k].is_empty();
        let first = usize::from(k > 0 && begins_range(k - 1));
        let last = chunk.len() - usize::from(begins_range(k));
        ranges.extend(chunk.get(first..last).unwrap_or_default().iter().map(|c| (*c, *c)));
        if let Some(next) = chunks.get(k + 1) {
            ranges.push(match (chunk.last(), next.first()) {
                (Some(low), Some(high)) => (*low, *high),
                _ => ('-', '-'),
            });
        }
    }
    Part::Class { negated, ranges }
}

/// The parts between the hyphens that make ranges. A hyphen makes none in first place, after `!` in first
/// place, in last place, and in the two places after the hyphen of a range.
fn chunks(stuff: &[char]) -> Vec<Vec<char>> {
    let mut chunks: Vec<Vec<char>> = Vec::new();
    let mut begin = 0;
    let mut from = if stuff.first() == Some(&'!') { 2 } else { 1 };
    while let Some(hyphen) = (from..stuff.len()).find(|&i| stuff[i] == '-') {
        chunks.push(stuff[begin..hyphen].to_vec());
        begin = hyphen + 1;
        from = hyphen + 3;
    }
    match chunks.last_mut() {
        Some(last) if begin == stuff.len() => last.push('-'),
        _ => chunks.push(stuff[begin..].to_vec()),
    }
    chunks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, yes: &[&str], no: &[&str]) {
        let compiled = Pattern::new(pattern);
        for name in yes {
            assert!(compiled.matches(name), "{pattern:?} should match {name:?}");
        }
        for name in no {
            assert!(!compiled.matches(name), "{pattern:?} should not match {name:?}");
        }
    }

    #[test]
    fn stars_and_question_marks() {
        check("", &[""], &["a"]);
        check("*", &["", "a/b.py", ".x\n"], &[]);
        check("**.py", &[".py", "a/b.py"], &["a.pyc"]);
        check("a?c", &["abc", "a\u{1f40d}c", "a/c"], &["ac", "abbc"]);
        check("*ab*ab", &["abab", "xabyab", "ababab"], &["ab", "abxabx"]);
    }

    #[test]
    fn classes() {
        check("[ab]", &["a", "b"], &["c", "", "ab"]);
        check("[!ab]", &["c", "\n"], &["a", ""]);
        check("[a-c]x", &["bx"], &["dx", "-x"]);
        check("[]a]", &["]", "a"], &["b"]);
        check("[!]a]", &["b"], &["]", "a"]);
        check("[a-]", &["a", "-"], &["b"]);
        check("[-a]", &["a", "-"], &["b"]);
        check("[!-a]", &["!"], &["a", "-"]);
        check("[^a]", &["^", "a"], &["b"]);
        check("[\\]", &["\\"], &["a"]);
        check("[a-c-e]", &["b", "-", "e"], &["d"]);
    }

    #[test]
    fn open_brackets_mean_themselves() {
        check("[a", &["[a"], &["a"]);
        check("[!]", &["[!]"], &["a"]);
        check("[]", &["[]"], &[""]);
    }

    #[test]
    fn backward_ranges_vanish() {
        check("[b-a]", &[], &["a", "b", "-", ""]);
        check("[!b-a]", &["a", "b", "-"], &[""]);
        check("[xb-ay]", &["x", "y"], &["a", "b", "-"]);
        // What is left of these begins with an exclamation mark, which then negates.
        check("[z-a!x]", &["!", "z"], &["x"]);
        check("[z-a!-b]", &["!", "a"], &["-", "b"]);
    }
}
