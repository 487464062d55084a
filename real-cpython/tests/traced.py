"""Runs allocator calls under tracemalloc. stdin: lines `m|c|r|f domain name [newname] size`; stdout: the sizes of
the live traces of a megabyte or more, sorted. Sizes are unique, so that traces can be told apart."""
import _tracemalloc
import ctypes
import sys

prefix = {"r": "PyMem_Raw", "m": "PyMem_", "o": "PyObject_"}
api = ctypes.pythonapi
size_t, void_p = ctypes.c_size_t, ctypes.c_void_p


def entry(domain, name, restype, *argtypes):
    function = getattr(api, prefix[domain] + name)
    function.restype = restype
    function.argtypes = argtypes
    return function


calls = {}
for d in prefix:
    calls["m", d] = entry(d, "Malloc", void_p, size_t)
    calls["c", d] = entry(d, "Calloc", void_p, size_t, size_t)
    calls["r", d] = entry(d, "Realloc", void_p, void_p, size_t)
    calls["f", d] = entry(d, "Free", None, void_p)

pointers = {}
for line in sys.stdin:
    word = line.split()
    if word[0] == "start":
        _tracemalloc.start(1)
    elif word[0] == "stop":
        _tracemalloc.stop()
    elif word[0] == "clear":
        _tracemalloc.clear_traces()
    elif word[0] == "report":
        traces = sorted(t[1] for t in _tracemalloc._get_traces() if t[1] >= 1000000)
        print(" ".join(map(str, traces)))
    elif word[0] == "m":
        pointers[word[2]] = calls["m", word[1]](int(word[3]))
    elif word[0] == "c":
        pointers[word[2]] = calls["c", word[1]](int(word[3]), int(word[4]))
    elif word[0] == "r":
        pointers[word[3]] = calls["r", word[1]](pointers.pop(word[2]), int(word[4]))
    elif word[0] == "f":
        calls["f", word[1]](pointers.pop(word[2]))
