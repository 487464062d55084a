//! The part of [`State`] that is about lessons, puzzles, the playground and links to them.

use session::Opened;
use session::lesson::Point;
use session::link::{Link, What};
use session::order::Order;
use session::puzzle::PuzzleView;
use session::view::program::PLAYGROUND;

use super::{Extent, State};
use crate::examples::{EXAMPLES, Kind, OPENING, of_kind, puzzle};
use crate::layout::{Layout, Pane};
use crate::progress::Practice;

impl State {
    /// Lays the window out for a lesson that was opened, brings what its beat shows to the front, and gives the layout
    /// back afterwards.
    pub(crate) fn lay_out(&mut self) {
        let lesson = self.shown.picture.as_ref().and_then(|picture| picture.lesson.as_ref());
        let quiz = self.shown.picture.as_ref().is_some_and(|picture| picture.quiz.is_some());
        // The scene of the beginning has a layout of its own.
        let lesson = lesson.filter(|lesson| lesson.id != OPENING);
        let puzzle = self.puzzle().map(|puzzle| puzzle_key(&puzzle.id));
        let played = self.shown.head.as_ref().is_some_and(|head| head.name == PLAYGROUND);
        let posed = lesson.is_none() && puzzle.is_some();
        let now = match (lesson, puzzle) {
            (Some(lesson), _) => Some((lesson.id.clone(), lesson.at)),
            (None, Some(puzzle)) => Some((puzzle, 0)),
            (None, None) if self.playing && played => Some((PLAYGROUND.to_owned(), 0)),
            (None, None) => None,
        };
        let narrow = Layout::is_narrow(self.width);
        if let Some(wide) = self.wide.take_if(|_| !narrow && self.before_lesson.is_none()) {
            self.layout = wide;
        }
        let recording = now.is_none() && self.shown.head.as_ref().is_some_and(|head| head.recording);
        if narrow && recording && self.wide.is_none() && self.before_lesson.is_none() {
            self.wide = Some(std::mem::replace(&mut self.layout, Layout::phone()));
        }
        if now == self.beat && (now.is_none() || narrow == self.narrow) {
            return;
        }
        if now.is_some() {
            let laid_out = if posed { Layout::puzzle } else { Layout::lesson };
            if self.before_lesson.is_none() {
                self.before_lesson = Some(std::mem::replace(&mut self.layout, laid_out(narrow)));
            } else if narrow != self.narrow || posed != self.posed {
                self.layout = laid_out(narrow);
            }
            (self.narrow, self.posed) = (narrow, posed);
        }
        if let Some(lesson) = lesson {
            self.playing = false;
            if Practice::of(&lesson.id).is_none() && !quiz {
                self.progress.reach(&lesson.id, lesson.at, lesson.len);
            }
            let field = lesson.beat.point.iter().any(|point| matches!(point, Point::Field(_)));
            if !narrow {
                self.layout.show(if field { Pane::Inspector } else { Pane::Narration });
            }
            self.layout.show(Pane::of(lesson.beat.show));
            self.layout.show(Pane::Learn);
        } else if now.is_some() {
            self.layout.show(Pane::Playground);
        } else if let Some(before) = self.before_lesson.take() {
            self.playing = false;
            self.layout = before;
        }
        self.beat = now;
        self.follow_link();
    }

    /// The puzzle that is open, as long as its trace is the one shown.
    fn puzzle(&self) -> Option<&PuzzleView> {
        let (head, played) = (self.shown.head.as_ref()?, self.shown.status.played.as_ref()?);
        played.puzzle.as_deref().filter(|_| played.is(&head.name))
    }

    /// Whether the window is laid out for a puzzle.
    pub(crate) fn posed(&self) -> bool {
        self.posed && self.beat.is_some()
    }

    /// Keeps the score of a puzzle that is solved.
    pub(super) fn keep_score(&mut self) {
        let solved = self.puzzle().filter(|puzzle| puzzle.standing.solved() && puzzle.elsewhere.is_none());
        if let Some((id, score, more)) =
            solved.and_then(|puzzle| Some((puzzle.id.clone(), puzzle.score?, puzzle.more)))
        {
            self.progress.solve(&id, score, more);
        }
    }

