"""Damages a block under debug hooks as told, and dies of it. argv: domain size action; see fatal.rs."""
import ctypes
import sys

prefix = {"r": "PyMem_Raw", "m": "PyMem_", "o": "PyObject_"}
api = ctypes.pythonapi


def entry(domain, name, restype, *argtypes):
    function = getattr(api, prefix[domain] + name)
    function.restype = restype
    function.argtypes = argtypes
    return function


domain, size, action = sys.argv[1], int(sys.argv[2]), sys.argv[3]
p = entry(domain, "Malloc", ctypes.c_void_p, ctypes.c_size_t)(size)
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
