"""Memory below pymalloc that a picture is held against: `heap.py KIND TRUTH`. What is true of it goes to the file TRUTH, a row each; the process
says that it is ready, and waits for a line."""

import array
import ctypes
import gc
import mmap
import os
import random
import sys
import threading
import time

kind, truth = sys.argv[1], open(sys.argv[2], "w", buffering=1)
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.malloc.argtypes = [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]


def tell(*fields):
    truth.write(" ".join(map(str, fields)) + "\n")


def wait():
    os.write(1, b"ready\n")
    os.read(0, 1)


def planted(size):
    block = libc.malloc(size)
    ctypes.memset(block, 0xAA, size)
    return block


def rss():
    with open("/proc/self/smaps_rollup") as rows:
        return next(int(row.split()[1]) * 1024 for row in rows if row.startswith("Rss:"))


def strings(count, seed, kept):
    numbers = random.Random(seed)
    made = [bytes(numbers.randrange(600, 60_000)) for _ in range(count)]
    kept.append(made[::7])


def threads(count, work):
    all = [threading.Thread(target=work, args=(n,)) for n in range(count)]
    for thread in all:
        thread.start()
    for thread in all:
        thread.join()
    # What a thread has cached is freed when it has ended for the system, too.
    while len(os.listdir("/proc/self/task")) > 1:
        time.sleep(0.001)


if kind == "trim":
    new = hasattr(libc, "mallinfo2")
    names = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()

    class Info(ctypes.Structure):
        _fields_ = [(name, ctypes.c_size_t if new else ctypes.c_int) for name in names]

    statistics = libc.mallinfo2 if new else libc.mallinfo
    statistics.restype = Info
    kept = []
    threads(4, lambda seed: strings(int(sys.argv[3]) // 4, seed, kept))
    gc.collect()
    rss()
    statistics()
    info = statistics()
    wait()
    before = rss()
    libc.malloc_trim(0)
    tell(info.fordblks, before - rss())
elif kind == "planted":
    for _ in range(20_000):
        tell("used", planted(2_000), 2_000)
    for _ in range(10):
        tell("mapped", planted(1 << 20), 1 << 20)
    buffer = array.array("d", range(1_000_000))
    tell("mapped", buffer.buffer_info()[0], 8 * len(buffer))
    text = bytes(5_000_000)
    tell("object", id(text), "builtins.bytes")
    row = [None] * 100
    row.extend(range(1_000_000))
    pairs = tuple(range(1000))
    tell("object", id(pairs), "builtins.tuple")
    shared = mmap.mmap(-1, 8 << 20)
    shared[: 4 << 20] = bytes(4 << 20)
    tell("shared", 4 << 20)
    # Of each size more than a thread keeps for itself, with something that stays between any two of them.
    small = [(size, planted(size)) for size in range(24, 120, 16) for _ in range(20)]
    stay = [planted(200) for _ in range(64)]
    for size, block in small[::2]:
        libc.free(block)
        tell("free", block, size)
    for size, block in small[1::2]:
        tell("used", block, size)
    wait()
elif kind == "fragmented":
    rows = [{"number": n, "text": str(n)} for n in range(150_000)]
    kept = rows[::500]
    del rows
    gc.collect()
    wait()
elif kind == "kept":
    kept = [{"number": n, "text": str(n)} for n in range(150_000)]
    wait()
elif kind == "threads":
    kept = []
    threads(8, lambda seed: kept.append([bytes([seed]) * 3_000 for _ in range(4_000)]))
    wait()
elif kind == "buffers":
    kept = [bytearray(b"x") * (1 << n) for n in range(10, 25)]
    wait()
elif kind == "forked":
    kept = [[n] for n in range(100_000)]
    gc.freeze()
    child = os.fork()
    if child == 0:
        # Counts references of each of the first half, which copies their pages.
        held = [item[0:] for item in kept[:50_000]]
        wait()
        os._exit(0)
    tell(child)
    os.waitpid(child, 0)
