//! From statements to operations.

mod actions;
mod arguments;

use std::collections::BTreeMap;

use sim_core::tape::{Action, SourceLine};
use sim_core::{Call, Domain, ObjectHeap, Op, Profile, Trace, TraceBuilder};

use super::Fault;
use super::expr::{Argument, Expr};
use super::parse::{Program, Statement, Target, What};
use crate::error::LineColumn;

/// How much a program may do: who shares one with others sends them a text that runs on their machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bounds {
    /// Operations.
    pub operations: u64,
    /// Statements that are carried out, loops' turns counted one by one.
    pub statements: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { operations: 1_000_000, statements: 4_000_000 }
    }
}

/// The operations of a program, and what came with them.
#[derive(Clone, Debug)]
pub struct Expanded {
    /// The operations. Its ids have names in [`sim_core::tape::Head::names`].
    pub trace: Trace,
    /// The line of each operation, counted from 1.
    pub lines: Vec<u32>,
}

/// What became of a name that a block was given.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Named {
    id: u64,
    /// The domain that it came from; `None` once it was freed.
    live: Option<(Domain, ObjectHeap)>,
}

/// Runs programs one after the other, with one set of names.
pub struct Expander<'a> {
    profile: &'a Profile,
    bounds: Bounds,
    builder: TraceBuilder,
    lines: Vec<u32>,
    numbers: BTreeMap<String, i64>,
    blocks: BTreeMap<String, Named>,
    names: Vec<(u64, String)>,
    statements: u64,
    thread: u16,
}

impl Program {
    /// The operations under a profile.
    pub fn expand(&self, name: &str, profile: &Profile, bounds: Bounds) -> Result<Expanded, Fault> {
        let mut expander = Expander::new(name, profile, bounds);
        expander.run(self)?;
        Ok(expander.finish())
    }
}

impl<'a> Expander<'a> {
    /// With no operation yet, for a trace that is called `name`.
    pub fn new(name: &str, profile: &'a Profile, bounds: Bounds) -> Self {
        Self {
            profile,
            bounds,
            builder: TraceBuilder::new(name),
            lines: Vec::new(),
            numbers: BTreeMap::new(),
            blocks: BTreeMap::new(),
            names: Vec::new(),
            statements: 0,
            thread: 0,
        }
    }

    /// The trace that is being made, to say what it is about.
    pub fn trace_mut(&mut self) -> &mut Trace {
        self.builder.trace_mut()
    }

    /// Operations so far.
    pub fn len(&self) -> u64 {
        self.builder.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.builder.is_empty()
    }

    /// Goes on with another program; names of those before it hold.
    pub fn run(&mut self, program: &Program) -> Result<(), Fault> {
        self.block(&program.body)
    }

    /// What came of it.
    pub fn finish(mut self) -> Expanded {
        self.builder.trace_mut().head.names = self.names;
        Expanded { trace: self.builder.finish(), lines: self.lines }
    }

    fn block(&mut self, body: &[Statement]) -> Result<(), Fault> {
        body.iter().try_for_each(|statement| self.statement(statement))
    }

    fn statement(&mut self, statement: &Statement) -> Result<(), Fault> {
        let at = statement.at;
        self.statements += 1;
        if self.statements > self.bounds.statements {
            return Err(self.too_long(at));
        }
        match &statement.what {
            What::Number { name, value } => {
                let value = self.value(value, at)?;
                if self.blocks.get(name).is_some_and(|named| named.live.is_some()) {
                    return Err(Fault::new(at, format!("`{name}` names a block"), "choose another name"));
                }
                self.numbers.insert(name.clone(), value);
                Ok(())
            }
            What::For { name, range, body } => self.repeat(at, name, range, body),
            What::If { condition, then, otherwise } => {
                let body = if self.value(condition, at)? == 0 { otherwise } else { then };
                self.block(body)
            }
            What::With { name, arguments, body } => self.with(at, name, arguments, body),
            What::Call { target, name, arguments } => self.call(at, target.as_ref(), name, arguments),
        }
    }

