"""A binding to a C library that forgets to free what each call gives it."""

import ctypes
import time

libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.malloc.argtypes = [ctypes.c_size_t]
libc.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]


def answer(size):
    block = libc.malloc(size)
    libc.memset(block, 1, size)
    return size


for _ in range(20_000):
    answer(2_000)
for _ in range(10):
    answer(1 << 20)
print("done", flush=True)
time.sleep(1_000_000)
