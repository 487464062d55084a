//! What formulas of a lesson may ask of mimalloc: its pages, their lists, and what waits.

use sim_core::mimalloc::{Mimalloc, PageView};
use trace_io::program::expr::Argument;

use super::moment::Moment;

fn heap<'a>(moment: &Moment<'a>) -> Result<&'a Mimalloc, String> {
    moment
        .machine
        .mimalloc()
        .map(sim_core::machine::MiRun::heap)
        .ok_or_else(|| "this run has no mimalloc".to_owned())
}

/// A name's value.
pub(super) fn name(moment: &Moment<'_>, name: &str) -> Option<i64> {
    let heap = heap(moment).ok()?;
    let value = match name {
        "segments" => heap.totals().segments,
        "segments.abandoned" => heap.totals().abandoned_segments,
        "segment.size" => sim_core::mimalloc::SEGMENT_BYTES,
        "slice.size" => sim_core::mimalloc::SLICE_BYTES,
        "pages" => heap.totals().pages,
        "pages.full" => heap.totals().full_pages,
        "pages.waiting" => heap.totals().deferred_pages,
        "qsbr.write" => heap.sequences().0,
        "qsbr.read" => heap.sequences().1,
        _ => return None,
    };
    Some(value.cast_signed())
}

/// A function's value.
pub(super) fn call(moment: &Moment<'_>, name: &str, arguments: &[Argument]) -> Option<Result<i64, String>> {
    let page = || -> Result<PageView, String> {
        let heap = heap(moment)?;
        let page = heap.page_around(moment.spot(arguments)?.addr).ok_or("it lies on no page")?;
        Ok(heap.page(page))
    };
    let of_page = |what: &dyn Fn(PageView) -> i64| page().map(what);
    let length =
        |list: usize| page().and_then(|page| Ok(i64::from(heap(moment)?.list_lengths(page.id)[list])));
    let on = |list: usize| listed(moment, arguments).map(|found| i64::from(found == Some(list)));
    Some(match name {
        "page_capacity" => of_page(&|page| i64::from(page.capacity)),
        "page_reserved" => of_page(&|page| i64::from(page.reserved)),
        "page_used" => of_page(&|page| i64::from(page.used)),
        "page_slice" => of_page(&|page| i64::from(page.slice)),
        "page_slices" => of_page(&|page| i64::from(page.slices)),
        "page_block" => of_page(&|page| page.block_bytes.cast_signed()),
        "page_heap" => of_page(&|page| i64::from(page.tag)),
        "page_owner" => of_page(&|page| page.owner.map_or(-1, i64::from)),
        "page_full" => of_page(&|page| i64::from(page.full)),
        "page_waits" => of_page(&|page| i64::from(page.goal != 0 && page.used == 0)),
        "free_list" => length(0),
        "local_free" => length(1),
        "thread_free" => length(2),
        "on_free" => on(0),
        "on_local" => on(1),
        "on_thread" => on(2),
        "on_delayed" => on(DELAYED),
        "on_page" => {
            page().map(|_| 1).or_else(|_| heap(moment).and_then(|_| moment.spot(arguments)).map(|_| 0))
        }
        _ => return None,
    })
}

/// Beside the three lists of a page: the one of the heap.
const DELAYED: usize = 3;

/// The list of free blocks on which a block is, in the order of [`Mimalloc::list_lengths`].
fn listed(moment: &Moment<'_>, arguments: &[Argument]) -> Result<Option<usize>, String> {
    let heap = heap(moment)?;
    let addr = moment.spot(arguments)?.addr;
    let Some((block, 0)) = heap.block_around(addr) else { return Ok(None) };
    if heap.is_live(block) {
        return Ok(None);
    }
    let Some(mut at) = heap.free_blocks(block.page).position(|free| free == block) else {
        return Ok(Some(DELAYED));
    };
    for (list, length) in heap.list_lengths(block.page).into_iter().enumerate() {
        match at.checked_sub(length as usize) {
            Some(rest) => at = rest,
            None => return Ok(Some(list)),
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::super::beyond::tests::faults;

    #[test]
    fn lists_of_a_page() {
        let run = "for i in range(1, 6): b[i] = malloc(32)\nfree(b[4])\nfree(b[1])";
        let claims = [
            "free_list(b[1]) == 4096 // 32 - 5 and local_free(b[1]) == 2 and thread_free(b[1]) == 0",
            "on_local(b[4]) and on_local(b[1]) and not on_free(b[4]) and not on_local(b[2])",
            "page_heap(b[1]) == 1 and page_owner(b[1]) == 0 and page_slices(b[1]) == 1 and page_block(b[1]) == 32",
            "segment.size == 32*1024*1024 and slice.size == 64*1024",
            "on_page(b[1])",
        ];
        for preset in ["cpython-3.13t", "cpython-3.14t", "cpython-3.15t"] {
            assert_eq!(faults("", run, &claims, preset), [""; 0], "{preset}");
        }
    }

    #[test]
    fn blocks_that_another_thread_frees() {
        let run = "a = malloc(64)\nb = malloc(64)\nwith thread(1): free(a)";
        let claims =
            ["on_thread(a) or on_delayed(a)", "not on_local(a) and not on_free(a)", "page_used(a) == 2"];
        for preset in ["cpython-3.13t", "cpython-3.14t"] {
            assert_eq!(faults("", run, &claims, preset), [""; 0], "{preset}");
        }
    }

    #[test]
    fn pages_that_wait() {
        let run = "for i in range(2000): b[i] = malloc(48)\nfor i in range(2000): free(b[i])";
        let claims =
            ["pages.waiting == 2 and page_waits(b[0]) and page_used(b[0]) == 0", "qsbr.write > qsbr.read"];
        assert_eq!(faults("", run, &claims, "cpython-3.14t"), [""; 0]);
    }
}