    fn too_long(&self, at: LineColumn) -> Fault {
        Fault::new(
            at,
            format!("the program does more than {} operations", self.bounds.operations),
            "let loops count less far",
        )
    }

    /// A loop is refused before it runs if it alone does too much.
    fn repeat(
        &mut self,
        at: LineColumn,
        name: &str,
        range: &[Expr],
        body: &[Statement],
    ) -> Result<(), Fault> {
        let numbers = range.iter().map(|e| self.value(e, at)).collect::<Result<Vec<_>, _>>()?;
        let (from, to, step) = match numbers[..] {
            [to] => (0, to, 1),
            [from, to] => (from, to, 1),
            [from, to, step] => (from, to, step),
            _ => (0, 0, 1),
        };
        if step == 0 {
            return Err(Fault::new(at, "range() cannot go in steps of 0", "give it another step"));
        }
        let span =
            if step > 0 { i128::from(to) - i128::from(from) } else { i128::from(from) - i128::from(to) };
        let step_length = i128::from(step).abs();
        let turns = (span.max(0) + step_length - 1) / step_length;
        let left = self.bounds.statements - self.statements;
        if turns * body.len().max(1) as i128 > i128::from(left) {
            return Err(self.too_long(at));
        }
        let before = self.numbers.get(name).copied();
        let mut value = from;
        for _ in 0..turns {
            self.numbers.insert(name.to_owned(), value);
            self.block(body)?;
            value = value.saturating_add(step);
        }
        // As in Python the name keeps its last value, unless it named something before the loop.
        if let Some(before) = before {
            self.numbers.insert(name.to_owned(), before);
        }
        Ok(())
    }

    fn with(
        &mut self,
        at: LineColumn,
        name: &str,
        arguments: &[Argument],
        body: &[Statement],
    ) -> Result<(), Fault> {
        match name {
            "tracemalloc" => {
                let frames = arguments.first().map_or(Ok(1), |a| self.value(&a.value, at))?;
                let frames = i32::try_from(frames).map_err(|_| {
                    Fault::new(at, "tracemalloc takes 1 to 65535 frames", "write `with tracemalloc(1):`")
                })?;
                self.act(at, Domain::Obj, Action::TracemallocStart(frames))?;
                self.block(body)?;
                self.act(at, Domain::Obj, Action::TracemallocStop)
            }
            "thread" => {
                let number = self.number(arguments, 0, "thread", at)?;
                let thread = u16::try_from(number).map_err(|_| {
                    Fault::new(at, format!("{number} is no thread"), "threads are numbered from 0 to 65535")
                })?;
                let before = std::mem::replace(&mut self.thread, thread);
                let done = self.block(body);
                self.thread = before;
                done
            }
            "stack" => {
                self.stack(at, arguments)?;
                self.block(body)?;
                self.stack(at, &[])
            }
            _ => Err(Fault::new(
                at,
                format!("there is no `with {name}`"),
                "write `with tracemalloc():`, `with thread(1):` or `with stack(\"file.py:3\"):`",
            )),
        }
    }

    /// Calls come from this Python stack from here on.
    fn stack(&mut self, at: LineColumn, arguments: &[Argument]) -> Result<(), Fault> {
        let frame = |argument: &Argument| match &argument.value {
            Expr::Text(text) => text
                .parse::<SourceLine>()
                .map_err(|takes| Fault::new(at, format!("\"{text}\" is no line of a file"), takes)),
            _ => Err(Fault::new(at, "a stack is made of texts", "write stack(\"file.py:3\")")),
        };
        let frames = arguments.iter().map(frame).collect::<Result<Vec<_>, _>>()?;
        let number = self.builder.stack(&frames);
        self.act(at, Domain::Obj, Action::Stack(number))
    }

