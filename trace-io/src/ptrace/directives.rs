//! The words of `#!` lines.

/// Directives that a `#!` line may carry: what belongs to a trace's meaning.
pub const DIRECTIVES: &[&str] = &["arena_limit", "lesson", "malloc", "malloc_stats"];

/// The word of a line that gives a step a name: `#! mark NAME`.
pub(crate) const MARK: &str = "mark";

/// The directive that says that a trace is a lesson.
pub(crate) const LESSON: (&str, &str) = ("lesson", "yes");