    /// Gives the layout back, with the index of puzzles in front.
    pub(super) fn leave_puzzle(&mut self) {
        self.order(Order::LeavePuzzle);
        self.playing = false;
        if let Some(before) = &mut self.before_lesson {
            before.show(Pane::Learn);
        }
    }

    pub(super) fn next_puzzle(&mut self) {
        let here = self.puzzle().map(|puzzle| puzzle.id.clone());
        let mut puzzles =
            of_kind(Kind::Puzzle).skip_while(|(_, example)| example.puzzle_id() != here.as_deref());
        match puzzles.nth(1) {
            Some((index, _)) => self.open_example(index),
            None => self.leave_puzzle(),
        }
    }

    /// What is kept of the layout: never that of a lesson.
    pub(crate) fn kept_layout(&mut self) -> &mut Layout {
        match (&mut self.wide, &mut self.before_lesson) {
            (Some(layout), _) | (None, Some(layout)) => layout,
            (None, None) => &mut self.layout,
        }
    }

    /// Does what a link says: a lesson at a beat, or a program.
    pub(crate) fn open_link(&mut self, fragment: &str) {
        let link = match Link::parse(fragment) {
            Ok(link) => link,
            Err(why) => {
                self.error = Some(why);
                return;
            }
        };
        self.parts.clone_from(&link.panes);
        if link.embed {
            self.extent = Extent::Embed;
        } else if link.present {
            self.extent = Extent::Present;
        }
        match &link.what {
            What::Nothing => {}
            What::Lesson { id, .. } => {
                if let Some((practice, seed)) = Practice::with_seed(id) {
                    let (lesson, level) = (practice.lesson.to_owned(), practice.level);
                    self.order(Order::Practise { lesson, level, seed, profile: link.profile });
                    return;
                }
                match EXAMPLES.iter().position(|example| example.goes_by(id)) {
                    Some(index) => {
                        self.open_example(index);
                        self.waiting = Some(link);
                    }
                    None => {
                        self.error = Some(format!(
                            "the link asks for the lesson `{id}`, which this version does not have"
                        ));
                    }
                }
            }
            What::Puzzle { id, .. } => match puzzle(id) {
                Some((index, _)) => {
                    self.open_example(index);
                    self.waiting = Some(link);
                }
                None => {
                    self.error = Some(format!(
                        "the link asks for the puzzle `{id}`, which this version does not have"
                    ));
                }
            },
            What::Quiz(text) => self.open(Opened::bytes("quiz.ron", text.clone().into_bytes())),
            What::Program(text) => {
                self.playing = true;
                self.order(Order::LeavePuzzle);
                self.order(Order::Take(text.clone()));
                if let Some(profile) = &link.profile {
                    self.order(Order::Profile(profile.clone()));
                }
                if let Some(at) = &link.step {
                    self.order(Order::At(at.clone()));
                }
            }
        }
    }

    /// The rest of a link, once its lesson or puzzle is there.
    fn follow_link(&mut self) {
        let here = self.beat.as_ref().map(|(id, _)| id);
        let Some(link) = self.waiting.take_if(|link| match &link.what {
            What::Lesson { id, .. } => here == Some(id),
            What::Puzzle { id, .. } => here == Some(&puzzle_key(id)),
            What::Nothing | What::Program(_) | What::Quiz(_) => false,
        }) else {
            return;
        };
        if let Some(profile) = link.profile {
            self.order(Order::Profile(profile));
        }
        match link.what {
            What::Lesson { beat, .. } => self.order(Order::BeatAt(beat.saturating_sub(1))),
            What::Puzzle { program: Some(program), .. } => self.order(Order::Take(program)),
            What::Puzzle { .. } | What::Nothing | What::Program(_) | What::Quiz(_) => {}
        }
    }

    pub(super) fn next_lesson(&mut self) {
        let Some((id, _)) = &self.beat else { return };
        let mut lessons = of_kind(Kind::Lesson).skip_while(|(_, example)| example.lesson_id() != Some(id));
        match lessons.nth(1) {
            Some((index, _)) => self.open_example(index),
            None => self.order(Order::LeaveLesson),
        }
    }
}

/// What stands for a puzzle where lessons stand by their ids.
fn puzzle_key(id: &str) -> String {
    format!("puzzle {id}")
}
