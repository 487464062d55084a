"""What memray's own API says of a capture, as JSON on one line."""

import json
import sys
from collections import Counter

from memray import AllocatorType, FileReader

DEATHS = {AllocatorType.FREE, AllocatorType.MUNMAP}
if hasattr(AllocatorType, "PYMALLOC_FREE"):
    DEATHS.add(AllocatorType.PYMALLOC_FREE)
NAMES = {int(a): a.name.lower() for a in AllocatorType}
MASK = (1 << 64) - 1
EVERY = 997


def main():
    reader = FileReader(sys.argv[1])
    metadata = reader.metadata
    main_thread = metadata.main_thread_id
    deaths = {int(a) for a in DEATHS}
    mmap = int(AllocatorType.MMAP)
    calls, resolved, ids = Counter(), {}, set()
    threads = set()
    births = total = digest = 0
    samples = []
    for record in reader.get_allocation_records():
        kind = record.allocator
        calls[kind] += 1
        if kind in deaths:
            continue
        key = (record.stack_id, record.tid == main_thread)
        if key not in resolved:
            resolved[key] = tuple(record.stack_trace())
        if kind == mmap or record.address == 0:
            continue
        threads.add(record.tid)
        if births % EVERY == 0:
            samples.append([births, record.size, resolved[key]])
        births += 1
        total += record.size
        digest = (digest * 31 + record.address + record.size) & MASK
    print(
        json.dumps(
            {
                "records": metadata.total_allocations,
                "peak": metadata.peak_memory,
                "command_line": metadata.command_line,
                "calls": {NAMES[k]: n for k, n in calls.items()},
                "stacks": len(set(resolved.values())),
                "stack_ids": len({k[0] for k in resolved}),
                "threads": len(threads),
                "births": births,
                "bytes": total,
                "digest": digest,
                "samples": samples,
            }
        )
    )


main()
