"""A few allocations of every kind: what memray*.bin beside it are recordings of."""
import sys
import threading
from pathlib import Path

import memray


def leaf(n):
    return [bytes(600), list(range(n)), "x" * n]


def grow():
    grown = []
    for i in range(40):
        grown.append(
            leaf(i % 7)
        )
    return grown


def run():
    kept = grow()
    thread = threading.Thread(target=grow, name="second")
    thread.start()
    thread.join()
    big = bytearray(100_000)
    big.extend(bytes(200_000))
    kept.clear()


path, native = sys.argv[1], sys.argv[2:] == ["native"]
destination = memray.FileDestination(Path(path), overwrite=True, compress_on_exit=False)
with memray.Tracker(destination=destination, native_traces=native, trace_python_allocators=True):
    run()
