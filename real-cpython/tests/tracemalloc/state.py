"""Does to the real _tracemalloc what each line of the input says and prints what it answers.

A line holds fields between tabs: a command and its arguments. The hooks that trace Python's own allocations are taken out right after each start, so
that nothing but the commands adds traces and every number can be compared as it is.
"""

import _thread
import _tracemalloc
import ctypes
import functools
import sys
import tracemalloc


class Allocator(ctypes.Structure):
    _fields_ = [(name, ctypes.c_void_p) for name in ("ctx", "malloc", "calloc", "realloc", "free")]


api = ctypes.pythonapi
track = api.PyTraceMalloc_Track
track.argtypes = [ctypes.c_uint, ctypes.c_size_t, ctypes.c_size_t]
untrack = api.PyTraceMalloc_Untrack
untrack.argtypes = [ctypes.c_uint, ctypes.c_size_t]
get_traceback = api._PyTraceMalloc_GetTraceback
get_traceback.argtypes = [ctypes.c_uint, ctypes.c_size_t]
get_traceback.restype = ctypes.py_object


def start(nframe):
    was_tracing = _tracemalloc.is_tracing()
    tables = [Allocator(), Allocator(), Allocator()]
    for domain, table in enumerate(tables):
        api.PyMem_GetAllocator(domain, ctypes.byref(table))
    try:
        _tracemalloc.start(nframe)
    except ValueError as error:
        return f"ValueError: {error}"
    if not was_tracing:
        for domain, table in enumerate(tables):
            api.PyMem_SetAllocator(domain, ctypes.byref(table))
        _tracemalloc.clear_traces()
    return "ok"


@functools.lru_cache(maxsize=None)
def frame_at(filename, lineno):
    """A function that calls the next one of a stack from this place."""
    call = lambda stack, action: stack[-1](stack[:-1], action) if stack else action()
    return type(call)(call.__code__.replace(co_filename=filename, co_firstlineno=lineno), globals())


def frames_of(fields):
    """Functions of a stack, the first to be called last."""
    return tuple(frame_at(f, int(l)) for f, l in zip(fields[::2], fields[1::2]))


def text_of(frames):
    return ";".join(f"{filename}:{lineno}" for filename, lineno in frames)


def traces():
    return " ".join(f"{d}|{size}|{total}|{text_of(tb)}" for d, size, tb, total in _tracemalloc._get_traces())


def statistics():
    try:
        snapshot = tracemalloc.take_snapshot()
    except RuntimeError as error:
        return f"RuntimeError: {error}"
    return " / ".join(map(str, snapshot.statistics("traceback")))


def deep(depth):
    """Frames kept and counted of a stack that deep."""
    def down(n):
        return down(n - 1) if n else track(1, 16, 1)

    def run():
        try:
            down(depth)
        finally:
            done.release()

    sys.setrecursionlimit(depth + 1000)
    _thread.stack_size(1 << 29)
    done = _thread.allocate_lock()
    done.acquire()
    _thread.start_new_thread(run, ())
    done.acquire()
    (domain, size, frames, total), = _tracemalloc._get_traces()
    return f"{len(frames)} {total}"


def state():
    memory = str(_tracemalloc.get_tracemalloc_memory())
    if not _tracemalloc.is_tracing():
        memory = "off:" + memory
    current, peak = _tracemalloc.get_traced_memory()
    return f"{_tracemalloc.get_traceback_limit()}\t{current}\t{peak}\t{memory}"


def action_of(command, fields):
    """What to call, and the stack to call it from."""
    if command == "track":
        return functools.partial(track, *map(int, fields[:3])), frames_of(fields[3:])
    if command == "untrack":
        return functools.partial(untrack, *map(int, fields)), ()
    if command == "get":
        return lambda: (lambda tb: tb and text_of(tb))(get_traceback(*map(int, fields))), ()
    return {
        "start": lambda: start(int(fields[0])),
        "stop": _tracemalloc.stop,
        "clear_traces": _tracemalloc.clear_traces,
        "reset_peak": _tracemalloc.reset_peak,
        "is_tracing": lambda: int(_tracemalloc.is_tracing()),
        "traces": traces,
        "statistics": statistics,
        "deep": lambda: deep(int(fields[0])),
    }[command], ()


out = sys.stdout.buffer
for line in sys.stdin.buffer:
    command, *fields = line.decode().rstrip("\n").split("\t")
    action, stack = action_of(command, fields)
    answer = stack[-1](stack[:-1], action) if stack else action()  # all stacks end here
    out.write(f"{answer}\t{state()}\n".encode())