    /// The step here has a name from here on; it is no operation.
    fn mark(&mut self, at: LineColumn, arguments: &[Argument]) -> Result<(), Fault> {
        let name = Self::text(arguments, 0, "mark", at)?;
        let marked = self.builder.mark(name);
        marked.map_err(|error| Fault::new(at, error.to_string(), "write mark(\"request-end\")"))
    }

    fn act(&mut self, at: LineColumn, domain: Domain, action: Action) -> Result<(), Fault> {
        self.push(at, domain, ObjectHeap::Object, self.thread, Call::Act(action))
    }

    fn push(
        &mut self,
        at: LineColumn,
        domain: Domain,
        heap: ObjectHeap,
        thread: u16,
        call: Call,
    ) -> Result<(), Fault> {
        if self.builder.len() >= self.bounds.operations {
            return Err(self.too_long(at));
        }
        self.builder.push_in(Op { thread, domain, call }, heap).map_err(|error| {
            Fault::new(at, self.named(&error.to_string()), "see what can be called when in docs/program.md")
        })?;
        self.lines.push(u32::try_from(at.line).unwrap_or(u32::MAX));
        Ok(())
    }

    /// A message of the tape's, with the program's names for its numbers where that is plain.
    fn named(&self, message: &str) -> String {
        let mut text = message.to_owned();
        for (id, name) in &self.names {
            for form in [format!("id {id} "), format!("block {id} ")] {
                text = text.replace(&form, &format!("`{name}` "));
            }
        }
        text
    }

    fn call(
        &mut self,
        at: LineColumn,
        target: Option<&Target>,
        name: &str,
        arguments: &[Argument],
    ) -> Result<(), Fault> {
        match name {
            "malloc" | "calloc" => self.make(at, target, name, arguments),
            "realloc" => self.realloc(at, target, arguments),
            "stack" => self.stack(at, arguments),
            "mark" => self.mark(at, arguments),
            "free" | "free_keep" => self.free(at, name, arguments),
            "virtual_alloc" => {
                let size = self.unsigned(arguments, 0, "virtual_alloc", at)?;
                let id = self.birth(at, target, Domain::Obj, ObjectHeap::Object)?;
                self.act(at, Domain::Obj, Action::VirtualAlloc { id, size })
            }
            _ => {
                let action = self.action(at, name, arguments)?;
                let domain = if name == "set_allocator" {
                    Self::domain(arguments.first(), at)?.0
                } else {
                    Domain::Obj
                };
                self.act(at, domain, action)
            }
        }
    }

    fn make(
        &mut self,
        at: LineColumn,
        target: Option<&Target>,
        name: &str,
        arguments: &[Argument],
    ) -> Result<(), Fault> {
        let sizes = usize::from(name == "calloc") + 1;
        let first = self.unsigned(arguments, 0, name, at)?;
        let second = if sizes == 2 { self.unsigned(arguments, 1, name, at)? } else { 0 };
        let (domain, heap, thread) =
            self.where_to(arguments, sizes, at)?.unwrap_or((Domain::Obj, ObjectHeap::Object, self.thread));
        let id = self.birth(at, target, domain, heap)?;
        let call = if sizes == 2 {
            Call::Calloc { id, nelem: first, elsize: second }
        } else {
            Call::Malloc { id, size: first }
        };
        self.push(at, domain, heap, thread, call)
    }

