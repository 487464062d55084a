//! The build that a version of Python has.

use std::fmt;

use super::{DEFAULT_PRESET, Profile};

/// The rules for a version of Python.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ForPython {
    /// The preset that has them, not changed yet.
    pub profile: Profile,
    /// Why they may not be that version's.
    pub doubt: Option<VersionDoubt>,
}

/// Why rules may not be those of a version. Its text is half a sentence.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum VersionDoubt {
    /// They are those of a neighbour, which nobody has compared with this version.
    Unverified {
        /// As it was asked for.
        version: String,
        /// The version whose rules they are.
        rules: &'static str,
    },
    /// Nothing is known of this version.
    Unknown {
        /// As it was asked for.
        version: String,
        /// The preset that is taken instead.
        instead: &'static str,
    },
}

impl fmt::Display for VersionDoubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unverified { version, rules } => {
                write!(f, "Python {version} has {rules}'s rules here, not verified")
            }
            Self::Unknown { version, instead } => {
                write!(f, "no rules are known for Python {version}, {instead} is taken instead")
            }
        }
    }
}

impl Profile {
    /// The rules for a version as Python writes it: `3.13`, `3.14.4`, and `3.13t` for a free-threaded build. Those
    /// from 3.8 to 3.16 are known; any other gets the nearest, and it is said which.
    pub fn for_python(version: &str) -> ForPython {
        let (name, doubt) = rules(version.trim());
        // Every name below is a preset; a test goes through them.
        let profile = Self::named(name).unwrap_or_default();
        ForPython { profile, doubt }
    }
}

fn rules(version: &str) -> (&'static str, Option<VersionDoubt>) {
    let exact = |name| (name, None);
    let unverified =
        |name, rules| (name, Some(VersionDoubt::Unverified { version: version.to_owned(), rules }));
    let unknown = |name| (name, Some(VersionDoubt::Unknown { version: version.to_owned(), instead: name }));
    let free_threaded = version.ends_with('t');
    let mut numbers = version.split('.').map(|part| {
        let digits = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
        part[..digits].parse::<u32>().ok()
    });
    let (Some(Some(3)), Some(Some(minor))) = (numbers.next(), numbers.next()) else {
        return unknown(DEFAULT_PRESET);
    };
    let patch = numbers.next().flatten();
    match (minor, free_threaded) {
        (..8, _) => unknown("cpython-3.8"),
        (8, false) => exact("cpython-3.8"),
        (9, false) => exact("cpython-3.9"),
        (10, false) => exact("cpython-3.10"),
        (11, false) => exact("cpython-3.11"),
        (12, false) => exact("cpython-3.12"),
        (13, false) => exact("cpython-3.13"),
        (14, false) => exact("cpython-3.14"),
        (15, false) => exact("cpython-3.15"),
        (16, false) => unverified("cpython-3.15", "3.15"),
        (_, false) => unknown("cpython-3.15"),
        // Free-threaded builds begin with 3.13.
        (8..13, true) => unknown("cpython-3.13t"),
        (13, true) => exact("cpython-3.13t"),
        (14, true) => match patch {
            Some(0..4) => unverified("cpython-3.14.4t", "3.14.4t"),
            Some(4..10) => exact("cpython-3.14.4t"),
            _ => exact("cpython-3.14t"),
        },
        (15, true) => exact("cpython-3.15t"),
        (16, true) => unverified("cpython-3.15t", "3.15t"),
        (_, true) => unknown("cpython-3.15t"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_version_has_its_rules_or_says_whose() {
        for (version, name, doubt) in [
            ("3.8", "cpython-3.8", ""),
            ("3.9.18", "cpython-3.9", ""),
            ("3.10", "cpython-3.10", ""),
            ("3.11.7", "cpython-3.11", ""),
            ("3.12", "cpython-3.12", ""),
            ("3.13.0rc1", "cpython-3.13", ""),
            ("3.13t", "cpython-3.13t", ""),
            ("3.14", "cpython-3.14", ""),
            ("3.14.4", "cpython-3.14", ""),
            ("3.14.4t", "cpython-3.14.4t", ""),
            ("3.14.10t", "cpython-3.14t", ""),
            ("3.14t", "cpython-3.14t", ""),
            ("3.15", "cpython-3.15", ""),
            ("3.15t", "cpython-3.15t", ""),
            ("3.14.1t", "cpython-3.14.4t", "Python 3.14.1t has 3.14.4t's rules here, not verified"),
            ("3.16", "cpython-3.15", "Python 3.16 has 3.15's rules here, not verified"),
            ("3.16t", "cpython-3.15t", "Python 3.16t has 3.15t's rules here, not verified"),
            ("3.7", "cpython-3.8", "no rules are known for Python 3.7, cpython-3.8 is taken instead"),
            ("3.17", "cpython-3.15", "no rules are known for Python 3.17, cpython-3.15 is taken instead"),
            ("2.7", "cpython-3.14", "no rules are known for Python 2.7, cpython-3.14 is taken instead"),
            ("", "cpython-3.14", "no rules are known for Python , cpython-3.14 is taken instead"),
        ] {
            let rules = Profile::for_python(version);
            assert_eq!(rules.profile.name, name, "{version}");
            assert_eq!(rules.doubt.map(|d| d.to_string()).unwrap_or_default(), doubt, "{version}");
        }
    }

    #[test]
    fn presets_are_in_order_and_say_what_they_can() {
        let numbers: Vec<Vec<u32>> = super::super::PRESETS
            .iter()
            .filter_map(|(name, _)| name.strip_prefix("cpython-3."))
            .map(|n| n.split(['.', 't', '-']).filter_map(|n| n.parse().ok()).take(1).collect())
            .collect();
        assert!(numbers.len() == 13 && numbers.is_sorted(), "{numbers:?}");
        for (name, _) in super::super::PRESETS {
            let profile = Profile::named(name).unwrap();
            assert!(profile.validate().is_ok() && profile.name == *name);
            let old = ["cpython-3.8", "cpython-3.9", "cpython-3.10", "cpython-3.11"].contains(name);
            assert_eq!(profile.interpreter_states, !old, "{name}");
        }
        assert_eq!(Profile::default(), Profile::named(DEFAULT_PRESET).unwrap());
    }
}
