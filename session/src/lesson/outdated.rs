//! Numbers that old articles give otherwise: whoever has read one is to know that both can be right.

use sim_core::Profile;
use trace_io::lesson::text::{self, Written};

/// A number of a build, by the name that formulas have for it.
struct Number {
    name: &'static str,
    /// What it is in this build.
    now: fn(&Profile) -> u64,
    /// What it was, and what it is in builds of today that differ.
    then: u64,
    today: &'static [u64],
    sentence: &'static str,
}

const NUMBERS: [Number; 3] = [
    Number {
        name: "arena.size",
        now: |profile| profile.arena_size,
        then: 256 << 10,
        today: &[1 << 20, 2 << 20],
        sentence: "Old articles give an arena 256 KiB. That was so up to 3.9, and still is on 32 bits.",
    },
    Number {
        name: "pool.size",
        now: |profile| profile.pool_size,
        then: 4 << 10,
        today: &[16 << 10],
        sentence: "Old articles give a pool 4 KiB, one page of the system. That was so up to 3.9, and still is on 32 bits.",
    },
    Number {
        name: "alignment",
        now: |profile| profile.alignment,
        then: 8,
        today: &[16],
        sentence: "Old articles have 64 classes, 8 bytes apart. That was so up to 3.7, and still is on 32 bits.",
    },
];

/// What is to be said of the numbers in a text that differ from those of old articles; each once in a lesson, of which `told` keeps
/// count.
pub(super) fn remarks(written: &str, profile: &Profile, told: &mut Vec<&'static str>) -> Vec<String> {
    let mut remarks = Vec::new();
    // What cannot be read is a fault of its own.
    for piece in text::read(written).unwrap_or_default() {
        let Written::Number(.., formula) = piece else { continue };
        let number = NUMBERS.iter().find(|number| number.name == formula.trim());
        let Some(number) = number.filter(|number| !told.contains(&number.name)) else { continue };
        let now = (number.now)(profile);
        // A lesson's own settings are nobody's history.
        if now != number.then && number.today.contains(&now) {
            told.push(number.name);
            remarks.push(number.sentence.to_owned());
        }
    }
    remarks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_was_another_is_remarked_once() {
        let text =
            "An arena has {arena.size:bytes}, a pool {pool.size:bytes}, and {2*arena.size} is no size.";
        let said =
            |profile: &str, told: &mut Vec<_>| remarks(text, &Profile::named(profile).unwrap(), told).len();
        let mut told = Vec::new();
        assert_eq!(said("cpython-3.14", &mut told), 2);
        assert_eq!(said("cpython-3.14", &mut told), 0);
        assert_eq!(said("cpython-3.9", &mut Vec::new()), 0);
        assert_eq!(said("cpython-32bit", &mut Vec::new()), 0);
        let mut small = Profile::named("cpython-3.14").unwrap();
        small.arena_size = 64 << 10;
        assert_eq!(remarks("{arena.size}", &small, &mut Vec::new()), [""; 0]);
        assert_eq!(remarks("{alignment}", &small, &mut Vec::new()).len(), 1);
    }
}
