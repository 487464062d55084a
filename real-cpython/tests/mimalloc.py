"""Does the operations on standard input through ctypes and says where blocks landed, or what stands in them.

place: first fills each size class until it goes on with pages of its own, then prints an address for each line;
       standard error gets three reports of sys._debugmallocstats(): two in a row, one after the last operation.
bytes: prints the bytes from 16 before each block to 8 behind it, in hexadecimal; after a free those from 8 on, or `-` where the
       interpreter may have taken the block by then, or its page went back to the system.
"""

import array
import ctypes
import gc
import sys

gc.disable()
api = ctypes.pythonapi
families = {"r": "PyMem_Raw", "m": "PyMem_", "o": "PyObject_"}
size_t, pointer = ctypes.c_size_t, ctypes.c_void_p
functions = {}
for letter, prefix in families.items():
    for kind, name, arguments in (
        ("m", "Malloc", [size_t]),
        ("c", "Calloc", [size_t, size_t]),
        ("r", "Realloc", [pointer, size_t]),
        ("f", "Free", [pointer]),
    ):
        function = getattr(api, prefix + name)
        function.argtypes = arguments
        function.restype = None if kind == "f" else pointer
        functions[kind, letter] = function

name = api._PyMem_GetCurrentAllocatorName
name.restype = ctypes.c_char_p
print(name().decode())

operations = []
highest = 0
for line in sys.stdin:
    kind, letter, *numbers = line.split()
    numbers = tuple(map(int, numbers))
    operations.append((kind, functions[kind, letter], numbers))
    highest = max(highest, *numbers[:2])
places = array.array("Q", bytes(8 * (highest + 1)))
results = array.array("Q", bytes(8 * len(operations)))


def drain(size):
    """Allocates until two pages in a row were handed out from first block to last."""
    malloc = functions["m", "m"]
    whole, expected = 0, None
    for _ in range(100_000):
        p = malloc(size)
        offset = p & 0xFFFF
        if offset == 0:
            if whole == 2:
                results[0] = p
                return
            whole, expected = whole + 1, p + size
        elif p == expected:
            expected = p + size
        else:
            whole, expected = 0, None
    raise SystemExit(f"the class of {size} bytes never came to pages of its own")


def run(each):
    for at, (kind, function, numbers) in enumerate(operations):
        if kind == "m":
            p = function(numbers[1])
            places[numbers[0]] = p
        elif kind == "c":
            p = function(numbers[1], numbers[2])
            places[numbers[0]] = p
        elif kind == "r":
            p = function(places[numbers[0]], numbers[2])
            places[numbers[1]] = p
        else:
            p = places[numbers[0]]
            function(p)
            p = 0
        results[at] = p
        if each is not None:
            each(kind, numbers, places[numbers[1] if kind == "r" else numbers[0]])


if sys.argv[1] == "place":
    firsts = []
    for size in map(int, sys.argv[2].split(",")):
        drain(size)
        firsts.append(results[0])
    run(None)
    print(*firsts)
    sys._debugmallocstats()
    sys._debugmallocstats()
    malloc = functions["m", "m"]
    size, count = int(sys.argv[3]), int(sys.argv[4])
    kept = array.array("Q", bytes(8 * count))
    sys._debugmallocstats()
    for at in range(count):
        kept[at] = malloc(size)
    sys._debugmallocstats()
    for p in results:
        print(p)
else:
    sizes = {}
    USED_BY_THE_INTERPRETER = 1024
    freed = ctypes.create_string_buffer(1 << 16)

    def each(kind, numbers, p):
        if kind == "f":
            size = sizes.pop(numbers[0])
            if size <= USED_BY_THE_INTERPRETER:
                print("-")
            else:
                # Before anything else is allocated.
                ctypes.memmove(freed, p - 8, size + 16)
                left = freed.raw[: size + 16]
                print(left.hex() if any(left) else "-")
            return
        if kind == "r":
            sizes.pop(numbers[0], None)
        block = numbers[1] if kind == "r" else numbers[0]
        size = sizes[block] = numbers[1] * numbers[2] if kind == "c" else numbers[-1]
        print(ctypes.string_at(p - 16, size + 24).hex())
        # The program writes into its block; a realloc must carry it along.
        ctypes.memset(p, 0x40 + numbers[0] % 64, min(size, 200))

    run(each)
