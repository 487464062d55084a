//! What mimalloc's events say is what happened: lists rebuilt from events alone are the real ones, an observer
//! changes nothing, and every event has its sentence.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;

use proptest::prelude::*;
use sim_core::event::{MiEvent, narrate};
use sim_core::report::digest;
use sim_core::tape::Action;
use sim_core::{Addr, Call, Domain, Event, Machine, ObjectHeap, Op, Profile, Trace, TraceBuilder};

/// A page as its events tell it.
#[derive(Default)]
struct Seen {
    free: Vec<Addr>,
    local_free: Vec<Addr>,
    thread_free: Vec<Addr>,
    /// Taken from `thread_free`, not yet in front of `local_free`.
    collected: Option<Vec<Addr>>,
}

#[derive(Default)]
struct Mirror {
    pages: BTreeMap<Addr, Seen>,
    segments: BTreeMap<u32, Addr>,
}

impl Mirror {
    fn page(&mut self, page: Addr) -> &mut Seen {
        self.pages.get_mut(&page).unwrap()
    }

    fn take(&mut self, event: MiEvent) {
        match event {
            MiEvent::PageFresh { page, .. } => {
                assert!(self.pages.insert(page, Seen::default()).is_none());
            }
            MiEvent::PageFreed { page, .. } => assert!(self.pages.remove(&page).is_some()),
            MiEvent::PageExtended { page, first, block_bytes, count, .. } => {
                let seen = self.page(page);
                assert!(seen.free.is_empty());
                seen.free = (0..u64::from(count)).map(|i| first.offset(i * block_bytes)).collect();
            }
            MiEvent::BlockPopped { page, block, next, .. } => {
                let seen = self.page(page);
                assert_eq!(seen.free.remove(0), block);
                assert_eq!(seen.free.first().copied(), next);
            }
            MiEvent::BlockFreed { page, block, next, .. } => {
                let seen = self.page(page);
                assert_eq!(seen.local_free.first().copied(), next);
                seen.local_free.insert(0, block);
            }
            MiEvent::BlockFreedRemotely { page, block, next, .. } => {
                let seen = self.page(page);
                assert_eq!(seen.thread_free.first().copied(), next);
                seen.thread_free.insert(0, block);
            }
            MiEvent::ThreadFreeCollected { page, count, .. } => {
                let seen = self.page(page);
                let blocks = std::mem::take(&mut seen.thread_free);
                assert_eq!(blocks.len(), usize::from(count));
                seen.collected = Some(blocks);
            }
            MiEvent::ListsJoined { page, tail, next } => {
                let seen = self.page(page);
                let (mut front, rest) = match seen.collected.take() {
                    Some(blocks) => (blocks, &mut seen.local_free),
                    None => (std::mem::take(&mut seen.local_free), &mut seen.free),
                };
                assert_eq!((front.last(), rest.first()), (Some(&tail), next.as_ref()));
                front.append(rest);
                *rest = front;
            }
            MiEvent::LocalFreeTaken { page } => {
                let seen = self.page(page);
                assert!(seen.free.is_empty());
                seen.free = std::mem::take(&mut seen.local_free);
            }
            MiEvent::SegmentObtained { ordinal, base, .. } => {
                assert!(self.segments.insert(ordinal, base).is_none());
            }
            MiEvent::SegmentFreed { ordinal, base } => {
                assert_eq!(self.segments.remove(&ordinal), Some(base));
            }
            _ => {}
        }
    }

    fn compare(&self, machine: &Machine) {
        let heap = machine.mimalloc().unwrap().heap();
        let segments: BTreeMap<u32, Addr> = heap.segments().iter().map(|s| (s.ordinal, s.base)).collect();
        assert_eq!(segments, self.segments);
        let mut pages = 0;
        for page in heap.segments().iter().flat_map(|s| heap.pages_of(s.id)) {
            let seen = &self.pages[&page.base];
            let lists = [&seen.free, &seen.local_free, &seen.thread_free];
            let expected: Vec<Addr> = lists.into_iter().flatten().copied().collect();
            let real: Vec<Addr> = heap.free_blocks(page.id).map(|b| heap.block_addr(b)).collect();
            assert_eq!(real, expected, "page {}", page.base);
            assert_eq!(heap.list_lengths(page.id).map(|n| n as usize), lists.map(Vec::len));
            pages += 1;
        }
        assert_eq!(pages, self.pages.len());
    }
}

/// What to do, by which thread, with how many bytes, and a choice.
type Wish = (u8, u8, u64, u32);

fn wishes() -> impl Strategy<Value = Vec<Wish>> {
    let size =
        prop_oneof![4 => 0_u64..200, 3 => 900_u64..20_000, 1 => 60_000_u64..600_000, 1 => Just(20 << 20)];
    prop::collection::vec((0_u8..100, 0_u8..3, size, any::<u32>()), 1..900)
}

fn tape(wishes: &[Wish]) -> Trace {
    let mut tape = TraceBuilder::new("mimalloc");
    let mut live: Vec<(u64, Domain)> = Vec::new();
    for (next, &(what, thread, size, pick)) in (1..).zip(wishes) {
        let thread = u16::from(thread);
        let domain = if pick % 3 == 0 { Domain::Mem } else { Domain::Obj };
        let heap = [ObjectHeap::Object, ObjectHeap::Gc, ObjectHeap::GcPre][pick as usize % 3];
        let at = pick as usize % live.len().max(1);
        let act = |action| (Domain::Obj, Call::Act(action));
        let (domain, call) = match what {
            0 => act(Action::ThreadExit),
            1 => act(Action::HeapCollect { force: pick % 2 == 0 }),
            2 => act(Action::HeapWalk { mask: u64::from(pick % 16) }),
            3..7 => act(Action::Quiescent),
            7 => act(Action::ProcessDelayed),
            8..12 if !live.is_empty() => {
                let (id, domain) = live.swap_remove(at);
                (domain, Call::Act(Action::FreeDelayed { id, size }))
            }
            12..45 if !live.is_empty() => {
                let (id, domain) = live.swap_remove(at);
                (domain, Call::Free { id })
            }
            45..52 if !live.is_empty() => {
                (live[at].1, Call::Realloc { id: live[at].0, newid: live[at].0, size })
            }
            _ => {
                live.push((next, domain));
                (domain, Call::Malloc { id: next, size })
            }
        };
        tape.push_in(Op { thread, domain, call }, heap).unwrap();
    }
    tape.finish()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn events_tell_the_whole_story(wishes in wishes(), preset in 0_usize..5) {
        let preset = ["cpython-3.13t", "cpython-3.14.4t", "cpython-3.14t", "cpython-3.15t", "cpython-3.14"][preset];
        let profile = Profile::named(preset).unwrap();
        let trace = tape(&wishes);
        let malloc = (!profile.mimalloc.free_threaded).then_some(sim_core::domains::AllocatorName::Mimalloc);
        let mut machine = Machine::for_trace(&profile, &trace, malloc).unwrap();
        let mut quiet = machine.clone();
        let mut mirror = Mirror::default();
        for index in 0..trace.len() as usize {
            let mut events = Vec::new();
            machine.step(&trace, index, &mut events);
            quiet.step(&trace, index, &mut ());
            for event in &events {
                assert!(!narrate(event, &profile).text.is_empty());
                if let Event::Mimalloc(event) = *event {
                    mirror.take(event);
                }
            }
            if index % 64 == 0 {
                mirror.compare(&machine);
                machine.verify().unwrap();
            }
        }
        mirror.compare(&machine);
        machine.verify().unwrap();
        assert_eq!(digest(&machine), digest(&quiet), "the observer changed something");
    }
}
