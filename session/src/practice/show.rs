//! A question as a lesson of a few beats, so that windows show it as they show lessons.

use sim_core::{Profile, Trace};
use trace_io::TraceError;
use trace_io::lesson::{Answer as Offered, Ask, Lesson, Say, Step};

use super::asked::Asked;
use super::draft::calls;
use super::record::Staged;
use super::{Question, Task};
use crate::lesson::{self, Script, compile};

/// Lines of a program that are read out; longer ones are in the picture.
const LINES: usize = 12;

impl Question {
    /// The build that it runs on, with its own settings.
    pub fn build(&self, profile: &Profile) -> Option<Profile> {
        profile.clone().changed(&self.settings).ok()
    }

    /// As a lesson: the state, the question, what happens.
    pub fn lesson(&self, profile: &Profile) -> Option<Lesson> {
        let profile = self.build(profile)?;
        let staged = Staged::new(&self.program, &self.then, &profile).ok()?;
        let lines: Vec<String> = self.program.lines().map(str::to_owned).collect();
        let so_far = if lines.len() > LINES {
            format!("The program has made {} calls so far.", staged.shown)
        } else {
            format!("So far the program has done this: {}.", calls(&lines))
        };
        let say = |text: String, select: Option<String>| {
            Step::Say(Say { text, show: self.show, select, ..Say::default() })
        };
        let mut ask = Ask {
            text: self.text.clone(),
            show: self.show,
            select: self.select.clone(),
            options: Vec::new(),
            number: None,
            wrong: Vec::new(),
            click: None,
            now: false,
            when: None,
            line: None,
            because: self.because.join(" "),
        };
        match &self.task {
            Task::Choose { choices, .. } => {
                for choice in choices {
                    let is = self.asked.claim(&choice.answer, &staged, &profile)?;
                    ask.options.push(Offered { say: choice.text.clone(), is, m: choice.misconception });
                }
            }
            Task::Click { .. } => ask.click = Some(self.asked.click()?),
            Task::Number { wrong, .. } => {
                ask.number = self.asked.number(&staged);
                ask.wrong = wrong
                    .iter()
                    .filter_map(|wrong| Some((wrong.value.to_string(), wrong.misconception?)))
                    .collect();
            }
        }
        let mut steps = vec![Step::Run(self.program.clone()), say(so_far, self.select.clone())];
        if let Asked::Moves(name) = &self.asked {
            steps.push(Step::Keep("before".to_owned(), format!("place({name})")));
        }
        steps.push(Step::Ask(ask));
        steps.push(Step::Run(self.then.clone()));
        steps.push(say(self.because.join(" "), None));
        Some(Lesson {
            id: format!("practice-{}-{}-{}", self.lesson, self.level, self.seed),
            number: 0,
            name: "Practice".to_owned(),
            goal: self.text.clone(),
            minutes: 1,
            needs: vec![self.lesson.clone()],
            terms: Vec::new(),
            profile: Some(self.profile.clone()),
            malloc: None,
            settings: self.settings.iter().cloned().collect(),
            holds: None,
            source: None,
            steps,
        })
    }

    /// The lesson worked out, with the choices in the question's order; `None` where the build cannot have the question.
    pub fn script(&self, profile: &Profile) -> Option<Result<(Trace, Script), TraceError>> {
        let lesson = self.lesson(profile)?;
        Some(compile(&lesson, Some(&self.profile)).map(|(trace, mut script)| {
            self.reorder(&mut script);
            (trace, script)
        }))
    }

    /// A lesson puts its answers into an order of its own; here they have one already, which other data refers to.
    fn reorder(&self, script: &mut Script) {
        let Task::Choose { choices: ours, .. } = &self.task else { return };
        for beat in &mut script.beats {
            let Some(lesson::Task::Choose { choices, key, .. }) = &mut beat.task else { continue };
            let text = |choice: &lesson::Choice| lesson::words(&choice.text);
            let right = choices.get(*key).map(text);
            let place = |choice: &lesson::Choice| {
                let text = text(choice);
                ours.iter().position(|ours| ours.text.replace('`', "") == text)
            };
            choices.sort_by_key(place);
            *key = choices.iter().position(|choice| Some(text(choice)) == right).unwrap_or(*key);
        }
    }
}
