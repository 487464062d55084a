"""Runs what each line of the input says through the real tracemalloc.py and prints what comes out.

A line holds fields between tabs: a command and its arguments. Those that build something print nothing,
the others one line.
"""

import linecache
import re
import sys
import tracemalloc
from tracemalloc import DomainFilter, Filter, Snapshot, Statistic, StatisticDiff, Traceback

traces, filters = [], []
old = new = Snapshot([], 1)


def frames_of(fields):
    return tuple((f, int(l)) for f, l in zip(fields[::2], fields[1::2]))


def key(traceback):
    return ";".join(map(str, traceback))


def statistics(snapshot, key_type, cumulative):
    found = snapshot.statistics(key_type, cumulative)
    return " / ".join(f"{key(s.traceback)}|{s.size}|{s.count}|{s}" for s in found)


def compare(key_type, cumulative):
    found = new.compare_to(old, key_type, cumulative)
    return " / ".join(
        f"{key(s.traceback)}|{s.size}|{s.size_diff}|{s.count}|{s.count_diff}|{s}" for s in found)


def filtered():
    passed = new.filter_traces(filters)
    listed = " / ".join(f"{t.domain}|{key(t.traceback)}|{t.traceback.total_nframe}|{t}" for t in passed.traces)
    return listed + " // " + statistics(passed, "lineno", False)


def number(text):
    return None if text == "-" else int(text)


def run(command, fields):
    """The answer, or None if there is none."""
    global traces, filters, old, new
    if command == "trace":
        domain, size, total = map(int, fields[:3])
        traces.append((domain, size, frames_of(fields[3:]), total))
    elif command == "source":
        lines = [line + "\n" for line in fields[1:]]
        linecache.cache[fields[0]] = (len(lines), None, lines, fields[0])
    elif command == "snapshot":
        old, new, traces = new, Snapshot(traces, 5), []
    elif command == "filter":
        inclusive, pattern, lineno, all_frames, domain = fields
        filters.append(
            Filter(inclusive == "1", pattern, number(lineno), all_frames == "1", number(domain)))
    elif command == "domain_filter":
        filters.append(DomainFilter(fields[0] == "1", int(fields[1])))
    elif command == "filtered":
        answer = filtered()
        filters = []
        return answer
    elif command == "statistics":
        return statistics(new, fields[0], fields[1] == "1")
    elif command == "compare":
        return compare(fields[0], fields[1] == "1")
    elif command == "format":
        return " / ".join(
            "\x1e".join(t.traceback.format(number(fields[0]), fields[1] == "1")) for t in new.traces)
    elif command == "size":
        return tracemalloc._format_size(int(fields[0]), fields[1] == "1")
    elif command == "statistic":
        return str(Statistic(Traceback((("f", 1),)), int(fields[0]), int(fields[1])))
    elif command == "difference":
        return str(StatisticDiff(Traceback((("f", 1),)), *map(int, fields)))
    elif command == "match":
        pattern, name = fields
        return str(int(Filter(True, pattern)._match_frame_impl(name, 1)))
    else:
        raise SystemExit(f"unknown command {command!r}")


for line in sys.stdin.buffer:
    command, *fields = line.decode().rstrip("\n").split("\t")
    try:
        answer = run(command, fields)
    except (ValueError, re.error) as error:
        answer = f"{type(error).__name__}: {error}"
    if answer is not None:
        sys.stdout.buffer.write(f"{answer}\n".encode())
