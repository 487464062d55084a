//! Actions of scenarios as bytes.

use sim_core::domains::{ArenaChoice, UserAllocator};
use sim_core::tape::{Action, Poked, StackId, TableChoice};

use crate::varint::{Numbers, put, unzigzag, zigzag};

/// Appends an action. The block it is about stands in the column of uses.
pub(super) fn put_action(out: &mut Vec<u8>, action: Action) {
    let mut all = |tag: u8, numbers: &[u64]| {
        out.push(tag);
        for &number in numbers {
            put(out, number);
        }
    };
    match action {
        Action::SetupDebugHooks => all(0, &[]),
        Action::SetAllocator(TableChoice::Libc) => all(1, &[]),
        Action::SetAllocator(TableChoice::Pymalloc) => all(2, &[]),
        Action::SetAllocator(TableChoice::User(UserAllocator::Count)) => all(3, &[]),
        Action::SetAllocator(TableChoice::User(UserAllocator::FailEvery(n))) => all(4, &[n]),
        Action::SetAllocator(TableChoice::User(UserAllocator::Bump { bytes })) => all(5, &[bytes]),
        Action::Poke { offset, bytes, .. } => {
            let bytes = bytes.as_slice();
            all(6, &[zigzag(offset), bytes.len() as u64]);
            out.extend_from_slice(bytes);
        }
        Action::Stack(stack) => all(7, &[u64::from(stack.0)]),
        Action::TracemallocStart(nframe) => all(8, &[zigzag(i64::from(nframe))]),
        Action::TracemallocStop => all(9, &[]),
        Action::TracemallocClear => all(10, &[]),
        Action::TracemallocResetPeak => all(11, &[]),
        Action::Track { domain, size, .. } => all(12, &[u64::from(domain), size]),
        Action::Untrack { domain, .. } => all(13, &[u64::from(domain)]),
        Action::ThreadState { attached: false } => all(14, &[]),
        Action::ThreadState { attached: true } => all(15, &[]),
        Action::SetAllocator(TableChoice::User(UserAllocator::Log)) => all(16, &[]),
        Action::HeapCollect { force } => all(17, &[u64::from(force)]),
        Action::ThreadExit => all(18, &[]),
        Action::HeapWalk { mask } => all(19, &[mask]),
        Action::Quiescent => all(20, &[]),
        Action::FreeDelayed { size, .. } => all(21, &[size]),
        Action::ProcessDelayed => all(22, &[]),
        Action::TracemallocSnapshot(name) => all(23, &[u64::from(name)]),
        Action::SetArenaAllocator(ArenaChoice::Default) => all(24, &[]),
        Action::SetArenaAllocator(ArenaChoice::Count) => all(25, &[]),
        Action::SetArenaAllocator(ArenaChoice::FailEvery(n)) => all(26, &[n]),
        Action::SetArenaAllocator(ArenaChoice::FailFrom(n)) => all(27, &[n]),
        Action::SetArenaAllocator(ArenaChoice::Bump { bytes }) => all(28, &[bytes]),
        Action::SetArenaAllocator(ArenaChoice::Malloc) => all(29, &[]),
        Action::VirtualAlloc { size, .. } => all(30, &[size]),
        Action::VirtualFree { .. } => all(31, &[]),
        Action::InterpreterNew { number, own_obmalloc } => {
            all(32, &[u64::from(number), u64::from(own_obmalloc)]);
        }
        Action::InterpreterSwitch(number) => all(33, &[u64::from(number)]),
        Action::InterpreterEnd(number) => all(34, &[u64::from(number)]),
    }
}

/// The next action, its block's id 0.
pub(super) fn take_action(numbers: &mut Numbers<'_>) -> Option<Action> {
    let id = 0;
    Some(match numbers.bytes(1)?[0] {
        0 => Action::SetupDebugHooks,
        1 => Action::SetAllocator(TableChoice::Libc),
        2 => Action::SetAllocator(TableChoice::Pymalloc),
        3 => Action::SetAllocator(TableChoice::User(UserAllocator::Count)),
        4 => Action::SetAllocator(TableChoice::User(UserAllocator::FailEvery(numbers.number()?))),
        5 => Action::SetAllocator(TableChoice::User(UserAllocator::Bump { bytes: numbers.number()? })),
        6 => {
            let offset = unzigzag(numbers.number()?);
            let length = usize::try_from(numbers.number()?).ok()?;
            Action::Poke { id, offset, bytes: Poked::new(numbers.bytes(length)?)? }
        }
        7 => Action::Stack(StackId(numbers.small()?)),
        8 => Action::TracemallocStart(unzigzag(numbers.number()?).try_into().ok()?),
        9 => Action::TracemallocStop,
        10 => Action::TracemallocClear,
        11 => Action::TracemallocResetPeak,
        12 => Action::Track { domain: numbers.small()?, id, size: numbers.number()? },
        13 => Action::Untrack { domain: numbers.small()?, id },
        14 => Action::ThreadState { attached: false },
        15 => Action::ThreadState { attached: true },
        16 => Action::SetAllocator(TableChoice::User(UserAllocator::Log)),
        17 => Action::HeapCollect { force: numbers.number()? != 0 },
        18 => Action::ThreadExit,
        19 => Action::HeapWalk { mask: numbers.number()? },
        20 => Action::Quiescent,
        21 => Action::FreeDelayed { id, size: numbers.number()? },
        22 => Action::ProcessDelayed,
        23 => Action::TracemallocSnapshot(numbers.small()?),
        24 => Action::SetArenaAllocator(ArenaChoice::Default),
        25 => Action::SetArenaAllocator(ArenaChoice::Count),
        26 => Action::SetArenaAllocator(ArenaChoice::FailEvery(numbers.number()?)),
        27 => Action::SetArenaAllocator(ArenaChoice::FailFrom(numbers.number()?)),
        28 => Action::SetArenaAllocator(ArenaChoice::Bump { bytes: numbers.number()? }),
        29 => Action::SetArenaAllocator(ArenaChoice::Malloc),
        30 => Action::VirtualAlloc { id, size: numbers.number()? },
        31 => Action::VirtualFree { id },
        32 => Action::InterpreterNew { number: numbers.small()?, own_obmalloc: numbers.number()? != 0 },
        33 => Action::InterpreterSwitch(numbers.small()?),
        34 => Action::InterpreterEnd(numbers.small()?),
        _ => return None,
    })
}
