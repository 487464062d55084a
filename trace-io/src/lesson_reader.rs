//! Reads lessons and scenarios once all of their text is here.

use sim_core::TraceBuilder;

use crate::error::TraceError;
use crate::lesson::{Form, Lesson, Puzzle, Quiz, build, form, utf8};
use crate::reader::Reader;

/// A lesson is written by hand; anything larger is not one.
const LESSON_BYTES_MAX: usize = 64 << 20;

/// Parses a lesson once all of it is here.
#[derive(Debug, Default)]
pub(crate) struct LessonReader {
    name: String,
    text: Vec<u8>,
    builder: TraceBuilder,
    lesson: Option<Box<Lesson>>,
    puzzle: Option<Box<Puzzle>>,
    quiz: Option<Box<Quiz>>,
}

impl LessonReader {
    /// For a lesson that is called `name` where it gives itself no name.
    pub(crate) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }
}

impl Reader for LessonReader {
    fn feed(&mut self, bytes: &[u8]) -> Result<(), TraceError> {
        self.text.extend_from_slice(bytes);
        if self.text.len() > LESSON_BYTES_MAX {
            return Err(TraceError::UnknownFormat {
                offset: LESSON_BYTES_MAX as u64,
                what: "it begins like RON but is larger than a lesson can be (64 MiB)".to_owned(),
            });
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), TraceError> {
        let text = utf8(&self.text)?;
        match form(text) {
            Form::Lesson => {
                let lesson = Lesson::parse(text)?;
                self.builder = lesson.builder()?;
                self.lesson = Some(Box::new(lesson));
            }
            Form::Puzzle => {
                let puzzle = Puzzle::parse(text)?;
                self.builder = puzzle.builder()?;
                self.puzzle = Some(Box::new(puzzle));
            }
            Form::Quiz => self.quiz = Some(Box::new(Quiz::parse(text)?)),
            Form::Plain => self.builder = build(&self.name, text)?,
        }
        self.text = Vec::new();
        Ok(())
    }

    fn lesson(&mut self) -> Option<Box<Lesson>> {
        self.lesson.take()
    }

    fn puzzle(&mut self) -> Option<Box<Puzzle>> {
        self.puzzle.take()
    }

    fn quiz(&mut self) -> Option<Box<Quiz>> {
        self.quiz.take()
    }

    fn builder(&self) -> &TraceBuilder {
        &self.builder
    }

    fn builder_mut(&mut self) -> &mut TraceBuilder {
        &mut self.builder
    }
}
