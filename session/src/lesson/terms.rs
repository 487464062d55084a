//! Whether a lesson explains the terms that it says it explains.

use std::collections::BTreeSet;

use trace_io::lesson::{Lesson, Step, text};

use super::glossary::definition;

/// What is wrong with the terms of a lesson: those that it explains are the glossary's for it and stand in its texts, and
/// no text links one that the glossary does not have.
pub(super) fn faults(lesson: &Lesson) -> Vec<String> {
    let mut linked: BTreeSet<String> = BTreeSet::new();
    let mut faults = Vec::new();
    for step in &lesson.steps {
        let texts: Vec<&str> = match step {
            Step::Say(say) => {
                std::iter::once(&say.text).chain(say.variants.iter().map(|v| &v.text)).map(|t| &**t).collect()
            }
            Step::Ask(ask) => vec![&ask.text, &ask.because],
            Step::Play(play) => vec![&play.text],
            Step::Run(_) | Step::Keep(..) => Vec::new(),
        };
        // What cannot be read is a fault of its own when the beat is worked out.
        for written in texts.into_iter().filter_map(|text| text::read(text).ok()).flatten() {
            if let text::Written::Term(term, _) = written {
                linked.insert(term);
            }
        }
    }
    for term in linked.iter().filter(|term| definition(term).is_none()) {
        faults.push(format!("`[[{term}]]`: the glossary has no such term"));
    }
    for term in &lesson.terms {
        match definition(term) {
            Some(entry) if entry.lesson != lesson.id => {
                faults.push(format!("terms: `{term}`: the glossary has it for the lesson {}", entry.lesson));
            }
            Some(_) if linked.contains(term) => {}
            Some(_) => faults.push(format!("terms: `{term}`: no text of the lesson links it")),
            None => faults.push(format!("terms: `{term}`: the glossary has no such term")),
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_are_the_glossarys_and_are_linked() {
        let lesson = |terms: &str, text: &str| {
            let text = format!(
                "Lesson(id: \"big\", name: \"t\", goal: \"t\", minutes: 1, terms: {terms}, steps: [say(text: \"{text}\")])"
            );
            faults(&Lesson::parse(&text).unwrap())
        };
        assert_eq!(lesson("[\"threshold\"]", "The [[threshold|limit]] of a [[pool]]."), [""; 0]);
        assert!(lesson("[]", "The [[limit]].")[0].contains("[[limit]]"));
        assert!(lesson("[\"threshold\"]", "The threshold.")[0].contains("no text"));
        assert!(lesson("[\"pool\"]", "A [[pool]].")[0].contains("first-block"));
        assert!(lesson("[\"pol\"]", "A pool.")[0].contains("no such term"));
    }
}
