//! Reads lessons.

use std::collections::BTreeMap;

use serde::Deserialize;
use sim_core::domains::AllocatorName;
use sim_core::tape::{Action, Poked, SourceLine};
use sim_core::{Call, Domain, Note, ObjectHeap, Op, Profile, Trace, TraceBuilder};

use super::form::{from_ron, line_column_of, skipped, utf8};
use crate::error::{LineColumn, TraceError};

#[derive(Deserialize)]
// A lesson may give its own name: `Lesson(…)`.
#[serde(deny_unknown_fields, rename = "Lesson")]
struct Written {
    name: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    profile: Option<String>,
    #[serde(default)]
    malloc: Option<String>,
    #[serde(default)]
    malloc_stats: Option<String>,
    /// What is written by hand is a lesson, unless it says that it is none.
    #[serde(default = "yes")]
    lesson: bool,
    #[serde(default)]
    settings: BTreeMap<String, String>,
    operations: Vec<Item>,
}

fn yes() -> bool {
    true
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
enum Item {
    /// Belongs to the operation that follows.
    Note(String),
    /// Names the step where it stands.
    Mark(String),
    Malloc {
        id: u64,
        size: u64,
        #[serde(default)]
        domain: Dom,
        #[serde(default)]
        thread: u16,
    },
    Calloc {
        id: u64,
        nelem: u64,
        elsize: u64,
        #[serde(default)]
        domain: Dom,
        #[serde(default)]
        thread: u16,
    },
    Realloc {
        id: u64,
        #[serde(default)]
        newid: Option<u64>,
        size: u64,
        #[serde(default)]
        domain: Dom,
        #[serde(default)]
        thread: u16,
    },
    Free {
        id: u64,
        #[serde(default)]
        domain: Dom,
        #[serde(default)]
        thread: u16,
    },
    /// A free whose pointer the program keeps.
    FreeKeep {
        id: u64,
        #[serde(default)]
        domain: Dom,
        #[serde(default)]
        thread: u16,
    },
    SetupDebugHooks,
    SetAllocator {
        domain: Dom,
        table: String,
    },
    Poke {
        id: u64,
        offset: i64,
        bytes: String,
    },
    /// Frames as `FILE:LINE`, most recent first.
    Stack(Vec<String>),
    TracemallocStart(i32),
    TracemallocStop,
    TracemallocClearTraces,
    TracemallocResetPeak,
    /// Kept under this name.
    TracemallocSnapshot(String),
    SetArenaAllocator(String),
    VirtualAlloc {
        id: u64,
        size: u64,
    },
    VirtualFree {
        id: u64,
    },
    InterpreterNew {
        number: u32,
        own_obmalloc: bool,
    },
    InterpreterSwitch(u32),
    InterpreterEnd(u32),
    Track {
        domain: u32,
        id: u64,
        size: u64,
    },
    Untrack {
        domain: u32,
        id: u64,
    },
    Attach,
    Detach,
    /// `mi_heap_collect` of the thread's heaps.
    Collect {
        #[serde(default)]
        force: bool,
        #[serde(default)]
        thread: u16,
    },
    ThreadExit {
        #[serde(default)]
        thread: u16,
    },
    Walk {
        mask: u64,
        #[serde(default)]
        thread: u16,
    },
    Quiescent {
        #[serde(default)]
        thread: u16,
    },
    FreeDelayed {
        id: u64,
        size: u64,
        #[serde(default)]
        domain: Dom,
        #[serde(default)]
        thread: u16,
    },
    ProcessDelayed {
        #[serde(default)]
        thread: u16,
    },
    /// `count` mallocs of one size, with ids from `id` on.
    MallocMany {
        id: u64,
        count: u64,
        size: u64,
        #[serde(default)]
        domain: Dom,
    },
    /// `count` frees, with ids from `id` on.
    FreeMany {
        id: u64,
        count: u64,
        #[serde(default)]
        domain: Dom,
    },
}

#[derive(Deserialize, Clone, Copy, Default)]
#[serde(rename_all = "snake_case")]
enum Dom {
    Raw,
    Mem,
    #[default]
    Obj,
    /// OBJ, an object with garbage collection.
    Gc,
    /// OBJ, one with a pre-header too.
    GcPre,
}

impl From<Dom> for Domain {
    fn from(dom: Dom) -> Self {
        match dom {
            Dom::Raw => Self::Raw,
            Dom::Mem => Self::Mem,
            Dom::Obj | Dom::Gc | Dom::GcPre => Self::Obj,
        }
    }
}

impl From<Dom> for ObjectHeap {
    fn from(dom: Dom) -> Self {
        match dom {
            Dom::Raw | Dom::Mem | Dom::Obj => Self::Object,
            Dom::Gc => Self::Gc,
            Dom::GcPre => Self::GcPre,
        }
    }
}

/// A lesson's operations after its `_many` forms are written out.
const OPERATIONS_MAX: u64 = 10_000_000;

/// Parses a lesson. `name` stands in where the lesson gives an empty one.
pub fn parse(name: &str, text: &[u8]) -> Result<Trace, TraceError> {
    build(name, utf8(text)?).map(TraceBuilder::finish)
}

/// The same of text, to go on with.
pub(crate) fn build(name: &str, text: &str) -> Result<TraceBuilder, TraceError> {
    let lesson: Written = from_ron(text, ron::extensions::Extensions::empty())?;
    let mut builder = TraceBuilder::new(if lesson.name.is_empty() { name } else { &lesson.name });
    builder.trace_mut().head.description = lesson.description;
    builder.trace_mut().head.settings = check_settings(text, lesson.profile.as_deref(), lesson.settings)?;
    builder.trace_mut().head.profile = lesson.profile;
    if let Some(name) = lesson.malloc {
        let name = AllocatorName::parse(&name).map_err(|e| TraceError::Syntax {
            at: line_column_of(text.as_bytes(), text.find("malloc").unwrap_or(0)),
            problem: e.to_string(),
            remedy: "name one of them".to_owned(),
        })?;
        builder.trace_mut().head.malloc = Some(name);
    }
    builder.trace_mut().head.malloc_stats = lesson.malloc_stats;
    builder.trace_mut().head.lesson = lesson.lesson;
    for (index, item) in lesson.operations.into_iter().enumerate() {
        let at = || item_start(text, index);
        expand(&mut builder, item, &at)?;
    }
    if builder.is_empty() {
        return Err(TraceError::Empty);
    }
    Ok(builder)
}

/// The settings, once the profile takes them.
fn check_settings(
    text: &str,
    name: Option<&str>,
    settings: BTreeMap<String, String>,
) -> Result<Vec<(String, String)>, TraceError> {
    let locate = |key: &str| line_column_of(text.as_bytes(), text.find(key).unwrap_or(0));
    let mut profile = match name {
        Some(name) => {
            Profile::named(name).map_err(|error| TraceError::Profile { at: locate("profile"), error })?
        }
        None => Profile::default(),
    };
    for (key, value) in &settings {
        profile.set(key, value).map_err(|error| TraceError::Profile { at: locate(key), error })?;
    }
    profile.validate().map_err(|error| TraceError::Profile { at: locate("settings"), error })?;
    Ok(settings.into_iter().collect())
}

fn expand(builder: &mut TraceBuilder, item: Item, at: &dyn Fn() -> LineColumn) -> Result<(), TraceError> {
    let before = builder.len();
    let mut push = |thread: u16, domain: Dom, call: Call| {
        builder
            .push_in(Op { thread, domain: domain.into(), call }, domain.into())
            .map_err(|error| TraceError::Operation { at: at(), error })
    };
    let too_many = |count: u64| {
        (count.saturating_add(before) > OPERATIONS_MAX).then(|| TraceError::Syntax {
            at: at(),
            problem: format!("{count} operations are too many for a lesson"),
            remedy: format!("a lesson has at most {OPERATIONS_MAX}; write ptrace instead"),
        })
    };
    match item {
        Item::Note(text) => {
            let at = builder.len();
            builder.trace_mut().head.notes.push(Note { at, text });
            Ok(())
        }
        Item::Mark(name) => builder.mark(&name).map_err(|error| TraceError::Syntax {
            at: at(),
            problem: error.to_string(),
            remedy: "write mark(\"NAME\")".to_owned(),
        }),
        Item::Malloc { id, size, domain, thread } => push(thread, domain, Call::Malloc { id, size }),
        Item::Calloc { id, nelem, elsize, domain, thread } => {
            push(thread, domain, Call::Calloc { id, nelem, elsize })
        }
        Item::Realloc { id, newid, size, domain, thread } => {
            push(thread, domain, Call::Realloc { id, newid: newid.unwrap_or(id), size })
        }
        Item::Free { id, domain, thread } => push(thread, domain, Call::Free { id }),
        Item::FreeKeep { id, domain, thread } => push(thread, domain, Call::FreeKeep { id }),
        Item::Stack(lines) => {
            let frames: Result<Vec<SourceLine>, &str> = lines.iter().map(|l| l.parse()).collect();
            let frames = frames.map_err(|takes| TraceError::Syntax {
                at: at(),
                problem: "a frame is not understood".to_owned(),
                remedy: takes.to_owned(),
            })?;
            let number = builder.stack(&frames);
            builder
                .push(Op { thread: 0, domain: Domain::Obj, call: Call::Act(Action::Stack(number)) })
                .map_err(|error| TraceError::Operation { at: at(), error })
        }
        Item::TracemallocStart(n) => push(0, Dom::Obj, Call::Act(Action::TracemallocStart(n))),
        Item::TracemallocStop => push(0, Dom::Obj, Call::Act(Action::TracemallocStop)),
        Item::TracemallocClearTraces => push(0, Dom::Obj, Call::Act(Action::TracemallocClear)),
        Item::TracemallocResetPeak => push(0, Dom::Obj, Call::Act(Action::TracemallocResetPeak)),
        Item::TracemallocSnapshot(name) => {
            let action = Action::TracemallocSnapshot(builder.name_number(&name));
            builder
                .push(Op { thread: 0, domain: Domain::Obj, call: Call::Act(action) })
                .map_err(|error| TraceError::Operation { at: at(), error })
        }
        Item::SetArenaAllocator(hook) => {
            let choice = hook.parse().map_err(|takes: &str| TraceError::Syntax {
                at: at(),
                problem: format!("`{hook}` is no arena hook"),
                remedy: takes.to_owned(),
            })?;
            push(0, Dom::Obj, Call::Act(Action::SetArenaAllocator(choice)))
        }
        Item::VirtualAlloc { id, size } => push(0, Dom::Obj, Call::Act(Action::VirtualAlloc { id, size })),
        Item::VirtualFree { id } => push(0, Dom::Obj, Call::Act(Action::VirtualFree { id })),
        Item::InterpreterNew { number, own_obmalloc } => {
            push(0, Dom::Obj, Call::Act(Action::InterpreterNew { number, own_obmalloc }))
        }
        Item::InterpreterSwitch(number) => push(0, Dom::Obj, Call::Act(Action::InterpreterSwitch(number))),
        Item::InterpreterEnd(number) => push(0, Dom::Obj, Call::Act(Action::InterpreterEnd(number))),
        Item::Track { domain, id, size } => push(0, Dom::Obj, Call::Act(Action::Track { domain, id, size })),
        Item::Untrack { domain, id } => push(0, Dom::Obj, Call::Act(Action::Untrack { domain, id })),
        Item::SetupDebugHooks => push(0, Dom::Obj, Call::Act(Action::SetupDebugHooks)),
        Item::Attach => push(0, Dom::Obj, Call::Act(Action::ThreadState { attached: true })),
        Item::Detach => push(0, Dom::Obj, Call::Act(Action::ThreadState { attached: false })),
        Item::Collect { force, thread } => push(thread, Dom::Obj, Call::Act(Action::HeapCollect { force })),
        Item::ThreadExit { thread } => push(thread, Dom::Obj, Call::Act(Action::ThreadExit)),
        Item::Walk { mask, thread } => push(thread, Dom::Obj, Call::Act(Action::HeapWalk { mask })),
        Item::Quiescent { thread } => push(thread, Dom::Obj, Call::Act(Action::Quiescent)),
        Item::FreeDelayed { id, size, domain, thread } => {
            push(thread, domain, Call::Act(Action::FreeDelayed { id, size }))
        }
        Item::ProcessDelayed { thread } => push(thread, Dom::Obj, Call::Act(Action::ProcessDelayed)),
        Item::SetAllocator { domain, table } => {
            let choice = table.parse().map_err(|takes: &str| TraceError::Syntax {
                at: at(),
                problem: format!("`{table}` is no allocator table"),
                remedy: takes.to_owned(),
            })?;
            push(0, domain, Call::Act(Action::SetAllocator(choice)))
        }
        Item::Poke { id, offset, bytes } => {
            let bytes = Poked::parse(&bytes).ok_or_else(|| TraceError::Syntax {
                at: at(),
                problem: format!("`{bytes}` are no bytes"),
                remedy: "write 1 to 16 bytes as pairs of hexadecimal digits".to_owned(),
            })?;
            push(0, Dom::Obj, Call::Act(Action::Poke { id, offset, bytes }))
        }
        Item::MallocMany { id, count, size, domain } => {
            too_many(count).map_or(Ok(()), Err)?;
            (0..count).try_for_each(|i| push(0, domain, Call::Malloc { id: id.saturating_add(i), size }))
        }
        Item::FreeMany { id, count, domain } => {
            too_many(count).map_or(Ok(()), Err)?;
            (0..count).try_for_each(|i| push(0, domain, Call::Free { id: id.saturating_add(i) }))
        }
    }
}

/// Where the item after `index` others of the `operations` list stands. The parser gives values without
/// positions, so they are found again: brackets are counted, strings and comments skipped.
fn item_start(text: &str, index: usize) -> LineColumn {
    let bytes = text.as_bytes();
    let (mut at, mut depth, mut items, mut in_list, mut fresh) = (0, 0_usize, 0, false, false);
    while at < bytes.len() {
        let rest = &bytes[at..];
        if let Some(skip) = skipped(rest) {
            if fresh && matches!(rest[0], b'"') && items == index {
                break;
            }
            at += skip;
            continue;
        }
        let b = rest[0];
        if in_list && fresh && depth == 2 && !b.is_ascii_whitespace() && b != b']' {
            if items == index {
                break;
            }
            items += 1;
            fresh = false;
        }
        match b {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => {
                depth = depth.saturating_sub(1);
                in_list &= depth >= 2;
            }
            b',' if depth == 2 => fresh = in_list,
            b'o' if depth == 1 && !in_list && rest.starts_with(b"operations") => {
                if let Some(open) = rest.iter().position(|&b| b == b'[') {
                    at += open;
                    depth = 2;
                    (in_list, fresh) = (true, true);
                }
            }
            _ => {}
        }
        at += 1;
    }
    line_column_of(bytes, at)
}
