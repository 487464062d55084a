//! What is said of a trace: words of which some lead to where they can be seen, and questions that a person can ask next.
//!
//! The command line prints the words and names calls; a window has the words as links and asks by itself.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use sim_core::Addr;

use super::holders::Rule;
use super::key::Key;
use crate::at::At;

/// What shows a figure.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum To {
    /// The step itself, on the timeline.
    Step,
    /// Who holds, and the row of one group.
    Holders {
        /// What groups are made by.
        key: Key,
        /// How arenas are shared.
        rule: Rule,
        /// The group.
        name: Option<String>,
    },
    /// What bytes are used for.
    Waterfall,
    /// The arena that begins there, on the map.
    Arena(Addr),
    /// The process, of which there is a picture.
    Process,
}

/// Where a word leads: to a step, and to what shows the figure there.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Lead {
    /// Operations done.
    pub step: u64,
    /// What shows it.
    pub to: To,
}

/// Words, some of which lead somewhere.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Sentence {
    /// All of them.
    pub text: String,
    /// Parts of the text, as bytes in order, with where each leads.
    pub links: Vec<(Range<u32>, Lead)>,
}

impl Sentence {
    /// Adds words that lead nowhere.
    #[must_use]
    pub fn say(mut self, words: &str) -> Self {
        self.text.push_str(words);
        self
    }

    /// Adds words that lead somewhere.
    #[must_use]
    pub fn link(mut self, words: &str, step: u64, to: To) -> Self {
        let from = self.text.len() as u32;
        self.text.push_str(words);
        self.links.push((from..self.text.len() as u32, Lead { step, to }));
        self
    }

    /// The words in pieces, each with where it leads.
    pub fn pieces(&self) -> Vec<(&str, Option<&Lead>)> {
        let part = |from: u32, until: u32| self.text.get(from as usize..until as usize).unwrap_or_default();
        let mut pieces = Vec::new();
        let mut at = 0;
        for (range, lead) in &self.links {
            pieces.push((part(at, range.start), None));
            pieces.push((part(range.start, range.end), Some(lead)));
            at = range.end;
        }
        pieces.push((part(at, self.text.len() as u32), None));
        pieces.retain(|(words, _)| !words.is_empty());
        pieces
    }
}

impl From<String> for Sentence {
    fn from(text: String) -> Self {
        Self { text, links: Vec::new() }
    }
}

impl From<&str> for Sentence {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

/// Something to ask next.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Ask {
    /// Who holds the memory.
    Holders {
        /// When; at the end where nothing is said.
        at: Option<At>,
        /// What groups are made by; by what is usual where nothing is said.
        key: Option<Key>,
        /// How arenas are shared.
        rule: Rule,
    },
    /// What freeing a group gives back.
    Free(Key, String),
    /// What to free to get so many hundredths of what is held back.
    Want(u32),
    /// Figures of the calls.
    Stats,
}

impl Ask {
    /// The call of the command line, after `arenascope`, as a shell takes it.
    pub fn call(&self, file: &str) -> String {
        match self {
            Self::Holders { at, key, rule } => {
                let at =
                    at.as_ref().map_or_else(String::new, |at| format!(" --at {}", quoted(&at.to_string())));
                let key = key.map_or_else(String::new, |key| format!(" --by {}", key.name()));
                let rule =
                    if *rule == Rule::default() { String::new() } else { format!(" --rule {}", rule.name()) };
                format!("holders {}{at}{key}{rule}", quoted(file))
            }
            Self::Free(key, name) => {
                format!("forecast {} --free {}", quoted(file), quoted(&format!("{}={name}", key.name())))
            }
            Self::Want(percent) => format!("forecast {} --want {percent}%", quoted(file)),
            Self::Stats => format!("stats {}", quoted(file)),
        }
    }

    /// The same as something to do in a window, which may have no statistics of calls.
    pub fn words(&self) -> Option<String> {
        Some(match self {
            Self::Holders { at, key, .. } => {
                let when = match at {
                    Some(At::Peak) => "at the peak".to_owned(),
                    Some(At::Step(step)) => format!("at step {}", crate::format::grouped(*step)),
                    Some(At::Mark(name)) => format!("at the mark {name}"),
                    Some(At::Start) => "at the start".to_owned(),
                    Some(At::End) | None => "at the end".to_owned(),
                };
                let by = key.map_or_else(String::new, |key| format!(", by {}", key.words()));
                format!("See who holds the memory {when}{by}")
            }
            Self::Free(_, name) => format!("See what freeing {name} gives back"),
            Self::Want(percent) => format!("See what to free to get {percent} % of it back"),
            Self::Stats => return None,
        })
    }
}

/// A word as a shell takes it: as it is where it means nothing else to one.
fn quoted(word: &str) -> String {
    let plain = |c: char| {
        c.is_ascii_alphanumeric() || "_-./:,+@%=".contains(c) || !c.is_ascii() && c.is_alphanumeric()
    };
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_fall_into_those_that_lead_somewhere_and_the_others() {
        let to = To::Waterfall;
        let said = Sentence::default()
            .link("3 MiB", 7, to.clone())
            .say(" of ")
            .link("ä arenas", 9, to.clone())
            .say(".");
        assert_eq!(said.text, "3 MiB of ä arenas.");
        let pieces: Vec<_> =
            said.pieces().into_iter().map(|(words, lead)| (words, lead.map(|lead| lead.step))).collect();
        assert_eq!(pieces, [("3 MiB", Some(7)), (" of ", None), ("ä arenas", Some(9)), (".", None)]);
        assert_eq!(Sentence::from("plain").pieces(), [("plain", None)]);
    }

    #[test]
    fn calls_are_what_a_shell_takes_as_meant() {
        let free = Ask::Free(Key::Site(1), "it's FILE.py:7".to_owned());
        assert_eq!(free.call("my run.bin"), r"forecast 'my run.bin' --free 'site=it'\''s FILE.py:7'");
        let holders = Ask::Holders { at: Some(At::Peak), key: Some(Key::Site(1)), rule: Rule::Split };
        assert_eq!(holders.call("a.bin"), "holders a.bin --at peak --by site --rule split");
        let plain = Ask::Holders { at: None, key: None, rule: Rule::Sole };
        assert_eq!(plain.call("a.bin"), "holders a.bin");
        assert_eq!(Ask::Want(50).call("a.bin"), "forecast a.bin --want 50%");
    }
}
