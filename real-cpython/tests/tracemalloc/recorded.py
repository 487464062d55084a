"""Follows the calls of a trace with a dict of its live blocks, and makes real snapshots of them.

A line holds fields between tabs: a command and its arguments. `take` and the questions print one line.
"""

import sys
from tracemalloc import Snapshot

live, traced, peak = {}, 0, 0
old = new = Snapshot([], 1)


def born(name, size, fields):
    """A block with its stack, most recent frame first."""
    global traced, peak
    frames = [(f or "<unknown>", int(l)) for f, l in zip(fields[::2], fields[1::2])]
    live[name] = (int(size), frames)
    traced += int(size)
    peak = max(peak, traced)


def gone(name):
    global traced
    if name in live:
        traced -= live.pop(name)[0]


def trace(limit, size, frames):
    if not frames:
        return 0, size, (("<unknown>", 0),), 1
    return 0, size, tuple(frames[:limit]), min(len(frames), 65535)


def lines(found):
    return " / ".join(map(str, found))


def run(command, fields):
    global old, new
    if command == "born":
        born(fields[0], fields[1], fields[2:])
    elif command == "moved":
        gone(fields[0])
        born(fields[1], fields[2], fields[3:])
    elif command == "gone":
        gone(fields[0])
    elif command == "clear":
        global traced, peak
        live.clear()
        traced = peak = 0
    elif command == "take":
        limit = int(fields[0])
        old, new = new, Snapshot([trace(limit, *block) for block in live.values()], limit)
        return f"{traced} {peak} {len(new.traces)}"
    elif command == "statistics":
        return lines(new.statistics(fields[0], fields[1] == "1"))
    elif command == "compare":
        return lines(new.compare_to(old, fields[0], fields[1] == "1"))
    else:
        raise SystemExit(f"unknown command {command!r}")


for line in sys.stdin.buffer:
    command, *fields = line.decode().rstrip("\n").split("\t")
    answer = run(command, fields)
    if answer is not None:
        sys.stdout.buffer.write(f"{answer}\n".encode())
