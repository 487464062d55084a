//! What one operation changed beside the memory, to take it back.

use super::{Parked, Pymalloc};
use crate::addr::SizeClass;
use crate::arena::{Region, SimArenas, SimPool};
use crate::event::Event;

/// Lists, records and counters, and which parts of the region are in use.
#[derive(Clone, Debug)]
pub(crate) struct Beside {
    state: Parked<SimPool>,
    region: Region,
}

/// What an operation changed of it.
#[derive(Clone, Debug)]
pub(crate) enum Changed {
    /// Nothing.
    Nothing,
    /// The front of one used list, which was this.
    Front(SizeClass, Option<SimPool>),
    /// More; it was this.
    More(Box<Beside>),
}

impl Beside {
    /// Bytes it takes.
    fn bytes(&self) -> u64 {
        self.state.state_bytes() + self.region.copied_bytes()
    }
}

impl Changed {
    /// Bytes it takes beside its own size.
    pub(crate) fn bytes(&self) -> u64 {
        match self {
            Self::Nothing | Self::Front(..) => 0,
            Self::More(before) => before.bytes(),
        }
    }
}

/// Whether an operation with this event changed nothing beside the memory but the fronts of lists.
fn is_light(event: &Event) -> bool {
    matches!(
        event,
        Event::NotSmall { .. }
            | Event::SizeClassChosen { .. }
            | Event::BlockPopped { .. }
            | Event::BlockCarved { .. }
            | Event::BlockPushed { .. }
            | Event::PoolFull { .. }
            | Event::PoolLinked { .. }
            | Event::AddressInRange { .. }
            | Event::ReallocOfNull
            | Event::ReallocInPlace { .. }
            | Event::ReallocMoves { .. }
            | Event::FreeOfNull
            | Event::RawAllocated { .. }
            | Event::RawResized { .. }
            | Event::RawFreed { .. }
    )
}

impl Pymalloc<SimArenas> {
    /// A copy of what lies beside the memory.
    pub(crate) fn beside(&self) -> Beside {
        Beside { state: self.copy_state(), region: self.memory.region().clone() }
    }

    /// Says what an operation with these events changed since `last`, and brings `last` up to date, but for
    /// `raw_allocated_blocks`.
    pub(crate) fn changes(&self, last: &mut Beside, events: &[Event]) -> Changed {
        let mut lists = events.iter().filter_map(|event| match *event {
            Event::PoolFull { class, .. } | Event::PoolLinked { class, .. } => Some(class),
            _ => None,
        });
        let list = lists.next();
        if !events.iter().all(is_light) || lists.any(|class| Some(class) != list) {
            return Changed::More(Box::new(std::mem::replace(last, self.beside())));
        }
        match list.and_then(|class| Some((class, last.state.front_mut(class)?))) {
            Some((class, front)) => Changed::Front(class, std::mem::replace(front, self.used_front(class))),
            None => Changed::Nothing,
        }
    }

    /// Takes changes back, in `last` too.
    pub(crate) fn take_back(&mut self, changed: Changed, last: &mut Beside) {
        match changed {
            Changed::Nothing => {}
            Changed::Front(class, before) => {
                if let (Some(now), Some(front)) =
                    (self.used.get_mut(usize::from(class.0)), last.state.front_mut(class))
                {
                    (*now, *front) = (before, before);
                }
            }
            Changed::More(mut before) => {
                last.clone_from(&before);
                self.exchange(&mut before.state);
                self.memory.set_region(before.region);
            }
        }
    }
}
