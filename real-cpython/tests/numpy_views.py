"""Arrays of numpy that only views keep, for a picture to find: what each is kept by, and where its buffer lies."""

import sys

import numpy

VIEWS = {}


def base_of(view):
    while view.base is not None:
        view = view.base
    return view


def fill():
    # Large ones have mappings of their own, which the system splits where numpy advises it; small ones are the C library's chunks.
    first = numpy.arange(4_000_000, dtype="float64")
    VIEWS["large"] = first[::1000]
    second = numpy.ones((2000, 1500))
    VIEWS["turned"] = second.T[7:9]
    VIEWS["small"] = [numpy.arange(3000 + number, dtype="int64")[number::100] for number in range(50)]


fill()
alone = numpy.full(1_500_000, 2.5)[10:20][::2]


def rows():
    """The view, its way, and whether it has a mapping of its own."""
    yield VIEWS["large"], "__main__.VIEWS[large]", True
    yield VIEWS["turned"], "__main__.VIEWS[turned]", True
    yield alone, "__main__.alone", True
    for view in VIEWS["small"]:
        yield view, "__main__.VIEWS[small][*]", False


with open(sys.argv[1], "w") as out:
    for view, way, large in rows():
        base = base_of(view)
        assert base is not view and base.nbytes > view.nbytes
        buffer = base.__array_interface__["data"][0]
        out.write("%d %d %d %d %d %s\n" % (id(view), id(base), buffer, base.nbytes, large, way))
del view, base
print("ready", flush=True)
sys.stdin.readline()
