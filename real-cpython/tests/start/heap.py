"""A heap with holes of all kinds, and blocks of the library's among the objects. Arguments: library, seed, operations, log."""
import ctypes
import random
import sys

library, seed, operations, log = sys.argv[1:]
python = ctypes.pythonapi
lib = ctypes.PyDLL(library)


def address(name):
    return ctypes.cast(getattr(python, name), ctypes.c_void_p).value


families = [("PyMem_" + name, "PyObject_" + name) for name in ("Malloc", "Calloc", "Realloc", "Free")]
functions = (ctypes.c_void_p * 8)(*[address(name) for pair in families for name in pair])
lib.watch(
    ctypes.c_void_p(address("PyObject_GetArenaAllocator")), ctypes.c_void_p(address("PyObject_SetArenaAllocator"))
)


class Record:
    def __init__(self, number):
        self.number, self.text, self.rest = number, "record %d" % number, [number] * (number % 30)


draw = random.Random(int(seed))
kept = []
for turn in range(40):
    rows = [Record(draw.randrange(10**6)) for _ in range(1500)]
    rows += [bytes(draw.randrange(1, 480)) for _ in range(1500)]
    rows += [{str(key): (key, float(key)) for key in range(draw.randrange(8))} for _ in range(500)]
    lib.plant(functions, ctypes.c_size_t(100), ctypes.c_size_t(draw.randrange(1, 512)))
    draw.shuffle(rows)
    # Some turns leave next to nothing behind, so that pools and arenas become empty.
    kept.append(rows[: len(rows) // draw.choice([2, 5, 50, 1000])])
    if turn % 7 == 6:
        del kept[draw.randrange(len(kept))]
del rows
lib.run(functions, ctypes.c_uint64(int(seed)), ctypes.c_uint64(int(operations)), ctypes.c_char_p(log.encode()))
