//! Questions whose key is a formula over the machine: worked out where a lesson's are, beside what people would reckon instead.

use sim_core::Profile;
use trace_io::lesson::{Lesson, Step};
use trace_io::program::Bounds;

use super::asked::{Answer, Asked};
use super::draft::{Belief, Draft};
use super::{Distractor, Found, told_of};
use crate::lesson::{Probe, misconception};

/// Works a draft out; nothing if it is no good question.
pub(super) fn found(
    draft: &Draft,
    program: &str,
    then: &str,
    profile: &Profile,
    settings: &[(String, String)],
) -> Option<Found> {
    let lesson = Lesson {
        id: String::new(),
        number: 0,
        name: String::new(),
        goal: String::new(),
        minutes: 1,
        needs: Vec::new(),
        terms: Vec::new(),
        profile: Some(profile.name.clone()),
        malloc: None,
        settings: settings.iter().cloned().collect(),
        holds: None,
        source: None,
        steps: vec![Step::Run(program.to_owned()), Step::Run(then.to_owned())],
    };
    let staged = lesson.stage(profile, Bounds::default()).ok()?;
    let (&[shown, all], trace) = (&staged.at[..], &staged.expanded.trace) else { return None };
    if shown == all {
        return None;
    }
    let mut probe = Probe::new(trace, profile)?;
    probe.go_to(shown);
    let early = probe.words(&draft.text);
    let before = match &draft.asked {
        Asked::Formula(formula, _) if !draft.late => probe.value(formula),
        _ => None,
    };
    probe.go_to(all);
    let text = if draft.late { probe.words(&draft.text)? } else { early? };
    let (answer, key, distractors) = match &draft.asked {
        Asked::Which(_) => statements(draft, &probe)?,
        Asked::Formula(formula, _) => {
            let key = probe.value(formula)?;
            // A picture that has it already leaves nothing to say, and so does a trap that nobody falls into.
            let trap = draft.trap.as_ref().and_then(|trap| probe.value(trap));
            if before == Some(key) || trap == Some(key) {
                return None;
            }
            (Answer::Number(key), draft.asked.number_words(key), numbers(draft, &probe, key))
        }
        _ => return None,
    };
    let mut because: Vec<String> = draft.why.iter().filter_map(|why| probe.words(why)).collect();
    if draft.told {
        because.extend(probe.sentences().into_iter().map(|sentence| told_of(&sentence)));
    }
    Some(Found { answer, key, text, distractors, because, seen: false })
}

/// The statement that is true, and the others; nothing unless it is one.
fn statements(draft: &Draft, probe: &Probe<'_>) -> Option<(Answer, String, Vec<Distractor>)> {
    let Asked::Which(all) = &draft.asked else { return None };
    let mut key = None;
    let mut others: Vec<Distractor> = Vec::new();
    for one in all {
        if probe.value(&one.is)? != 0 {
            if key.replace(one.say.clone()).is_some() {
                return None;
            }
        } else if others.iter().all(|other| other.text != one.say) {
            others.push(Distractor {
                answer: Answer::Said(one.say.clone()),
                text: one.say.clone(),
                misconception: one.misconception,
                differs: String::new(),
                needed: false,
            });
        }
    }
    let key = key?;
    if others.iter().any(|other| other.text == key) {
        return None;
    }
    for other in &mut others {
        other.differs = match other.misconception.and_then(misconception) {
            Some(row) => format!("Whoever says so believes that {}; it is: {key}.", row.belief),
            None => format!("It is: {key}."),
        };
    }
    Some((Answer::Said(key.clone()), key, others))
}

/// What is reckoned instead of the key.
fn numbers(draft: &Draft, probe: &Probe<'_>, key: i64) -> Vec<Distractor> {
    let said = draft.asked.number_words(key);
    let mut others: Vec<Distractor> = Vec::new();
    for reckoned in &draft.reckoned {
        let Some(value) = probe.value(&reckoned.formula).filter(|&value| value >= 0 && value != key) else {
            continue;
        };
        let text = draft.asked.number_words(value);
        if others.iter().any(|other| other.text == text) {
            continue;
        }
        let (number, belief) = match reckoned.belief {
            Belief::M(number) => (Some(number), misconception(number).map_or("", |row| row.belief)),
            Belief::That(belief) => (None, belief),
        };
        others.push(Distractor {
            answer: Answer::Number(value),
            misconception: number,
            differs: format!("Whoever believes that {belief} says {text}; it is {said}."),
            text,
            needed: false,
        });
    }
    others
}
