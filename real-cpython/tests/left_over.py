"""Blocks to which only what is left over on stacks leads, and an object that only a function of C has that runs."""

import array
import ctypes
import os
import sys
import threading

BLOCKS, SIZE, MASK = 200, 5000, 0x5555_5555_5555_5555
libc = ctypes.CDLL(None)
libc.malloc.restype = libc.pthread_self.restype = ctypes.c_void_p
libc.malloc.argtypes = [ctypes.c_size_t]


def leave(address, out):
    # Nothing else keeps them as they are.
    masked = array.array("Q", [libc.malloc(SIZE) ^ MASK for _ in range(BLOCKS)])
    words = (ctypes.c_uint64 * BLOCKS)(*[word ^ MASK for word in masked])
    ctypes.memmove(address, words, ctypes.sizeof(words))
    ctypes.memset(words, 0, ctypes.sizeof(words))
    out.writelines("%d\n" % (word ^ MASK) for word in masked)


def waits(begun, end):
    begun.set()
    end.wait()


def main():
    begun, end = threading.Event(), threading.Event()
    with open(sys.argv[1], "w") as out:
        deep = []
        for _ in range(400):
            deep = [deep]
        repr(deep)
        with open("/proc/self/maps") as rows:
            first = next(int(row.split("-")[0], 16) for row in rows if row.rstrip().endswith("[stack]"))
        leave(first + 64, out)

        def thread():
            leave(libc.pthread_self() - (1 << 20), out)
            waits(begun, end)

        one = threading.Thread(target=thread)
        one.start()
        begun.wait()
    print("ready", flush=True)
    os.read(0, 100_003)
    end.set()
    one.join()


main()
