//! One plain sentence for each event of mimalloc.

use super::sentence::{are_copied, bytes, many, verb};
use super::{MiEvent, Sentence, Verdict};
use crate::addr::Addr;

/// A heap by its tag.
fn heap(tag: u8) -> &'static str {
    ["mem", "obj", "gc", "gc_pre"].get(usize::from(tag)).copied().unwrap_or("?")
}

fn head(next: Option<Addr>) -> String {
    next.map_or_else(|| "the list is now empty".to_owned(), |n| format!("{n} is the new head"))
}

fn goal_text(advance: bool) -> &'static str {
    if advance { ", and the shared sequence advances to it" } else { ", two past the shared sequence" }
}

/// Puts one event into words. Sizes are in bytes.
pub(super) fn narrate(event: MiEvent) -> Sentence {
    let say = |function: &'static str, place: Option<Addr>, text: String| Sentence { function, text, place };
    match event {
        MiEvent::ThreadBegan { thread, heaps } => say(
            "mi_heap_init",
            None,
            if heaps == 1 {
                format!("thread {thread} gets its heap")
            } else {
                format!("thread {thread} gets its {heaps} heaps: mem, obj, gc and gc_pre")
            },
        ),
        MiEvent::ThreadEnded { thread } => {
            say("mi_thread_done", None, format!("thread {thread} ends; what it leaves has no owner"))
        }
        MiEvent::BlockPopped { page, block, next, used } => say(
            "mi_page_malloc",
            Some(block),
            format!(
                "block {block} is popped from the free list of page {page}; {}, used is {used}",
                head(next)
            ),
        ),
        MiEvent::GenericPath { nbytes, tag } => say(
            "_mi_malloc_generic",
            None,
            if nbytes > 1024 {
                format!("{} are over 1024 and take the generic path of the {} heap", bytes(nbytes), heap(tag))
            } else {
                format!(
                    "the first page for {} has no free block ready, so the {} heap takes the generic path",
                    bytes(nbytes),
                    heap(tag)
                )
            },
        ),
        MiEvent::NoPage { nbytes } => say(
            "_mi_malloc_generic",
            None,
            format!("no page for {} can be had; everything is collected before the last try", bytes(nbytes)),
        ),
        MiEvent::PageFresh { page, slices, block_bytes, reserved, tag } => say(
            "mi_page_init",
            Some(page),
            format!(
                "page {page} of {} is set up for {} of {}, at the front of its queue in the {} heap",
                many(slices, "slice"),
                many(reserved, "block"),
                bytes(block_bytes),
                heap(tag)
            ),
        ),
        MiEvent::PageExtended { page, first, count, capacity, reserved, .. } => say(
            "mi_page_extend_free",
            Some(first),
            format!(
                "{} of page {page}, never used, {} made ready, {first} first; capacity is {capacity} of {reserved}",
                many(count, "block"),
                if count == 1 { "is" } else { "are" }
            ),
        ),
        MiEvent::LocalFreeTaken { page } => say(
            "_mi_page_free_collect",
            Some(page),
            format!(
                "the free list of page {page} is empty, so local_free takes its place: the block freed last comes first"
            ),
        ),
        MiEvent::ThreadFreeCollected { page, count, used } => say(
            "_mi_page_thread_free_collect",
            Some(page),
            format!(
                "page {page} takes back {} that other threads freed; used is {used}",
                many(count, "block")
            ),
        ),
        MiEvent::ListsJoined { page, tail, next } => say(
            "_mi_page_free_collect",
            Some(tail),
            next.map_or_else(
                || format!("{tail} is the last of the list of page {page}"),
                |n| format!("one list of page {page} is hung in front of another: behind {tail} comes {n}"),
            ),
        ),
        MiEvent::PageToFull { page } => say(
            "mi_page_to_full",
            Some(page),
            format!(
                "page {page} has nothing to give and goes to the end of the full queue; no search passes it there"
            ),
        ),
        MiEvent::PageUnfull { page, bin } => say(
            "_mi_page_unfull",
            Some(page),
            format!("page {page} has a free block again and goes to the end of queue {bin}"),
        ),
        MiEvent::PageToFront { page, bin } => say(
            "mi_page_queue_move_to_front",
            Some(page),
            format!("page {page}, the fullest of those looked at, goes to the front of queue {bin}"),
        ),
        MiEvent::PageRetired { page, cycles } => say(
            "_mi_page_retire",
            Some(page),
            format!("page {page} is empty but the only one of its size: it stays for {cycles} page misses"),
        ),
        MiEvent::PageFreed { page, slices } => say(
            "_mi_page_free",
            Some(page),
            format!(
                "page {page} is freed; its {} {} the free spans beside it",
                many(slices, "slice"),
                verb(slices.into(), "join")
            ),
        ),
        MiEvent::PageDeferred { page, goal, advance } => say(
            "_PyMem_mi_page_maybe_free",
            Some(page),
            format!(
                "page {page} is empty, but another thread may still look at it: it waits for sequence {goal}{}",
                goal_text(advance)
            ),
        ),
        MiEvent::GoalReached { page, goal } => say(
            "_PyMem_mi_heap_collect_qsbr",
            Some(page),
            format!("every thread has passed sequence {goal}, so page {page} can go"),
        ),
        MiEvent::PageAbandoned { page, used } => say(
            "_mi_page_abandon",
            Some(page),
            format!(
                "page {page} with {} in use loses its heap; from now on every free is a remote one",
                many(used, "block")
            ),
        ),
        MiEvent::SpanTaken { at, slices, of } => say(
            "mi_segments_page_find_and_allocate",
            Some(at),
            if slices == of {
                format!("a free span of {} at {at} fits exactly", many(of, "slice"))
            } else {
                format!(
                    "{slices} of the {} of the free span at {at} {} taken, the rest stays free",
                    many(of, "slice"),
                    if slices == 1 { "is" } else { "are" }
                )
            },
        ),
        MiEvent::SegmentObtained { ordinal, base, slices, in_arena } => say(
            "mi_segment_alloc",
            Some(base),
            format!(
                "segment {ordinal} of {} is obtained at {base}, {}",
                many(slices, "slice"),
                if in_arena {
                    "the lowest free place in the arenas"
                } else {
                    "from the system, too large for an arena"
                }
            ),
        ),
        MiEvent::SegmentFreed { ordinal, base } => say(
            "mi_segment_free",
            Some(base),
            format!("segment {ordinal} at {base} has no page left and its place is free"),
        ),
        MiEvent::SegmentAbandoned { ordinal, pages } => say(
            "mi_segment_abandon",
            None,
            format!(
                "segment {ordinal} with {} has no owner any more; its free spans serve nobody",
                many(pages, "page")
            ),
        ),
        MiEvent::SegmentTried { ordinal, visits, verdict } => say(
            "mi_segment_try_reclaim",
            None,
            format!(
                "abandoned segment {ordinal} is looked at, visit {visits}: {}",
                match verdict {
                    Verdict::Empty => "it is empty and can be freed",
                    Verdict::HasRoom => "it has room",
                    Verdict::VisitedOften => "it has no room, but was passed over often enough",
                    Verdict::NoRoom => "it has no room and stays where it is",
                }
            ),
        ),
        MiEvent::SegmentReclaimed { ordinal, thread } => say(
            "mi_segment_reclaim",
            None,
            format!("thread {thread} takes over segment {ordinal} with all its pages"),
        ),
        MiEvent::BlockFreed { page, block, next, used } => say(
            "mi_free_block_local",
            Some(block),
            format!(
                "block {block} becomes the head of local_free of page {page}{}; used is {used}",
                next.map_or_else(String::new, |n| format!(", before {n}"))
            ),
        ),
        MiEvent::BlockDelayed { block, tag, thread, .. } => say(
            "mi_free_block_delayed_mt",
            Some(block),
            format!(
                "block {block} belongs to thread {thread}: it goes to the mailbox of that thread's {} heap, which learns of it",
                heap(tag)
            ),
        ),
        MiEvent::BlockFreedRemotely { page, block, abandoned, .. } => say(
            "mi_free_block_delayed_mt",
            Some(block),
            if abandoned {
                format!("block {block} lies in page {page}, which nobody owns: it goes onto thread_free")
            } else {
                format!(
                    "block {block} is another thread's, which knows already: it goes onto thread_free of page {page}"
                )
            },
        ),
        MiEvent::DelayedProcessed { count, tag } => say(
            "_mi_heap_delayed_free_all",
            None,
            format!("the {} heap frees {} from its mailbox", heap(tag), many(count, "block")),
        ),
        MiEvent::HeapCollected { tag, force, abandon } => say(
            "mi_heap_collect_ex",
            None,
            format!(
                "the {} heap is collected{}",
                heap(tag),
                match (force, abandon) {
                    (_, true) => ", its thread ends",
                    (true, false) => " by force",
                    (false, false) => "",
                }
            ),
        ),
        MiEvent::HeapWalked { tag } => say(
            "mi_heap_visit_blocks",
            None,
            format!(
                "a walk over the {} heap puts what was freed in front of what was never used, in every page",
                heap(tag)
            ),
        ),
        MiEvent::Quiescent { thread, seq } => say(
            "_Py_qsbr_quiescent_state",
            None,
            format!("thread {thread} holds no reference it got before and has now seen sequence {seq}"),
        ),
        MiEvent::FreeDeferred { block, goal, advance } => say(
            "_PyMem_FreeDelayed",
            Some(block),
            format!("block {block} waits for sequence {goal}{}", goal_text(advance)),
        ),
        MiEvent::DeferredTwice => say(
            "_PyMem_ProcessDelayed",
            None,
            "a deferred block was freed by someone else meanwhile; a process would break its lists here"
                .to_owned(),
        ),
        MiEvent::ReallocInPlace { block, block_bytes, nbytes } => say(
            "mi_realloc",
            Some(block),
            format!(
                "{} {} in the block of {block_bytes} and {} at least half of it: it stays",
                bytes(nbytes),
                verb(nbytes, "fit"),
                verb(nbytes, "use")
            ),
        ),
        MiEvent::ReallocMoves { block, block_bytes, nbytes, copied } => say(
            "mi_realloc",
            Some(block),
            if nbytes > block_bytes {
                format!(
                    "{} do not fit in the block of {block_bytes}: a new block is taken, {}, then the old one is freed",
                    bytes(nbytes),
                    are_copied(copied)
                )
            } else {
                format!(
                    "{} would use less than half of the block of {block_bytes}: a new block is taken, {}, then the old one is freed",
                    bytes(nbytes),
                    are_copied(copied)
                )
            },
        ),
    }
}
