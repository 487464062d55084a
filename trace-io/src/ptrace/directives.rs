//! The words of `#!` lines.

/// Directives that a `#!` line may carry: what belongs to a trace's meaning.
pub const DIRECTIVES: &[&str] = &["arena_limit", "lesson", "malloc", "malloc_stats"];

/// The directive that says that a trace is a lesson.
pub(crate) const LESSON: (&str, &str) = ("lesson", "yes");
