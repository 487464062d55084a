"""Many objects of many types, and the address and type of each that the gc module leads to: the truth that a picture is held against."""

import ast
import asyncio
import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import functools
import gc
import itertools
import re
import sys
import threading
import types
import weakref


class Plain:
    def __init__(self, number):
        self.number, self.text = number, str(number)


class Slots:
    __slots__ = ("a", "b")


class Text(str):
    pass


class Row(list):
    pass


class Color(enum.IntEnum):
    RED = 1


@dataclasses.dataclass
class Point:
    x: int
    y: float


class Outer:
    class Inner:
        pass


def kinds(i):
    return [
        Plain(i), Slots(), Text("x%d" % i), Row([i]), Point(i, i * 0.5), Outer.Inner(), Color.RED, i ** 9, -(i ** 5), "text%d" % i,
        "\u00e9%d" % i, "\u4e00%d" % i, "\U0001f600%d" % i, b"b%d" % i, bytearray(i % 300), (i, i + 1), [i] * (i % 40), {i: str(i)},
        {i, i + 1}, frozenset((i, i + 2)), i * 1.5, complex(i, 1), datetime.datetime(2020, 1, 1, 1, i % 60),
        datetime.time(1, i % 60), datetime.timedelta(i), decimal.Decimal(i), fractions.Fraction(i, 7), functools.partial(max, i),
        range(i), slice(i), memoryview(b"abc"), weakref.ref(Plain), itertools.count(i), iter([i]), (x for x in [i]), lambda: i,
        collections.deque([i]), collections.OrderedDict(a=i), collections.defaultdict(list), types.SimpleNamespace(a=i),
        re.compile("a%d" % (i % 300)), Plain(i).__init__, threading.Lock(), object(), ValueError(i),
    ]


keep = [kinds(i) for i in range(800)]
keep.append(ast.parse(open(ast.__file__).read()))
seen, todo = {}, gc.get_objects()
ignored = {id(seen)}
while todo:
    new = []
    ignored.add(id(todo))
    for o in todo:
        if id(o) not in seen and id(o) not in ignored:
            seen[id(o)] = o
            new.append(o)
    todo = gc.get_referents(*new) if new else []
del new, todo
names = {}
for o in list(seen.values()):
    of = type(o)
    if of not in names:
        names[of] = "%s.%s" % (type.__dict__["__module__"].__get__(of), type.__dict__["__qualname__"].__get__(of))
with open(sys.argv[1], "w") as out:
    for number, o in seen.items():
        out.write("%d %s\n" % (number, names[type(o)]))
print("ready", flush=True)
sys.stdin.readline()
