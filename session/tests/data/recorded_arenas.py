"""Counts pools and arenas that the addresses in memray's captures imply, by memray's own reader: what
`session/tests/recorded.rs` compares `Layout` with. Writes a line for each capture: name, pools, arenas.

    python recorded_arenas.py CAPTURE... > recorded_arenas.txt

Of memray it takes its reader alone, and knows nothing of how Arenascope tells RAW from the rest. A window of 16 KiB is a pool
when all small blocks that were ever live there together agree on one size class and lie at its places. One with few blocks is none
where other blocks lie in it or beside it, as in the C library's heap; nor is one in low memory, where on x86-64 that heap grows
behind the program and where mmap, which arenas come from, puts nothing. Arenas are counted by the definition: the fewest windows of
1 MiB that hold all pools, found by going over the pools from the top.
"""

import sys
from pathlib import Path

from memray import AllocatorType, FileReader

POOL, ARENA, HEADER, MOST, FEW, LOW = 16 << 10, 1 << 20, 48, 512, 8, 0x7000_0000_0000
GIVES = {AllocatorType.PYMALLOC_MALLOC, AllocatorType.PYMALLOC_CALLOC, AllocatorType.PYMALLOC_REALLOC}
TAKES = AllocatorType.PYMALLOC_FREE


def pools(path):
    """Where the windows begin that are pools."""
    live, held, places, others, apart = {}, {}, {}, set(), set()
    for record in FileReader(path).get_allocation_records():
        kind, address, size = record.allocator, record.address, record.size
        window = address // POOL
        if kind == TAKES:
            block = live.pop(address, None)
            if block is not None:
                held[window][block] -= 1
                if not held[window][block]:
                    del held[window][block]
        elif kind in GIVES:
            block = (size + 15) // 16 * 16
            place, rest = divmod(address % POOL - HEADER, max(block, 16))
            if not 0 < size <= MOST or rest or not 0 <= place < (POOL - HEADER) // block:
                others.add(window)
                continue
            blocks = held.setdefault(window, {})
            if any(other != block for other in blocks):
                apart.add(window)
            places.setdefault(window, set()).add(address)
            if address not in live:
                live[address] = block
                blocks[block] = blocks.get(block, 0) + 1
    told = []
    for window, seen in places.items():
        if window * POOL < LOW:
            continue
        beside = any(near in others for near in (window - 1, window, window + 1))
        if len(seen) >= FEW and window not in apart or len(seen) < FEW and not beside:
            told.append(window * POOL)
    return sorted(told)


def arenas(pools):
    """The fewest windows of an arena's size that hold all pools."""
    count, lowest = 0, None
    for pool in reversed(pools):
        if lowest is None or pool < lowest:
            count, lowest = count + 1, pool + POOL - ARENA
    return count


def main():
    for path in sys.argv[1:]:
        found = pools(path)
        print(Path(path).name, len(found), arenas(found), sep="\t", flush=True)


if __name__ == "__main__":
    main()
