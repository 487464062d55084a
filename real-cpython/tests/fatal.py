"""Damages a block under debug hooks as told, and dies of it. argv: domain size action [traced]; see fatal.rs.

With `traced` the block is allocated in line 3 of inner.py, called from line 2 of outer.py. With `detached` for
the domain it calls the function `size` with `action` zeros and no thread state.
"""
import ctypes
import os
import sys
import tracemalloc

prefix = {"r": "PyMem_Raw", "m": "PyMem_", "o": "PyObject_"}
api = ctypes.pythonapi


def entry(domain, name, restype, *argtypes):
    function = getattr(api, prefix[domain] + name)
    function.restype = restype
    function.argtypes = argtypes
    return function


if sys.argv[1] == "detached":
    # A CDLL gives up the GIL around each call; pythonapi does not.
    function = getattr(ctypes.CDLL(None), sys.argv[2])
    function.restype = ctypes.c_void_p
    function.argtypes = [ctypes.c_size_t] * int(sys.argv[3])
    sys.stderr.write("p=0x0\n")
    sys.stderr.flush()
    function(*[0] * len(function.argtypes))
    sys.stderr.write("alive\n")
    sys.stderr.flush()
    os._exit(0)

domain, size, action = sys.argv[1], int(sys.argv[2]), sys.argv[3]
names = {"malloc": entry(domain, "Malloc", ctypes.c_void_p, ctypes.c_size_t), "size": size}
if sys.argv[4:] == ["traced"]:
    names["inner"] = compile("\n\np = malloc(size)", "inner.py", "exec")
    outer = compile("\nexec(inner)", "outer.py", "exec")
    tracemalloc.start(2)
    exec(outer, names)
    p = names["p"]
else:
    p = names["malloc"](size)
where, verb, other = action.split(",")
for poke in filter(None, where.split("+")):
    offset, byte = poke.split("=")
    ctypes.c_ubyte.from_address(p + int(offset)).value = int(byte, 16)
sys.stderr.write("p=%#x\n" % p)
sys.stderr.flush()
if verb == "free":
    entry(other, "Free", None, ctypes.c_void_p)(p)
else:
    entry(other, "Realloc", ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)(p, size + 100)
sys.stderr.write("alive\n")