    fn realloc(
        &mut self,
        at: LineColumn,
        target: Option<&Target>,
        arguments: &[Argument],
    ) -> Result<(), Fault> {
        let size = self.unsigned(arguments, 1, "realloc", at)?;
        let given = self.where_to(arguments, 2, at)?;
        let from = self.block_name(arguments, "realloc", at)?;
        let Some(from) = from else {
            let (domain, heap, thread) = given.unwrap_or((Domain::Obj, ObjectHeap::Object, self.thread));
            let newid = self.birth(at, target, domain, heap)?;
            return self.push(at, domain, heap, thread, Call::Realloc { id: 0, newid, size });
        };
        let named = self.held(&from, at)?;
        let (domain, heap) = named.live.unwrap_or((Domain::Obj, ObjectHeap::Object));
        let (domain, heap, thread) = given.unwrap_or((domain, heap, self.thread));
        let newid = match target {
            Some(target) if self.target_name(target, at)? != from => {
                if let Some(named) = self.blocks.get_mut(&from) {
                    named.live = None;
                }
                self.birth(at, Some(target), domain, heap)?
            }
            _ => named.id,
        };
        self.push(at, domain, heap, thread, Call::Realloc { id: named.id, newid, size })
    }

    fn free(&mut self, at: LineColumn, name: &str, arguments: &[Argument]) -> Result<(), Fault> {
        let given = self.where_to(arguments, 1, at)?;
        let Some(from) = self.block_name(arguments, name, at)? else {
            let (domain, heap, thread) = given.unwrap_or((Domain::Obj, ObjectHeap::Object, self.thread));
            return self.push(at, domain, heap, thread, Call::Free { id: 0 });
        };
        let named = self.held(&from, at)?;
        let (domain, heap) = named.live.unwrap_or((Domain::Obj, ObjectHeap::Object));
        let (domain, heap, thread) = given.unwrap_or((domain, heap, self.thread));
        let call = if name == "free" { Call::Free { id: named.id } } else { Call::FreeKeep { id: named.id } };
        self.push(at, domain, heap, thread, call)?;
        if name == "free"
            && let Some(named) = self.blocks.get_mut(&from)
        {
            named.live = None;
        }
        Ok(())
    }

    /// Gives a name to the block that a call makes. Without one it has none, and nobody can free it.
    fn birth(
        &mut self,
        at: LineColumn,
        target: Option<&Target>,
        domain: Domain,
        heap: ObjectHeap,
    ) -> Result<u64, Fault> {
        let live = Some((domain, heap));
        let Some(target) = target else {
            let id = self.names.len() as u64 + 1;
            self.names.push((id, format!("#{id}")));
            return Ok(id);
        };
        let name = self.target_name(target, at)?;
        if self.numbers.contains_key(&name) {
            return Err(Fault::new(at, format!("`{name}` is a number already"), "choose another name"));
        }
        match self.blocks.get_mut(&name) {
            Some(named) if named.live.is_some() => Err(Fault::new(
                at,
                format!("`{name}` still names a block, which nobody could free any more"),
                format!("free({name}) first, or give this one another name, as in {name}2"),
            )),
            Some(named) => {
                named.live = live;
                Ok(named.id)
            }
            None => {
                let id = self.names.len() as u64 + 1;
                self.names.push((id, name.clone()));
                self.blocks.insert(name, Named { id, live });
                Ok(id)
            }
        }
    }

    fn held(&self, name: &str, at: LineColumn) -> Result<Named, Fault> {
        match self.blocks.get(name) {
            Some(named) if named.live.is_some() => Ok(*named),
            Some(_) => Err(Fault::new(
                at,
                format!("`{name}` was freed before"),
                format!(
                    "a program that goes on using the pointer calls free_keep({name}) instead of free({name})"
                ),
            )),
            None => Err(Fault::new(
                at,
                format!("no block is called `{name}`"),
                format!("make one first: {name} = malloc(48)"),
            )),
        }
    }

    fn target_name(&self, target: &Target, at: LineColumn) -> Result<String, Fault> {
        self.full_name(&target.name, &target.indices, at)
    }

    fn full_name(&self, name: &str, indices: &[Expr], at: LineColumn) -> Result<String, Fault> {
        use std::fmt::Write as _;
        let mut full = name.to_owned();
        for index in indices {
            let _ = write!(full, "[{}]", self.value(index, at)?);
        }
        Ok(full)
    }
}
