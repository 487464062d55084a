//! The part of [`Engine`] that holds a quiz: the state of each question, and no step further.

use std::sync::Arc;

use sim_core::{Trace, TraceBuilder};
use trace_io::lesson::Quiz;

use crate::lesson::{Beat, Script, Walk, compile};
use crate::order::Order;
use crate::quiz::{QuizOrder, Sitting};

use super::Engine;
use super::lessons::{Of, Taught};

/// What a quiz is called as a lesson where it shows no question.
const NO_QUESTION: &str = "quiz";

impl Engine {
    /// Sits down to a quiz.
    pub(super) fn sit_down(&mut self, quiz: Quiz) {
        let name = quiz.name.clone();
        match Sitting::new(quiz) {
            Ok(sitting) => self.put(sitting),
            Err(why) => {
                self.error = Some(format!("the quiz \u{201c}{name}\u{201d} cannot be asked: {why}").into());
            }
        }
    }

    /// Does what somebody at a quiz orders.
    pub(super) fn at_quiz(&mut self, order: QuizOrder) {
        match self.taught.take() {
            Some(Taught { of: Of::Quiz(mut sitting), walk, elsewhere, directs }) => {
                if sitting.order(order) {
                    self.put(*sitting);
                } else {
                    self.taught = Some(Taught { of: Of::Quiz(sitting), walk, elsewhere, directs });
                }
            }
            other => self.taught = other,
        }
    }

    /// What an order means to somebody at a quiz: keys go from question to question, and what would show an answer before its time, or
    /// ask something else, waits until the quiz is left.
    pub(super) fn heeded(&mut self, order: Order) -> Option<Order> {
        if !matches!(&self.taught, Some(Taught { of: Of::Quiz(_), .. })) {
            return Some(order);
        }
        match order {
            Order::Beat(by) => Some(Order::Quiz(QuizOrder::Go(by))),
            Order::BeatAt(at) => Some(Order::Quiz(QuizOrder::GoTo(at))),
            Order::Answer(_) | Order::Again => None,
            // What would take the quiz away, answers and all, by a slip.
            Order::Fork | Order::Take(_) | Order::Program(_) | Order::Practise { .. } | Order::Profile(_) => {
                self.error = Some(
                    "the quiz goes on; hand it in and leave it first, or open another file".to_owned().into(),
                );
                None
            }
            other => Some(other),
        }
    }

    /// Shows the question of a quiz in its state, or nothing where there is none.
    fn put(&mut self, sitting: Sitting) {
        let profile = sitting.profile();
        let asked = sitting.question().and_then(|question| {
            let lesson = question.lesson(profile)?;
            Some(
                compile(&lesson, Some(&profile.name))
                    .map(|(trace, script)| begun(&question.lesson, &trace, script)),
            )
        });
        let (trace, walk) = match asked {
            Some(Err(error)) => {
                self.error = Some(crate::Trouble::reading(sitting.name(), &error));
                return;
            }
            Some(Ok(begun)) => begun,
            None => {
                let mut tape = TraceBuilder::new(sitting.name());
                let head = &mut tape.trace_mut().head;
                head.lesson = true;
                head.profile = Some(profile.name.clone());
                let (id, name) = (NO_QUESTION.to_owned(), sitting.name().to_owned());
                let beats = vec![Beat::default()];
                (tape.finish(), Walk::new(Script { id, name, beats, ..Script::default() }))
            }
        };
        self.show(Arc::new(trace), false);
        self.hint = None;
        self.taught = Some(Taught::quiz(sitting, walk));
        self.set_out();
    }
}

/// The tape as far as a question shows it, so that nobody walks on to its answer, and the beat that asks.
fn begun(name: &str, trace: &Trace, script: Script) -> (Trace, Walk) {
    let asks = script.beats.iter().position(|beat| beat.task.is_some()).unwrap_or(0);
    let shown = script.beats.get(asks).map_or(0, |beat| beat.step);
    let mut tape = TraceBuilder::new(name);
    tape.trace_mut().head = trace.head.clone();
    for op in (0..shown).filter_map(|index| trace.op(index)) {
        // What the whole tape took its beginning takes as well.
        let _ = tape.push(op);
    }
    let mut walk = Walk::new(script);
    walk.go_to(asks);
    (tape.finish(), walk)
}
