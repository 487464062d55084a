"""Records a small program: memray_record.py OUT [python] [native] [objects] [aggregated] [packed] [long]."""

import json
import re
import sys
import threading
from pathlib import Path

import memray

try:
    from greenlet import greenlet
except ImportError:
    greenlet = None


def numbers(n):
    return {str(i): list(range(i % 9)) for i in range(n)}


def text(n):
    parts = json.loads(json.dumps(numbers(n)))
    return re.findall(
        r"\d+", " ".join(
            f"{k}={len(v)}" for k, v in parts.items()
        )
    )


class Counted(list):
    def __init__(self, n):
        super().__init__(bytes(n) for _ in range(n % 50))


def worker(rounds):
    for n in range(rounds):
        Counted(n)
        text(40 + n)


def deep(n):
    return [n] if n == 0 else deep(n - 1) + [bytes(n)]


def program():
    threads = [threading.Thread(target=worker, args=(30,), name=f"worker-{i}") for i in range(3)]
    for thread in threads:
        thread.start()
    for n in range(60):
        deep(n)
        namespace = {}
        exec(f"def made_{n}(x):\n    return [x] * {n + 1}\n", namespace)
        namespace[f"made_{n}"](n)
    for thread in threads:
        thread.join()
    if greenlet is not None:
        other = greenlet(worker)
        other.switch(5)
    grown = bytearray()
    for n in range(200):
        grown += bytes(n * 10)


path, flags = Path(sys.argv[1]), sys.argv[2:]
options = {"native_traces": "native" in flags, "trace_python_allocators": "python" in flags}
if "objects" in flags:
    options["track_object_lifetimes"] = True
if "aggregated" in flags:
    options["file_format"] = memray.FileFormat.AGGREGATED_ALLOCATIONS
destination = memray.FileDestination(path, overwrite=True, compress_on_exit="packed" in flags)
with memray.Tracker(destination=destination, **options):
    for _ in range(30 if "long" in flags else 1):
        program()
