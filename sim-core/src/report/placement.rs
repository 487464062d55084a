//! Where each block landed, in the lines of the golden files.

use std::fmt::Write as _;

use crate::addr::Addr;
use crate::arena::{ArenaBackend, SimArenas, SimPool, Target};
use crate::event::{Event, Observer};
use crate::machine::Machine;
use crate::mimalloc::Mimalloc;
use crate::pymalloc::ArenaObject;
use crate::tape::{Kind, Trace};

/// Where a returned pointer lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Placement {
    /// In an arena: how many were obtained before it, and bytes from its base.
    Arena {
        /// The arena's ordinal.
        ordinal: u64,
        /// Bytes from what the arena allocator returned.
        offset: u64,
    },
    /// In the C library's memory.
    Raw,
    /// NULL.
    Null,
}

impl Placement {
    /// Where the pointer lies that the last call returned. With layers it is an address, which need not be a block's.
    pub fn of_last(machine: &Machine, ptr: <SimArenas as ArenaBackend>::Ptr) -> Self {
        let Some(layers) = machine.layers() else { return Self::of(machine, ptr) };
        let (addr, pymalloc) = (layers.returned(), machine.pymalloc());
        if addr == Addr(0) {
            return Self::Null;
        }
        let within = |arena: &&ArenaObject<SimPool>| arena.holds(addr, pymalloc.profile());
        // The header of the pool names the arena, unless it was overwritten.
        let named = match SimArenas::target(ptr) {
            Target::Block(block) => {
                let memory = pymalloc.memory();
                pymalloc.arenas().get(memory.header(memory.pool_of(block)).arenaindex as usize).filter(within)
            }
            Target::Raw(_) => return Self::Raw,
            Target::Null => None,
        };
        let arena = named.or_else(|| pymalloc.arenas().iter().find(within));
        arena.map_or(Self::Raw, |arena| Self::Arena {
            ordinal: arena.ordinal,
            offset: addr.bytes_from(arena.address.unwrap_or_default()),
        })
    }

    /// Takes a returned pointer apart.
    pub fn of<A: ArenaBackend>(machine: &Machine<A>, ptr: A::Ptr) -> Self {
        match A::target(ptr) {
            Target::Null => Self::Null,
            Target::Raw(_) => Self::Raw,
            Target::Block(block) => {
                let pymalloc = machine.pymalloc();
                let memory = pymalloc.memory();
                let index = memory.header(memory.pool_of(block)).arenaindex;
                let arena = &pymalloc.arenas()[index as usize];
                let base = arena.address.unwrap_or_default();
                Self::Arena { ordinal: arena.ordinal, offset: memory.block_addr(block).bytes_from(base) }
            }
        }
    }
}

/// Arenas obtained and released, the events that [`PlacementWriter`] wants.
#[derive(Debug, Default)]
pub struct ArenaEvents(Vec<Event>);

impl ArenaEvents {
    /// Those since the last call of [`Self::clear`].
    pub fn as_slice(&self) -> &[Event] {
        &self.0
    }

    /// Forgets them, before the next operation.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

impl Observer for ArenaEvents {
    // Addresses of pools and blocks are not needed, so the events that cost are not made.
    const ENABLED: bool = false;
    #[inline]
    fn event(&mut self, event: Event) {
        let wanted = matches!(
            event,
            Event::ArenaObtained { .. } | Event::ArenaReleased { .. } | Event::ArenaNotMarked { .. }
        );
        if wanted {
            self.0.push(event);
        }
    }
}

/// Whether an operation is a call that returns a pointer.
fn returns(trace: &Trace, index: usize) -> bool {
    !matches!(trace.packed(index).kind, Kind::Free | Kind::FreeKeep | Kind::Act)
}

fn write_arenas(out: &mut String, events: &[Event]) {
    for event in events {
        // Writing to a String cannot fail.
        match event {
            Event::ArenaObtained { arena, .. } => {
                let _ = writeln!(out, "+arena {}", arena.ordinal);
            }
            Event::ArenaReleased { arena, .. } => {
                let _ = writeln!(out, "-arena {}", arena.ordinal);
            }
            Event::ArenaNotMarked { ordinal, .. } => {
                let _ = writeln!(out, "+arena {ordinal}\n-arena {ordinal}");
            }
            _ => {}
        }
    }
}

fn write_page(out: &mut String, mimalloc: &Mimalloc, page: u32) {
    let p = mimalloc.page(page);
    // Writing to a String cannot fail.
    let _ = write!(
        out,
        " | slice={}/{} bs={} used={} cap={} res={} full={} segused={}",
        p.slice,
        p.slices,
        p.block_bytes,
        p.used,
        p.capacity,
        p.reserved,
        u8::from(p.full),
        p.segment_used
    );
    let config = mimalloc.config();
    if config.build.qsbr && config.build.qsbr_slots_recycled {
        let _ = write!(out, " goal={}", p.goal);
    }
}

/// Writes the golden body's lines for operations.
#[derive(Debug, Default)]
pub struct PlacementWriter {
    /// Whether the state of a mimalloc block's page follows its place.
    pub page_state: bool,
}

impl PlacementWriter {
    /// Appends the lines of the operation after `index` others, which gave `ptr`. Of its events those of arenas are
    /// enough.
    pub fn after(
        &self,
        machine: &Machine,
        trace: &Trace,
        index: usize,
        ptr: <SimArenas as ArenaBackend>::Ptr,
        events: &[Event],
        out: &mut String,
    ) {
        let returned = machine.mimalloc().and_then(|run| Some((run, run.returned_place()?)));
        if let Some((run, place)) = returned.filter(|_| returns(trace, index)) {
            write_arenas(out, events);
            let (segment, offset, page) = place;
            // Writing to a String cannot fail.
            let _ = write!(out, "{segment} {offset}");
            if self.page_state {
                write_page(out, run.heap(), page);
            }
            out.push('\n');
            return;
        }
        Self::landed(trace, index, Placement::of_last(machine, ptr), events, out);
    }

    /// The same for a machine that lends nobody its memory, but says where a block of pymalloc's or the C library's landed.
    pub fn landed(trace: &Trace, index: usize, placement: Placement, events: &[Event], out: &mut String) {
        write_arenas(out, events);
        if !returns(trace, index) {
            out.push_str("-\n");
            return;
        }
        match placement {
            Placement::Arena { ordinal, offset } => {
                // As above.
                let _ = writeln!(out, "{ordinal} {offset}");
            }
            Placement::Raw => out.push_str("raw\n"),
            Placement::Null => out.push_str("null\n"),
        }
    }
}
