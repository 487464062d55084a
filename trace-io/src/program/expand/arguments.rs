//! What the arguments of a call say.

use std::collections::BTreeMap;

use sim_core::{Domain, ObjectHeap};

use super::Expander;
use crate::error::LineColumn;
use crate::program::Fault;
use crate::program::expr::{Argument, Constants, Expr, Scope};

impl Expander<'_> {
    /// The name of the block that a call is given first; none for NULL.
    pub(super) fn block_name(
        &self,
        arguments: &[Argument],
        call: &str,
        at: LineColumn,
    ) -> Result<Option<String>, Fault> {
        match arguments.first().map(|a| &a.value) {
            Some(Expr::Name(name, _)) if matches!(name.as_str(), "NULL" | "None") => Ok(None),
            Some(Expr::Name(name, _)) => Ok(Some(name.clone())),
            Some(Expr::Element(name, indices, at)) => self.full_name(name, indices, *at).map(Some),
            _ => Err(Fault::new(
                at,
                format!("{call}() needs a block"),
                format!("write {call}(a) for a block that is called a"),
            )),
        }
    }

    /// Domain and thread among the arguments after the first `skip`; nothing where neither is given.
    pub(super) fn where_to(
        &self,
        arguments: &[Argument],
        skip: usize,
        at: LineColumn,
    ) -> Result<Option<(Domain, ObjectHeap, u16)>, Fault> {
        let (mut domain, mut thread) = (None, None);
        for argument in arguments.iter().skip(skip) {
            match argument.keyword.as_deref() {
                None | Some("domain") => domain = Some(Self::domain(Some(argument), at)?),
                Some("thread") => {
                    let number = self.value(&argument.value, at)?;
                    thread = Some(u16::try_from(number).map_err(|_| {
                        Fault::new(
                            at,
                            format!("{number} is no thread"),
                            "threads are numbered from 0 to 65535",
                        )
                    })?);
                }
                Some(other) => {
                    return Err(Fault::new(
                        at,
                        format!("nothing is called `{other}` here"),
                        "there are domain= and thread=",
                    ));
                }
            }
        }
        if domain.is_none() && thread.is_none() {
            return Ok(None);
        }
        let (domain, heap) = domain.unwrap_or((Domain::Obj, ObjectHeap::Object));
        Ok(Some((domain, heap, thread.unwrap_or(self.thread))))
    }

    pub(super) fn domain(argument: Option<&Argument>, at: LineColumn) -> Result<(Domain, ObjectHeap), Fault> {
        let name = match argument.map(|a| &a.value) {
            Some(Expr::Name(name, _) | Expr::Text(name)) => name.as_str(),
            _ => "",
        };
        Ok(match name {
            "raw" => (Domain::Raw, ObjectHeap::Object),
            "mem" => (Domain::Mem, ObjectHeap::Object),
            "obj" => (Domain::Obj, ObjectHeap::Object),
            "gc" => (Domain::Obj, ObjectHeap::Gc),
            "gc_pre" => (Domain::Obj, ObjectHeap::GcPre),
            _ => {
                return Err(Fault::new(
                    at,
                    "this is no domain",
                    "there are raw, mem and obj; gc and gc_pre are heaps of mimalloc's",
                ));
            }
        })
    }

    pub(super) fn value(&self, expr: &Expr, at: LineColumn) -> Result<i64, Fault> {
        expr.value(&Known { numbers: &self.numbers, constants: Constants(self.profile) }).map_err(|fault| {
            // Where a part of a formula is, its own column says; a part without one is at the statement.
            if fault.at == (LineColumn { line: 1, column: 1 }) { Fault { at, ..fault } } else { fault }
        })
    }

    pub(super) fn number(
        &self,
        arguments: &[Argument],
        index: usize,
        call: &str,
        at: LineColumn,
    ) -> Result<i64, Fault> {
        match arguments.get(index) {
            Some(argument) => self.value(&argument.value, at),
            None => Err(Fault::new(
                at,
                format!("{call}() needs a number"),
                "see the list of calls in docs/program.md",
            )),
        }
    }

    pub(super) fn unsigned(
        &self,
        arguments: &[Argument],
        index: usize,
        call: &str,
        at: LineColumn,
    ) -> Result<u64, Fault> {
        let value = self.number(arguments, index, call, at)?;
        u64::try_from(value)
            .map_err(|_| Fault::new(at, format!("{value} bytes cannot be asked for"), "a size is 0 or more"))
    }

    pub(super) fn text<'t>(
        arguments: &'t [Argument],
        index: usize,
        call: &str,
        at: LineColumn,
    ) -> Result<&'t str, Fault> {
        match arguments.get(index).map(|a| &a.value) {
            Some(Expr::Text(text)) => Ok(text),
            _ => Err(Fault::new(
                at,
                format!("{call}() needs a text"),
                "see the list of calls in docs/program.md",
            )),
        }
    }

    pub(super) fn id(&self, arguments: &[Argument], call: &str, at: LineColumn) -> Result<u64, Fault> {
        match self.block_name(arguments, call, at)? {
            Some(name) => self.blocks.get(&name).map(|named| named.id).ok_or_else(|| {
                Fault::new(
                    at,
                    format!("no block is called `{name}`"),
                    format!("make one first: {name} = malloc(48)"),
                )
            }),
            None => Ok(0),
        }
    }
}

/// What formulas of a program may name: its numbers, and the build's constants.
struct Known<'a> {
    numbers: &'a BTreeMap<String, i64>,
    constants: Constants<'a>,
}

impl Scope for Known<'_> {
    fn name(&self, name: &str) -> Option<i64> {
        self.numbers.get(name).copied().or_else(|| self.constants.name(name))
    }

    fn call(&self, name: &str, arguments: &[Argument]) -> Option<Result<i64, String>> {
        self.constants.call_in(self, name, arguments)
    }
}
