//! The part of [`Engine`] that teaches: beats of a lesson, answers, and what they put in front.

use std::sync::Arc;

use sim_core::Profile;
use trace_io::lesson::{Lesson, Show};

use crate::lesson::{Answer, LessonView, Walk, compile};
use crate::practice::{build_for, question};
use crate::quiz::{QuizView, Sitting};
use crate::selection::{Level, Selection};
use crate::trouble::Trouble;

use super::Engine;

/// What is taught.
pub(super) enum Of {
    /// A lesson, or a question of practice.
    Lesson(Box<Lesson>),
    /// A quiz.
    Quiz(Box<Sitting>),
}

/// A lesson that is open.
pub(super) struct Taught {
    pub(super) of: Of,
    pub(super) walk: Walk,
    /// What to say where it does not hold under the profile.
    pub(super) elsewhere: Option<String>,
    /// Whether the beat is still to be put in front, once its step is reached.
    pub(super) directs: bool,
}

impl Taught {
    /// A quiz at one of its questions.
    pub(super) fn quiz(sitting: Sitting, walk: Walk) -> Self {
        Self { of: Of::Quiz(Box::new(sitting)), walk, elsewhere: None, directs: true }
    }

    /// What a front shows of it.
    pub(super) fn view(&self) -> Option<LessonView> {
        self.walk.view(self.elsewhere.clone())
    }

    /// The quiz that it is a question of.
    pub(super) fn quiz_view(&self) -> Option<QuizView> {
        match &self.of {
            Of::Quiz(sitting) => Some(sitting.view()),
            Of::Lesson(_) => None,
        }
    }

    /// Somebody went along the tape by hand: the beat that stands there holds.
    pub(super) fn follow(&mut self, step: u64) {
        // A question stays, wherever somebody looks.
        if matches!(self.of, Of::Quiz(_)) {
            return;
        }
        let beat = self.walk.beat_at(step);
        self.walk.go_to(beat);
    }
}

impl Engine {
    /// Begins a lesson, under its own profile or another one.
    pub(super) fn teach(&mut self, lesson: Lesson, preset: Option<&str>) {
        // Another profile keeps the place in the lesson.
        let at = self.taught.as_ref().map_or(0, |taught| taught.walk.at());
        let at = if preset.is_some() { at } else { 0 };
        match compile(&lesson, preset) {
            Err(error) => self.error = Some(Trouble::reading(&lesson.name, &error)),
            Ok((trace, script)) => {
                let elsewhere = lesson.profile(preset).ok().and_then(|profile| lesson.holds(&profile).err());
                self.show(Arc::new(trace), false);
                self.hint = None;
                let mut walk = Walk::new(script);
                walk.go_to(at);
                let of = Of::Lesson(Box::new(lesson));
                self.taught = Some(Taught { of, walk, elsewhere, directs: true });
                self.set_out();
            }
        }
    }

    /// Asks a fresh question on a lesson, under a preset or the one that is open.
    pub(super) fn practise(&mut self, lesson: &str, level: u8, seed: u64, preset: Option<String>) {
        let open = self.session.as_ref().map(|session| session.profile().name.clone());
        let named = |name: String| Profile::named(&name).ok();
        let profile = match preset.and_then(named) {
            Some(profile) => profile,
            None => build_for(lesson, open.and_then(named).unwrap_or_default()),
        };
        let question = question(lesson, level, seed, &profile).and_then(|question| question.lesson(&profile));
        match question {
            Some(question) => {
                let preset = question.profile.clone();
                self.taught = None;
                self.teach(question, preset.as_deref());
                // The state comes first, and then what is asked of it.
                self.beat(|walk| walk.go_to(1));
            }
            None => {
                self.error = Some(
                    format!(
                        "there are no questions on this lesson for {}; choose another profile",
                        profile.name
                    )
                    .into(),
                );
            }
        }
    }

    /// Changes where the lesson stands, and goes there.
    pub(super) fn beat(&mut self, change: impl FnOnce(&mut Walk) -> bool) {
        if let Some(taught) = &mut self.taught {
            change(&mut taught.walk);
            taught.directs = true;
            self.set_out();
        }
    }

    /// Takes an answer.
    pub(super) fn answer(&mut self, answer: Answer) {
        if let Some(taught) = &mut self.taught {
            taught.walk.answer(answer);
            self.set_out();
        }
    }

    /// Whether a click on the map is an answer.
    pub(super) fn asks_for_a_place(&self) -> bool {
        self.taught.as_ref().is_some_and(|taught| taught.walk.waits_for_a_place())
    }

    /// Sets out for the beat's step.
    pub(super) fn set_out(&mut self) {
        if let (Some(taught), Some(session)) = (&self.taught, &mut self.session) {
            session.playback.playing = false;
            session.seek(taught.walk.step());
        }
    }

    /// Puts what the beat is about in front, once its state is there.
    pub(super) fn direct(&mut self) {
        let (Some(taught), Some(session)) = (&mut self.taught, &self.session) else { return };
        if !taught.directs || session.travels() || session.step() != taught.walk.step() {
            return;
        }
        taught.directs = false;
        let Some(view) = taught.walk.view(None) else { return };
        let heap = session.heap();
        self.selection = Selection { fold: self.selection.fold, ..Selection::default() };
        if let Some(place) = view.beat.select.or_else(|| session.focus()) {
            self.selection.look_at(heap, place);
        }
        self.selection.pinned = view.beat.select;
        self.selection.level = match view.beat.show {
            Show::Pools => Level::Arena,
            Show::Blocks => Level::Pool,
            _ => Level::Heap,
        };
        self.selection.repair(heap);
        self.told.stale = true;
    }
}
