//! The same trace without names.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use sim_core::picture::{Inventory, ProcessPicture};
use sim_core::tape::{Action, StackId};
use sim_core::{Call, Trace, TraceBuilder};

use super::{CareError, NameOf, StackMap, push};

/// Bytes of a hash that are kept: among a hundred thousand names two are alike once in fifty thousand traces.
const HASH_BYTES: usize = 6;
/// Facts that say nothing of the program or its machine.
const FACTS_KEPT: &[&str] = &[
    "recorder",
    "python",
    "allocator",
    "native_traces",
    "object_lifetimes",
    "python_allocators",
    "stack_ids",
    "object_records",
    "failed_calls",
    "trimmed",
    "split",
    "failed_reallocs",
    "unknown_records",
];

/// Replaces names by keyed hashes. The same name and key give the same hash, in every file.
pub struct Anonymize {
    out: TraceBuilder,
    names: Names,
    stacks: StackMap,
    /// Marks that were taken.
    marks: usize,
}

struct Names {
    key: Hmac<Sha256>,
    known: HashMap<String, String>,
}

impl Names {
    fn hash(&mut self, text: &str) -> &str {
        let key = &self.key;
        self.known.entry(text.to_owned()).or_insert_with(|| {
            let mut hash = key.clone();
            hash.update(text.as_bytes());
            let mut digits = String::with_capacity(2 * HASH_BYTES);
            for byte in &hash.finalize().into_bytes()[..HASH_BYTES] {
                // Writing into a string does not fail.
                let _ = write!(digits, "{byte:02x}");
            }
            digits
        })
    }

    fn name(&mut self, text: &str, of: NameOf) -> String {
        if text.is_empty() {
            return String::new();
        }
        let hash = self.hash(text);
        match of {
            NameOf::Function => format!("f_{hash}"),
            NameOf::File => {
                let python = std::path::Path::new(text).extension().is_some_and(|e| e == "py");
                format!("p_{hash}{}", if python { ".py" } else { "" })
            }
        }
    }
}

impl Anonymize {
    /// Names are hashed with `key`.
    pub fn new(key: &[u8]) -> Self {
        // A key of any length is taken; the error cannot happen.
        let key = Hmac::new_from_slice(key)
            .unwrap_or_else(|_| Hmac::new(&hmac::digest::Key::<Hmac<Sha256>>::default()));
        Self {
            out: TraceBuilder::new("anonymized"),
            names: Names { key, known: HashMap::new() },
            stacks: StackMap::default(),
            marks: 0,
        }
    }

    /// What is ready to be written and then forgotten.
    pub fn out(&mut self) -> &mut TraceBuilder {
        &mut self.out
    }

    /// Different names that were replaced.
    pub fn names(&self) -> u64 {
        self.names.known.len() as u64
    }

    fn stack(&mut self, piece: &Trace, stack: StackId) -> StackId {
        let names = &mut self.names;
        let to = &mut self.out.trace_mut().origin.stacks;
        self.stacks.get(&piece.origin.stacks, to, stack, &mut |text, of| names.name(text, of))
    }

    /// Takes the next piece.
    pub fn take(&mut self, piece: &Trace) -> Result<(), CareError> {
        self.picture(piece)?;
        self.head(piece);
        for index in 0..piece.len() as usize {
            let Some(mut op) = piece.op(index as u64) else { break };
            if let Call::Act(Action::Stack(stack)) = op.call {
                let stack = self.stack(piece, stack);
                self.out.trace_mut().origin.stacks.mark_used(stack);
                op.call = Call::Act(Action::Stack(stack));
            }
            if let Call::Act(Action::TracemallocSnapshot(number)) = op.call {
                let name = format!("snapshot_{}", self.names.hash(piece.name_of(number)));
                op.call = Call::Act(Action::TracemallocSnapshot(self.out.name_number(&name)));
            }
            let stack = self.stack(piece, piece.stack_of(index));
            push(&mut self.out, op, stack, piece, index)?;
        }
        self.out.trace_mut().origin.moments.extend(&piece.origin.moments);
        self.marks(piece)
    }

    /// Takes what is known at the end of the trace.
    pub fn finish(&mut self, whole: &Trace) -> Result<(), CareError> {
        self.picture(whole)?;
        self.head(whole);
        if whole.is_empty() {
            self.out.trace_mut().origin.moments.extend(&whole.origin.moments);
        }
        self.marks(whole)
    }

    /// Begins with the picture that the trace begins with, without names of the program's own.
    fn picture(&mut self, piece: &Trace) -> Result<(), CareError> {
        let Some(picture) = &piece.origin.picture else { return Ok(()) };
        if self.out.trace_mut().origin.picture.is_some() {
            return Ok(());
        }
        let mut picture = ProcessPicture::clone(picture);
        let Inventory { source, types, owners, paths, mappings, .. } = &mut picture.inventory;
        let names = &mut self.names;
        (source.pid, source.core, source.taken_s) = (0, String::new(), 0);
        // Python's own types are in every program.
        let of_type = |name: &str, names: &mut Names| {
            if name.starts_with("builtins.") { name.to_owned() } else { format!("type_{}", names.hash(name)) }
        };
        for of in types {
            of.name = of_type(&of.name, names);
            of.address = 0;
        }
        for owner in owners {
            *owner = of_type(owner, names);
        }
        for path in paths {
            *path = format!("path_{}", names.hash(path));
        }
        for mapping in mappings.iter_mut().filter(|mapping| !mapping.name.is_empty()) {
            if !mapping.name.starts_with('[') {
                mapping.name = format!("file_{}", names.hash(&mapping.name));
            }
        }
        self.out.begin_with(Arc::new(picture)).map_err(CareError::Begin)
    }

    /// Takes marks that were not here before, where they stand.
    fn marks(&mut self, piece: &Trace) -> Result<(), CareError> {
        for mark in piece.head.marks.iter().skip(self.marks) {
            let name = format!("mark_{}", self.names.hash(mark.name()));
            let marked = self.out.mark_at(mark.at, &name);
            marked.map_err(|error| CareError::Mark { at: mark.at, error })?;
            self.marks += 1;
        }
        Ok(())
    }

    fn head(&mut self, from: &Trace) {
        let names: Vec<String> = from
            .origin
            .source
            .thread_names
            .iter()
            .map(|n| if n.is_empty() { String::new() } else { format!("thread_{}", self.names.hash(n)) })
            .collect();
        let to = self.out.trace_mut();
        to.head.profile.clone_from(&from.head.profile);
        to.head.settings.clone_from(&from.head.settings);
        to.head.malloc = from.head.malloc;
        to.head.malloc_stats.clone_from(&from.head.malloc_stats);
        to.head.lesson = from.head.lesson;
        to.origin.source = from.origin.source.clone();
        to.origin.source.thread_names = names;
        to.origin.source.facts.retain(|(name, _)| FACTS_KEPT.contains(&name.as_str()));
        if let Some(truncated) = &mut to.origin.source.doubt.truncated {
            // The sentence may quote what stood there.
            "the recording ends early".clone_into(truncated);
        }
    }
}
